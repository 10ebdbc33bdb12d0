//! Which message keeps which UID.

use super::super::testing::{likeness, uid, weak};
use super::*;
use crate::mail::Sight;

fn id(text: &str) -> Uidl {
    Uidl::new(text.as_bytes(), 0).unwrap()
}

fn message(number: u32, uidl: &str, size: u64) -> Message {
    Message { number, uidl: id(uidl), size }
}

fn enrolled(uidl: &str, number: u32, size: u64) -> Enrolled {
    fetched(uidl, number, seen(uidl, size))
}

/// A unique-id whose message was this one.
fn fetched(uidl: &str, number: u32, seen: Seen) -> Enrolled {
    Enrolled {
        uidl: id(uidl),
        uid: uid(number),
        size: seen.likeness.size,
        is_missing: false,
        is_suspect: false,
        identity: Some(seen.likeness.identity),
        fingerprint: Some(seen.fingerprint),
    }
}

fn fingerprint(text: &str) -> Fingerprint {
    let mut sight = Sight::default();
    sight.add(text.as_bytes());
    sight.finish().1
}

/// A message with this Message-ID.
fn seen(message_id: &str, size: u64) -> Seen {
    Seen { likeness: likeness(message_id, size), fingerprint: fingerprint(message_id) }
}

/// A message without Message-ID.
fn vague(subject: &str, text: &str, size: u64) -> Seen {
    Seen { likeness: weak(subject, size), fingerprint: fingerprint(text) }
}

fn settle(
    enrolled: Vec<Enrolled>,
    listed: Vec<Message>,
    seen: &[(u32, Seen)],
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
    let (known, notes) = settle(base(), vec![message(1, "a", 6)], &[(1, seen("a", 6))]);
    assert_eq!((known, notes), (named(&[(4, "a")]), vec![Note::Confirm { uidl: id("a"), size: 6 }]));
    let (known, _) = settle(base(), vec![message(1, "a", 6)], &[(1, seen("other", 6))]);
    assert_eq!(known, named(&[(10, "a")]));
    let log = || vec![fetched("a", 4, vague("log", "one", 5))];
    let (known, _) = settle(log(), vec![message(1, "a", 6)], &[(1, vague("log", "other", 6))]);
    assert_eq!(known, named(&[(10, "a")]), "a weak identity of another size is another message");
}

#[test]
fn an_id_that_was_missing_is_looked_at_before_it_is_believed() {
    let mut back = enrolled("a", 4, 5);
    back.is_missing = true;
    let (known, notes) = settle(vec![back.clone()], vec![message(1, "a", 5)], &[(1, seen("a", 5))]);
    assert_eq!((known, notes), (named(&[(4, "a")]), vec![Note::Confirm { uidl: id("a"), size: 5 }]));
    let (known, _) = settle(vec![back], vec![message(1, "a", 5)], &[(1, seen("b", 5))]);
    assert_eq!(known, named(&[(10, "a")]));
    let gone = || Enrolled { is_missing: true, ..enrolled("a", 4, 5) };
    let copy = Seen { fingerprint: fingerprint("Received: later"), ..seen("a", 5) };
    let (known, _) = settle(vec![gone()], vec![message(1, "a", 5)], &[(1, copy)]);
    assert_eq!(known, named(&[(10, "a")]), "another copy under an id that is given again");
    let unknown = Enrolled { fingerprint: None, ..gone() };
    let (known, _) = settle(vec![unknown], vec![message(1, "a", 5)], &[(1, copy)]);
    assert_eq!(known, named(&[(4, "a")]), "its visit was killed: id and Message-ID agree");
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
    let (known, notes) = settle(base(), listed, &[(1, seen("a", 5)), (2, seen("other", 6))]);
    assert_eq!(known, named(&[(4, "x"), (10, "y"), (11, "z")]));
    let renamed = Note::Rename { uid: uid(4), uidl: id("x") };
    assert!(notes.contains(&renamed) && notes.contains(&Note::Miss(id("b"))), "{notes:?}");
    let log = || vec![fetched("a", 4, vague("log", "one", 5))];
    let (known, _) = settle(log(), vec![message(1, "x", 5)], &[(1, vague("log", "two", 5))]);
    assert_eq!(known, named(&[(10, "x")]), "a weak identity proves nothing");
}

#[test]
fn a_message_like_one_that_was_missing_before_is_another_copy() {
    let gone = || Enrolled { is_missing: true, ..enrolled("a", 4, 5) };
    let (known, _) = settle(vec![gone()], vec![message(1, "x", 5)], &[]);
    assert_eq!(known, named(&[(10, "x")]));
    let listed = vec![message(1, "a", 6), message(2, "x", 5)];
    let census = Census::new(&Maildrop { enrolled: vec![gone()], next: uid(10) }, listed);
    let seen = BTreeMap::from([(1, seen("b", 6)), (2, seen("a", 5))]);
    let (known, _) = census.settle(uid(10), &seen).unwrap();
    assert!(!known.contains_key(&uid(4)), "its id is another message's now");
}

#[test]
fn ids_that_are_positions_move_up_and_down_with_their_messages() {
    let base = || vec![enrolled("1", 4, 5), enrolled("2", 5, 6), enrolled("3", 6, 7)];
    let (one, two, three) = (seen("1", 5), seen("2", 6), seen("3", 7));
    let listed = vec![message(1, "1", 6), message(2, "2", 7)];
    let (known, _) = settle(base(), listed, &[(1, two), (2, three)]);
    assert_eq!(known, named(&[(5, "1"), (6, "2")]), "the first was deleted");
    let listed: Vec<_> =
        [9, 5, 6, 7].iter().zip(1..).map(|(&size, at)| message(at, &at.to_string(), size)).collect();
    let seen = [(1, seen("new", 9)), (2, one), (3, two), (4, three)];
    let (known, _) = settle(base(), listed, &seen);
    assert_eq!(known, named(&[(4, "2"), (5, "3"), (6, "4"), (10, "1")]), "a new one came first");
}

#[test]
fn another_copy_of_the_same_message_id_and_size_is_another_message() {
    let copy = Seen { fingerprint: fingerprint("Received: later"), ..seen("a", 5) };
    let (known, notes) = settle(vec![enrolled("a", 4, 5)], vec![message(1, "x", 5)], &[(1, copy)]);
    assert_eq!((known, notes.len()), (named(&[(10, "x")]), 2));
    // Nor is anything known of a message whose visit was killed.
    let unknown = Enrolled { fingerprint: None, ..enrolled("a", 4, 5) };
    let (known, _) = settle(vec![unknown], vec![message(1, "x", 5)], &[]);
    assert_eq!(known, named(&[(10, "x")]));
}

#[test]
fn a_message_without_message_id_is_known_by_its_text() {
    let log = || vec![fetched("1", 4, vague("log", "one", 5)), fetched("2", 5, vague("log", "two", 6))];
    let (known, _) = settle(log(), vec![message(1, "1", 6)], &[(1, vague("log", "two", 6))]);
    assert_eq!(known, named(&[(5, "1")]), "the first was deleted");
    let gone = || vec![Enrolled { is_missing: true, ..fetched("a", 4, vague("log", "one", 5)) }];
    let (known, _) = settle(gone(), vec![message(1, "a", 5)], &[(1, vague("log", "one", 5))]);
    assert_eq!(known, named(&[(4, "a")]), "it was hidden");
    let (known, _) = settle(gone(), vec![message(1, "a", 5)], &[(1, vague("log", "two", 5))]);
    assert_eq!(known, named(&[(10, "a")]), "its id was given again");
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
    assert_eq!(census.accuse(3, uid(10)), [enrolment(uid(10), &message(3, "c", 5)), Note::Suspect(id("c"))]);
    assert_eq!(census.accuse(9, uid(10)), []);
}

#[test]
fn what_broke_a_session_before_it_was_known_is_new() {
    let begun = Enrolled { is_suspect: true, identity: None, ..enrolled("x", 9, 5) };
    let base = || vec![enrolled("a", 4, 5), begun.clone()];
    let listed = vec![message(1, "x", 5)];
    let (known, notes) = settle(base(), listed.clone(), &[(1, seen("a", 5))]);
    assert_eq!(known, named(&[(4, "x")]));
    assert_eq!(notes, [Note::Miss(id("a")), Note::Rename { uid: uid(4), uidl: id("x") }]);
    let (known, notes) = settle(base(), listed.clone(), &[(1, seen("other", 5))]);
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
