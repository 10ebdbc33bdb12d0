//! An access token and the moment to replace it. Pure: both clocks are passed in.
//!
//! A token is due when either clock says so. The wall clock alone fails when somebody sets it back, the boot clock
//! alone when the machine was off; watched together, a token is at worst refreshed too early. The lead before expiry
//! is jittered so that accounts which logged in together do not refresh together for ever after.
//! Rejected: a timer per token, because timers lie over suspend; a token is looked at when somebody wants to use it.

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// What to assume when the server names no life: both large providers give an hour.
const USUAL_LIFE: Duration = Duration::from_secs(3600);
/// Least time before expiry; a request that starts now has ended by then.
const LEAD: Duration = Duration::from_secs(300);

/// A bearer token for a mail server (RFC 6750), and when it ends.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token; send it only to hosts that its provider lists.
    pub secret: SecretString,
    /// When the server says that it ends; missing where it does not say.
    pub expires: Option<Timestamp>,
}

impl AccessToken {
    /// Whether both are the same token.
    pub fn is_same(&self, other: &AccessToken) -> bool {
        self.secret.expose_secret() == other.secret.expose_secret()
    }
}

/// A moment on the two clocks that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock; may be set at any time.
    pub wall: Timestamp,
    /// Time since boot, suspend included; never set.
    pub boot: Duration,
}

impl Moment {
    /// The moment `span` later, at most the end of time.
    pub fn after(self, span: Duration) -> Moment {
        let step = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
        Moment {
            wall: self.wall.checked_add(step).unwrap_or(Timestamp::MAX),
            boot: self.boot.saturating_add(span),
        }
    }

    /// Whether either clock has reached `then`.
    pub fn has_reached(self, then: Moment) -> bool {
        self.wall >= then.wall || self.boot >= then.boot
    }
}

/// An access token together with the moments that matter to its keeper.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The token.
    pub token: AccessToken,
    due: Moment,
    end: Moment,
}

impl Lease {
    /// A token that was granted at `now` for `life`; `random` is uniform in 0..1.
    pub fn new(secret: SecretString, life: Option<Duration>, now: Moment, random: f64) -> Lease {
        let span = life.unwrap_or(USUAL_LIFE);
        let end = now.after(span);
        let token = AccessToken { secret, expires: life.map(|_| end.wall) };
        Lease { token, due: now.after(time_to_refresh(span, random)), end }
    }

    /// Whether it is time to replace the token.
    pub fn is_due(&self, now: Moment) -> bool {
        now.has_reached(self.due)
    }

    /// Whether the server no longer takes the token.
    pub fn is_over(&self, now: Moment) -> bool {
        now.has_reached(self.end)
    }
}

/// 80 % of the life or 5 minutes before its end, whichever is earlier, less a jitter of up to 5 % of the life; never
/// before half of the life, so that a short-lived token is used at all.
fn time_to_refresh(life: Duration, random: f64) -> Duration {
    let early = (life.mul_f64(0.8)).min(life.saturating_sub(LEAD));
    early.saturating_sub(life.mul_f64(0.05 * random.clamp(0.0, 1.0))).max(life / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60;

    fn at(wall: i64, boot: u64) -> Moment {
        Moment { wall: Timestamp::from_second(wall).unwrap(), boot: Duration::from_secs(boot) }
    }

    fn lease(life: Option<u64>) -> Lease {
        Lease::new("secret".into(), life.map(Duration::from_secs), at(1_000_000, 100), 0.0)
    }

    #[test]
    fn an_hour_is_refreshed_at_80_percent_and_ten_minutes_five_before_the_end() {
        let hour = lease(Some(60 * MINUTE));
        assert!(!hour.is_due(at(1_000_000 + 47 * 60, 100 + 47 * MINUTE)));
        assert!(hour.is_due(at(1_000_000 + 48 * 60, 100 + 48 * MINUTE)));
        assert!(!hour.is_over(at(1_000_000 + 59 * 60, 100 + 59 * MINUTE)));
        assert!(hour.is_over(at(1_000_000 + 60 * 60, 100 + 60 * MINUTE)));
        let short = lease(Some(10 * MINUTE));
        assert!(!short.is_due(at(1_000_000 + 299, 399)));
        assert!(short.is_due(at(1_000_000 + 300, 400)));
    }

    #[test]
    fn either_clock_alone_makes_a_token_due() {
        let hour = lease(Some(60 * MINUTE));
        let a_day_back = at(1_000_000 - 86_400, 100 + 50 * MINUTE);
        let a_year_ahead = at(1_000_000 + 31_536_000, 101);
        let rtc_of_1970 = at(0, 101);
        assert!(hour.is_due(a_day_back));
        assert!(hour.is_due(a_year_ahead));
        assert!(!hour.is_due(rtc_of_1970));
    }

    #[test]
    fn jitter_only_ever_brings_the_refresh_forward_and_never_below_half() {
        for life in [0, 1, 240, 600, 3600, 604_800].map(Duration::from_secs) {
            for random in [0.0, 0.5, 1.0, 7.0] {
                let span = time_to_refresh(life, random);
                assert!(span >= life / 2 && span <= life, "{life:?} {random} {span:?}");
            }
        }
        assert!(
            time_to_refresh(Duration::from_secs(3600), 1.0) < time_to_refresh(Duration::from_secs(3600), 0.0)
        );
    }

    #[test]
    fn without_a_named_life_no_expiry_is_claimed_but_an_hour_assumed() {
        let unnamed = lease(None);
        assert_eq!(unnamed.token.expires, None);
        assert!(unnamed.is_due(at(1_000_000, 100 + 48 * MINUTE)));
    }

    #[test]
    fn an_endless_life_does_not_overflow() {
        let lease = Lease::new("secret".into(), Some(Duration::MAX), at(1_000_000, 100), 1.0);
        assert_eq!(lease.token.expires, Some(Timestamp::MAX));
    }
}
