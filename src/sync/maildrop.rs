//! Which UID a message of a POP3 maildrop has. Pure.
//!
//! POP3 knows unique-ids, the base knows UIDs: each unique-id is given a UID once, durably, before its message is
//! fetched, so that a crash at any later point finds the same message under the same UID. A unique-id that is known is
//! believed while its size stays the same; one with another size, or one that was missing for a while, may have been
//! given again after a server lost its memory: its header decides. One that is missing is kept in mind, because servers
//! hide messages for a time (Gmail's "recent" mode, a maildrop that is not mounted), and they would all come twice.
//!
//! Some servers give a message another id (after a move to a new machine, or because their ids are positions). So what
//! is new is held against the messages whose ids this listing misses first: one of the same size and Message-ID keeps its UID.

use super::Likeness;
use crate::mail::{Identity, Uid, UidValidity, Uidl};
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
    /// Fetched messages that may be listed under another unique-id.
    lost: BTreeMap<Likeness, Vec<Uid>>,
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

    /// The messages whose header must be looked at. Those that broke a session come last, or are left out.
    pub fn unsure(&self, spares_suspects: bool) -> Vec<&Message> {
        let lost = self.lost.keys().map(|likeness| likeness.size);
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

    /// What to note when the session broke at the message with this number while headers were looked at.
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

    /// The UID of every message, and what is to be noted before any is used. `likeness` tells the unsure ones, by
    /// number; a doubtful one that it does not tell is left out. `None` where there are no UIDs left.
    pub fn settle(
        mut self,
        next: Uid,
        likeness: &BTreeMap<u32, Likeness>,
    ) -> Option<(BTreeMap<Uid, Message>, Vec<Note>)> {
        for (known, message) in std::mem::take(&mut self.doubtful) {
            let Some(seen) = likeness.get(&message.number).map(|likeness| likeness.identity) else {
                continue;
            };
            // A weak identity alone never proves that two messages are one.
            let is_proof = known.size == message.size || seen.is_strong();
            if is_proof && known.identity == Some(seen) {
                self.notes.push(Note::Confirm { uidl: message.uidl.clone(), size: message.size });
                self.known.insert(known.uid, message);
            } else {
                self.lose(&known);
                self.new.push(message);
            }
        }
        let mut number = next.value();
        for message in std::mem::take(&mut self.new) {
            let seen = likeness.get(&message.number);
            if let Some(uid) = seen.and_then(|seen| self.lost.get_mut(seen)?.pop()) {
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

    /// The message of this unique-id may be listed under another one. Only a Message-ID can tell. One that was missing
    /// before was deleted, by us or elsewhere: what is like it now is another copy.
    fn lose(&mut self, enrolled: &Enrolled) {
        let identity = enrolled.identity.filter(|identity| !enrolled.is_missing && identity.is_strong());
        if let Some(identity) = identity {
            let likeness = Likeness { identity, size: enrolled.size };
            self.lost.entry(likeness).or_default().push(enrolled.uid);
        }
    }
}

fn enrolment(uid: Uid, message: &Message) -> Note {
    Note::Enrol { uidl: message.uidl.clone(), uid, size: message.size }
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
        Enrolled { uidl: id(uidl), uid: uid(number), size, is_missing: false, is_suspect: false, identity }
    }

    fn settle(
        enrolled: Vec<Enrolled>,
        listed: Vec<Message>,
        seen: &[(u32, Likeness)],
    ) -> (Vec<(u32, String)>, Vec<Note>) {
        let maildrop = Maildrop { enrolled, next: uid(10) };
        let census = Census::new(&maildrop, listed);
        let asked: Vec<u32> = census.unsure(false).iter().map(|message| message.number).collect();
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
        let (known, notes) = settle(vec![begun], vec![message(1, "a", 9)], &[]);
        assert_eq!(known, named(&[(4, "a")]));
        assert_eq!(notes, [enrolment(uid(4), &message(1, "a", 9))], "it is fetched at this size");
    }

    #[test]
    fn a_message_with_another_id_keeps_its_uid_where_size_and_message_id_agree() {
        let base = || vec![enrolled("a", 4, 5), enrolled("b", 5, 6), enrolled("c", 6, 7)];
        let listed = vec![message(1, "x", 5), message(2, "y", 6), message(3, "z", 8)];
        let (known, notes) = settle(base(), listed, &[(1, likeness("a", 5)), (2, likeness("other", 6))]);
        assert_eq!(known, named(&[(4, "x"), (10, "y"), (11, "z")]));
        let renamed = Note::Rename { uid: uid(4), uidl: id("x") };
        assert!(notes.contains(&renamed) && notes.contains(&Note::Miss(id("b"))), "{notes:?}");
        let mut vague = enrolled("a", 4, 5);
        vague.identity = Some(weak("hello", 5).identity);
        let (known, _) = settle(vec![vague], vec![message(1, "x", 5)], &[]);
        assert_eq!(known, named(&[(10, "x")]), "a weak identity proves nothing");
    }

    #[test]
    fn a_message_like_one_that_was_missing_before_is_another_copy() {
        let gone = || Enrolled { is_missing: true, ..enrolled("a", 4, 5) };
        let (known, _) = settle(vec![gone()], vec![message(1, "x", 5)], &[]);
        assert_eq!(known, named(&[(10, "x")]));
        let listed = vec![message(1, "a", 6), message(2, "x", 5)];
        let census = Census::new(&Maildrop { enrolled: vec![gone()], next: uid(10) }, listed);
        let seen = BTreeMap::from([(1, likeness("b", 6)), (2, likeness("a", 5))]);
        let (known, _) = census.settle(uid(10), &seen).unwrap();
        assert!(!known.contains_key(&uid(4)), "its id is another message's now");
    }

    #[test]
    fn ids_that_are_positions_move_up_and_down_with_their_messages() {
        let base = || vec![enrolled("1", 4, 5), enrolled("2", 5, 6), enrolled("3", 6, 7)];
        let (one, two, three) = (likeness("1", 5), likeness("2", 6), likeness("3", 7));
        let listed = vec![message(1, "1", 6), message(2, "2", 7)];
        let (known, _) = settle(base(), listed, &[(1, two), (2, three)]);
        assert_eq!(known, named(&[(5, "1"), (6, "2")]), "the first was deleted");
        let listed: Vec<_> =
            [9, 5, 6, 7].iter().zip(1..).map(|(&size, at)| message(at, &at.to_string(), size)).collect();
        let seen = [(1, likeness("new", 9)), (2, one), (3, two), (4, three)];
        let (known, _) = settle(base(), listed, &seen);
        assert_eq!(known, named(&[(4, "2"), (5, "3"), (6, "4"), (10, "1")]), "a new one came first");
    }

    #[test]
    fn what_the_server_does_not_show_is_left_alone() {
        let maildrop = Maildrop { enrolled: vec![enrolled("a", 4, 5)], next: uid(10) };
        let census = Census::new(&maildrop, vec![message(1, "a", 6)]);
        let (known, notes) = census.settle(maildrop.next, &BTreeMap::new()).unwrap();
        assert_eq!((known.len(), notes), (0, vec![]));
    }

    #[test]
    fn what_broke_a_session_is_looked_at_last_or_not() {
        let suspect = Enrolled { is_suspect: true, ..enrolled("a", 4, 5) };
        let maildrop = Maildrop { enrolled: vec![suspect, enrolled("b", 5, 5)], next: uid(10) };
        let listed = vec![message(1, "a", 6), message(2, "b", 6), message(3, "c", 5)];
        let census = Census::new(&maildrop, listed);
        let asked = |spares| census.unsure(spares).iter().map(|one| one.number).collect::<Vec<_>>();
        assert_eq!((asked(false), asked(true)), (vec![2, 3, 1], vec![2, 3]));
        assert_eq!(census.accuse(1, uid(10)), [Note::Suspect(id("a"))]);
        assert_eq!(
            census.accuse(3, uid(10)),
            [enrolment(uid(10), &message(3, "c", 5)), Note::Suspect(id("c"))]
        );
        assert_eq!(census.accuse(9, uid(10)), []);
    }

    #[test]
    fn what_broke_a_session_before_it_was_known_is_new() {
        let begun = Enrolled { is_suspect: true, identity: None, ..enrolled("x", 9, 5) };
        let base = || vec![enrolled("a", 4, 5), begun.clone()];
        let listed = vec![message(1, "x", 5)];
        let (known, notes) = settle(base(), listed.clone(), &[(1, likeness("a", 5))]);
        assert_eq!(known, named(&[(4, "x")]));
        assert_eq!(notes, [Note::Miss(id("a")), Note::Rename { uid: uid(4), uidl: id("x") }]);
        let (known, notes) = settle(base(), listed.clone(), &[(1, likeness("other", 5))]);
        assert_eq!((known, notes), (named(&[(9, "x")]), vec![Note::Miss(id("a"))]));
        let census = Census::new(&Maildrop { enrolled: base(), next: uid(10) }, listed);
        assert!(census.unsure(true).is_empty());
        assert_eq!(census.accuse(1, uid(10)), [Note::Suspect(id("x"))]);
    }

    #[test]
    fn when_uids_run_out_nothing_is_settled() {
        let census = Census::new(&Maildrop { enrolled: vec![], next: Uid::MAX }, vec![message(1, "a", 1)]);
        assert_eq!(census.settle(Uid::MAX, &BTreeMap::new()), None);
    }
}
