//! Whether this machine knows what time it is: the Date of the token endpoint against the local clock.
//!
//! An account with a password asks no server that tells the time; there the check is missing.

use super::chart::{Chart, Finding, Passed};
use crate::config::{Account, Auth};
use crate::oauth::server_time;
use jiff::{SignedDuration, Timestamp};

/// More makes certificates and signed requests fail sooner or later (RFC 7519 §4.1.4 speaks of a few minutes).
const TOLERABLE: SignedDuration = SignedDuration::from_mins(2);

pub(super) async fn examine(account: &Account, chart: &Chart) {
    let Auth::OAuth2(oauth) = &account.auth else { return };
    let asked = Timestamp::now();
    let Some(told) = server_time(&oauth.token_url).await else { return };
    chart.run("clock", async { judge(told, asked, Timestamp::now()) }).await;
}

/// `told` was said between the two local moments, in whole seconds.
fn judge(told: Timestamp, asked: Timestamp, answered: Timestamp) -> Finding {
    let ahead = asked.duration_since(told);
    let behind = told.duration_since(answered);
    let (off, way) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    if off <= TOLERABLE {
        return Ok(Passed::new((), "agrees with the authorization server"));
    }
    let detail = format!("this machine is {} min {way} the authorization server", off.as_mins());
    let advice = "set the clock: `timedatectl set-ntp true` keeps it right by itself";
    Ok(Passed::new((), detail).with_warning(Some(advice.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn more_than_two_minutes_is_worth_a_warning_in_both_directions() {
        let warning = |told| judge(at(told), at(10_000), at(10_005)).unwrap();
        for told in [10_000 - 120, 10_000, 10_005 + 120] {
            assert_eq!(warning(told).warning, None, "{told}");
        }
        assert!(warning(10_000 - 200).detail.contains("3 min ahead of"));
        assert!(warning(10_005 + 600).detail.contains("10 min behind"));
        assert!(warning(10_005 + 600).warning.is_some());
    }
}
