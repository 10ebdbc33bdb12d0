//! How long to wait after trouble, and what cuts the wait short.

use super::Shared;
use crate::backoff::Backoff;
use crate::error::Class;
use std::time::Duration;
use tokio::time::sleep;

/// After a refused login or mailbox: servers lock out who knocks too often, and only the user can mend it. A login by
/// `posthaste login` cuts it short.
const PARKED: Duration = Duration::from_secs(20 * 60);
/// What repeating is not expected to help is repeated all the same, seldom: the cause may be mended outside.
const SELDOM: Duration = Duration::from_secs(300);

/// How long to wait after the failure with this number, counted from 0.
pub(super) fn delay(class: Class, failures: u32) -> Duration {
    match class {
        Class::Retry { after } => {
            Backoff::CONNECTION.delay(failures, fastrand::f64()).max(after.unwrap_or_default())
        }
        Class::NeedsLogin | Class::Denied => PARKED,
        Class::Configuration | Class::GiveUp => SELDOM,
    }
}

/// Waits so long; a login or the end of the account cut it short.
pub(super) async fn rest(shared: &mut Shared, wait: Duration) {
    tokio::select! {
        () = sleep(wait) => {}
        () = shared.login_changed.changed() => shared.login.look_again().await,
        () = shared.login.changed_on_disk() => shared.login.look_again().await,
        () = shared.stop.cancelled() => {}
    }
}
