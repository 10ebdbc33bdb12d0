//! The durability law of `docs/architecture.md`, read off the system calls of the running program: what is pushed to
//! disk before what is published, recorded, forgotten or sent. No crash of a process shows it, because the kernel keeps
//! what was written; only a machine that stops would.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use support::filler;
use support::process::{Account, Home};
use support::strace::{Call, Strace, Trace};
use support::wait::{PATIENCE, until};
use support::{Host, message};

/// More than enough for a batch that is pushed as a whole, however its arrival is cut.
const MANY: usize = 200;

/// Alice's home, without TLS, so that the trace shows what is said.
fn home(strace: &Strace, host: &Host) -> Home {
    let home = Home::new(strace.program());
    let (imap, smtp) = ((host.dovecot.ports.imap, "none"), (host.dovecot.ports.submission, "none"));
    home.configure(&[Account { imap, smtp, ..Account::of(host, "alice") }]);
    home.login("alice", &host.tokens.refresh_token("alice"));
    home
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap()
}

/// A file is pushed to disk with all that was written to it, then gets its final name, then its directory is pushed:
/// the last of these steps.
fn published<'a>(trace: &'a Trace, rename: &'a Call) -> &'a Call {
    let [from, to] = &rename.paths()[..] else { unreachable!("a rename has two names") };
    let written = trace.before(rename, "content", |call| call.writes(from));
    trace.between(written, rename, "sync of the content", |call| call.syncs(from));
    trace.after(rename, "sync of the directory", |call| call.syncs(to.parent().unwrap()))
}

/// What the law says of every message that arrived in `mailbox`.
fn assert_arrived(trace: &Trace, home: &Home, mailbox: &Path, count: usize) {
    let (ledger, tmp) = (real(&home.state("alice")).join("ledger.db-wal"), mailbox.join("tmp"));
    let arrives = |call: &Call| call.paths().first().is_some_and(|from| from.parent() == Some(&tmp));
    let renames = trace.all(|call| call.renames() && arrives(call));
    assert_eq!(renames.len(), count);
    for rename in renames {
        let [from, to] = &rename.paths()[..] else { unreachable!("a rename has two names") };
        let name = from.file_name().unwrap().to_str().unwrap();
        let written = trace.before(rename, "content", |call| call.writes(from));
        let pushed = |path: &Path, call: &Call| call.syncs(path) || call.syncs_all_of(mailbox);
        let content = trace.between(written, rename, "sync of the content", |call| pushed(from, call));
        let entry = trace.between(written, rename, "sync of tmp", |call| pushed(&tmp, call));
        let told = |call: &Call| call.writes(&ledger) && call.contains(name);
        let arriving = trace.between(content, rename, "arriving row", told);
        trace.between(entry, rename, "arriving row after the entry", told);
        trace.between(arriving, rename, "sync of the arriving row", |call| call.syncs(&ledger));
        let place = to.parent().unwrap();
        let visible = trace.after(rename, "sync of the directory", |call| call.syncs(place));
        let settled = trace.after(rename, "settled row", told);
        assert!(visible.precedes(settled), "settled before it is durable\n{visible}\n{settled}");
        trace.after(settled, "sync of the settled row", |call| call.syncs(&ledger));
    }
}

/// Every directory that was made for state, mail or outbox is durable in the one above it.
fn assert_directories(trace: &Trace, home: &Home) {
    let all = trace.all(Call::makes_directory);
    assert!(!all.is_empty(), "no directory was made");
    for made in all {
        let path = &made.paths()[0];
        if path.starts_with(home.dir().join("run")) {
            continue;
        }
        trace.after(made, "sync of the directory above", |call| call.syncs(path.parent().unwrap()));
    }
}

#[test]
fn a_few_messages_are_on_disk_one_by_one_before_they_are_visible() {
    let Some(strace) = Strace::of(env!("CARGO_BIN_EXE_posthaste")) else { return };
    let host = Host::start();
    let home = home(&strace, &host);
    filler::fill(&mut host.imap("alice"), "INBOX", filler::plain(5, 500));
    home.ok(&["sync"]);
    let trace = strace.trace("sync");
    assert_arrived(&trace, &home, &real(&home.maildir_path("alice")).join("INBOX"), 5);
    assert_directories(&trace, &home);
}

#[test]
fn many_messages_are_on_disk_together_before_they_are_visible() {
    let Some(strace) = Strace::of(env!("CARGO_BIN_EXE_posthaste")) else { return };
    // A file system on which posthaste trusts the one call, whatever the temporary directory is on.
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let host = Host::start();
    let home = home(&strace, &host);
    fs::create_dir_all(home.dir().join("mail")).unwrap();
    symlink(memory.path(), home.maildir_path("alice")).unwrap();
    filler::fill(&mut host.imap("alice"), "INBOX", filler::plain(MANY, 500));
    home.ok(&["sync"]);
    let (trace, mailbox) = (strace.trace("sync"), real(memory.path()).join("INBOX"));
    assert!(!trace.all(|call| call.syncs_all_of(&mailbox)).is_empty(), "no batch was pushed as a whole");
    assert_arrived(&trace, &home, &mailbox, MANY);
}

#[test]
fn a_rotated_token_is_on_disk_before_its_access_token_is_used() {
    let Some(strace) = Strace::of(env!("CARGO_BIN_EXE_posthaste")) else { return };
    let host = Host::start();
    let home = home(&strace, &host);
    home.ok(&["sync"]);
    let trace = strace.trace("sync");
    let token = real(&home.state("alice")).join("token.json");
    let renames = trace.all(|call| call.publishes(&token));
    assert_eq!(renames.len(), 1, "the token was rotated once");
    let durable = published(&trace, renames[0]);
    let port = host.dovecot.ports.imap;
    let uses = trace.all(|call| call.sends_to(port) && call.contains("AUTHENTICATE OAUTHBEARER"));
    assert!(!uses.is_empty(), "the access token was used");
    for used in uses {
        assert!(durable.precedes(used), "used before it is durable\n{durable}\n{used}");
    }
}

#[test]
fn a_login_is_on_disk_when_it_is_told_to_be() {
    let Some(strace) = Strace::of(env!("CARGO_BIN_EXE_posthaste")) else { return };
    let host = Host::start();
    let home = home(&strace, &host);
    let trace = strace.trace("login");
    let token = real(&home.state("alice")).join("token.json");
    let renames = trace.all(|call| call.publishes(&token));
    assert!(!renames.is_empty(), "the token was saved");
    for rename in renames {
        published(&trace, rename);
    }
    assert_directories(&trace, &home);
}

#[test]
fn a_submission_is_on_disk_before_its_original_goes_and_before_the_dot_leaves() {
    let Some(strace) = Strace::of(env!("CARGO_BIN_EXE_posthaste")) else { return };
    let host = Host::start();
    let home = home(&strace, &host);
    let daemon = home.start();
    home.wait_state("alice", "watching");
    home.send("alice", "letter", &message("letter"));
    let queue = home.state("alice").join("queue");
    host.sink.wait_for(1);
    until(PATIENCE, "the queue to be empty", || fs::read_dir(&queue).unwrap().count() == 0);
    let original = real(&home.outbox("alice")).join("letter");
    daemon.stop();

    let (trace, queue, maildir) = (strace.trace("run"), real(&queue), real(&home.maildir_path("alice")));
    let (message, queued) = (renames_into(&trace, &queue, "eml")[0], recorded(&trace, &queue, "queued"));
    let message = published(&trace, message);
    let gone = trace.all(|call| call.removes(&original))[0];
    assert!(message.precedes(gone) && queued.precedes(gone), "removed before it is durable\n{gone}");
    let taken = trace.after(gone, "sync of the outbox", |call| call.syncs(original.parent().unwrap()));

    let port = host.dovecot.ports.submission;
    let says = |what: &str| trace.all(|call| call.sends_to(port) && call.contains(what))[0];
    let (mail, dot) = (says("MAIL FROM:"), says("\".\\r\\n\""));
    let sending = recorded(&trace, &queue, "sending");
    assert!(taken.precedes(mail) && sending.precedes(mail), "begun before it is recorded\n{mail}");
    let dot_sent = recorded(&trace, &queue, "dot-sent");
    assert!(mail.precedes(dot) && dot_sent.precedes(dot), "the dot left before it is recorded\n{dot}");

    let copy = published(&trace, renames_into(&trace, &maildir.join("Sent/cur"), "sent:2,S")[0]);
    let sent = recorded(&trace, &queue, "sent");
    let of_queue = |path: &PathBuf| path.parent() == Some(&queue);
    let done = trace.all(|call| call.removes_name() && call.paths().first().is_some_and(of_queue));
    assert!(copy.precedes(done[0]) && sent.precedes(done[0]), "forgotten before it is filed\n{}", done[0]);
    for gone in done {
        trace.after(gone, "sync of the queue", |call| call.syncs(&queue));
    }
    assert_directories(&trace, &home);
}

/// The renames of files with this extension into a directory.
fn renames_into<'a>(trace: &'a Trace, directory: &Path, extension: &str) -> Vec<&'a Call> {
    let is_it = |to: &PathBuf| {
        to.parent() == Some(directory) && to.extension().is_some_and(|found| found == extension)
    };
    trace.all(|call| call.renames() && call.paths().last().is_some_and(is_it))
}

/// The step that makes the one record of this state durable.
fn recorded<'a>(trace: &'a Trace, queue: &Path, state: &str) -> &'a Call {
    let text = format!("\\\"state\\\": \\\"{state}\\\"");
    let tells = |rename: &&Call| {
        let content = trace.before(rename, "content", |call| call.writes(&rename.paths()[0]));
        content.contains(&text)
    };
    let mut records = renames_into(trace, queue, "json");
    records.retain(tells);
    assert_eq!(records.len(), 1, "records of {state}");
    published(trace, records[0])
}
