//! What an account tells about itself: the one place that writes its [`status::Account`].

use super::advice::Adviser;
use super::standing::{Standing, is_served};
use crate::config;
use crate::error::{Class, Classified, chain};
use crate::mail::MailboxName;
use crate::provider::answers::Stage;
use crate::status::{self, State};
use crate::sync::report::{INCOMPLETE, Report};
use crate::sync::{MailboxRecord, Trouble};
use jiff::Timestamp;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The status of one account, shared by its loops.
#[derive(Clone, Debug)]
pub(super) struct Board {
    account: String,
    adviser: Arc<Adviser>,
    sender: watch::Sender<status::Account>,
    standing: Arc<Mutex<Standing>>,
}

/// An error as the user sees it.
#[derive(Clone, Debug)]
pub(super) struct Complaint {
    pub(super) class: Class,
    pub(super) text: String,
    pub(super) hint: Option<String>,
    /// Another account tells of it in the log; here it stands in the status only.
    pub(super) is_told: bool,
}

impl Complaint {
    pub(super) fn new(error: &impl Classified) -> Complaint {
        Complaint { class: error.class(), text: chain(error), hint: error.hint(), is_told: false }
    }

    /// Trouble with a token that another account tells of.
    pub(super) fn told_elsewhere(self) -> Complaint {
        Complaint { is_told: true, ..self }
    }

    /// Trouble that passes by itself, not before `after`.
    pub(super) fn passing(text: String, after: Option<Duration>) -> Complaint {
        Complaint { class: Class::Retry { after }, text, hint: None, is_told: false }
    }

    pub(super) fn of_trouble(trouble: &Trouble) -> Complaint {
        Complaint { class: trouble.class, text: chain(trouble), hint: trouble.hint.clone(), is_told: false }
    }
}

impl Board {
    pub(super) fn new(account: &config::Account, sender: watch::Sender<status::Account>) -> Board {
        let adviser = Arc::new(Adviser::new(account));
        Board { account: account.name.clone(), adviser, sender, standing: Arc::default() }
    }

    /// Trouble with reading mail, with what helps.
    pub(super) fn advised(&self, complaint: &Complaint) -> Complaint {
        self.advised_at(self.adviser.reading(), complaint)
    }

    fn advised_at(&self, stage: Stage, complaint: &Complaint) -> Complaint {
        let Complaint { class, text, hint, .. } = complaint;
        Complaint { hint: self.adviser.hint(stage, *class, text, hint.clone()), ..complaint.clone() }
    }

    /// Changes what stands, and shows it.
    fn change(&self, act: impl FnOnce(&mut Standing, &mut status::Account)) {
        let standing = &mut *self.standing();
        self.sender.send_modify(|status| {
            act(standing, status);
            (status.error, status.hint) = standing.shown();
            status.push = standing.push(status.state);
        });
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self, state: State, detail: &str) {
        self.change(|_, status| {
            status.state = state;
            detail.clone_into(&mut status.detail);
            if state != State::Waiting {
                status.next_try = None;
            }
        });
    }

    /// The server wants to be left alone for so long: no trouble, and nothing to do.
    pub(super) fn left_alone(&self, left: Duration) {
        self.state(State::Waiting, "the server wants to be left alone between two logins");
        self.change(|_, status| status.next_try = Timestamp::now().checked_add(left).ok());
    }

    /// Waits until the inbound loop is logged in, or is not.
    pub(super) async fn served(&self, wanted: bool) {
        // The board holds the other end, so that this one cannot be left alone.
        let _ = self.sender.subscribe().wait_for(|status| is_served(status.state) == wanted).await;
    }

    /// A server said something.
    pub(super) fn heard(&self) {
        self.sender.send_modify(|status| status.last_contact = Some(Timestamp::now()));
    }

    pub(super) fn logged_in(&self, mechanism: &str, expires: Option<Timestamp>) {
        self.sender.send_modify(|status| {
            status.mechanism = Some(mechanism.to_owned());
            status.token_expires = expires;
            status.last_contact = Some(Timestamp::now());
        });
    }

    /// How new mail is learnt of while the account is served; `None`: not yet, or no longer.
    pub(super) fn push(&self, push: Option<&'static str>) {
        self.change(|standing, _| standing.push = push);
    }

    /// A mailbox cannot be watched, or can be again; meanwhile it is swept.
    pub(super) fn unwatched(&self, mailbox: &MailboxName, trouble: Option<&str>) {
        if let Some(error) = trouble {
            tracing::warn!(account = %self.account, %mailbox, error, "cannot watch");
        }
        if self.standing().unwatched.get(mailbox).map(String::as_str) == trouble {
            return;
        }
        self.change(|standing, _| match trouble {
            Some(trouble) => drop(standing.unwatched.insert(mailbox.clone(), trouble.to_owned())),
            None => drop(standing.unwatched.remove(mailbox)),
        });
    }

    pub(super) fn outbox(&self, counts: status::Outbox) {
        self.sender.send_if_modified(|status| std::mem::replace(&mut status.outbox, counts) != counts);
    }

    /// Where the outbox is.
    pub(super) fn outbox_at(&self, path: &Path) {
        self.sender.send_modify(|status| status.outbox_path = Some(path.display().to_string()));
    }

    /// What stands in the outbox and is not taken.
    pub(super) fn passed_over(&self, lines: Vec<String>) {
        self.sender.send_if_modified(|status| {
            let is_news = status.passed_over != lines;
            status.passed_over = lines;
            is_news
        });
    }

    /// Trouble with submission stands until it is taken back; mail goes on.
    pub(super) fn outbox_trouble(&self, complaint: Option<Complaint>) {
        let complaint = complaint.map(|complaint| self.advised_at(Stage::Smtp, &complaint));
        let text = |complaint: &Option<Complaint>| complaint.as_ref().map(|complaint| complaint.text.clone());
        if text(&self.standing().outbox) == text(&complaint) {
            return;
        }
        if let Some(complaint) = complaint.as_ref().filter(|complaint| !complaint.is_told) {
            let hint = complaint.hint.as_deref();
            tracing::warn!(account = %self.account, error = %complaint.text, hint, "cannot submit");
        }
        self.change(|standing, _| standing.outbox = complaint);
    }

    /// Trouble stands until [`Board::well`]. One log line for each new trouble, not for each attempt.
    pub(super) fn trouble(&self, complaint: &Complaint, wait: Option<Duration>) {
        let complaint = self.advised(complaint);
        let state = match complaint.class {
            Class::NeedsLogin => State::NeedsLogin,
            Class::Denied => State::Denied,
            Class::Configuration | Class::GiveUp => State::Stopped,
            Class::Retry { .. } => State::Waiting,
        };
        let is_news = self.standing().account.as_ref().is_none_or(|known| known.text != complaint.text);
        if is_news && !complaint.is_told {
            let hint = complaint.hint.as_deref();
            tracing::warn!(account = %self.account, error = %complaint.text, hint, "trouble");
        }
        self.change(|standing, status| {
            status.told_elsewhere = complaint.is_told;
            standing.account = Some(complaint);
            status.state = state;
            status.detail = String::new();
            status.next_try = wait.and_then(|wait| Timestamp::now().checked_add(wait).ok());
        });
    }

    /// The account as a whole is well again, or waits for a word of the user about deletions held back.
    pub(super) fn well(&self, records: &[MailboxRecord]) {
        let held: u32 = records.iter().flat_map(|record| &record.held).map(|held| held.count).sum();
        self.change(|standing, status| {
            standing.account = None;
            standing.held = self.held_hint(records);
            status.state = if held > 0 { State::Held } else { State::Watching };
            status.detail = String::new();
            status.told_elsewhere = false;
            status.deletions_held = held;
            status.last_contact = Some(Timestamp::now());
            status.next_try = None;
        });
    }

    fn held_hint(&self, records: &[MailboxRecord]) -> Option<String> {
        let record = records.iter().find(|record| !record.held.is_empty())?;
        let (account, mailbox) = (&self.account, &record.name);
        Some(format!(
            "to carry the deletions out: posthaste held approve {account}/{mailbox}; to get the messages back: posthaste held restore {account}/{mailbox}"
        ))
    }

    /// Brings the mailboxes up to date with the ledger and what a pass did.
    pub(super) fn mailboxes(&self, records: &[MailboxRecord], report: &Report) {
        let now = Timestamp::now();
        self.change(|standing, status| {
            standing.passed(records, report, |complaint| self.advised(&complaint));
            let before = std::mem::take(&mut status.mailboxes);
            status.mailboxes = records
                .iter()
                .filter(|record| !record.absent && record.directory.is_some())
                .map(|record| {
                    let known = before.iter().find(|mailbox| mailbox.name == record.name.as_str());
                    let now = mailbox(record, known.cloned().unwrap_or_default(), report, now);
                    status::Mailbox { error: now.error.or_else(|| standing.left(&record.name)), ..now }
                })
                .collect();
        });
    }
}

fn mailbox(
    record: &MailboxRecord,
    mut known: status::Mailbox,
    report: &Report,
    now: Timestamp,
) -> status::Mailbox {
    known.name = record.name.to_string();
    known.messages = record.messages;
    let is_whole = report.trouble.is_none();
    match report.mailboxes.get(&record.name) {
        Some(done) => {
            known.arrived += done.arrived;
            known.quarantined += done.quarantined;
            let missing = done.incomplete.then(|| INCOMPLETE.to_owned());
            known.error = done.trouble.as_ref().map(|trouble| chain(trouble)).or(missing);
            if is_whole && done.trouble.is_none() && !done.incomplete {
                known.synced = Some(now);
            }
        }
        None if is_whole && known.error.is_none() => known.synced = Some(now),
        None => {}
    }
    known
}
