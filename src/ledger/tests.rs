//! The ledger on real files; the functions generic over [`sync::Ledger`] are the contract of any ledger.

use super::*;
use crate::keeping::Side;
use crate::mail::{Flags, Identity, ModSeq, SpecialUse, Uid, UidSet, UidValidity, UniqueName};
use crate::sync::{DirectoryId, Held, Ledger as _, Likeness, Loose, Marks, Row, RowState};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

mod pop;

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

async fn a_new_generation_orphans_the_files(ledger: &mut impl sync::Ledger, next: u32) {
    let validity = |number| UidValidity::new(number).unwrap();
    let kept = row(2, "kept", RowState::Kept);
    commit(
        ledger,
        vec![Entry::Generation(validity(1)), Entry::Pair(row(1, "a", RowState::Settled)), Entry::Pair(kept)],
    )
    .await;
    commit(ledger, vec![Entry::Generation(validity(next))]).await;
    let base = ledger.base(&inbox()).await.unwrap();
    assert_eq!(base.rows, []);
    let orphan = (Loose::Orphan, row(1, "a", RowState::Settled).likeness);
    assert_eq!(base.loose, BTreeMap::from([(UniqueName::new("a"), orphan)]));
}

#[tokio::test]
async fn the_contract_holds() {
    every_entry_does_what_it_says(&mut open().2).await;
    a_new_generation_orphans_the_files(&mut open().2, 2).await;
    a_new_generation_orphans_the_files(&mut open().2, 1).await;
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

#[tokio::test]
async fn a_defect_is_the_callers_and_leaves_nothing_half_done() {
    let (_home, path, ledger) = open();
    let defect = tokio::spawn(async move {
        let work = |connection: &mut Connection| -> Result<(), Error> {
            let transaction = connection.transaction().unwrap();
            transaction.execute("INSERT INTO owner (id, name) VALUES (1, 'somebody else')", []).unwrap();
            panic!("planted")
        };
        ledger.run(work).await
    });
    let panic = defect.await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"planted"));
    assert_eq!(Ledger::open(&path).unwrap().owner().await.unwrap(), None);
}
