//! The server's side of a pass over a maildrop: one mailbox, INBOX, from which can only be read.
//!
//! What is listed is what the survey at the beginning of the session found; it cannot change until the end. A maildrop
//! keeps no flags, and a message that is missing in it was fetched elsewhere or expired: it is never told as gone, so
//! that the local copy stays.
//!
//! A message that broke an earlier session is a suspect and is asked for last; after one that it broke again, not at all.
//! So it stands in the way neither of the mail behind it nor, at every second visit, of deletions.

use super::error::Error;
use super::session::Session;
use crate::mail::{Fingerprint, Flags, MailboxName, Uid, UidSet, UidValidity, Uidl};
use crate::sync::maildrop::{Message, Note, Seen};
use crate::sync::{
    self, Arrival, At, Fate, FlagChange, Gone, Landed, Likeness, Listed, Listing, Marks, Outcome, Outgoing,
    RemoteMailbox, RemoteView, Scope, Since, Trouble,
};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;

/// Why a suspect does not arrive.
const SPARED: &str = "the connection broke at it, again; the next visit tries it once more";

/// The POP3 side of one account, for one visit.
#[derive(Debug)]
pub struct Remote {
    session: Session,
    messages: BTreeMap<Uid, Message>,
    suspects: BTreeSet<Uid>,
    spares_suspects: bool,
    sent: BTreeMap<Uid, Fingerprint>,
}

impl Remote {
    /// A remote that owns this session; `messages` are those of its survey, by their UIDs.
    pub fn new(
        session: Session,
        messages: BTreeMap<Uid, Message>,
        suspects: BTreeSet<Uid>,
        spares_suspects: bool,
    ) -> Remote {
        Remote { session, messages, suspects, spares_suspects, sent: BTreeMap::new() }
    }

    /// Whether anything more can be asked in this session.
    pub fn is_usable(&self) -> bool {
        self.session.wire.is_usable()
    }

    /// What is to be kept in mind of the session so far, once: what was sent, and at which message it broke.
    pub fn notes(&mut self) -> Vec<Note> {
        let sent = std::mem::take(&mut self.sent).into_iter();
        let mut notes: Vec<Note> = sent.map(|(uid, fingerprint)| Note::Sent { uid, fingerprint }).collect();
        if let Some(number) = self.session.broken_at() {
            let broken = self.messages.values().find(|message| message.number == number);
            notes.extend(broken.map(|message| Note::Suspect(message.uidl.clone())));
        }
        notes
    }

    /// The messages among these that are in the maildrop and are what they are held for, and the unique-ids of those
    /// that are others. A message of which the server shows nothing is neither.
    pub async fn verify(&mut self, wanted: &BTreeMap<Uid, Likeness>) -> Outcome<(Vec<Uid>, Vec<Uidl>)> {
        let there = self.among(wanted.keys().copied());
        let found = self.recognise(&there).await?;
        let (mut same, mut others) = (Vec::new(), Vec::new());
        for (uid, message) in there {
            let Some(seen) = found.get(&uid) else { continue };
            match wanted.get(&uid).is_some_and(|here| here.identity == seen.likeness.identity) {
                true => same.push(uid),
                false => others.push(message.uidl),
            }
        }
        Ok((same, others))
    }

    /// Marks messages as deleted; the unique-ids of those that the server marked. They are gone only after
    /// [`Remote::quit`].
    pub async fn mark_deleted(&mut self, uids: &[Uid]) -> Outcome<Vec<Uidl>> {
        let due = self.among(uids.iter().copied());
        let marked = self.session.mark_deleted(due.iter().map(|(_, message)| message)).await;
        scoped(Scope::Pass, marked)
    }

    /// Ends the session; what is marked is deleted.
    pub async fn quit(self) -> Outcome<()> {
        scoped(Scope::Pass, self.session.quit().await)
    }

    /// Ends the session with nothing deleted.
    pub async fn leave(self) {
        self.session.leave().await;
    }

    /// Messages of the maildrop in the order in which they are asked for.
    fn among(&self, uids: impl Iterator<Item = Uid>) -> Vec<(Uid, Message)> {
        let found = uids.filter_map(|uid| self.messages.get(&uid).map(|message| (uid, message.clone())));
        let (suspect, mut found): (Vec<_>, Vec<_>) = found.partition(|(uid, _)| self.suspects.contains(uid));
        if !self.spares_suspects {
            found.extend(suspect);
        }
        found
    }

    async fn recognise(&mut self, there: &[(Uid, Message)]) -> Outcome<BTreeMap<Uid, Seen>> {
        let messages: Vec<&Message> = there.iter().map(|(_, message)| message).collect();
        let found = scoped(Scope::Pass, self.session.identify(&messages).await)?;
        let seen = |(uid, message): &(Uid, Message)| found.get(&message.number).map(|&seen| (*uid, seen));
        Ok(there.iter().filter_map(seen).collect())
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

    async fn identify(&mut self, _: &At, uids: &UidSet) -> Outcome<BTreeMap<Uid, Option<Likeness>>> {
        let seen = self.recognise(&self.among(uids.iter())).await?;
        // They are new, and may be paired with a file instead of being fetched.
        self.sent.extend(seen.iter().map(|(&uid, seen)| (uid, seen.fingerprint)));
        Ok(seen.into_iter().map(|(uid, seen)| (uid, Some(seen.likeness))).collect())
    }

    async fn fetch(
        &mut self,
        _: &At,
        listed: &BTreeMap<Uid, Listed>,
        into: mpsc::Sender<Arrival>,
    ) -> Outcome<()> {
        let wanted = self.among(listed.keys().copied());
        // One that is no longer in the maildrop is not asked for either; nothing is wrong with it.
        let is_spared = |uid: &Uid| self.messages.contains_key(uid) && self.suspects.contains(uid);
        let spared =
            if self.spares_suspects { listed.keys().filter(|uid| is_spared(uid)).count() } else { 0 };
        let fetched = match self.session.fetch(&wanted, into, &mut self.sent).await {
            Ok(()) if spared > 0 => Err(Error::Undelivered { count: spared, text: SPARED.to_owned() }),
            Err(Error::Undelivered { count, text }) => {
                Err(Error::Undelivered { count: count + spared, text })
            }
            fetched => fetched,
        };
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
