//! What an account tells about itself: the one place that writes its [`status::Account`].

use crate::error::{Class, Classified, chain};
use crate::mail::MailboxName;
use crate::status::{self, State};
use crate::sync::report::Report;
use crate::sync::{MailboxRecord, Trouble};
use jiff::Timestamp;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The status of one account, shared by its loops.
#[derive(Clone, Debug)]
pub(super) struct Board {
    account: String,
    sender: watch::Sender<status::Account>,
    /// What stands in the way of submission, shown where nothing stands in the way of mail.
    outbox_complaint: Arc<Mutex<Option<Complaint>>>,
    /// Why new mail is not pushed, shown where nothing else is wrong.
    unwatched: Arc<Mutex<Option<String>>>,
}

/// An error as the user sees it.
#[derive(Clone, Debug)]
pub(super) struct Complaint {
    pub(super) class: Class,
    pub(super) text: String,
    pub(super) hint: Option<String>,
}

impl Complaint {
    pub(super) fn new(error: &impl Classified) -> Complaint {
        Complaint { class: error.class(), text: chain(error), hint: error.hint() }
    }

    pub(super) fn interrupted() -> Complaint {
        Complaint { class: Class::RETRY, text: "the program is ending".to_owned(), hint: None }
    }

    pub(super) fn of_trouble(trouble: &Trouble) -> Complaint {
        Complaint { class: trouble.class, text: chain(trouble), hint: trouble.hint.clone() }
    }
}

impl Board {
    pub(super) fn new(account: &str, sender: watch::Sender<status::Account>) -> Board {
        Board {
            account: account.to_owned(),
            sender,
            outbox_complaint: Arc::default(),
            unwatched: Arc::default(),
        }
    }

    pub(super) fn state(&self, state: State, detail: &str) {
        self.sender.send_modify(|status| {
            status.state = state;
            detail.clone_into(&mut status.detail);
            if state != State::Waiting {
                status.next_try = None;
            }
        });
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

    pub(super) fn push(&self, push: &str) {
        self.sender.send_modify(|status| status.push = Some(push.to_owned()));
    }

    /// A mailbox cannot be watched, or can be again; meanwhile it is swept.
    pub(super) fn unwatched(&self, mailbox: &MailboxName, trouble: Option<&str>) {
        let words = format!("watching {mailbox}: ");
        if let Some(trouble) = trouble {
            tracing::warn!(account = %self.account, %mailbox, error = trouble, "cannot watch");
        }
        let trouble = trouble.map(|trouble| format!("{words}{trouble}"));
        self.sender.send_if_modified(|status| {
            let is_ours = status.error.as_ref().is_none_or(|error| error.starts_with(&words));
            let is_news = is_ours && status.error != trouble;
            if is_news {
                status.error = trouble.clone();
            }
            is_news
        });
        *self.unwatched.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
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
        let shown = |complaint: &Complaint| format!("submission: {}", complaint.text);
        let before = std::mem::replace(&mut *self.outbox_complaint(), complaint.clone());
        let (old, new) = (before.as_ref().map(shown), complaint.as_ref().map(shown));
        if old == new {
            return;
        }
        if let Some(complaint) = &complaint {
            let hint = complaint.hint.as_deref().unwrap_or_default();
            tracing::warn!(account = %self.account, error = %complaint.text, hint, "cannot submit");
        }
        self.sender.send_modify(|status| {
            if status.error.is_none() || status.error == old {
                status.error = new;
                status.hint = complaint.and_then(|complaint| complaint.hint);
            }
        });
    }

    fn outbox_complaint(&self) -> std::sync::MutexGuard<'_, Option<Complaint>> {
        self.outbox_complaint.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Trouble stands until [`Board::well`]. One log line for each new trouble, not for each attempt.
    pub(super) fn trouble(&self, complaint: &Complaint, wait: Option<Duration>) {
        let state = match complaint.class {
            Class::NeedsLogin => State::NeedsLogin,
            Class::Denied => State::Denied,
            Class::Configuration | Class::GiveUp => State::Stopped,
            Class::Retry { .. } => State::Waiting,
        };
        let is_news = self.sender.borrow().error.as_deref() != Some(complaint.text.as_str());
        if is_news {
            let hint = complaint.hint.as_deref().unwrap_or_default();
            tracing::warn!(account = %self.account, error = %complaint.text, hint, "trouble");
        }
        self.sender.send_modify(|status| {
            status.state = state;
            status.detail = String::new();
            status.error = Some(complaint.text.clone());
            status.hint = complaint.hint.clone();
            status.next_try = wait.and_then(|wait| Timestamp::now().checked_add(wait).ok());
        });
    }

    /// All is well again, or waits for a word of the user about deletions held back.
    pub(super) fn well(&self, records: &[MailboxRecord], report: &Report) {
        let held: u32 = records.iter().flat_map(|record| &record.held).map(|held| held.count).sum();
        let trouble = report.mailboxes.values().find_map(|mailbox| mailbox.trouble.as_ref());
        let (error, hint) = match (trouble, self.outbox_complaint().as_ref()) {
            (Some(trouble), _) => (Some(chain(trouble)), trouble.hint.clone()),
            (None, Some(complaint)) => {
                (Some(format!("submission: {}", complaint.text)), complaint.hint.clone())
            }
            (None, None) => (self.unwatched.lock().unwrap_or_else(PoisonError::into_inner).clone(), None),
        };
        self.sender.send_modify(|status| {
            status.state = if held > 0 { State::Held } else { State::Watching };
            status.detail = String::new();
            status.deletions_held = held;
            status.last_contact = Some(Timestamp::now());
            status.error = error;
            status.next_try = None;
            status.hint = hint.or_else(|| self.held_hint(records));
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
        self.sender.send_modify(|status| {
            let before = std::mem::take(&mut status.mailboxes);
            status.mailboxes = records
                .iter()
                .filter(|record| !record.absent && record.directory.is_some())
                .map(|record| {
                    let known = before.iter().find(|mailbox| mailbox.name == record.name.as_str());
                    mailbox(record, known.cloned().unwrap_or_default(), report, now)
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
            let missing =
                done.incomplete.then(|| "the server did not deliver every message asked for".to_owned());
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
