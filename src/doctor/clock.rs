//! Whether this machine knows what time it is.
//!
//! The Date of the token endpoint against the local clock tells it best. Where none is to be had (an account with a
//! password asks no such server, and a clock that is years off ends TLS before a word is said), a certificate that another
//! check found out of its time makes the clock doubtful, and else the system is asked whether it keeps its clock right.
//! Where there is none of that, the check is missing.

use super::chart::{Chart, Finding, Passed};
use super::{machine, tls};
use crate::config::{Account, Auth};
use crate::oauth::server_time;
use jiff::{SignedDuration, Timestamp, Zoned};

/// More makes certificates and signed requests fail sooner or later (RFC 7519 §4.1.4 speaks of a few minutes).
const TOLERABLE: SignedDuration = SignedDuration::from_mins(2);
const REMEDY: &str = "set the clock: `timedatectl set-ntp true` keeps it right by itself";

/// What another machine said, between two local moments, in whole seconds.
pub(super) struct Told {
    asked: Timestamp,
    said: Timestamp,
    answered: Timestamp,
}

/// Asks the token endpoint; `None` where there is none or it says nothing.
pub(super) async fn ask(account: &Account) -> Option<Told> {
    let Auth::OAuth2(oauth) = &account.auth else { return None };
    let asked = Timestamp::now();
    let said = server_time(&oauth.token_url).await?;
    Some(Told { asked, said, answered: Timestamp::now() })
}

/// The check, when the others are done.
pub(super) async fn examine(told: Option<Told>, chart: &Chart) {
    let doubtful = || chart.failure(tls::is_about_time).map(|name| doubt(name, &Zoned::now()));
    let finding = match told.map(|told| judge(&told)).or_else(doubtful) {
        Some(finding) => Some(finding),
        None => kept_right().await,
    };
    if let Some(finding) = finding {
        chart.run("clock", async { finding }).await;
    }
}

fn judge(told: &Told) -> Finding {
    let ahead = told.asked.duration_since(told.said);
    let behind = told.said.duration_since(told.answered);
    let (off, way) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    if off <= TOLERABLE {
        return Ok(Passed::new((), "agrees with the authorization server"));
    }
    let detail = format!("this machine is {} min {way} the authorization server", off.as_mins());
    Ok(Passed::new((), detail).with_warning(Some(REMEDY.to_owned())))
}

/// The certificate may be what is wrong; a person sees which of the two it is.
fn doubt(name: &str, now: &Zoned) -> Finding {
    let detail = format!("{name} met a certificate out of its time; here it is {}", now.strftime("%F %H:%M"));
    Ok(Passed::new((), detail).with_warning(Some(format!("if that is not the time, {REMEDY}"))))
}

/// What the system says of its own clock (timedatectl(1)).
async fn kept_right() -> Option<Finding> {
    let said = machine::ask("timedatectl", &["show", "--property=NTPSynchronized", "--value"]).await?;
    match said.trim() {
        "yes" => Some(Ok(Passed::new((), "kept right by the system"))),
        "no" => {
            let passed = Passed::new((), "the system does not keep its clock right");
            Some(Ok(passed.with_warning(Some(REMEDY.to_owned()))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn more_than_two_minutes_is_worth_a_warning_in_both_directions() {
        let warning =
            |said| judge(&Told { asked: at(10_000), said: at(said), answered: at(10_005) }).unwrap();
        for told in [10_000 - 120, 10_000, 10_005 + 120] {
            assert_eq!(warning(told).warning, None, "{told}");
        }
        assert!(warning(10_000 - 200).detail.contains("3 min ahead of"));
        assert!(warning(10_005 + 600).detail.contains("10 min behind"));
        assert!(warning(10_005 + 600).warning.is_some());
    }
}
