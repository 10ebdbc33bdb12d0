//! What the ledger keeps of a maildrop.

use super::*;
use crate::mail::{Fingerprint, Uidl};
use crate::sync::maildrop::{Enrolled, Maildrop, Note};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 24 * 3600;

fn id(text: &str) -> Uidl {
    Uidl::new(text.as_bytes(), 0).unwrap()
}

async fn visit(ledger: &mut Ledger, number: u64) {
    ledger.begin_visit(day(number), Duration::ZERO).await.unwrap();
}

/// Visits once a day until this one.
async fn visits(ledger: &mut Ledger, days: std::ops::RangeInclusive<u64>) {
    for number in days {
        visit(ledger, number).await;
    }
}

fn enrol(uidl: &str, number: u32) -> Note {
    Note::Enrol { uidl: id(uidl), uid: uid(number), size: 10 }
}

fn day(number: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(number * DAY)
}

/// What is due after so many days.
async fn due(ledger: &mut Ledger, days: u64) -> Vec<(u32, bool)> {
    let due = ledger.due(Duration::from_secs(days * DAY)).await.unwrap();
    due.iter().map(|due| (due.uid.value(), due.name.is_some())).collect()
}

#[tokio::test]
async fn unique_ids_keep_their_uids_over_a_restart_and_no_uid_is_given_twice() {
    let (_home, path, mut ledger) = open();
    assert_eq!(ledger.maildrop().await.unwrap(), Maildrop { enrolled: vec![], next: uid(1) });
    ledger.note(vec![enrol("a", 1), enrol("b", 2)]).await.unwrap();
    commit(&mut ledger, vec![Entry::Pair(row(1, "file", RowState::Settled))]).await;
    commit(&mut ledger, vec![Entry::Pair(row(7, "old", RowState::Settled))]).await;
    let notes = vec![Note::Miss(id("b")), Note::Confirm { uidl: id("a"), size: 11 }];
    ledger.note(notes).await.unwrap();
    drop(ledger);
    let mut ledger = Ledger::open(&path).unwrap();
    let identity = Some(row(1, "file", RowState::Settled).likeness.identity);
    let enrolled = |uidl, number, size, is_missing, identity| Enrolled {
        uidl: id(uidl),
        uid: uid(number),
        size,
        is_missing,
        is_suspect: false,
        identity,
        fingerprint: None,
    };
    let known = vec![enrolled("a", 1, 11, false, identity), enrolled("b", 2, 10, true, None)];
    assert_eq!(ledger.maildrop().await.unwrap(), Maildrop { enrolled: known, next: uid(8) });
}

#[tokio::test]
async fn the_unique_ids_of_another_owner_say_nothing() {
    let (_home, _path, mut ledger) = open();
    ledger.claim("alice at mail.test").await.unwrap();
    ledger.note(vec![enrol("a", 1)]).await.unwrap();
    ledger.claim("bob at mail.test").await.unwrap();
    assert_eq!(ledger.maildrop().await.unwrap().enrolled, []);
}

/// As long as its unique-id is listed to be.
fn of_ten(mut row: Row) -> Row {
    row.likeness.size = 10;
    row
}

/// Messages with the UIDs from 1 on, in these states.
async fn fill(ledger: &mut Ledger, states: &[RowState]) {
    let rows: Vec<Row> =
        (1..).zip(states).map(|(number, &state)| of_ten(row(number, &number.to_string(), state))).collect();
    let notes = rows.iter().map(|row| enrol(&row.uid.to_string(), row.uid.value())).collect();
    ledger.note(notes).await.unwrap();
    commit(ledger, rows.into_iter().map(Entry::Pair).collect()).await;
}

#[tokio::test]
async fn only_what_is_durable_for_long_enough_is_due() {
    let (_home, _path, mut ledger) = open();
    visit(&mut ledger, 1).await;
    fill(&mut ledger, &[RowState::Settled, RowState::Kept, RowState::Arriving]).await;
    assert_eq!(due(&mut ledger, 0).await, [], "nothing was noted durable");
    assert_eq!(ledger.note_durable().await.unwrap(), 0);
    visits(&mut ledger, 2..=11).await;
    ledger.note_durable().await.unwrap();
    assert_eq!(due(&mut ledger, 11).await, []);
    assert_eq!(due(&mut ledger, 10).await, [(1, true), (2, false)]);
    ledger.note(vec![Note::Miss(id("1"))]).await.unwrap();
    assert_eq!(due(&mut ledger, 10).await, [(2, false)]);
}

#[tokio::test]
async fn what_is_fetched_again_is_durable_since_then() {
    let (_home, _path, mut ledger) = open();
    visit(&mut ledger, 1).await;
    fill(&mut ledger, &[RowState::Settled; 3]).await;
    ledger.note_durable().await.unwrap();
    visit(&mut ledger, 2).await;
    let elsewhere = MailboxName::new("Archive");
    let entries = vec![(inbox(), Entry::Forget(uid(1))), (elsewhere, Entry::Forget(uid(2)))];
    ledger.commit(entries).await.unwrap();
    commit(&mut ledger, vec![Entry::Pair(of_ten(row(1, "1", RowState::Settled)))]).await;
    ledger.note_durable().await.unwrap();
    assert_eq!(due(&mut ledger, 1).await, [(2, true), (3, true)]);
    visit(&mut ledger, 3).await;
    assert_eq!(due(&mut ledger, 1).await, [(1, true), (2, true), (3, true)]);
}

#[tokio::test]
async fn a_clock_that_is_set_right_makes_nothing_due() {
    let (_home, _path, mut ledger) = open();
    visit(&mut ledger, 0).await;
    fill(&mut ledger, &[RowState::Settled]).await;
    ledger.note_durable().await.unwrap();
    visit(&mut ledger, 20_000).await;
    assert_eq!(due(&mut ledger, 2).await, []);
    visit(&mut ledger, 10_000).await;
    visits(&mut ledger, 20_000..=20_011).await;
    assert_eq!(due(&mut ledger, 14).await, []);
    visit(&mut ledger, 20_012).await;
    assert_eq!(due(&mut ledger, 14).await, [(1, true)]);
}

#[tokio::test]
async fn what_is_in_doubt_is_never_due() {
    let (_home, _path, mut ledger) = open();
    visit(&mut ledger, 1).await;
    fill(&mut ledger, &[RowState::Settled; 4]).await;
    let mut weak = of_ten(row(2, "2", RowState::Settled));
    weak.likeness.identity = Identity::from_header(b"Subject: s\n\n");
    let mut short = row(3, "3", RowState::Settled);
    short.likeness.size = 9;
    commit(&mut ledger, vec![Entry::Pair(weak), Entry::Pair(short)]).await;
    assert_eq!(ledger.note_durable().await.unwrap(), 1, "told once");
    assert_eq!(ledger.note_durable().await.unwrap(), 0);
    ledger.note(vec![Note::Confirm { uidl: id("4"), size: 11 }]).await.unwrap();
    visit(&mut ledger, 2).await;
    assert_eq!(due(&mut ledger, 1).await, [(1, true)]);
}

#[tokio::test]
async fn ids_that_go_round_in_a_circle_keep_what_is_known_of_their_messages() {
    let (_home, _path, mut ledger) = open();
    visit(&mut ledger, 1).await;
    fill(&mut ledger, &[RowState::Settled; 3]).await;
    ledger.note_durable().await.unwrap();
    let renamed = |number, to| Note::Rename { uid: uid(number), uidl: id(to) };
    let notes = vec![enrol("1", 9), renamed(1, "2"), renamed(2, "3"), Note::Miss(id("4"))];
    ledger.note(notes).await.unwrap();
    let known = ledger.maildrop().await.unwrap().enrolled;
    let known: BTreeMap<_, _> = known.iter().map(|one| (one.uidl.as_str(), one.uid.value())).collect();
    assert_eq!(known, BTreeMap::from([("1", 9), ("2", 1), ("3", 2)]));
    visit(&mut ledger, 2).await;
    assert_eq!(due(&mut ledger, 1).await, [(1, true), (2, true)]);
}

#[tokio::test]
async fn a_fingerprint_stays_with_its_message_under_another_id_and_ends_with_it() {
    let (_home, path, mut ledger) = open();
    let sent =
        |number, octet| Note::Sent { uid: uid(number), fingerprint: Fingerprint::from_digest([octet; 16]) };
    ledger.note(vec![enrol("a", 1), enrol("b", 2), sent(1, 7), sent(2, 8)]).await.unwrap();
    ledger.note(vec![Note::Rename { uid: uid(1), uidl: id("x") }, enrol("b", 3)]).await.unwrap();
    drop(ledger);
    let known = Ledger::open(&path).unwrap().maildrop().await.unwrap().enrolled;
    let known: BTreeMap<_, _> = known.iter().map(|one| (one.uidl.as_str(), one.fingerprint)).collect();
    let seven = Some(Fingerprint::from_digest([7; 16]));
    assert_eq!(known, BTreeMap::from([("x", seven), ("b", None)]));
}

#[tokio::test]
async fn a_message_that_broke_two_visits_is_known_in_the_next_one() {
    let (_home, _path, mut ledger) = open();
    assert!(!ledger.begin_visit(day(1), Duration::ZERO).await.unwrap());
    ledger.note(vec![enrol("a", 1), Note::Suspect(id("a"))]).await.unwrap();
    assert!(!ledger.begin_visit(day(1), Duration::ZERO).await.unwrap());
    ledger.note(vec![Note::Suspect(id("a"))]).await.unwrap();
    assert!(ledger.begin_visit(day(1), Duration::ZERO).await.unwrap());
    assert!(!ledger.begin_visit(day(1), Duration::ZERO).await.unwrap());
    assert!(ledger.maildrop().await.unwrap().enrolled[0].is_suspect);
    // A dry run enrols nothing.
    ledger.note(vec![Note::Suspect(id("unknown"))]).await.unwrap();
    assert!(!ledger.begin_visit(day(1), Duration::ZERO).await.unwrap());
}

#[tokio::test]
async fn the_delay_that_a_server_wants_is_known_over_a_restart() {
    let (_home, path, mut ledger) = open();
    let seconds = Duration::from_secs;
    assert_eq!(ledger.left_alone(day(1)).await.unwrap(), Duration::ZERO);
    ledger.begin_visit(day(1), seconds(900)).await.unwrap();
    drop(ledger);
    let mut ledger = Ledger::open(&path).unwrap();
    assert_eq!(ledger.left_alone(day(1) + seconds(600)).await.unwrap(), seconds(300));
    assert_eq!(ledger.left_alone(day(1) + seconds(901)).await.unwrap(), Duration::ZERO);
    assert_eq!(ledger.left_alone(day(0)).await.unwrap(), seconds(900), "the clock was set back");
}

#[tokio::test]
async fn a_unique_id_is_forgotten_long_after_both_sides_lost_its_message() {
    let (_home, _path, mut ledger) = open();
    visit(&mut ledger, 1).await;
    fill(&mut ledger, &[RowState::Settled, RowState::Kept]).await;
    ledger.note(vec![enrol("3", 3)]).await.unwrap();
    ledger.note(["1", "2", "3"].map(|uidl| Note::Miss(id(uidl))).to_vec()).await.unwrap();
    visits(&mut ledger, 2..=91).await;
    ledger.note_durable().await.unwrap();
    assert_eq!(ledger.maildrop().await.unwrap().enrolled.len(), 3);
    visit(&mut ledger, 92).await;
    ledger.note_durable().await.unwrap();
    let left = ledger.maildrop().await.unwrap().enrolled;
    assert_eq!(left.iter().map(|known| known.uid.value()).collect::<Vec<_>>(), [1], "its file is here");
    assert_eq!(ledger.base(&inbox()).await.unwrap().rows.len(), 1);
}

#[tokio::test]
async fn a_file_of_the_first_version_is_brought_up_to_date_with_all_it_holds() {
    let (_home, path, mut ledger) = open();
    commit(&mut ledger, vec![Entry::Pair(row(1, "a", RowState::Settled))]).await;
    drop(ledger);
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch("DROP TABLE visit; DROP TABLE uidl; PRAGMA user_version = 1").unwrap();
    drop(old);
    let mut ledger = Ledger::open(&path).unwrap();
    assert_eq!(ledger.base(&inbox()).await.unwrap().rows, [row(1, "a", RowState::Settled)]);
    assert_eq!(ledger.maildrop().await.unwrap().next, uid(2));
}

#[tokio::test]
async fn a_file_of_the_second_version_knows_what_it_knew() {
    let (_home, path, mut ledger) = open();
    visit(&mut ledger, 1).await;
    fill(&mut ledger, &[RowState::Settled; 2]).await;
    // Another message may stand under its id since, shorter than what was fetched: only the last size was kept.
    let mut longer = row(2, "2", RowState::Settled);
    longer.likeness.size = 11;
    commit(&mut ledger, vec![Entry::Pair(longer)]).await;
    ledger.note_durable().await.unwrap();
    drop(ledger);
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(
        "DROP TABLE visit; ALTER TABLE uidl DROP COLUMN first_size; ALTER TABLE uidl DROP COLUMN suspect;
         ALTER TABLE uidl DROP COLUMN fingerprint; PRAGMA user_version = 2",
    )
    .unwrap();
    drop(old);
    let mut ledger = Ledger::open(&path).unwrap();
    visit(&mut ledger, 3).await;
    assert_eq!(due(&mut ledger, 2).await, [(1, true)]);
}

#[tokio::test]
async fn a_file_of_the_third_version_knows_its_messages_and_no_fingerprint() {
    let (_home, path, mut ledger) = open();
    ledger.note(vec![enrol("a", 1)]).await.unwrap();
    drop(ledger);
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch("ALTER TABLE uidl DROP COLUMN fingerprint; PRAGMA user_version = 3").unwrap();
    drop(old);
    let known = Ledger::open(&path).unwrap().maildrop().await.unwrap().enrolled;
    assert_eq!(known.iter().map(|one| (one.uid.value(), one.fingerprint)).collect::<Vec<_>>(), [(1, None)]);
}
