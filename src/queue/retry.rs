//! When to try a deferred message again, and when to stop. Pure.
//!
//! One minute doubling to four hours, with jitter, for five days. Only what the server says about the message counts as
//! an attempt; trouble with the network or the login is not the message's fault and never ends its life. A connection that
//! ends amid a message may be either: only many of them, and all that time, are its end.

use crate::backoff::Backoff;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

const LAW: Backoff = Backoff { floor: Duration::from_secs(60), ceiling: Duration::from_secs(4 * 3600) };

/// RFC 5321 §4.5.4.1 has 4 to 5 days.
const LIFETIME: SignedDuration = SignedDuration::from_hours(5 * 24);

/// Connections that ended amid one message before it is the message's fault: a bad line for an hour is none.
const MANY: u32 = 10;

/// What comes after a temporary refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another attempt, not before this time.
    At(Timestamp),
    /// The message has been refused for too long.
    GiveUp,
}

/// After `attempts` attempts (at least 1) of a message accepted at `accepted`; `random` is uniform in 0..1.
pub fn next_attempt(attempts: u32, accepted: Timestamp, now: Timestamp, random: f64) -> Next {
    if now.duration_since(accepted) >= LIFETIME {
        return Next::GiveUp;
    }
    let delay = LAW.delay(attempts.saturating_sub(1), random);
    now.checked_add(delay).map_or(Next::GiveUp, Next::At)
}

/// Whether to give a message up at which `breaks` connections ended.
pub(super) fn is_hopeless(breaks: u32, accepted: Timestamp, now: Timestamp) -> bool {
    breaks >= MANY && now.duration_since(accepted) >= LIFETIME
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_doubling_to_four_hours_for_five_days() {
        let accepted = Timestamp::UNIX_EPOCH;
        let wait = |attempts, random| match next_attempt(attempts, accepted, accepted, random) {
            Next::At(at) => at.as_second(),
            Next::GiveUp => panic!(),
        };
        assert_eq!([1, 2, 3, 8, 9, u32::MAX].map(|n| wait(n, 1.0)), [60, 120, 240, 7680, 14400, 14400]);
        assert_eq!((wait(1, 0.0), wait(0, 1.0)), (30, 60));
        let day = |n: i64| accepted + SignedDuration::from_hours(24 * n);
        assert!(matches!(next_attempt(50, accepted, day(4), 0.5), Next::At(_)));
        assert_eq!(next_attempt(1, accepted, day(5), 0.5), Next::GiveUp);
        assert!(matches!(next_attempt(1, day(5), accepted, 0.5), Next::At(_)), "a clock that went back");
        assert_eq!(next_attempt(1, Timestamp::MAX, Timestamp::MAX, 1.0), Next::GiveUp);
    }
    #[test]
    fn only_many_broken_connections_over_five_days_end_a_message() {
        let accepted = Timestamp::UNIX_EPOCH;
        let after = |hours| accepted + SignedDuration::from_hours(hours);
        assert!(!is_hopeless(u32::MAX, accepted, after(119)), "not in time");
        assert!(!is_hopeless(9, accepted, after(1000)), "a machine that was off for a month");
        assert!(is_hopeless(10, accepted, after(120)));
    }
}
