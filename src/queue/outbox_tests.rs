//! Which files of the outbox are complete.

use super::*;
use crate::error::Classified;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

fn later(time: Timestamp, milliseconds: i64) -> Timestamp {
    time + SignedDuration::from_millis(milliseconds)
}

/// When the file last changed in any way.
fn changed_at(path: &Path) -> Timestamp {
    let metadata = fs::metadata(path).unwrap();
    timestamp((metadata.ctime(), metadata.ctime_nsec())).unwrap()
}

fn names(scan: &Scan) -> Vec<String> {
    let name = |file: &OutboxFile| file.path.file_name().unwrap().to_string_lossy().into_owned();
    let mut names: Vec<String> = scan.ready.iter().map(name).collect();
    names.sort();
    names
}

#[test]
fn only_finished_regular_files_are_taken() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    for name in [
        "a.eml",
        ".hidden",
        "a.eml~",
        "b.tmp",
        "c.part",
        "#d#",
        "failed/x",
        "drafts/x",
        "new/1",
        "cur/2:2,S",
        "tmp/3",
    ] {
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        fs::write(at(name), "To: a@x\n").unwrap();
    }
    fs::write(at("empty"), "").unwrap();
    symlink(at("a.eml"), at("link")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    let mut outbox = Outbox::new(root.path());
    let now = later(Timestamp::now(), 10_000);
    outbox.scan(now, &BTreeSet::new()).unwrap();
    let scan = outbox.scan(later(now, 60_000), &BTreeSet::new()).unwrap();
    assert_eq!(names(&scan), ["1", "2:2,S", "a.eml"]);
    let passed_over: Vec<_> = scan.passed_over.into_iter().collect();
    assert_eq!(
        passed_over,
        [
            (at("drafts"), "is a directory"),
            (at("empty"), "is empty"),
            (at("link"), "is a symbolic link"),
            (at("socket"), "is no regular file")
        ]
    );
}

#[test]
fn nothing_is_taken_from_where_others_can_put_files() {
    let root = tempfile::tempdir().unwrap();
    let new = root.path().join("new");
    fs::create_dir(&new).unwrap();
    fs::write(new.join("1"), "To: a@x\n").unwrap();
    let (mut outbox, none) = (Outbox::new(root.path()), BTreeSet::new());
    let now = later(Timestamp::now(), 10_000);
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for directory in [root.path(), new.as_path()] {
        open(directory, 0o777);
        let error = outbox.scan(now, &none).unwrap_err();
        let told = format!("refusing the outbox {}: it is writable for others", directory.display());
        assert_eq!(error.to_string(), told);
        assert!(error.hint().unwrap().contains(&format!("chmod go-w {}", directory.display())));
        open(directory, 0o755);
    }
    assert_eq!(names(&outbox.scan(now, &none).unwrap()), ["1"]);
}

#[test]
fn an_empty_file_is_passed_over_only_when_nobody_writes_it() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a");
    fs::write(&path, "").unwrap();
    let (mut outbox, none) = (Outbox::new(root.path()), BTreeSet::new());
    let now = changed_at(&path);
    let first = outbox.scan(now, &none).unwrap();
    assert_eq!((first.passed_over.len(), first.again_at), (0, Some(later(now, 60_000))));
    let second = outbox.scan(later(now, 60_000), &none).unwrap();
    assert_eq!((second.passed_over.len(), second.again_at), (1, None));
    fs::write(&path, "To: a@x").unwrap();
    let now = changed_at(&path);
    assert_eq!(names(&outbox.scan(later(now, 60_000), &none).unwrap()), ["a"]);
}

#[test]
fn a_file_nobody_saw_closed_must_be_left_alone_for_a_minute() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a");
    let mut writer = fs::File::create(&path).unwrap();
    let (mut outbox, none) = (Outbox::new(root.path()), BTreeSet::new());
    writer.write_all(b"To: a@x\n\nfirst line\n").unwrap();
    let now = changed_at(&path);
    let first = outbox.scan(now, &none).unwrap();
    assert_eq!((first.ready.len(), first.again_at), (0, Some(later(now, 60_000))));
    assert_eq!(outbox.scan(later(now, 59_999), &none).unwrap().ready, [], "its writer has it open");
    writer.write_all(b"last line\n").unwrap();
    let now = changed_at(&path);
    assert_eq!(outbox.scan(later(now, 59_999), &none).unwrap().ready, [], "it grew");
    let closed = BTreeSet::from([path.clone()]);
    assert_eq!(names(&outbox.scan(later(now, 250), &closed).unwrap()), ["a"], "its writer closed it");
    assert_eq!(names(&Outbox::new(root.path()).scan(later(now, 60_000), &none).unwrap()), ["a"]);
}

#[test]
fn an_old_file_waits_for_its_last_change_of_any_kind() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a");
    fs::write(&path, "To: a@x\n").unwrap();
    let now = changed_at(&path);
    let old = std::time::SystemTime::UNIX_EPOCH;
    fs::File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
    let (mut outbox, none) = (Outbox::new(root.path()), BTreeSet::new());
    assert_eq!(outbox.scan(later(now, 1000), &none).unwrap().ready, [], "just copied with its old time");
    fs::hard_link(&path, root.path().join(".elsewhere")).unwrap();
    assert_eq!(names(&outbox.scan(later(now, 1000), &none).unwrap()), ["a"], "a hard link is whole");
}

#[test]
fn a_closed_file_is_taken_as_soon_as_it_is_quiet() {
    let identity = FileIdentity { device: 1, inode: 2, size: 3, modified: (1000, 0) };
    let sight = |identity| Sight { identity, changed: None, is_delivered: false };
    let at = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
    let seen = sighted(None, sight(identity), true, at(1_000_100));
    assert_eq!(complete_at(&seen, at(1_000_100)), at(1_000_250));
    let known = sighted(Some(&seen), sight(identity), false, at(1_000_250));
    assert!(known.closed, "a hint is remembered");
    let grown = FileIdentity { size: 4, ..identity };
    assert!(
        !sighted(Some(&seen), sight(grown), false, at(1_000_250)).closed,
        "and forgotten when it is written again"
    );
    let renamed = sighted(None, sight(identity), true, at(5_000_000));
    assert!(complete_at(&renamed, at(5_000_000)) <= at(5_000_000), "an old file renamed in is taken at once");
    let future = sighted(None, sight(FileIdentity { modified: (9_000, 0), ..identity }), true, at(1_000_000));
    assert_eq!(complete_at(&future, at(1_000_000)), at(1_000_250));
}
