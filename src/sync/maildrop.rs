//! Which UID a message of a POP3 maildrop has. Pure.
//!
//! POP3 knows unique-ids, the base knows UIDs: each unique-id is given a UID once, durably, before its message is
//! fetched, so that a crash at any later point finds the same message under the same UID. A unique-id that is known is
//! believed while its size stays the same; one with another size, or one that was missing for a while, may have been
//! given again after a server lost its memory: what the server shows of it decides. One that is missing is kept in mind,
//! because servers hide messages for a time (Gmail's "recent" mode, a maildrop that is not mounted), and they would all come
//! twice.
//!
//! Some servers give a message another id (after a move to a new machine, or because their ids are positions). So what
//! is new is held against the messages whose ids this listing misses first: one of the same size and fingerprint keeps its
//! UID. A Message-ID would not do: what is taken for known is never fetched, and a second copy beats a lost message.

use super::Likeness;
use crate::mail::{Fingerprint, Identity, Uid, UidValidity, Uidl};
use std::collections::{BTreeMap, BTreeSet};

/// A message as a session lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number in this session.
    pub number: u32,
    /// Its unique-id.
    pub uidl: Uidl,
    /// Its size in octets as listed: exact on most servers.
    pub size: u64,
}

/// What a look at a message told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How it is recognised.
    pub likeness: Likeness,
    /// What tells it from all others.
    pub fingerprint: Fingerprint,
}

/// A unique-id that was given a UID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// The unique-id.
    pub uidl: Uidl,
    /// Its UID.
    pub uid: Uid,
    /// The size last listed.
    pub size: u64,
    /// Whether the last listing did not have it.
    pub is_missing: bool,
    /// Whether a session broke while its message was awaited.
    pub is_suspect: bool,
    /// Whose message it is, once that arrived.
    pub identity: Option<Identity>,
    /// What tells that message from all others; unknown where a visit was killed that fetched it.
    pub fingerprint: Option<Fingerprint>,
}

/// All that the base knows of a maildrop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maildrop {
    /// Every unique-id known.
    pub enrolled: Vec<Enrolled>,
    /// The first UID that was never given.
    pub next: Uid,
}

/// A step of what the base knows of unique-ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A message is known under this UID from now on, and will be fetched; whatever had the same unique-id before is
    /// another one.
    Enrol {
        /// Its unique-id.
        uidl: Uidl,
        /// Its UID.
        uid: Uid,
        /// Its size as listed.
        size: u64,
    },
    /// A message that was fetched is still, or again, in the maildrop.
    Confirm {
        /// Its unique-id.
        uidl: Uidl,
        /// Its size as listed.
        size: u64,
    },
    /// A message that was fetched has another unique-id from now on; whatever had that before is another one.
    Rename {
        /// Its UID.
        uid: Uid,
        /// Its unique-id now.
        uidl: Uidl,
    },
    /// The server sent this message.
    Sent {
        /// Its UID.
        uid: Uid,
        /// What tells it from all others.
        fingerprint: Fingerprint,
    },
    /// A message is no longer in the maildrop, or will not be after QUIT.
    Miss(Uidl),
    /// The unique-id was found to be another message's, which is new.
    Forget(Uidl),
    /// The session broke while this message was awaited.
    Suspect(Uidl),
}

/// A listing held against what is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Messages with their UIDs.
    known: BTreeMap<Uid, Message>,
    /// Messages whose unique-id is known and may be another's.
    doubtful: Vec<(Enrolled, Message)>,
    /// Messages whose unique-id is not known, or only because a session broke at them.
    new: Vec<Message>,
    /// What is known of those at which a session broke, by number.
    begun: BTreeMap<u32, Enrolled>,
    /// Fetched messages that may be listed under another unique-id, by fingerprint and size.
    lost: BTreeMap<(Fingerprint, u64), Vec<Uid>>,
    notes: Vec<Note>,
}

/// The only generation of a maildrop's UIDs: they are our own.
pub fn generation() -> UidValidity {
    UidValidity::ONE
}

impl Census {
    /// Holds a listing against what is known.
    pub fn new(maildrop: &Maildrop, listed: Vec<Message>) -> Census {
        let mut census = Census::default();
        let mut rest: BTreeMap<&Uidl, &Enrolled> =
            maildrop.enrolled.iter().map(|enrolled| (&enrolled.uidl, enrolled)).collect();
        for message in listed {
            match rest.remove(&message.uidl) {
                None => census.new.push(message),
                Some(known) if known.is_suspect && known.identity.is_none() => {
                    census.begun.insert(message.number, known.clone());
                    census.new.push(message);
                }
                Some(known) if known.size == message.size && !known.is_missing => {
                    census.known.insert(known.uid, message);
                }
                // Whatever it is, it was not fetched yet.
                Some(known) if known.identity.is_none() => census.enrol(known.uid, message),
                Some(known) => census.doubtful.push((known.clone(), message)),
            }
        }
        for enrolled in rest.into_values() {
            census.lose(enrolled);
            if !enrolled.is_missing {
                census.notes.push(Note::Miss(enrolled.uidl.clone()));
            }
        }
        census
    }

    /// The messages that must be looked at. Those that broke a session come last, or are left out.
    pub fn unsure(&self, spares_suspects: bool) -> Vec<&Message> {
        let lost = self.lost.keys().map(|&(_, size)| size);
        let sizes: BTreeSet<u64> = lost.chain(self.doubtful.iter().map(|(known, _)| known.size)).collect();
        let new = |is_suspect| {
            let has_begun = move |message: &&Message| self.begun.contains_key(&message.number) == is_suspect;
            self.new.iter().filter(has_begun).filter(|message| sizes.contains(&message.size))
        };
        let doubtful = |is_suspect| {
            let those = self.doubtful.iter().filter(move |(known, _)| known.is_suspect == is_suspect);
            those.map(|(_, message)| message)
        };
        let suspects = doubtful(true).chain(new(true)).filter(|_| !spares_suspects);
        doubtful(false).chain(new(false)).chain(suspects).collect()
    }

    /// What to note when the session broke at the message with this number while it was looked at.
    pub fn accuse(&self, number: u32, next: Uid) -> Vec<Note> {
        let is_it = |message: &&Message| message.number == number;
        let doubtful = self.doubtful.iter().map(|(_, message)| message).find(is_it);
        let suspect = |message: &Message| Note::Suspect(message.uidl.clone());
        match (doubtful, self.new.iter().find(is_it)) {
            (Some(known), _) => vec![suspect(known)],
            (None, Some(begun)) if self.begun.contains_key(&number) => vec![suspect(begun)],
            (None, Some(new)) => vec![enrolment(next, new), suspect(new)],
            (None, None) => Vec::new(),
        }
    }

    /// The UID of every message, and what is to be noted before any is used. `seen` tells the unsure ones, by number; a
    /// doubtful one that it does not tell is left out. `None` where there are no UIDs left.
    pub fn settle(
        mut self,
        next: Uid,
        seen: &BTreeMap<u32, Seen>,
    ) -> Option<(BTreeMap<Uid, Message>, Vec<Note>)> {
        for (known, message) in std::mem::take(&mut self.doubtful) {
            let Some(seen) = seen.get(&message.number) else { continue };
            if known.is(seen) {
                self.notes.push(Note::Confirm { uidl: message.uidl.clone(), size: message.size });
                self.known.insert(known.uid, message);
            } else {
                self.lose(&known);
                self.new.push(message);
            }
        }
        let mut number = next.value();
        for message in std::mem::take(&mut self.new) {
            let seen = seen.get(&message.number).map(|seen| (seen.fingerprint, message.size));
            if let Some(uid) = seen.and_then(|seen| self.lost.get_mut(&seen)?.pop()) {
                self.notes.push(Note::Rename { uid, uidl: message.uidl.clone() });
                self.known.insert(uid, message);
                continue;
            }
            match self.begun.remove(&message.number) {
                Some(known) if known.size == message.size && !known.is_missing => {
                    self.known.insert(known.uid, message);
                }
                Some(known) => self.enrol(known.uid, message),
                None => {
                    self.enrol(Uid::new(number)?, message);
                    number = number.checked_add(1)?;
                }
            }
        }
        Some((self.known, self.notes))
    }

    fn enrol(&mut self, uid: Uid, message: Message) {
        self.notes.push(enrolment(uid, &message));
        self.known.insert(uid, message);
    }

    /// The message of this unique-id may be listed under another one. One that was missing before was deleted, by us or
    /// elsewhere: what is like it now is another copy.
    fn lose(&mut self, enrolled: &Enrolled) {
        if let Some(fingerprint) = enrolled.fingerprint.filter(|_| !enrolled.is_missing) {
            self.lost.entry((fingerprint, enrolled.size)).or_default().push(enrolled.uid);
        }
    }
}

impl Enrolled {
    /// Whether what stands under its unique-id is its message. A weak identity never proves that; a Message-ID does where
    /// only the size changed, because Exchange estimates it, and renders a message anew each time.
    fn is(&self, seen: &Seen) -> bool {
        let identity = seen.likeness.identity;
        let is_proof = match self.fingerprint {
            Some(known) if self.is_missing || !identity.is_strong() => known == seen.fingerprint,
            _ => identity.is_strong(),
        };
        is_proof && self.identity == Some(identity)
    }
}

fn enrolment(uid: Uid, message: &Message) -> Note {
    Note::Enrol { uidl: message.uidl.clone(), uid, size: message.size }
}

#[cfg(test)]
mod tests;
