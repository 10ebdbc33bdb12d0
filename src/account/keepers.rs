//! The keepers in use: accounts that log in by the same token share one.
//!
//! A shared mailbox is opened with its user's own token, so several accounts may need the same one. Two keepers of one
//! token would refresh it twice, and a server that rotates would take the second for a thief (RFC 9700 §4.14).
//! Invariant: one keeper for one token file in this process, with the client's secret as it was last read: two would each
//! take the other's rotations for the login of another process. Between processes the lock on that file does the same.

use crate::oauth::{Keeper, KeeperConfig};
use futures_util::future::join_all;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The keepers of this process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Keepers(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    keepers: Vec<Keeper>,
    is_closed: bool,
}

impl Keepers {
    /// The keeper for this token: the one that another account holds, else a new one.
    pub(super) fn keeper(&self, config: KeeperConfig) -> Keeper {
        let mut kept = self.kept();
        kept.keepers.retain(Keeper::is_held);
        if let Some(keeper) = kept.keepers.iter().find(|keeper| keeper.serves(&config)) {
            keeper.use_client_secret(config.client_secret);
            return keeper.clone();
        }
        let keeper = Keeper::new(config);
        if kept.is_closed {
            keeper.close();
        }
        kept.keepers.push(keeper.clone());
        keeper
    }

    /// The end of the program: lets no more refresh tokens out, and waits until what came of those on their way is saved.
    /// A server that rotates has ended the old token when it answers, so that what is lost here costs a login. `waits` is
    /// called where there is something to wait for; it is never longer than the deadline of a request.
    pub async fn close(&self, waits: impl FnOnce()) {
        let keepers = {
            let mut kept = self.kept();
            kept.is_closed = true;
            kept.keepers.clone()
        };
        // Every one of them before any is waited for.
        let out = keepers.iter().filter(|keeper| keeper.close()).count();
        if out > 0 {
            waits();
        }
        join_all(keepers.iter().map(Keeper::settle)).await;
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::flow::scripted::Script;
    use secrecy::ExposeSecret;

    fn config(secret: &str) -> KeeperConfig {
        KeeperConfig {
            account: "alice".into(),
            client_id: "client".into(),
            client_secret: Some(secret.into()),
            token_url: "https://login.test/token".parse().unwrap(),
            scopes: vec!["mail".into()],
            store: "/state/alice/token.json".into(),
            is_sealed: false,
            app: None,
        }
    }

    #[tokio::test]
    async fn one_token_has_one_keeper_with_the_secret_that_was_read_last_while_an_account_holds_it() {
        let keepers = Keepers::default();
        let count = || keepers.kept().keepers.len();
        let home = tempfile::tempdir().unwrap();
        let granted = r#"{"token_type":"Bearer","access_token":"a","expires_in":3600}"#;
        let script = Script::start([(200, granted), (200, granted)]).await;
        let config = |secret| KeeperConfig {
            token_url: script.url.clone(),
            store: home.path().join("alice/token.json"),
            ..config(secret)
        };
        let first = keepers.keeper(config("s"));
        let with_new_secret = keepers.clone().keeper(config("t"));
        assert_eq!(count(), 1);
        first.import("r".into()).await.unwrap();
        assert_eq!(script.form(0)["client_secret"], "t");
        drop(first);
        let public = keepers.keeper(KeeperConfig { client_secret: None, ..config("t") });
        public.import("r".into()).await.unwrap();
        assert!(!script.form(1).contains_key("client_secret"));
        drop((public, with_new_secret));
        let other = KeeperConfig { client_id: "other".into(), ..config("t") };
        let _other = keepers.keeper(other);
        assert_eq!(count(), 1, "the keeper that nobody held is forgotten");
    }

    #[tokio::test]
    async fn a_token_that_the_disk_refused_outlives_the_account_that_asked_for_it() {
        let grant = |number| {
            format!(
                r#"{{"token_type":"Bearer","access_token":"a{number}","expires_in":3600,"refresh_token":"r{number}"}}"#
            )
        };
        let script = Script::start((1..=3).map(|number| (200, &*grant(number).leak()))).await;
        let home = tempfile::tempdir().unwrap();
        let store = home.path().join("alice/token.json");
        let config = KeeperConfig { token_url: script.url.clone(), store: store.clone(), ..config("s") };
        let keepers = Keepers::default();
        let keeper = keepers.keeper(config.clone());
        let first = keeper.import("r0".into()).await.unwrap();
        // A directory where the new file should be stands for the full disk.
        let obstacle = store.with_extension("json.new");
        std::fs::create_dir(&obstacle).unwrap();
        keeper.renew("lab", &first).await.unwrap_err();
        drop(keeper);
        let again = keepers.keeper(config);
        std::fs::remove_dir(&obstacle).unwrap();
        let token = again.token().await.unwrap();
        assert_eq!((token.secret.expose_secret(), script.count()), ("a2", 2), "the dead token is not sent");
    }
}
