//! Dialling: TCP, TLS, STARTTLS, deadlines. The only module that opens TCP connections, or waits for one ([`Loopback`]).
//!
//! One TLS stack (OpenSSL), TLS 1.2 or newer, certificate and name always checked; there is no switch to turn that
//! off, only a way to add a trust anchor. Plain text is possible only to a loopback address, checked again here on the
//! connected socket. The protocol drivers speak the STARTTLS dialogue themselves and then call [`start_tls`]; they
//! must refuse any byte that came after the server's OK (RFC 3207 §6, "NO STARTTLS" 2021).

mod exchangers;
mod loopback;
pub mod patience;
mod plain;
mod race;
#[cfg(test)]
pub(crate) mod script;
pub mod words;

pub use exchangers::mail_exchangers;
pub use loopback::Loopback;
pub use plain::plain;

use crate::error::{Class, Classified};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// Look-up and TCP together; a server that needs longer is as good as down.
const CONNECT: Duration = Duration::from_secs(20);
/// The TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// Silence after which the kernel probes the peer: below the 5 min after which many NATs forget a connection.
const KEEPALIVE: Duration = Duration::from_secs(120);
/// Unacknowledged data after which the kernel gives the peer up.
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// A byte stream to a server, in the clear or in TLS.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug> Transport for T {}

/// A boxed [`Transport`].
pub type Stream = Box<dyn Transport>;

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// With the first byte (RFC 8314).
    Implicit,
    /// After a STARTTLS command, demanded, never opportunistic.
    StartTls,
    /// Never; only to a loopback address.
    None,
}

/// A server to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// DNS name or address literal; also the name that the certificate must have.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// When TLS begins.
    pub tls: Tls,
    /// An extra trust anchor (PEM file).
    pub ca: Option<PathBuf>,
}

/// Why a server could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name has no address, or no address answered.
    #[error("cannot connect to {endpoint}")]
    Connect {
        /// `host:port`.
        endpoint: String,
        /// The cause.
        source: io::Error,
    },
    /// The handshake failed or the certificate is not trusted.
    #[error("no TLS with {endpoint}: {cause}")]
    Tls {
        /// `host:port`.
        endpoint: String,
        /// The cause, in [`plain`] words.
        cause: String,
    },
    /// The configured trust anchor cannot be used.
    #[error("cannot use the certificate file {path}")]
    Anchor {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Plain text to another machine was asked for.
    #[error("refusing to talk to {address} without TLS: it is not a loopback address")]
    NotLoopback {
        /// The peer.
        address: SocketAddr,
    },
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Error::Connect { .. } | Error::Tls { .. } => Class::RETRY,
            Error::Anchor { .. } | Error::NotLoopback { .. } => Class::Configuration,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Tls { cause, .. } if cause.contains("mismatch") => {
                Some("the server's certificate is for another name: set `host` to one that it holds".into())
            }
            Error::Tls { cause, .. } if cause.contains("certificate verify failed") => Some(
                "the server's certificate is not trusted; for a private authority set `ca` in the account"
                    .into(),
            ),
            Error::NotLoopback { .. } => Some("set tls = \"implicit\" or \"starttls\"".into()),
            Error::Tls { cause, .. } if cause.contains("wrong version number") => {
                Some("this port does not begin with TLS: check `port`, or set tls = \"starttls\"".into())
            }
            _ => None,
        }
    }
}

/// Connects; with [`Tls::Implicit`] the stream returned is already in TLS, else it is in the clear.
pub async fn dial(endpoint: &Endpoint) -> Result<Stream, Error> {
    let stream = reach(endpoint).await?;
    match endpoint.tls {
        Tls::Implicit => start_tls(stream, endpoint).await,
        Tls::StartTls | Tls::None => Ok(stream),
    }
}

/// The first half of [`dial`]: TCP alone, for who wants to know how far it goes. With [`Tls::Implicit`] nothing may be
/// said on the stream before [`start_tls`].
pub async fn reach(endpoint: &Endpoint) -> Result<Stream, Error> {
    let failed = |source| Error::Connect { endpoint: endpoint.to_string(), source };
    let tcp = connect(endpoint).await.map_err(failed)?;
    match (endpoint.tls, tcp.peer_addr().map_err(failed)?) {
        (Tls::None, address) if !address.ip().is_loopback() => Err(Error::NotLoopback { address }),
        _ => Ok(Box::new(tcp)),
    }
}

/// The addresses that the name of a server has, at least one.
pub async fn resolve(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, Error> {
    let failed = |source| Error::Connect { endpoint: endpoint.to_string(), source };
    let found = lookup_host((endpoint.host.as_str(), endpoint.port)).await.map_err(failed)?;
    let addresses: Vec<SocketAddr> = found.collect();
    match addresses.is_empty() {
        true => Err(failed(race::no_address())),
        false => Ok(addresses),
    }
}

/// Puts TLS on a stream in the clear.
pub async fn start_tls(stream: Stream, endpoint: &Endpoint) -> Result<Stream, Error> {
    let connector = async_native_tls::TlsConnector::from(builder(endpoint.ca.as_deref())?);
    let lost = |cause: io::Error| Error::Connect { endpoint: endpoint.to_string(), source: cause };
    match timeout(HANDSHAKE, connector.connect(&endpoint.host, stream)).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::debug!(%endpoint, %error, "no TLS");
            Err(Error::Tls { endpoint: endpoint.to_string(), cause: plain(&error.to_string()) })
        }
        Err(_) => Err(lost(io::Error::new(io::ErrorKind::TimedOut, "no answer to the TLS handshake"))),
    }
}

/// The one TLS configuration of the program.
fn builder(ca: Option<&Path>) -> Result<native_tls::TlsConnectorBuilder, Error> {
    let mut builder = native_tls::TlsConnector::builder();
    builder.min_protocol_version(Some(native_tls::Protocol::Tlsv12));
    for certificate in ca.map(anchors).transpose()?.unwrap_or_default() {
        builder.add_root_certificate(certificate);
    }
    Ok(builder)
}

/// Whether the file can be used as [`Endpoint::ca`]. Reads the disk: call it off the reactor.
pub fn check_anchor(path: &Path) -> Result<(), Error> {
    anchors(path).map(drop)
}

/// The certificates of a PEM file; a file without one is a mistake.
fn anchors(path: &Path) -> Result<Vec<native_tls::Certificate>, Error> {
    let unusable = |source| Error::Anchor { path: path.to_owned(), source };
    let pem = std::fs::read(path).map_err(|error| unusable(error.into()))?;
    match native_tls::Certificate::stack_from_pem(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(unusable("it holds no certificate in PEM form".into())),
        Err(error) => Err(unusable(plain(&error.to_string()).into())),
    }
}

async fn connect(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let timed_out = || io::Error::new(io::ErrorKind::TimedOut, "no answer");
    let connected = async {
        let addresses = lookup_host((endpoint.host.as_str(), endpoint.port)).await?.collect();
        tune(race::first(addresses, TcpStream::connect).await?)
    };
    timeout(CONNECT, connected).await.unwrap_or_else(|_| Err(timed_out()))
}

/// No Nagle delay, and a kernel that notices dead peers (RFC 1122 §4.2.3.6, RFC 5482).
fn tune(tcp: TcpStream) -> io::Result<TcpStream> {
    tcp.set_nodelay(true)?;
    let socket = socket2::SockRef::from(&tcp);
    socket
        .set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 8))?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(tcp)
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}:{}", self.host, self.port)
    }
}
