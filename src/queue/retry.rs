//! When to try a deferred message again, and when to stop. Pure.
//!
//! One minute doubling to four hours, with jitter, for five days. Only what the server says about the message counts as
//! an attempt; trouble with the network or the login is not the message's fault and never ends its life. A connection that
//! ends amid a message may be either. The clock may be wrong and be set right: no message waits longer than the longest
//! pause, and only many attempts and all that time together are its end.

use crate::backoff::Backoff;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(4);

const LAW: Backoff = Backoff { floor: Duration::from_secs(60), ceiling: LONGEST_PAUSE.unsigned_abs() };

/// RFC 5321 §4.5.4.1 has 4 to 5 days.
const LIFETIME: SignedDuration = SignedDuration::from_hours(5 * 24);

/// Attempts before a message is given up, however much time has passed: eight hours of them.
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
    if is_hopeless(attempts, accepted, now) {
        return Next::GiveUp;
    }
    let delay = LAW.delay(attempts.saturating_sub(1), random);
    Next::At(now.checked_add(delay).unwrap_or(now))
}

/// Whether to give a message up after so many attempts, or connections that ended amid it, or limits of the
/// account that it met.
pub(super) fn is_hopeless(attempts: u32, accepted: Timestamp, now: Timestamp) -> bool {
    attempts >= MANY && now.duration_since(accepted) >= LIFETIME
}

/// When the next attempt may be made; a time farther ahead than the longest pause is that of a wrong clock.
pub(super) fn due_at(next_try: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let is_sound = |at: &Timestamp| at.duration_since(now) <= LONGEST_PAUSE;
    next_try.filter(is_sound).unwrap_or(now)
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
        assert_eq!(next_attempt(10, accepted, day(5), 0.5), Next::GiveUp);
        assert!(matches!(next_attempt(50, day(5), accepted, 0.5), Next::At(_)), "a clock that went back");
        assert_eq!(next_attempt(1, Timestamp::MAX, Timestamp::MAX, 1.0), Next::At(Timestamp::MAX));
    }

    #[test]
    fn no_message_waits_for_the_time_of_a_wrong_clock() {
        let now = Timestamp::UNIX_EPOCH;
        let after = |hours| now + SignedDuration::from_hours(hours);
        assert_eq!(due_at(None, now), now);
        assert_eq!([-1, 0, 1, 4].map(|hours| due_at(Some(after(hours)), now)), [-1, 0, 1, 4].map(after));
        assert_eq!([5, 24 * 365].map(|hours| due_at(Some(after(hours)), now)), [now, now]);
    }

    #[test]
    fn only_many_attempts_over_five_days_end_a_message() {
        let accepted = Timestamp::UNIX_EPOCH;
        let after = |hours| accepted + SignedDuration::from_hours(hours);
        assert!(!is_hopeless(u32::MAX, accepted, after(119)), "not in time");
        assert!(!is_hopeless(9, accepted, after(1000)), "a machine that was off for a month");
        assert!(matches!(next_attempt(9, accepted, after(1000), 0.5), Next::At(_)), "nor that one");
        assert!(is_hopeless(10, accepted, after(120)));
    }
}
