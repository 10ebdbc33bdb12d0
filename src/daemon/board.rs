//! The status board: what every account is doing, from two sources.
//!
//! While a unit runs, its worker tells through a `watch` channel; when it has ended by itself, the supervisor's event
//! tells why and when it comes back. Neither writes over the other's words: they are laid on each other when somebody
//! looks.

use crate::error::Class;
use crate::status::{Account, SCHEMA, State, Status, Stranded};
use crate::supervisor::{End, Event};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// The board; clones are the same board.
#[derive(Clone, Debug)]
pub(super) struct Board {
    since: Timestamp,
    content: Arc<Mutex<Content>>,
    changes: Arc<watch::Sender<()>>,
}

#[derive(Debug, Default)]
struct Content {
    accounts: BTreeMap<String, Entry>,
    notice: Option<String>,
    stranded: Vec<Stranded>,
}

#[derive(Debug, Default)]
struct Entry {
    worker: Option<watch::Receiver<Account>>,
    end: Option<Ended>,
}

/// How a unit that does not run is shown.
#[derive(Clone, Debug, Default)]
struct Ended {
    state: State,
    error: Option<String>,
    hint: Option<String>,
    next_try: Option<Timestamp>,
}

impl Board {
    pub(super) fn new(since: Timestamp) -> Board {
        Board { since, content: Arc::default(), changes: Arc::new(watch::Sender::new(())) }
    }

    /// From now on these are the accounts.
    pub(super) fn retain<'a>(&self, names: impl IntoIterator<Item = &'a String>) {
        self.change(|content| {
            let mut old = std::mem::take(&mut content.accounts);
            let entry = |name: &String| (name.clone(), old.remove(name).unwrap_or_default());
            content.accounts = names.into_iter().map(entry).collect();
        });
    }

    /// From now on the worker of this account tells what it does.
    pub(super) fn attach(&self, name: &str, worker: watch::Receiver<Account>) {
        self.change(|content| {
            if let Some(entry) = content.accounts.get_mut(name) {
                entry.worker = Some(worker);
            }
        });
    }

    /// What the supervisor saw. Events of accounts that are no longer wanted are dropped.
    pub(super) fn record(&self, name: &str, event: Event, now: Timestamp) {
        self.change(|content| {
            let Some(entry) = content.accounts.get_mut(name) else { return };
            match event {
                Event::Started => *entry = Entry::default(),
                Event::Stopped => entry.end = Some(Ended { state: State::Stopped, ..Ended::default() }),
                Event::Ended(end, pause) => {
                    let pause = pause.map(|pause| SignedDuration::try_from(pause).unwrap_or_default());
                    let next_try = pause.and_then(|pause| now.checked_add(pause).ok());
                    entry.end = Some(ended(end, next_try));
                }
            }
        });
    }

    /// A word about the daemon as a whole, in front of the summary.
    pub(super) fn notice(&self, notice: Option<String>) {
        self.change(|content| content.notice = notice);
    }

    /// What was queued and nobody will send.
    pub(super) fn stranded(&self, stranded: Vec<Stranded>) {
        self.change(|content| content.stranded = stranded);
    }

    /// The accounts with an error, and those that stopped.
    pub(super) fn in_trouble(&self) -> BTreeSet<String> {
        let is_ill = |account: &Account| account.error.is_some() || account.state == State::Stopped;
        self.status().accounts.into_iter().filter(is_ill).map(|account| account.name).collect()
    }

    /// Something in a worker's status changed.
    pub(super) fn touch(&self) {
        self.changes.send_replace(());
    }

    /// Hears of changes.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// The whole status.
    pub(super) fn status(&self) -> Status {
        let content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        Status {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            since: Some(self.since),
            notice: content.notice.clone(),
            accounts: content.accounts.iter().map(|(name, entry)| entry.account(name)).collect(),
            stranded: content.stranded.clone(),
        }
    }

    /// One line: `3 accounts watching; 1 needs login`.
    pub(super) fn summary(&self) -> String {
        let Status { notice, accounts, .. } = self.status();
        let line = summary(accounts.into_iter().map(|account| account.state));
        notice.map_or(line.clone(), |notice| format!("{notice}; {line}"))
    }

    fn change(&self, act: impl FnOnce(&mut Content)) {
        act(&mut self.content.lock().unwrap_or_else(PoisonError::into_inner));
        self.touch();
    }
}

impl Entry {
    fn account(&self, name: &str) -> Account {
        let told = self.worker.as_ref().map(|worker| worker.borrow().clone()).unwrap_or_default();
        let account = Account { name: name.to_owned(), ..told };
        let Some(end) = self.end.clone() else { return account };
        Account {
            state: end.state,
            detail: String::new(),
            error: end.error.or(account.error),
            hint: end.hint.or(account.hint),
            next_try: end.next_try,
            push: None,
            ..account
        }
    }
}

fn ended(end: End, next_try: Option<Timestamp>) -> Ended {
    let (state, error, hint) = match end {
        End::Finished => (State::Stopped, None, None),
        End::Panicked(text) => {
            let hint = "this is a bug in posthaste; its log says more: journalctl --user -u posthaste";
            (State::Waiting, Some(format!("internal error: {text}")), Some(hint.to_owned()))
        }
        End::Failed(failure) => match failure.class {
            Class::Retry { .. } => (State::Waiting, Some(failure.text), failure.hint),
            Class::NeedsLogin => (State::NeedsLogin, Some(failure.text), failure.hint),
            Class::Denied => (State::Denied, Some(failure.text), failure.hint),
            Class::Configuration | Class::GiveUp => (State::Stopped, Some(failure.text), failure.hint),
        },
    };
    Ended { state, error, hint, next_try }
}

/// Every state with its words, in the order of the summary: what is well first, what needs the user last.
const WORDS: [(State, &str, &str); 9] = [
    (State::Watching, "watching", "watching"),
    (State::Syncing, "syncing", "syncing"),
    (State::Connecting, "connecting", "connecting"),
    (State::Starting, "starting", "starting"),
    (State::Waiting, "waiting", "waiting"),
    (State::Stopped, "stopped", "stopped"),
    (State::Held, "holds deletions back", "hold deletions back"),
    (State::Denied, "denied", "denied"),
    (State::NeedsLogin, "needs login", "need login"),
];

fn summary(states: impl Iterator<Item = State>) -> String {
    let states: Vec<State> = states.collect();
    let mut parts = Vec::new();
    for (state, one, many) in WORDS {
        let count = states.iter().filter(|other| **other == state).count();
        let noun = match (parts.is_empty(), count) {
            (true, 1) => "account ",
            (true, _) => "accounts ",
            (false, _) => "",
        };
        match count {
            0 => {}
            1 => parts.push(format!("1 {noun}{one}")),
            _ => parts.push(format!("{count} {noun}{many}")),
        }
    }
    if parts.is_empty() { "no accounts".to_owned() } else { parts.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::Failure;
    use std::time::Duration;

    fn board(names: &[&str]) -> Board {
        let board = Board::new(Timestamp::UNIX_EPOCH);
        board.retain(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        board
    }

    fn failed(class: Class) -> End {
        End::Failed(Failure { class, text: "refused".into(), hint: None })
    }

    #[test]
    fn a_summary_counts_and_puts_what_needs_the_user_last() {
        use State::{NeedsLogin, Starting, Watching};
        let line = |states: &[State]| summary(states.iter().copied());
        assert_eq!(line(&[Watching, NeedsLogin, Watching, Watching]), "3 accounts watching; 1 needs login");
        assert_eq!(line(&[NeedsLogin, NeedsLogin, Starting]), "1 account starting; 2 need login");
        assert_eq!(line(&[]), "no accounts");
    }

    #[test]
    fn the_end_of_a_unit_is_laid_over_its_last_words() {
        let board = board(&["lab"]);
        let last_words = Account { state: State::Watching, deletions_held: 7, ..Account::default() };
        let (_worker, words) = watch::channel(last_words);
        board.attach("lab", words);
        assert_eq!(board.status().accounts[0].state, State::Watching);

        let now = Timestamp::UNIX_EPOCH;
        board.record("lab", Event::Ended(failed(Class::RETRY), Some(Duration::from_secs(8))), now);
        let account = board.status().accounts.remove(0);
        assert_eq!((account.name.as_str(), account.state), ("lab", State::Waiting));
        assert_eq!(account.error.as_deref(), Some("refused"));
        assert_eq!(account.next_try, Some(Timestamp::from_second(8).unwrap()));
        assert_eq!(account.deletions_held, 7, "what the worker told stands");

        board.record("lab", Event::Started, now);
        assert_eq!(board.status().accounts[0], Account { name: "lab".into(), ..Account::default() });
    }

    #[test]
    fn an_account_that_needs_a_login_says_how() {
        let board = board(&["lab"]);
        let hint = Some("run: posthaste login lab".to_owned());
        let failure = Failure { class: Class::NeedsLogin, text: "refused".into(), hint: hint.clone() };
        board.record("lab", Event::Ended(End::Failed(failure), None), Timestamp::UNIX_EPOCH);
        let account = board.status().accounts.remove(0);
        assert_eq!(account.state, State::NeedsLogin);
        assert_eq!(account.hint, hint);
        assert_eq!(account.next_try, None);
    }

    #[test]
    fn accounts_that_are_not_wanted_leave_no_trace() {
        let board = board(&["old", "kept"]);
        let (_worker, words) = watch::channel(Account { state: State::Syncing, ..Account::default() });
        board.attach("kept", words);
        board.retain(&["kept".to_owned(), "new".to_owned()]);
        board.record("old", Event::Stopped, Timestamp::UNIX_EPOCH);
        let states: Vec<_> = board.status().accounts.into_iter().map(|one| (one.name, one.state)).collect();
        assert_eq!(states, [("kept".into(), State::Syncing), ("new".into(), State::Starting)]);
        board.notice(Some("configuration not reloaded".into()));
        assert_eq!(board.summary(), "configuration not reloaded; 1 account syncing; 1 starting");
    }
}
