//! The ledger on real files; the functions generic over [`sync::Ledger`] are the contract of any ledger.

use super::*;
use crate::mail::{Flags, Identity, ModSeq, SpecialUse, Uid, UidSet, UidValidity, UniqueName};
use crate::sync::{DirectoryId, Held, Ledger as _, Likeness, Loose, Marks, Row, RowState, Side};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

fn inbox() -> MailboxName {
    MailboxName::inbox()
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn row(number: u32, name: &str, state: RowState) -> Row {
    let identity = Identity::from_header(format!("Message-ID: <{number}@x>\n\n").as_bytes());
    let likeness = Likeness { identity, size: u64::MAX - u64::from(number) };
    Row { uid: uid(number), name: UniqueName::new(name), flags: Flags::SEEN, likeness, state }
}

fn open() -> (tempfile::TempDir, PathBuf, Ledger) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger.db");
    let ledger = Ledger::open(&path).unwrap();
    (home, path, ledger)
}

async fn commit(ledger: &mut impl sync::Ledger, entries: Vec<Entry>) {
    ledger.commit(entries.into_iter().map(|entry| (inbox(), entry)).collect()).await.unwrap();
}

async fn every_entry_does_what_it_says(ledger: &mut impl sync::Ledger) {
    assert_eq!(ledger.base(&inbox()).await.unwrap(), Base::default());
    let (validity, loose) = (UidValidity::new(7).unwrap(), row(9, "loose", RowState::Settled).likeness);
    let directory = DirectoryId { device: u64::MAX, inode: 1 << 63 };
    let marks =
        Marks { uid_validity: validity, uid_next: Some(Uid::MAX), messages: 3, modseq: ModSeq::new(5) };
    let held = vec![Held { side: Side::Local, count: 30, of: 40, approved: false }];
    commit(
        ledger,
        vec![
            Entry::Known { special_use: Some(SpecialUse::Sent), directory: Some(directory) },
            Entry::Generation(validity),
            Entry::Loosen(UniqueName::new("b"), Loose::Uploading, loose),
            Entry::Loosen(UniqueName::new("c"), Loose::Uploading, loose),
            Entry::Loosen(UniqueName::new("d"), Loose::Orphan, loose),
            Entry::Unloosen(UniqueName::new("c")),
            Entry::Pair(row(3, "x", RowState::Kept)),
            Entry::Pair(row(2, "b", RowState::Arriving)),
            Entry::Pair(row(1, "a", RowState::Arriving)),
            Entry::Pair(row(4, "gone", RowState::Settled)),
            Entry::Settle(UidSet::range(uid(2), uid(3))),
            Entry::Agree(uid(1), Flags::FLAGGED),
            Entry::Rename(uid(3), UniqueName::new("y")),
            Entry::Forget(uid(4)),
            Entry::Marks(Some(marks)),
            Entry::Held(held.clone()),
        ],
    )
    .await;
    let base = ledger.base(&inbox()).await.unwrap();
    let first = Row { flags: Flags::FLAGGED, ..row(1, "a", RowState::Arriving) };
    assert_eq!(base.rows, [first, row(2, "b", RowState::Settled), row(3, "y", RowState::Kept)]);
    assert_eq!(base.loose, BTreeMap::from([(UniqueName::new("d"), (Loose::Orphan, loose))]));
    let record = MailboxRecord {
        name: inbox(),
        special_use: Some(SpecialUse::Sent),
        directory: Some(directory),
        uid_validity: Some(validity),
        marks: Some(marks),
        absent: false,
        held,
        messages: 3,
    };
    assert_eq!(ledger.mailboxes().await.unwrap().as_slice(), std::slice::from_ref(&record));
    commit(ledger, vec![Entry::Absent(true), Entry::Held(vec![])]).await;
    assert_eq!(ledger.mailboxes().await.unwrap(), [MailboxRecord { absent: true, held: vec![], ..record }]);
}

async fn another_generation_orphans_the_files(ledger: &mut impl sync::Ledger) {
    let validity = |number| UidValidity::new(number).unwrap();
    let kept = row(2, "kept", RowState::Kept);
    commit(
        ledger,
        vec![Entry::Generation(validity(1)), Entry::Pair(row(1, "a", RowState::Settled)), Entry::Pair(kept)],
    )
    .await;
    commit(ledger, vec![Entry::Generation(validity(1))]).await;
    assert_eq!(ledger.base(&inbox()).await.unwrap().rows.len(), 2);
    commit(ledger, vec![Entry::Generation(validity(2))]).await;
    let base = ledger.base(&inbox()).await.unwrap();
    assert_eq!(base.rows, []);
    let orphan = (Loose::Orphan, row(1, "a", RowState::Settled).likeness);
    assert_eq!(base.loose, BTreeMap::from([(UniqueName::new("a"), orphan)]));
}

#[tokio::test]
async fn the_contract_holds() {
    every_entry_does_what_it_says(&mut open().2).await;
    another_generation_orphans_the_files(&mut open().2).await;
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart_and_private() {
    let (_home, path, mut ledger) = open();
    commit(&mut ledger, vec![Entry::Pair(row(1, "a", RowState::Arriving))]).await;
    for file in ["ledger.db", "ledger.db-wal"] {
        assert_eq!(fs::metadata(path.with_file_name(file)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    drop(ledger);
    let mut again = Ledger::open(&path).unwrap();
    assert_eq!(again.base(&inbox()).await.unwrap().rows, [row(1, "a", RowState::Arriving)]);
}

#[tokio::test]
async fn the_base_of_another_owner_is_of_another_generation() {
    let (_home, path, mut ledger) = open();
    assert_eq!(ledger.owner().await.unwrap(), None);
    ledger.claim("alice at mail.test").await.unwrap();
    let validity = UidValidity::new(1).unwrap();
    commit(&mut ledger, vec![Entry::Generation(validity), Entry::Pair(row(1, "a", RowState::Settled))]).await;
    ledger.claim("bob at mail.test").await.unwrap();
    assert_eq!(ledger.mailboxes().await.unwrap()[0].uid_validity, None);
    commit(&mut ledger, vec![Entry::Generation(validity)]).await;
    assert_eq!(ledger.base(&inbox()).await.unwrap().rows, []);
    drop(ledger);
    assert_eq!(Ledger::open(&path).unwrap().owner().await.unwrap().unwrap(), "bob at mail.test");
}

#[tokio::test]
async fn a_commit_that_fails_leaves_nothing() {
    let (_home, path, mut ledger) = open();
    rusqlite::Connection::open(&path).unwrap().execute_batch(
        "CREATE TRIGGER bad BEFORE INSERT ON message WHEN new.uid = 2 BEGIN SELECT raise(ABORT, 'no'); END",
    ).unwrap();
    let entries = [1, 2].map(|number| (inbox(), Entry::Pair(row(number, "a", RowState::Settled))));
    let trouble = ledger.commit(entries.to_vec()).await.unwrap_err();
    assert_eq!(trouble.scope, Scope::Pass);
    assert_eq!(ledger.mailboxes().await.unwrap(), []);
}

#[tokio::test]
async fn a_broken_file_is_moved_aside_and_a_fresh_one_begun() {
    let (_home, path, ledger) = open();
    drop(ledger);
    for number in 1..3 {
        fs::write(&path, "this is no database, whatever its name says".repeat(100)).unwrap();
        let mut ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.mailboxes().await.unwrap(), []);
        assert!(path.with_file_name(format!("ledger.db.broken-{number}")).exists());
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_is_a_broken_file_and_not_an_endless_error() {
    for damage in [
        "UPDATE message SET state = 9",
        "UPDATE message SET name = CAST(x'ff' AS TEXT)",
        "DROP TABLE held",
        "DROP TABLE owner",
    ] {
        let (_home, path, mut ledger) = open();
        commit(&mut ledger, vec![Entry::Pair(row(1, "a", RowState::Settled))]).await;
        drop(ledger);
        rusqlite::Connection::open(&path).unwrap().execute_batch(damage).unwrap();
        let mut ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.mailboxes().await.unwrap(), [], "{damage}");
        assert!(path.with_file_name("ledger.db.broken-1").exists());
    }
}

#[test]
fn a_newer_version_is_refused_and_left_alone() {
    let (_home, path, ledger) = open();
    drop(ledger);
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let error = Ledger::open(&path).unwrap_err();
    assert!(error.to_string().contains("version 99") && error.class() == Class::GiveUp);
    assert!(path.exists());
}

mod pop {
    //! What the ledger keeps of a maildrop.

    use super::*;
    use crate::mail::Uidl;
    use crate::sync::maildrop::{Enrolled, Maildrop, Note};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    const DAY: u64 = 24 * 3600;

    fn id(text: &str) -> Uidl {
        Uidl::new(text.as_bytes(), 0).unwrap()
    }

    fn enrol(uidl: &str, number: u32) -> Note {
        Note::Enrol { uidl: id(uidl), uid: uid(number), size: 10 }
    }

    fn day(number: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(number * DAY)
    }

    async fn due(ledger: &mut Ledger, moment: u64) -> Vec<(u32, bool)> {
        let due = ledger.due(day(moment)).await.unwrap();
        due.iter().map(|due| (due.uid.value(), due.name.is_some())).collect()
    }

    #[tokio::test]
    async fn unique_ids_keep_their_uids_over_a_restart_and_no_uid_is_given_twice() {
        let (_home, path, mut ledger) = open();
        assert_eq!(ledger.maildrop().await.unwrap(), Maildrop { enrolled: vec![], next: uid(1) });
        ledger.note(vec![enrol("a", 1), enrol("b", 2)], day(1)).await.unwrap();
        commit(&mut ledger, vec![Entry::Pair(row(1, "file", RowState::Settled))]).await;
        commit(&mut ledger, vec![Entry::Pair(row(7, "old", RowState::Settled))]).await;
        let notes = vec![Note::Miss(id("b")), Note::Confirm { uidl: id("a"), size: 11 }];
        ledger.note(notes, day(2)).await.unwrap();
        drop(ledger);
        let mut ledger = Ledger::open(&path).unwrap();
        let identity = Some(row(1, "file", RowState::Settled).likeness.identity);
        let enrolled = |uidl, number, size, is_missing, identity| Enrolled {
            uidl: id(uidl),
            uid: uid(number),
            size,
            is_missing,
            identity,
        };
        let known = vec![enrolled("a", 1, 11, false, identity), enrolled("b", 2, 10, true, None)];
        assert_eq!(ledger.maildrop().await.unwrap(), Maildrop { enrolled: known, next: uid(8) });
    }

    #[tokio::test]
    async fn the_unique_ids_of_another_owner_say_nothing() {
        let (_home, _path, mut ledger) = open();
        ledger.claim("alice at mail.test").await.unwrap();
        ledger.note(vec![enrol("a", 1)], day(1)).await.unwrap();
        ledger.claim("bob at mail.test").await.unwrap();
        assert_eq!(ledger.maildrop().await.unwrap().enrolled, []);
    }

    #[tokio::test]
    async fn only_what_is_durable_for_long_enough_is_due() {
        let (_home, _path, mut ledger) = open();
        ledger
            .note((1..=4).map(|number| enrol(&number.to_string(), number)).collect(), day(1))
            .await
            .unwrap();
        let rows = [(1, RowState::Settled), (2, RowState::Kept), (3, RowState::Arriving)];
        let pairs = rows.map(|(number, state)| Entry::Pair(row(number, &number.to_string(), state)));
        commit(&mut ledger, pairs.to_vec()).await;
        assert_eq!(due(&mut ledger, 100).await, [], "nothing was noted durable");
        ledger.note_durable(day(10)).await.unwrap();
        ledger.note_durable(day(20)).await.unwrap();
        assert_eq!(due(&mut ledger, 9).await, []);
        assert_eq!(due(&mut ledger, 10).await, [(1, true), (2, false)]);
        ledger.note(vec![Note::Miss(id("1"))], day(21)).await.unwrap();
        assert_eq!(due(&mut ledger, 30).await, [(2, false)]);
    }

    #[tokio::test]
    async fn a_unique_id_is_forgotten_long_after_both_sides_lost_its_message() {
        let (_home, _path, mut ledger) = open();
        ledger
            .note((1..=3).map(|number| enrol(&number.to_string(), number)).collect(), day(1))
            .await
            .unwrap();
        let rows = [(1, RowState::Settled), (2, RowState::Kept)];
        let pairs = rows.map(|(number, state)| Entry::Pair(row(number, &number.to_string(), state)));
        commit(&mut ledger, pairs.to_vec()).await;
        ledger
            .note((1..=3).map(|number| Note::Miss(id(&number.to_string()))).collect(), day(2))
            .await
            .unwrap();
        ledger.note_durable(day(91)).await.unwrap();
        assert_eq!(ledger.maildrop().await.unwrap().enrolled.len(), 3);
        ledger.note_durable(day(93)).await.unwrap();
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
        old.execute_batch("DROP TABLE uidl; PRAGMA user_version = 1").unwrap();
        drop(old);
        let mut ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.base(&inbox()).await.unwrap().rows, [row(1, "a", RowState::Settled)]);
        assert_eq!(ledger.maildrop().await.unwrap().next, uid(2));
    }
}
