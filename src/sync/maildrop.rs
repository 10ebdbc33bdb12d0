//! Which UID a message of a POP3 maildrop has. Pure.
//!
//! POP3 knows unique-ids, the base knows UIDs: each unique-id is given a UID once, durably, before its message is
//! fetched, so that a crash at any later point finds the same message under the same UID. A unique-id that is known is
//! believed while its size stays the same; one with another size, or one that was missing for a while, may have been
//! given again after a server lost its memory: its header decides. One that is missing is kept in mind, because servers
//! hide messages for a time (Gmail's "recent" mode, a maildrop that is not mounted), and they would all come twice.

use super::Likeness;
use crate::mail::{Identity, Uid, UidValidity, Uidl};
use std::collections::BTreeMap;

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
    /// Whose message it is, once that arrived.
    pub identity: Option<Identity>,
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
    /// A message is known under this UID from now on; whatever had the same unique-id before is another one.
    Enrol {
        /// Its unique-id.
        uidl: Uidl,
        /// Its UID.
        uid: Uid,
        /// Its size as listed.
        size: u64,
    },
    /// A message is still, or again, in the maildrop.
    Confirm {
        /// Its unique-id.
        uidl: Uidl,
        /// Its size as listed.
        size: u64,
    },
    /// A message is no longer in the maildrop.
    Miss(Uidl),
    /// The unique-id was found to be another message's, which is new.
    Forget(Uidl),
}

/// A listing held against what is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Messages with their UIDs.
    known: BTreeMap<Uid, Message>,
    /// Messages whose unique-id is known and may be another's.
    doubtful: Vec<(Enrolled, Message)>,
    /// Messages of which nothing is known.
    new: Vec<Message>,
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
                Some(known) if known.size == message.size && !known.is_missing => {
                    census.known.insert(known.uid, message);
                }
                Some(known) if known.identity.is_none() => census.confirm(known.uid, message),
                Some(known) => census.doubtful.push((known.clone(), message)),
            }
        }
        let missed = rest.into_values().filter(|enrolled| !enrolled.is_missing);
        census.notes.extend(missed.map(|enrolled| Note::Miss(enrolled.uidl.clone())));
        census
    }

    /// The messages whose header must be looked at.
    pub fn doubtful(&self) -> impl Iterator<Item = &Message> {
        self.doubtful.iter().map(|(_, message)| message)
    }

    /// The UID of every message, and what is to be noted before any is used. `likeness` tells the doubtful ones, by
    /// number. `None` where there are no UIDs left.
    pub fn settle(
        mut self,
        next: Uid,
        likeness: &BTreeMap<u32, Likeness>,
    ) -> Option<(BTreeMap<Uid, Message>, Vec<Note>)> {
        for (known, message) in std::mem::take(&mut self.doubtful) {
            let seen = likeness.get(&message.number).map(|likeness| likeness.identity);
            // A weak identity alone never proves that two messages are one.
            let is_proof = known.size == message.size || seen.is_some_and(|identity| identity.is_strong());
            match is_proof && seen == known.identity {
                true => self.confirm(known.uid, message),
                false => self.new.push(message),
            }
        }
        let mut number = next.value();
        for message in std::mem::take(&mut self.new) {
            let uid = Uid::new(number)?;
            number = number.checked_add(1)?;
            let (uidl, size) = (message.uidl.clone(), message.size);
            self.notes.push(Note::Enrol { uidl, uid, size });
            self.known.insert(uid, message);
        }
        Some((self.known, self.notes))
    }

    fn confirm(&mut self, uid: Uid, message: Message) {
        self.notes.push(Note::Confirm { uidl: message.uidl.clone(), size: message.size });
        self.known.insert(uid, message);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{likeness, uid, weak};
    use super::*;

    fn id(text: &str) -> Uidl {
        Uidl::new(text.as_bytes(), 0).unwrap()
    }

    fn message(number: u32, uidl: &str, size: u64) -> Message {
        Message { number, uidl: id(uidl), size }
    }

    fn enrolled(uidl: &str, number: u32, size: u64) -> Enrolled {
        let identity = Some(likeness(uidl, size).identity);
        Enrolled { uidl: id(uidl), uid: uid(number), size, is_missing: false, identity }
    }

    fn settle(
        enrolled: Vec<Enrolled>,
        listed: Vec<Message>,
        seen: &[(u32, Likeness)],
    ) -> (Vec<(u32, String)>, Vec<Note>) {
        let maildrop = Maildrop { enrolled, next: uid(10) };
        let census = Census::new(&maildrop, listed);
        let asked: Vec<u32> = census.doubtful().map(|message| message.number).collect();
        assert_eq!(asked, seen.iter().map(|(number, _)| *number).collect::<Vec<_>>(), "asked for");
        let (known, notes) = census.settle(maildrop.next, &seen.iter().copied().collect()).unwrap();
        (known.iter().map(|(uid, it)| (uid.value(), it.uidl.to_string())).collect(), notes)
    }

    fn named(list: &[(u32, &str)]) -> Vec<(u32, String)> {
        list.iter().map(|(number, uidl)| (*number, (*uidl).to_owned())).collect()
    }

    #[test]
    fn what_is_known_keeps_its_uid_and_what_is_new_gets_the_next() {
        let listed = vec![message(1, "b", 20), message(2, "c", 30), message(3, "d", 40)];
        let (known, notes) = settle(vec![enrolled("a", 4, 5), enrolled("b", 5, 20)], listed, &[]);
        assert_eq!(known, named(&[(5, "b"), (10, "c"), (11, "d")]));
        let enrol = |uidl, number, size| Note::Enrol { uidl: id(uidl), uid: uid(number), size };
        assert_eq!(notes, [Note::Miss(id("a")), enrol("c", 10, 30), enrol("d", 11, 40)]);
    }

    #[test]
    fn nothing_new_is_nothing_to_note() {
        let mut gone = enrolled("gone", 3, 5);
        gone.is_missing = true;
        let (_, notes) = settle(vec![enrolled("a", 4, 5), gone], vec![message(1, "a", 5)], &[]);
        assert_eq!(notes, []);
    }

    #[test]
    fn an_id_with_another_size_is_the_same_message_only_if_its_header_says_so() {
        let base = || vec![enrolled("a", 4, 5)];
        let (known, notes) = settle(base(), vec![message(1, "a", 6)], &[(1, likeness("a", 6))]);
        assert_eq!((known, notes), (named(&[(4, "a")]), vec![Note::Confirm { uidl: id("a"), size: 6 }]));
        let (known, _) = settle(base(), vec![message(1, "a", 6)], &[(1, likeness("other", 6))]);
        assert_eq!(known, named(&[(10, "a")]));
        let mut vague = enrolled("a", 4, 5);
        vague.identity = Some(weak("hello", 5).identity);
        let (known, _) = settle(vec![vague], vec![message(1, "a", 6)], &[(1, weak("hello", 6))]);
        assert_eq!(known, named(&[(10, "a")]), "a weak identity of another size is another message");
    }

    #[test]
    fn an_id_that_was_missing_is_looked_at_before_it_is_believed() {
        let mut back = enrolled("a", 4, 5);
        back.is_missing = true;
        let (known, notes) = settle(vec![back.clone()], vec![message(1, "a", 5)], &[(1, likeness("a", 5))]);
        assert_eq!((known, notes), (named(&[(4, "a")]), vec![Note::Confirm { uidl: id("a"), size: 5 }]));
        let (known, _) = settle(vec![back], vec![message(1, "a", 5)], &[(1, likeness("b", 5))]);
        assert_eq!(known, named(&[(10, "a")]));
    }

    #[test]
    fn what_never_arrived_is_not_asked_about() {
        let mut begun = enrolled("a", 4, 5);
        begun.identity = None;
        let (known, _) = settle(vec![begun], vec![message(1, "a", 9)], &[]);
        assert_eq!(known, named(&[(4, "a")]));
    }

    #[test]
    fn when_uids_run_out_nothing_is_settled() {
        let census = Census::new(&Maildrop { enrolled: vec![], next: Uid::MAX }, vec![message(1, "a", 1)]);
        assert_eq!(census.settle(Uid::MAX, &BTreeMap::new()), None);
    }
}
