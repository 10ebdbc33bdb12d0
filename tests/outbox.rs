//! The outbox against its enemies: other users of the machine, servers that break off, put off, want less or think for
//! long, a configuration that forgets what is queued.

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

/// Changes the records of the queue.
fn rewrite(queue: &Path, change: impl Fn(&mut Value)) {
    let paths = fs::read_dir(queue).unwrap().map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.extension().is_some_and(|kind| kind == "json")) {
        let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut record);
        fs::write(&path, record.to_string()).unwrap();
    }
}

/// Makes a queued message six days old, with many broken connections behind it.
fn let_days_pass(record: &mut Value) {
    assert!(record["breaks"].as_u64().unwrap() > 0, "{record}");
    record["breaks"] = 1000.into();
    record["accepted"] =
        (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(6 * 24)).to_string().into();
}

/// alice, and a submission server that follows a script.
fn scripted(host: &Host) -> (Sink, Account) {
    let sink = Sink::submission(&host.authority, |_, _| true);
    let account = Account { smtp: (sink.port(), "implicit"), ..Account::of(host, "alice") };
    (sink, account)
}

#[test]
fn a_message_at_which_the_server_hangs_up_each_time_fails_after_five_days() {
    let host = Host::start();
    let (sink, account_of_alice) = scripted(&host);
    sink.script(Stage::Recipient, Step::Close, usize::MAX);
    let (home, daemon) = watching(&host, account_of_alice);
    home.send("alice", "draft", &draft("hopeless"));
    wait_error(&home, "lost at RCPT TO");
    assert_eq!(account(&home)["outbox"]["queued"], 1);
    assert!(daemon.stop().0.success());
    rewrite(&home.state("alice").join("queue"), let_days_pass);
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

#[test]
fn a_message_that_is_put_off_again_is_told_until_it_is_sent() {
    let host = Host::start();
    let (sink, alice) = scripted(&host);
    sink.script(Stage::Mail, Step::Reply("451 4.3.0 Greylisted"), 2);
    let (home, daemon) = watching(&host, alice);
    home.send("alice", "draft", &draft("later"));
    until(PATIENCE, "the first refusal", || daemon.stderr().contains("Greylisted"));
    assert!(account(&home)["error"].is_null(), "that is every day's business");
    assert!(daemon.stop().0.success());
    let let_time_pass =
        || rewrite(&home.state("alice").join("queue"), |record| record["next_try"] = Value::Null);
    let_time_pass();
    let daemon = home.start();
    let told = wait_error(&home, "submission: put off 2 times, next try 20");
    let file = home.outbox("alice").join("draft");
    let ending = format!("(451 4.3.0 Greylisted): {}", file.display());
    assert!(told["error"].as_str().unwrap().ends_with(&ending), "{told}");
    assert!(daemon.stop().0.success());
    let_time_pass();
    let _daemon = home.start();
    sink.wait_for(1);
    until(PATIENCE, "all to be well", || account(&home)["error"].is_null());
}

#[test]
fn a_limit_of_the_account_makes_the_queue_wait_and_costs_no_message_an_attempt() {
    let host = Host::start();
    let (sink, alice) = scripted(&host);
    let words = "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded.";
    sink.script(Stage::Dot, Step::Reply(words), 1);
    let (home, daemon) = watching(&host, alice);
    home.send("alice", "one", &draft("one"));
    let told = wait_error(&home, "takes nothing more for now: 432 4.3.2");
    assert!(told["hint"].as_str().unwrap().contains("it is tried again"), "{told}");
    home.send("alice", "two", &draft("two"));
    until(PATIENCE, "both to wait", || account(&home)["outbox"]["queued"] == 2);
    assert!(daemon.stop().0.success());
    let mails = sink.commands().iter().filter(|line| line.starts_with("MAIL")).count();
    assert_eq!(
        (mails, sink.received().len()),
        (1, 0),
        "nothing is tried while the server wants to be left alone"
    );
    rewrite(&home.state("alice").join("queue"), |record| assert_eq!(record["attempts"], 0, "{record}"));
    let _daemon = home.start();
    sink.wait_for(2);
    until(PATIENCE, "all to be well", || account(&home)["error"].is_null());
}

#[test]
fn a_message_with_more_recipients_than_the_server_takes_comes_back_at_once() {
    let host = Host::start();
    let (sink, alice) = scripted(&host);
    sink.script(Stage::Recipient, Step::Delay(Duration::ZERO), 1);
    sink.script(Stage::Recipient, Step::Reply("452 4.5.3 Too many recipients"), 1);
    let (home, _daemon) = watching(&host, alice);
    home.send("alice", "draft", b"To: bob@mail.test, carol@mail.test\n\nHello.\n");
    until(PATIENCE, "the message to fail", || account(&home)["outbox"]["failed"] == 1);
    let words = fs::read_to_string(home.outbox("alice").join("failed/draft.txt")).unwrap();
    assert!(
        words.contains("the server takes 1 recipients per message, this one has 2: 452 4.5.3"),
        "{words}"
    );
    assert!(sink.received().is_empty());
}

#[test]
fn a_pass_by_the_users_word_ends_the_wait_for_a_server_that_was_away() {
    let host = Host::start();
    let (sink, alice) = scripted(&host);
    // Their pauses are half a minute together, and more.
    sink.script(Stage::Greeting, Step::Close, 8);
    let (home, _daemon) = watching(&host, alice);
    home.send("alice", "draft", &draft("urgent"));
    wait_error(&home, "lost at the greeting");
    until(PATIENCE, "the message to go", || {
        home.ok(&["sync"]);
        !sink.received().is_empty()
    });
    until(PATIENCE, "all to be well", || account(&home)["error"].is_null());
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
    // A record in its place: one that is still being written says it too early.
    let says = |path: &Path| fs::read_to_string(path).is_ok_and(|record| record.contains("dot-sent"));
    until(PATIENCE, "the dot to be on its way", || {
        let paths = fs::read_dir(&queue).unwrap().flatten().map(|entry| entry.path());
        paths.filter(|path| path.extension().is_some_and(|it| it == "json")).any(|path| says(&path))
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
