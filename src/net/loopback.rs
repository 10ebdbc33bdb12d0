//! The sockets that a browser on this machine is sent back to (RFC 8252 §7.3).
//!
//! Invariants: loopback addresses only, never all interfaces; a port that the system chooses; for the name `localhost`
//! both address families on the same port, because a browser may try either first and another program of this machine
//! must not get what goes to the other. It knows nothing of what is said on the connections.

use super::Stream;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::Poll;
use tokio::net::TcpListener;

/// How often another port is tried when the one that is free in IPv4 is taken in IPv6.
const ATTEMPTS: usize = 16;

/// Sockets that listen on this machine and are closed when this is dropped.
#[derive(Debug)]
pub struct Loopback {
    listeners: Vec<TcpListener>,
    port: u16,
}

impl Loopback {
    /// Listens on a free port of `host`: `localhost`, or the literal of a loopback address.
    pub async fn bind(host: &str) -> io::Result<Loopback> {
        if host.eq_ignore_ascii_case("localhost") {
            return Loopback::bind_both().await;
        }
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        match literal.parse::<IpAddr>() {
            Ok(address) if address.is_loopback() => Loopback::of(vec![listen(address, 0).await?]),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "the host is no loopback address")),
        }
    }

    async fn bind_both() -> io::Result<Loopback> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..ATTEMPTS {
            let four = listen(Ipv4Addr::LOCALHOST.into(), 0).await?;
            match listen(Ipv6Addr::LOCALHOST.into(), four.local_addr()?.port()).await {
                Ok(six) => return Loopback::of(vec![four, six]),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
                // A machine without IPv6.
                Err(_) => return Loopback::of(vec![four]),
            }
        }
        Err(last)
    }

    fn of(listeners: Vec<TcpListener>) -> io::Result<Loopback> {
        let first = listeners.first().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let port = first.local_addr()?.port();
        Ok(Loopback { listeners, port })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next connection.
    pub async fn accept(&self) -> io::Result<Stream> {
        let (stream, _) = std::future::poll_fn(|context| {
            let mut each = self.listeners.iter().map(|listener| listener.poll_accept(context));
            each.find(Poll::is_ready).unwrap_or(Poll::Pending)
        })
        .await?;
        Ok(Box::new(stream))
    }
}

async fn listen(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::new(address, port)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    async fn reaches(sockets: &Loopback, address: IpAddr) -> bool {
        let Ok(mut peer) = TcpStream::connect((address, sockets.port())).await else { return false };
        let mut accepted = sockets.accept().await.unwrap();
        peer.write_all(b"x").await.unwrap();
        accepted.read_u8().await.unwrap() == b'x'
    }

    #[tokio::test]
    async fn the_name_is_reached_by_both_families_and_an_address_by_its_own() {
        let has_six = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok();
        let both = Loopback::bind("localhost").await.unwrap();
        assert!(reaches(&both, Ipv4Addr::LOCALHOST.into()).await);
        assert_eq!(reaches(&both, Ipv6Addr::LOCALHOST.into()).await, has_six);
        let four = Loopback::bind("127.0.0.1").await.unwrap();
        assert!(reaches(&four, Ipv4Addr::LOCALHOST.into()).await);
        assert!(!reaches(&four, Ipv6Addr::LOCALHOST.into()).await);
    }

    #[tokio::test]
    async fn no_other_interface_is_listened_on() {
        for host in ["0.0.0.0", "::", "192.0.2.1", "mail.test", ""] {
            let refused = Loopback::bind(host).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{host}");
        }
        let sockets = Loopback::bind("localhost").await.unwrap();
        let addresses = sockets.listeners.iter().map(|listener| listener.local_addr().unwrap().ip());
        assert!(addresses.into_iter().all(|address| address.is_loopback()));
    }

    #[tokio::test]
    async fn a_dropped_listener_frees_its_port() {
        let sockets = Loopback::bind("127.0.0.1").await.unwrap();
        let port = sockets.port();
        drop(sockets);
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err());
    }
}
