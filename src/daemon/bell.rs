//! The hook `needs_login`: rings once for an account that needs a login, and again only after it was let in.
//!
//! It hears the status that everybody hears, so a worker neither knows of it nor waits for it. A hook has a task of its
//! own and half a minute; what it says goes to the log, and its failure is a warning and nothing else. Where accounts
//! share a login it rings for the one that tells of it.

use crate::command::{self, Ended};
use crate::config::{self, Auth};
use crate::oauth::words;
use crate::status::{Account, State};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

/// Long enough to show or send a notice. What waits for a person has to begin a session of its own.
const LIMIT: Duration = Duration::from_secs(30);

/// Clones are the same bell. With the last of them the hooks that still run are ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Bell(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    hook: Option<String>,
    /// The accounts for which it rang, until they are let in.
    rung: BTreeSet<String>,
    running: JoinSet<()>,
}

impl Bell {
    /// From now on this is the hook.
    pub(super) fn set(&self, hook: Option<String>) {
        self.with(|inner| inner.hook = hook);
    }

    /// Hears all that an account tells about itself.
    pub(super) async fn listen(&self, remedy: &str, mut words: watch::Receiver<Account>) -> Infallible {
        loop {
            self.hear(remedy, &words.borrow_and_update());
            if words.changed().await.is_err() {
                return pending().await;
            }
        }
    }

    /// Hears what an account tells; `remedy` is the command that helps when it needs a login.
    pub(super) fn hear(&self, remedy: &str, account: &Account) {
        self.with(|inner| match account.state {
            State::NeedsLogin if !account.told_elsewhere => inner.ring(&account.name, remedy),
            State::Watching | State::Syncing | State::Held | State::Denied => {
                inner.rung.remove(&account.name);
            }
            State::Starting | State::Connecting | State::Waiting | State::NeedsLogin | State::Stopped => {}
        });
    }

    fn with(&self, act: impl FnOnce(&mut Inner)) {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Inner {
    fn ring(&mut self, account: &str, remedy: &str) {
        let Some(hook) = self.hook.clone() else { return };
        if self.rung.insert(account.to_owned()) {
            while self.running.try_join_next().is_some() {}
            self.running.spawn(run(hook, account.to_owned(), remedy.to_owned()));
        }
    }
}

async fn run(hook: String, account: String, remedy: String) {
    let variables = [("POSTHASTE_ACCOUNT", account.as_str()), ("POSTHASTE_COMMAND", remedy.as_str())];
    match command::run(&hook, &variables, LIMIT).await {
        Ok(ended) if ended.status.success() => {
            info!(account, said = first_words(&ended), "hook needs_login");
        }
        Ok(ended) => {
            warn!(account, status = %ended.status, said = first_words(&ended), "hook needs_login failed");
        }
        Err(error) => warn!(account, %error, "hook needs_login failed"),
    }
}

/// The first line that it wrote, cut short; nothing where it was silent.
fn first_words(ended: &Ended) -> Option<String> {
    let text = if ended.complaint.is_empty() { &ended.output } else { &ended.complaint };
    let text = String::from_utf8_lossy(text);
    Some(words(text.lines().next()?)).filter(|words| !words.is_empty())
}

/// The command that helps an account whose login is refused.
pub(super) fn remedy(account: &config::Account) -> String {
    match &account.auth {
        Auth::OAuth2(oauth) if oauth.missing().is_none() && oauth.app.is_none() => {
            format!("posthaste login {}", oauth.token_of)
        }
        _ => format!("posthaste doctor {}", account.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(state: State) -> Account {
        Account { name: "lab".into(), state, ..Account::default() }
    }

    /// How often the hook was begun for these states, one after the other.
    fn rings(states: &[State]) -> usize {
        let bell = Bell::default();
        bell.set(Some("true".into()));
        states.iter().for_each(|&state| bell.hear("posthaste login lab", &told(state)));
        bell.0.lock().unwrap().running.len()
    }

    #[tokio::test]
    async fn it_rings_once_until_the_account_is_let_in() {
        use State::{Connecting, Denied, NeedsLogin, Starting, Syncing, Waiting, Watching};
        assert_eq!(rings(&[Starting, Connecting, Watching, Waiting]), 0);
        assert_eq!(
            rings(&[NeedsLogin, NeedsLogin, Connecting, NeedsLogin, Waiting, Starting, NeedsLogin]),
            1
        );
        for let_in in [Syncing, Watching, Denied] {
            assert_eq!(rings(&[NeedsLogin, Connecting, let_in, NeedsLogin]), 2, "{let_in:?}");
        }
    }

    #[tokio::test]
    async fn a_login_that_another_account_tells_of_rings_there() {
        let bell = Bell::default();
        bell.set(Some("true".into()));
        bell.hear("", &Account { told_elsewhere: true, ..told(State::NeedsLogin) });
        assert!(bell.0.lock().unwrap().running.is_empty());
    }

    #[tokio::test]
    async fn a_hook_that_comes_later_rings_for_what_still_stands() {
        let bell = Bell::default();
        bell.hear("", &told(State::NeedsLogin));
        bell.set(Some("true".into()));
        bell.hear("", &told(State::NeedsLogin));
        assert_eq!(bell.0.lock().unwrap().running.len(), 1);
    }
}
