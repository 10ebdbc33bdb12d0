//! The keepers in use: accounts that log in by the same token share one.
//!
//! A shared mailbox is opened with its user's own token, so several accounts may need the same one. Two keepers of one
//! token would refresh it twice, and a server that rotates would take the second for a thief (RFC 9700 §4.14).
//! Invariant: one keeper for one token file in this process. Between processes the lock on that file does the same.

use crate::oauth::{Keeper, KeeperConfig, WeakKeeper};
use std::sync::{Arc, Mutex, PoisonError};

/// The keepers that some account holds. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Keepers(Arc<Mutex<Vec<WeakKeeper>>>);

impl Keepers {
    /// The keeper for this token: the one that another account holds, else a new one.
    pub(super) fn keeper(&self, config: KeeperConfig) -> Keeper {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|keeper| keeper.upgrade().is_some());
        if let Some(keeper) =
            kept.iter().filter_map(WeakKeeper::upgrade).find(|keeper| keeper.serves(&config))
        {
            return keeper;
        }
        let keeper = Keeper::new(config);
        kept.push(keeper.downgrade());
        keeper
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn one_token_has_one_keeper_while_an_account_holds_it() {
        let keepers = Keepers::default();
        let count = || keepers.0.lock().unwrap().len();
        let first = keepers.keeper(config("s"));
        let second = keepers.clone().keeper(config("s"));
        assert_eq!(count(), 1);
        let with_new_secret = keepers.keeper(config("t"));
        assert_eq!(count(), 2);
        drop((first, second));
        let _again = keepers.keeper(config("t"));
        assert_eq!(count(), 1, "the keeper that nobody held is forgotten");
        drop(with_new_secret);
    }
}
