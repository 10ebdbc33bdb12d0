//! The server's side of a pass over one IMAP session.
//!
//! Each operation has its own file; here is only how their errors are scoped. Invariants are those of [`sync::Remote`]:
//! a listing is returned only when a tagged OK completed it and its count agrees with EXISTS; UIDs are used only in the
//! generation they belong to; an error of [`Scope::Pass`] leaves the session unusable.

mod append;
mod fetch;
mod identify;
mod list;
mod mailbox;
mod open;
mod remove;
mod store;

use super::{Error, Session, Suspects};
use crate::error::{Class, Classified};
use crate::mail::{MailboxName, Uid, UidSet, UidValidity};
use crate::sync::{
    self, Arrival, At, Fate, FlagChange, Landed, Likeness, Listed, Outcome, Scope, Since, Trouble,
};
use crate::sync::{Outgoing, RemoteMailbox, RemoteView};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// UIDs in one command: with ten digits each the line stays below the 8 KiB that all servers take, and the count
/// below the 1000 that Yahoo allows (RFC 9738).
const CHUNK: usize = 500;

/// The IMAP side of one account.
#[derive(Debug)]
pub struct Remote {
    session: Session,
    suspects: Suspects,
}

impl Remote {
    /// A remote that owns this session, and keeps in mind at which messages sessions break.
    pub fn new(session: Session, suspects: Suspects) -> Remote {
        Remote { session, suspects }
    }

    /// The session, to ask what it can do.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Waits for the end of the session while no operation runs; why it ended.
    pub async fn ended(&mut self) -> Error {
        self.session.ended().await
    }

    /// Gives the session back, to log out or to watch with.
    pub fn into_session(self) -> Session {
        self.session
    }
}

/// How much an error takes with it: `scope` where only the command failed, else the pass.
fn scoped<T>(scope: Scope, result: Result<T, Error>) -> Outcome<T> {
    result.map_err(|error| {
        let concerns_account = matches!(error.class(), Class::Denied | Class::Retry { after: Some(_) });
        let scope = if error.is_fatal() || concerns_account { Scope::Pass } else { scope };
        Trouble::new(scope, error)
    })
}

impl sync::Remote for Remote {
    async fn list(&mut self) -> Outcome<Vec<RemoteMailbox>> {
        scoped(Scope::Pass, list::list(&mut self.session).await)
    }

    async fn open(&mut self, mailbox: &MailboxName, since: Option<Since>) -> Outcome<RemoteView> {
        scoped(Scope::Mailbox, open::open(&mut self.session, mailbox, since).await)
    }

    async fn identify(&mut self, at: &At, uids: &UidSet) -> Outcome<BTreeMap<Uid, Option<Likeness>>> {
        scoped(Scope::Mailbox, identify::identify(&mut self.session, at, uids, &self.suspects).await)
    }

    async fn fetch(
        &mut self,
        at: &At,
        wanted: &BTreeMap<Uid, Listed>,
        into: mpsc::Sender<Arrival>,
    ) -> Outcome<()> {
        let result = fetch::fetch(&mut self.session, at, wanted, into, &self.suspects).await;
        let is_single = matches!(result, Err(Error::Undelivered { .. }));
        scoped(if is_single { Scope::Message } else { Scope::Mailbox }, result)
    }

    async fn store(&mut self, at: &At, changes: &[FlagChange]) -> Outcome<()> {
        scoped(Scope::Mailbox, store::store(&mut self.session, at, changes).await)
    }

    async fn append(
        &mut self,
        mailbox: &MailboxName,
        message: Outgoing,
    ) -> Outcome<Option<(UidValidity, Uid)>> {
        let result = append::append(&mut self.session, mailbox, message).await;
        // A full mailbox takes no other message either; any other refusal may be about this one.
        let is_full = result.as_ref().is_err_and(|error| error.code() == Some("OVERQUOTA"));
        scoped(if is_full { Scope::Mailbox } else { Scope::Message }, result)
    }

    async fn remove(&mut self, at: &At, uids: &UidSet, fate: &Fate) -> Outcome<Landed> {
        scoped(Scope::Mailbox, remove::remove(&mut self.session, at, uids, fate).await)
    }

    async fn create(&mut self, mailbox: &MailboxName) -> Outcome<()> {
        scoped(Scope::Mailbox, mailbox::create(&mut self.session, mailbox).await)
    }
}

/// One command per chunk of UIDs: `line` makes it from the set.
fn commands(uids: &UidSet, line: impl Fn(&UidSet) -> String) -> Vec<String> {
    uids.chunks(CHUNK).iter().map(line).collect()
}

#[cfg(test)]
mod tests;
