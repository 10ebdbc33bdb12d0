//! Several addresses of one name, and the first that answers (Happy Eyeballs, RFC 8305).
//!
//! Invariant: a dead address costs [`STAGGER`], not a time-out: the next one is tried beside it. A machine whose IPv6
//! leads nowhere reaches its servers as fast as any other.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long one address has before the next is tried beside it (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

/// What `connect` makes of the first address that answers; the other attempts end with that. An error is the last one.
pub(super) async fn first<T, F>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = io::Result<T>> + Send + 'static,
{
    let mut waiting = VecDeque::from(alternating(addresses));
    let mut attempts = JoinSet::new();
    let mut last = no_address();
    loop {
        if let Some(address) = waiting.pop_front() {
            attempts.spawn(connect(address));
        }
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok(Ok(connection))) => return Ok(connection),
                Some(Ok(Err(error))) => last = error,
                Some(Err(died)) => last = io::Error::other(died),
                None => return Err(last),
            },
            () = sleep(STAGGER), if !waiting.is_empty() => {}
        }
    }
}

pub(super) fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}

/// One of each family in turn, in the order of the resolver otherwise (RFC 8305 §4).
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == is_v6);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut order = Vec::new();
    loop {
        let pair = [preferred.next(), other.next()];
        if pair == [None, None] {
            return order;
        }
        order.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::time::Instant;

    fn addresses(of: &[&str]) -> Vec<SocketAddr> {
        of.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_costs_a_quarter_of_a_second() {
        let start = Instant::now();
        let reached = first(addresses(&["[2001:db8::1]:993", "192.0.2.1:993"]), |address| async move {
            if address.is_ipv6() { pending().await } else { Ok(address) }
        });
        assert_eq!(reached.await.unwrap().to_string(), "192.0.2.1:993");
        assert_eq!(start.elapsed(), STAGGER);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_costs_nothing_and_the_last_one_is_told() {
        let start = Instant::now();
        let refused = first::<(), _>(addresses(&["192.0.2.1:993", "192.0.2.2:993"]), |address| async move {
            Err(io::Error::other(address.to_string()))
        });
        assert_eq!(refused.await.unwrap_err().to_string(), "192.0.2.2:993");
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_address_may_still_win() {
        let reached = first(addresses(&["192.0.2.1:993", "192.0.2.2:993"]), |address| async move {
            sleep(if address.ip().to_string().ends_with('1') { 3 * STAGGER } else { 9 * STAGGER }).await;
            Ok(address)
        });
        assert_eq!(reached.await.unwrap().to_string(), "192.0.2.1:993");
    }

    #[tokio::test]
    async fn a_name_without_addresses_is_an_error() {
        let nothing = first::<(), _>(Vec::new(), |_| pending());
        assert_eq!(nothing.await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn families_take_turns_beginning_with_the_preferred() {
        let mixed = addresses(&["[::1]:1", "[::2]:1", "127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:1"]);
        let order: Vec<String> = alternating(mixed).iter().map(|address| address.ip().to_string()).collect();
        assert_eq!(order, ["::1", "127.0.0.1", "::2", "127.0.0.2", "127.0.0.3"]);
    }
}
