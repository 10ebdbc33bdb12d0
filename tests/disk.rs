//! A full disk, and a Maildir that is missing, foreign, open to others or a symlink: clear words, and nothing lost.
//!
//! The full disk is a tmpfs of 2 MiB, mounted by root or in a namespace; where neither may, those tests say so.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::filler;
use support::process::{Account, Home};
use support::sides::{self, Dates};
use support::skip::skip;
use support::{Host, message, wait};

/// Larger than what the tests bring, smaller than what they bring to make it full.
const OPTIONS: &str = "size=2m,mode=0700";

/// Set for a test that runs in a namespace of its own: where its disk is mounted.
const MOUNTED: &str = "POSTHASTE_TEST_DISK";
/// `sh -c … sh DISK UID GID PROGRAM…`: mounts as the root of a namespace, then is the user again, with the mount kept.
const IN_A_NAMESPACE: &str = "mount -t tmpfs -o \"$OPTIONS\" tmpfs \"$1\"; user=$2 group=$3; shift 3; \
                              exec unshare --user --map-user=\"$user\" --map-group=\"$group\" \"$@\"";

/// A small disk, mounted on a directory of its own; unmounted with this value.
struct Disk(PathBuf);

/// Runs `test` with a small disk. Root mounts it; for anybody else the test called `name` is run again in a namespace in
/// which it is mounted. Where that is refused too nothing is shown, and that is told.
fn on_a_small_disk(name: &str, test: impl FnOnce(&Disk)) {
    if let Some(at) = std::env::var_os(MOUNTED) {
        return test(&Disk(at.into()));
    }
    let directory = tempfile::Builder::new().prefix("posthaste-disk-").tempdir().unwrap();
    let at = directory.path();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", OPTIONS, "tmpfs"]).arg(at).output().unwrap();
    if mounted.status.success() {
        return test(&Disk(at.to_owned()));
    }
    let tried = namespace(at, &["true"]);
    if !tried.status.success() {
        let why = [mounted.stderr, tried.stderr].concat();
        let why = String::from_utf8_lossy(&why).into_owned();
        skip(&format!("{name} shows nothing here, no disk can be mounted: {why}"));
        return;
    }
    let program = std::env::current_exe().unwrap();
    let output = namespace(at, &[program.to_str().unwrap(), "--exact", name, "--nocapture"]);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && text.contains("1 passed"), "in a namespace: {text}");
}

/// Runs a program where a small disk is mounted on `at`.
fn namespace(at: &Path, program: &[&str]) -> Output {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-ec", IN_A_NAMESPACE, "sh"]).arg(at);
    command.args([user.to_string(), group.to_string()]).args(program);
    command.env("OPTIONS", OPTIONS).env(MOUNTED, at).output().expect("unshare can be run")
}

impl Disk {
    /// What is written below `at` goes to this disk from now on.
    fn stand_at(&self, at: &Path) {
        fs::create_dir_all(at).unwrap();
        fs::remove_dir_all(at).unwrap();
        symlink(&self.0, at).unwrap();
    }

    /// Fills it to the last byte but `spare`.
    fn fill(&self, spare: usize) {
        let path = self.0.join(".filler");
        let mut file = fs::File::create(&path).unwrap();
        let full = std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        let length = file.metadata().unwrap().len();
        file.set_len(length - spare as u64).unwrap();
    }

    /// The user makes room.
    fn free(&self) {
        fs::remove_file(self.0.join(".filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The end of a namespace is the end of its mounts.
        if std::env::var_os(MOUNTED).is_none() {
            let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }
}

fn home(host: &Host) -> Home {
    let home = Home::new(env!("CARGO_BIN_EXE_posthaste"));
    home.configure(&[Account::of(host, "alice")]);
    home.login("alice", &host.tokens.refresh_token("alice"));
    home
}

fn fill_server(host: &Host, count: usize) {
    let mut client = host.imap("alice");
    filler::fill(&mut client, "INBOX", filler::plain(count, 3_000));
}

/// A command that fails with words that contain each of these.
fn assert_refused(output: &Output, words: &[&str]) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(!output.status.success(), "it succeeded: {text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[test]
fn a_full_maildir_disk_is_told_and_loses_nothing_and_fetching_goes_on_when_there_is_room() {
    on_a_small_disk(
        "a_full_maildir_disk_is_told_and_loses_nothing_and_fetching_goes_on_when_there_is_room",
        full_maildir,
    );
}

fn full_maildir(disk: &Disk) {
    let host = Host::start();
    fill_server(&host, 20);
    let home = home(&host);
    disk.stand_at(&home.maildir_path("alice"));
    home.ok(&["sync"]);
    fill_server(&host, 100);
    let server = sides::remote(&host, "alice", Dates::Compare);
    disk.fill(100_000);

    let mut daemon = home.spawn();
    daemon.wait_notified("READY=1");
    let account = home.wait_state("alice", "waiting");
    assert!(account["hint"].as_str().unwrap().contains("full"), "{account}");
    assert!(account["error"].as_str().unwrap().contains("No space left"), "{account}");
    assert_refused(&home.run(&["sync"]), &["No space left", "full"]);
    let local = sides::local(&home.maildir("alice"), Dates::Compare);
    assert!(local["INBOX"].len() >= 20 && local["INBOX"].len() < 120);
    let whole = |item: &sides::Item| server["INBOX"].contains(item);
    assert!(local["INBOX"].iter().all(whole), "a message is not whole");
    assert_eq!(leftovers(&home), 0, "a full disk must not be filled with pieces");
    assert!(sides::remote(&host, "alice", Dates::Compare) == server, "the server's side changed");

    disk.free();
    home.ok(&["sync"]);
    sides::assert_equal(&host, "alice", &home.maildir("alice"), Dates::Compare);
    assert!(sides::remote(&host, "alice", Dates::Compare) == server, "the server's side changed");
    home.wait_state("alice", "watching");
}

/// Files in the `tmp` of INBOX.
fn leftovers(home: &Home) -> usize {
    fs::read_dir(home.maildir_path("alice").join("INBOX/tmp")).unwrap().count()
}

#[test]
fn a_full_state_disk_is_told_and_deletes_nothing_and_the_outbox_keeps_its_file() {
    on_a_small_disk(
        "a_full_state_disk_is_told_and_deletes_nothing_and_the_outbox_keeps_its_file",
        full_state,
    );
}

fn full_state(disk: &Disk) {
    let host = Host::start();
    fill_server(&host, 20);
    let home = home(&host);
    let token = fs::read(home.state("alice").join("token.json")).unwrap();
    disk.stand_at(&home.dir().join("state"));
    fs::create_dir_all(home.state("alice")).unwrap();
    fs::write(home.state("alice").join("token.json"), token).unwrap();
    fs::set_permissions(home.state("alice").join("token.json"), fs::Permissions::from_mode(0o600)).unwrap();
    home.ok(&["sync"]);
    let daemon = home.start();
    home.wait_state("alice", "watching");
    disk.fill(0);

    let letter = message("letter");
    home.send("alice", "letter", &letter);
    let account = wait::until_some(wait::PATIENCE, "the status to tell of the outbox", || {
        let account = home.status()["accounts"][0].clone();
        account["error"].as_str()?.contains("queue").then_some(account)
    });
    assert!(account["error"].as_str().unwrap().contains("No space left"), "{account}");
    assert!(account["hint"].as_str().unwrap().contains("full"), "{account}");
    filler::fill(&mut host.imap("alice"), "INBOX", filler::plain(2_000, 150));
    let server = sides::remote(&host, "alice", Dates::Compare);
    assert_refused(&home.run(&["sync"]), &["ledger", "full"]);
    assert_eq!(fs::read(home.outbox("alice").join("letter")).unwrap(), letter, "the original is touched");
    assert!(host.sink.received().is_empty(), "sent without a record");
    assert!(sides::remote(&host, "alice", Dates::Compare) == server, "the server's side changed");
    assert!(sides::local(&home.maildir("alice"), Dates::Ignore)["INBOX"].len() >= 20);

    disk.free();
    host.sink.wait_for(1);
    home.wait_state("alice", "watching");
    wait::until(wait::PATIENCE, "the outbox to be empty", || !home.outbox("alice").join("letter").exists());
    home.ok(&["sync"]);
    sides::wait_equal(&host, "alice", &home.maildir("alice"), wait::PATIENCE);
    assert_eq!(host.sink.received().len(), 1);
    daemon.kill();
}

#[test]
fn a_maildir_that_is_not_there_any_more_deletes_nothing() {
    let host = Host::start();
    fill_server(&host, 30);
    let home = home(&host);
    home.ok(&["sync"]);
    let server = sides::remote(&host, "alice", Dates::Compare);
    let (maildir, aside) = (home.maildir_path("alice"), home.dir().join("aside"));
    fs::rename(&maildir, &aside).unwrap();
    for _ in 0..3 {
        assert_refused(&home.run(&["sync"]), &["INBOX", "missing or was replaced"]);
    }
    assert!(sides::remote(&host, "alice", Dates::Compare) == server, "the server's side changed");
    let _ = fs::remove_dir_all(&maildir);
    fs::rename(&aside, &maildir).unwrap();
    assert!(home.ok(&["sync"]).contains("in step"));
    sides::assert_equal(&host, "alice", &home.maildir("alice"), Dates::Compare);
}

#[test]
fn a_sent_copy_waits_while_the_maildir_is_away_and_makes_no_other() {
    sent_waits(|_| {}, "cannot open the Maildir root");
}

#[test]
fn a_sent_copy_waits_where_the_disk_is_not_mounted() {
    let replace = |maildir: &Path| fs::DirBuilder::new().mode(0o700).create(maildir).unwrap();
    sent_waits(replace, "missing or was replaced");
}

/// Sends a message while the Maildir is away and `replace` stands for it; its copy comes when the Maildir is back.
fn sent_waits(replace: impl FnOnce(&Path), told: &str) {
    let host = Host::start();
    fill_server(&host, 3);
    let home = home(&host);
    let daemon = home.start();
    home.wait_state("alice", "watching");
    let (maildir, aside) = (home.maildir_path("alice"), home.dir().join("aside"));
    assert!(maildir.join("Sent").is_dir());
    fs::rename(&maildir, &aside).unwrap();
    replace(&maildir);
    let there = maildir.exists();

    home.send("alice", "letter", &message("letter"));
    host.sink.wait_for(1);
    let words = "directory of mailbox Sent is missing or was replaced";
    wait::until(wait::PATIENCE, words, || daemon.stderr().contains(words));
    let error = || home.status()["accounts"][0]["error"].as_str().map(str::to_owned);
    wait::until(wait::PATIENCE, told, || error().is_some_and(|error| error.contains(told)));
    assert_eq!(maildir.exists(), there, "the Maildir is made again");
    assert!(!maildir.join("Sent").exists(), "Sent is made again");

    let _ = fs::remove_dir(&maildir);
    fs::rename(&aside, &maildir).unwrap();
    home.ok(&["sync"]);
    wait::until(wait::PATIENCE, "the copy in Sent", || home.maildir("alice").count("Sent") == 1);
    sides::wait_equal(&host, "alice", &home.maildir("alice"), wait::PATIENCE);
    wait::until(wait::PATIENCE, "the error to go", || error().is_none());
    assert_eq!(host.sink.received().len(), 1);
    daemon.kill();
}

#[test]
fn a_maildir_of_another_or_open_to_others_is_refused_and_left_alone() {
    let host = Host::start();
    fill_server(&host, 5);
    let home = home(&host);
    home.ok(&["sync"]);
    let server = sides::remote(&host, "alice", Dates::Compare);
    let root = home.maildir_path("alice");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o777)).unwrap();
    assert_refused(&home.run(&["sync"]), &["writable for others", "chmod go-w"]);
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&root, Some(65_534), None).unwrap();
        assert_refused(&home.run(&["sync"]), &["belongs to another user", "chown"]);
        std::os::unix::fs::chown(&root, Some(0), None).unwrap();
    } else {
        skip("only root can give a directory away");
    }
    assert!(sides::remote(&host, "alice", Dates::Compare) == server, "the server's side changed");
    assert!(home.ok(&["sync"]).contains("in step"));
}

#[test]
fn a_symlink_may_lead_to_the_maildir_but_not_out_of_it() {
    let host = Host::start();
    fill_server(&host, 5);
    let home = home(&host);
    let (root, elsewhere) = (home.maildir_path("alice"), home.dir().join("elsewhere"));
    fs::create_dir(&elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir_all(root.parent().unwrap()).unwrap();
    symlink(&elsewhere, &root).unwrap();
    home.ok(&["sync"]);
    sides::assert_equal(&host, "alice", &home.maildir("alice"), Dates::Compare);

    let server = sides::remote(&host, "alice", Dates::Compare);
    let (inbox, outside) = (elsewhere.join("INBOX"), home.dir().join("outside"));
    fs::rename(&inbox, &outside).unwrap();
    symlink(&outside, &inbox).unwrap();
    fill_server(&host, 5);
    assert_refused(&home.run(&["sync"]), &["INBOX"]);
    assert_eq!(
        fs::read_dir(outside.join("new")).unwrap().count()
            + fs::read_dir(outside.join("cur")).unwrap().count(),
        5
    );
    fs::remove_file(&inbox).unwrap();
    fs::rename(&outside, &inbox).unwrap();
    home.ok(&["sync"]);
    sides::assert_equal(&host, "alice", &home.maildir("alice"), Dates::Compare);
    assert_eq!(sides::remote(&host, "alice", Dates::Compare)["INBOX"].len(), server["INBOX"].len() + 5);
}
