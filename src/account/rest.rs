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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::watch::tests::shared_of;
    use crate::account::{Keepers, Login};
    use crate::config::{Auth, Secret};
    use crate::oauth::flow::scripted::Script;
    use tokio::task::JoinSet;
    use tokio::time::{Instant, pause, resume, timeout_at};

    /// So many answers with another refresh token each.
    fn rotations(count: usize) -> Vec<(u16, &'static str)> {
        let body = |number| {
            format!(
                r#"{{"token_type":"Bearer","access_token":"a{number}","expires_in":3600,"refresh_token":"r{number}"}}"#
            )
        };
        (0..count).map(|number| (200, &*body(number).leak())).collect()
    }

    /// A mail server refuses the token at hand, and the next one; what follows is the rest of that account.
    async fn knock(mut shared: Shared) -> impl Future<Output = Shared> {
        let keeper = shared.login.keeper().unwrap();
        let token = keeper.token().await.unwrap();
        keeper.renew("lab", &token).await.unwrap();
        async move {
            rest(&mut shared, delay(Class::NeedsLogin, 0)).await;
            shared
        }
    }

    #[tokio::test]
    async fn accounts_that_share_a_rotating_token_do_not_wake_each_other_for_ever() {
        let home = tempfile::tempdir().unwrap();
        let script = Script::start(rotations(40)).await;
        let one = shared_of(home.path(), |account| {
            let Auth::OAuth2(oauth) = &mut account.auth else { panic!() };
            oauth.token_url = script.url.clone();
        })
        .await;
        // The secret was changed between the starts of the two.
        let keepers = Keepers::default();
        let login = async |secret: &str| {
            let mut account = (*one.account).clone();
            let Auth::OAuth2(oauth) = &mut account.auth else { panic!() };
            oauth.client_secret = Some(Secret::Command(format!("echo {secret}")));
            Login::new(&account, &one.state_dir, &keepers).await.unwrap()
        };
        let (before, after) = (login("old").await, login("new").await);
        before.keeper().unwrap().import("r".into()).await.unwrap();
        let end = Instant::now() + Duration::from_secs(3600);
        let mut resting = JoinSet::new();
        for login in [before, after] {
            resting.spawn(knock(Shared { login, ..one.clone() }).await);
        }
        while script.count() < 20 {
            pause();
            let next = timeout_at(end, resting.join_next()).await;
            resume();
            let Ok(next) = next else { break };
            resting.spawn(knock(next.unwrap().unwrap()).await);
        }
        assert!(script.count() <= 5, "{} requests", script.count());
    }
}
