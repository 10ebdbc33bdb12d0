//! The server's side of a pass over a maildrop: one mailbox, INBOX, from which can only be read.
//!
//! What is listed is what the survey at the beginning of the session found; it cannot change until the end. A maildrop
//! keeps no flags, and a message that is missing in it was fetched elsewhere or expired: it is never told as gone, so
//! that the local copy stays.

use super::error::Error;
use super::session::Session;
use crate::mail::{Flags, MailboxName, Uid, UidSet, UidValidity, Uidl};
use crate::sync::maildrop::Message;
use crate::sync::{
    self, Arrival, At, Fate, FlagChange, Gone, Landed, Likeness, Listed, Listing, Marks, Outcome, Outgoing,
    RemoteMailbox, RemoteView, Scope, Since, Trouble,
};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// The POP3 side of one account, for one visit.
#[derive(Debug)]
pub struct Remote {
    session: Session,
    messages: BTreeMap<Uid, Message>,
}

impl Remote {
    /// A remote that owns this session; `messages` are those of its survey, by their UIDs.
    pub fn new(session: Session, messages: BTreeMap<Uid, Message>) -> Remote {
        Remote { session, messages }
    }

    /// Whether anything more can be asked in this session.
    pub fn is_usable(&self) -> bool {
        self.session.wire.is_usable()
    }

    /// The messages among these that are in the maildrop and are what they are held for, and the unique-ids of those
    /// that are others.
    pub async fn verify(&mut self, wanted: &BTreeMap<Uid, Likeness>) -> Outcome<(Vec<Uid>, Vec<Uidl>)> {
        let there: Vec<(Uid, Message)> = self.among(wanted.keys().copied());
        let found = self.session.identify(there.iter().map(|(_, message)| message)).await;
        let found = scoped(Scope::Pass, found)?;
        let is_it = |(uid, message): &(Uid, Message)| {
            let here = wanted.get(uid).map(|likeness| likeness.identity);
            found.get(&message.number).map(|likeness| likeness.identity) == here
        };
        let (same, others): (Vec<_>, Vec<_>) = there.into_iter().partition(is_it);
        let uids = same.into_iter().map(|(uid, _)| uid).collect();
        Ok((uids, others.into_iter().map(|(_, message)| message.uidl).collect()))
    }

    /// Deletes messages on the server and ends the session; how many.
    pub async fn delete_and_quit(mut self, uids: &[Uid]) -> Outcome<usize> {
        let due = self.among(uids.iter().copied());
        let marked = self.session.mark_deleted(due.iter().map(|(_, message)| message)).await;
        let marked = scoped(Scope::Pass, marked)?;
        scoped(Scope::Pass, self.session.quit().await)?;
        Ok(marked)
    }

    /// Ends the session with nothing deleted.
    pub async fn leave(self) {
        self.session.leave().await;
    }

    fn among(&self, uids: impl Iterator<Item = Uid>) -> Vec<(Uid, Message)> {
        uids.filter_map(|uid| self.messages.get(&uid).map(|message| (uid, message.clone()))).collect()
    }
}

/// How much an error takes with it.
fn scoped<T>(scope: Scope, result: Result<T, Error>) -> Outcome<T> {
    result.map_err(|error| Trouble::new(scope, error))
}

fn read_only<T>() -> Outcome<T> {
    Err(Trouble::new(Scope::Mailbox, Error::ReadOnly))
}

impl sync::Remote for Remote {
    async fn list(&mut self) -> Outcome<Vec<RemoteMailbox>> {
        let name = MailboxName::inbox();
        Ok(vec![RemoteMailbox { name, special_use: None, selectable: true, marks: None }])
    }

    async fn open(&mut self, mailbox: &MailboxName, _: Option<Since>) -> Outcome<RemoteView> {
        if !mailbox.is_inbox() {
            return read_only();
        }
        let listed = |message: &Message| Listed { flags: Flags::NONE, size: Some(message.size) };
        let changed = self.messages.iter().map(|(&uid, message)| (uid, listed(message))).collect();
        let marks = Marks {
            uid_validity: sync::maildrop::generation(),
            uid_next: None,
            messages: u32::try_from(self.messages.len()).unwrap_or(u32::MAX),
            modseq: None,
        };
        let listing = Listing::Changes { changed, gone: Gone::Nothing };
        Ok(RemoteView { marks, read_only: true, storable: Flags::NONE, listing })
    }

    async fn identify(&mut self, _: &At, uids: &UidSet) -> Outcome<BTreeMap<Uid, Likeness>> {
        let there = self.among(uids.iter());
        let found = self.session.identify(there.iter().map(|(_, message)| message)).await;
        let found = scoped(Scope::Pass, found)?;
        let likeness =
            |(uid, message): &(Uid, Message)| found.get(&message.number).map(|&likeness| (*uid, likeness));
        Ok(there.iter().filter_map(likeness).collect())
    }

    async fn fetch(&mut self, _: &At, uids: &UidSet, into: mpsc::Sender<Arrival>) -> Outcome<()> {
        let wanted = self.among(uids.iter());
        let fetched = self.session.fetch(&wanted, into).await;
        let is_single = matches!(fetched, Err(Error::Undelivered { .. }));
        scoped(if is_single { Scope::Message } else { Scope::Pass }, fetched)
    }

    async fn store(&mut self, _: &At, _: &[FlagChange]) -> Outcome<()> {
        read_only()
    }

    async fn append(&mut self, _: &MailboxName, _: Outgoing) -> Outcome<Option<(UidValidity, Uid)>> {
        read_only()
    }

    async fn remove(&mut self, _: &At, _: &UidSet, _: &Fate) -> Outcome<Landed> {
        read_only()
    }

    async fn create(&mut self, _: &MailboxName) -> Outcome<()> {
        read_only()
    }
}
