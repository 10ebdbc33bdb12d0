//! The outbox against its enemies: other users of the machine, a server that breaks off at a message each time or thinks
//! over one for long, a configuration that forgets what is queued.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use support::Host;
use support::process::{Account, Daemon, Home};
use support::sink::{Sink, Stage, Step};
use support::wait::{PATIENCE, until};

fn watching(host: &Host, account: Account) -> (Home, Daemon) {
    let home = Home::new(env!("CARGO_BIN_EXE_posthaste"));
    host.furnish("alice");
    home.configure(&[account]);
    home.login("alice", &host.tokens.refresh_token("alice"));
    let daemon = home.start();
    home.wait_state("alice", "watching");
    (home, daemon)
}

fn draft(subject: &str) -> Vec<u8> {
    format!("From: alice@mail.test\nTo: bob@mail.test\nSubject: {subject}\n\nHello.\n").into_bytes()
}

fn account(home: &Home) -> Value {
    home.status()["accounts"][0].clone()
}

fn wait_error(home: &Home, words: &str) -> Value {
    until(PATIENCE, words, || account(home)["error"].as_str().is_some_and(|error| error.contains(words)));
    account(home)
}

fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn an_outbox_that_others_can_write_to_sends_nothing_until_it_is_closed() {
    let host = Host::start();
    let (home, _daemon) = watching(&host, Account::of(&host, "alice"));
    let outbox = home.outbox("alice");
    open(&outbox, 0o777);
    home.send("alice", "planted", &draft("in the name of alice"));
    let told = wait_error(&home, "submission: refusing the outbox");
    assert!(told["error"].as_str().unwrap().ends_with("it is writable for others"), "{told}");
    assert!(told["hint"].as_str().unwrap().contains("chmod go-w"), "{told}");
    assert!(outbox.join("planted").exists() && host.sink.received().is_empty());
    fs::remove_file(outbox.join("planted")).unwrap();
    open(&outbox, 0o755);
    home.send("alice", "mine", &draft("mine"));
    let sent = host.sink.wait_for(1);
    assert!(String::from_utf8_lossy(&sent[0].message).contains("Subject: mine"));
    until(PATIENCE, "all to be well", || account(&home)["error"].is_null());
}

/// Makes a queued message six days old, with many broken connections behind it.
fn let_days_pass(queue: &Path) {
    let records = fs::read_dir(queue).unwrap().flatten().map(|entry| entry.path());
    let path = records.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "json")).unwrap();
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert!(record["breaks"].as_u64().unwrap() > 0, "{record}");
    record["breaks"] = 1000.into();
    record["accepted"] =
        (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(6 * 24)).to_string().into();
    fs::write(&path, record.to_string()).unwrap();
}

#[test]
fn a_message_at_which_the_server_hangs_up_each_time_fails_after_five_days() {
    let host = Host::start();
    let sink = Sink::submission(&host.authority, |_, _| true);
    sink.script(Stage::Recipient, Step::Close, usize::MAX);
    let (home, daemon) =
        watching(&host, Account { smtp: (sink.port(), "implicit"), ..Account::of(&host, "alice") });
    home.send("alice", "draft", &draft("hopeless"));
    wait_error(&home, "lost at RCPT TO");
    assert_eq!(account(&home)["outbox"]["queued"], 1);
    assert!(daemon.stop().0.success());
    let_days_pass(&home.state("alice").join("queue"));
    let _daemon = home.start();
    until(PATIENCE, "the message to fail", || account(&home)["outbox"]["failed"] == 1);
    let words = fs::read_to_string(home.outbox("alice").join("failed/draft.txt")).unwrap();
    assert!(
        words.contains("given up after 1001 connections") && words.contains("lost at RCPT TO"),
        "{words}"
    );
    home.wait_state("alice", "watching");
    until(PATIENCE, "all to be well", || account(&home)["error"].is_null());
    assert!(sink.received().is_empty());
}

/// A daemon that waits for the answer to a message, which comes after `time`.
fn amid_a_dot(time: Duration) -> (Host, Sink, Home, Daemon) {
    let host = Host::start();
    let sink = Sink::submission(&host.authority, |_, _| true);
    sink.script(Stage::Dot, Step::Delay(time), 1);
    let (home, daemon) =
        watching(&host, Account { smtp: (sink.port(), "implicit"), ..Account::of(&host, "alice") });
    home.send("alice", "draft", &draft("slow"));
    let queue = home.state("alice").join("queue");
    let says = |path: &Path| fs::read_to_string(path).is_ok_and(|record| record.contains("dot-sent"));
    until(PATIENCE, "the dot to be on its way", || {
        let entries = fs::read_dir(&queue).unwrap().flatten();
        entries.filter(|entry| entry.file_type().unwrap().is_file()).any(|entry| says(&entry.path()))
    });
    (host, sink, home, daemon)
}

fn uncertain_after(home: &Home, sink: &Sink) -> Value {
    let _daemon = home.start();
    home.wait_state("alice", "watching");
    let outbox = account(home)["outbox"].clone();
    assert_eq!(outbox["queued"], 0, "{outbox}");
    assert_eq!(sink.commands().iter().filter(|line| *line == "DATA").count(), 1);
    outbox["uncertain"].clone()
}

#[test]
fn a_stop_waits_for_the_answer_to_a_message_that_is_out() {
    // Longer than any other stop may take.
    let (_host, sink, home, daemon) = amid_a_dot(Duration::from_secs(5));
    let (status, _time) = daemon.stop();
    assert!(status.success(), "{status}");
    assert_eq!(uncertain_after(&home, &sink), 0);
}

#[test]
fn a_second_signal_does_not_wait_for_an_answer_and_nothing_is_sent_twice() {
    let (_host, sink, home, mut daemon) = amid_a_dot(Duration::from_secs(8));
    daemon.signal(Signal::TERM);
    daemon.wait_notified("STOPPING=1");
    daemon.signal(Signal::TERM);
    let status = daemon.ends_within(Duration::from_secs(3));
    assert_eq!(status.and_then(|status| status.code()), Some(143));
    assert_eq!(uncertain_after(&home, &sink), 1);
}

#[test]
fn queued_mail_of_an_account_that_sends_no_more_is_told_until_it_does() {
    let host = Host::start();
    let sink = Sink::submission(&host.authority, |_, _| true);
    sink.script(Stage::Recipient, Step::Reply("450 later"), usize::MAX);
    let alice = Account { smtp: (sink.port(), "implicit"), ..Account::of(&host, "alice") };
    let (home, daemon) = watching(&host, alice.clone());
    home.send("alice", "draft", &draft("left behind"));
    until(PATIENCE, "the message to wait", || account(&home)["outbox"]["queued"] == 1);
    let whole = fs::read_to_string(home.config()).unwrap();
    let (before, rest) = whole.split_once("[accounts.alice.smtp]").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    fs::write(home.config(), format!("{before}{after}")).unwrap();
    daemon.reload();
    let told = |home: &Home| home.status()["stranded"][0].clone();
    until(PATIENCE, "the queue to be told", || told(&home)["messages"] == 1);
    let queue = home.state("alice").join("queue").display().to_string();
    assert_eq!((&told(&home)["account"], &told(&home)["queue"]), (&"alice".into(), &queue.into()));
    assert!(home.ok(&["status"]).contains("nobody sends 1 message that account alice queued"));
    assert!(daemon.stop().0.success());

    home.configure(&[Account { name: "renamed".into(), ..alice }]);
    let daemon = home.start();
    assert_eq!(told(&home)["account"], "alice");
    assert!(daemon.stderr().contains("nobody sends it"), "{}", daemon.stderr());
    fs::write(home.config(), whole).unwrap();
    daemon.reload();
    until(PATIENCE, "the queue to be somebody's again", || told(&home).is_null());
}
