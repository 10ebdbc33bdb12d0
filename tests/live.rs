//! The running daemon, seen from outside: how soon mail, flags and submissions pass, and what becomes of a submission.
//!
//! Dovecot 2.3 tells IDLE of new mail half a second after it is there (`NOTIFY_DELAY_MSECS`, not a setting), unless the
//! connection hibernates: then it is woken at once. So the push is judged on hibernating connections, from LMTP's 250 to
//! the file; and from the moment when the server's word arrives, seen by a proxy that cannot read it.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use support::dovecot::Options;
use support::process::{Account, Daemon, Home};
use support::proxy::Proxy;
use support::sink::{Received, Sink, Stage, Step};
use support::wait::{FileWatch, PATIENCE, until, until_some};
use support::{Host, message};

/// Accounts that receive one after the other, so that the second before hibernation is waited for by all of them at once.
const USERS: [&str; 10] =
    ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"];
/// Deliveries to each: fifty in all.
const DELIVERIES: usize = 5;
/// Dovecot is told to hibernate after one second. It forgets a message that arrives while it is about to.
const HIBERNATES: Duration = Duration::from_millis(2500);

fn home() -> Home {
    Home::new(env!("CARGO_BIN_EXE_posthaste"))
}

fn log_in(host: &Host, home: &Home, user: &str) {
    host.furnish(user);
    home.login(user, &host.tokens.refresh_token(user));
}

/// A running daemon with one account of alice, watching.
fn watching(host: &Host, account: Account) -> (Home, Daemon) {
    let home = home();
    home.configure(&[account]);
    log_in(host, &home, "alice");
    let daemon = home.start();
    home.wait_state("alice", "watching");
    (home, daemon)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Dovecot hands connections in IDLE over to its hibernation process after a second, the least that it can be told.
/// It keeps compressed ones.
fn hibernating() -> Options {
    let extra = "imap_hibernate_timeout = 1s\nservice imap {\n unix_listener imap-master {\n  mode = 0600\n }\n}\n\
                 service imap-hibernate {\n chroot =\n unix_listener imap-hibernate {\n  mode = 0666\n }\n}\n";
    Options { compress: false, extra: extra.to_owned(), ..Options::default() }
}

/// Delivers one message: how long it took from the server's word, and from LMTP's 250, to the file.
fn receive(host: &Host, home: &Home, user: &str, proxy: &Proxy, number: usize) -> (Duration, Duration) {
    until(PATIENCE, "the connection to hibernate", || proxy.silence() > HIBERNATES);
    let files = FileWatch::new(&home.maildir(user).directory("INBOX").join("new"));
    let delivered = host.deliver(user, &message(&format!("push {user} {number}")));
    let (_, visible) = files.next(PATIENCE).expect("the message arrives");
    let heard = proxy.heard_since(delivered).expect("the server told of it");
    (visible.saturating_duration_since(heard), visible.duration_since(delivered))
}

#[test]
fn fifty_deliveries_are_visible_within_50_ms() {
    let host = Host::with(hibernating());
    let home = home();
    let proxies = USERS.map(|_| Proxy::to(host.dovecot.ports.imaps));
    let of = |(user, proxy): (&&str, &Proxy)| Account {
        imap: (proxy.port(), "implicit"),
        ..Account::of(&host, user)
    };
    home.configure(&USERS.iter().zip(&proxies).map(of).collect::<Vec<_>>());
    USERS.iter().for_each(|user| log_in(&host, &home, user));
    let _daemon = home.start();
    for user in USERS {
        let account = home.wait_state(user, "watching");
        assert_eq!(account["error"], serde_json::Value::Null);
    }
    let rounds = (0..DELIVERIES).flat_map(|number| USERS.iter().zip(&proxies).map(move |to| (number, to)));
    let times: Vec<(Duration, Duration)> =
        rounds.map(|(number, (user, proxy))| receive(&host, &home, user, proxy, number)).collect();
    assert_eq!(times.len(), 50);
    let ours = median(times.iter().map(|(ours, _)| *ours).collect());
    let whole = median(times.iter().map(|(_, whole)| *whole).collect());
    println!("push, median of 50: {ours:?} from the server's word, {whole:?} from LMTP's 250");
    assert!(ours <= Duration::from_millis(50), "the server's word to the file took {ours:?}");
    assert!(whole <= Duration::from_millis(50), "LMTP's 250 to the file took {whole:?}");
    for user in USERS {
        assert_eq!(home.maildir(user).count("INBOX"), DELIVERIES, "{user}");
    }
}

#[test]
fn a_local_flag_and_a_dropped_file_reach_their_servers_within_a_second() {
    let host = Host::start();
    host.deliver("alice", &message("flag me"));
    let (home, _daemon) = watching(&host, Account::of(&host, "alice"));
    let mut server = host.imap("alice");
    server.select("INBOX");
    let times = (0..10).map(|round| {
        let mail = home.maildir("alice").find("INBOX", "flag me").unwrap();
        let start = Instant::now();
        let wanted = round % 2 == 0;
        match wanted {
            true => home.maildir("alice").flag(&mail, 'F'),
            false => home.maildir("alice").unflag(&mail, 'F'),
        };
        until(PATIENCE, "the flag on the server", || {
            server.ok("NOOP");
            server.flags().values().all(|seen| seen.flags.contains("\\Flagged") == wanted)
        });
        start.elapsed()
    });
    let flag = times.max().unwrap();
    let times = (1..=10).map(|number| {
        let start = home.send("alice", "draft", &draft("bob", &format!("number {number}")));
        host.sink.wait_for(number);
        start.elapsed()
    });
    let sent = times.max().unwrap();
    println!("slowest of 10: flag to server {flag:?}, outbox to 250 {sent:?}");
    assert!(flag <= Duration::from_secs(1), "a flag took {flag:?}");
    assert!(sent <= Duration::from_secs(1), "a submission took {sent:?}");
}

/// A draft as a reader writes it: lone LF, no Date, no Message-ID.
fn draft(to: &str, subject: &str) -> Vec<u8> {
    format!("From: alice@mail.test\nTo: {to}@mail.test\nSubject: {subject}\n\nHello.\n").into_bytes()
}

fn body(received: &Received) -> &[u8] {
    let at = memchr::memmem::find(&received.message, b"\r\n\r\n").unwrap();
    &received.message[at + 4..]
}

/// One copy in Sent on both sides, also after one more complete pass.
fn assert_filed_once(host: &Host, home: &Home, subject: &str) {
    let mut server = host.imap("alice");
    until(PATIENCE, "the copy in Sent", || {
        server.select("Sent");
        !server.search_header("Subject", subject).is_empty()
    });
    home.ok(&["sync", "alice"]);
    server.select("Sent");
    assert_eq!(server.search_header("Subject", subject).len(), 1, "{subject} on the server");
    let copies = home.maildir("alice").messages("Sent").into_iter();
    let copies = copies.filter(|mail| memchr::memmem::find(&mail.content, subject.as_bytes()).is_some());
    assert_eq!(copies.count(), 1, "{subject} in the Maildir");
}

#[test]
fn a_submission_keeps_its_octets_hides_bcc_and_is_filed_once() {
    let host = Host::start();
    let ports = host.dovecot.ports;
    for (tls, port) in [("implicit", ports.submissions), ("starttls", ports.submission)] {
        let (home, _daemon) = watching(&host, Account { smtp: (port, tls), ..Account::of(&host, "alice") });
        let before = host.sink.received().len();
        let head = format!(
            "From: alice@mail.test\nTo: bob@mail.test\nCc: carol@mail.test\nBcc: dave@mail.test,\n erin@mail.test\n\
             Subject: over {tls}\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
        );
        let text = "grüße\n.\n..two\n.one\nend without line end";
        home.send("alice", "draft", &[head.as_bytes(), text.as_bytes()].concat());
        let received = host.sink.wait_for(before + 1).pop().unwrap();
        let wanted = ["bob", "carol", "dave", "erin"].map(|user| format!("{user}@mail.test"));
        assert_eq!((received.sender.as_str(), &received.recipients[..]), ("alice@mail.test", &wanted[..]));
        assert_eq!(
            String::from_utf8_lossy(body(&received)),
            "grüße\r\n.\r\n..two\r\n.one\r\nend without line end\r\n"
        );
        let wire = String::from_utf8_lossy(&received.message).to_lowercase();
        assert!(!wire.contains("bcc") && !wire.contains("dave@") && !wire.contains("erin@"), "{wire}");
        assert!(wire.contains("\r\nmessage-id: <") && wire.contains("\r\ndate: "), "{wire}");
        assert_filed_once(&host, &home, &format!("over {tls}"));
        until(PATIENCE, "the outbox to be empty", || !home.outbox("alice").join("draft").exists());
    }
}

#[test]
fn every_way_into_the_outbox_is_taken_and_unfinished_names_are_left() {
    let host = Host::start();
    let (home, _daemon) = watching(&host, Account::of(&host, "alice"));
    let outbox = home.outbox("alice");
    let ignored = [".hidden", "draft~", "draft.tmp", "draft.part"];
    ignored.iter().for_each(|name| fs::write(outbox.join(name), draft("bob", "never")).unwrap());
    let mut file = fs::File::create(outbox.join("in-place")).unwrap();
    for part in draft("bob", "in place").chunks(20) {
        file.write_all(part).unwrap();
    }
    drop(file);
    home.send("alice", "renamed", &draft("bob", "renamed"));
    let elsewhere = home.dir().join("elsewhere");
    fs::write(&elsewhere, draft("bob", "linked")).unwrap();
    fs::hard_link(&elsewhere, outbox.join("linked")).unwrap();
    let new = outbox.join("new");
    let subject = |received: &Received| {
        let text = String::from_utf8_lossy(&received.message).into_owned();
        text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned()
    };
    let mut subjects: Vec<String> = host.sink.wait_for(3).iter().map(subject).collect();
    subjects.sort();
    assert_eq!(subjects, ["in place", "linked", "renamed"]);
    until(PATIENCE, "the taken files to go", || {
        ["in-place", "renamed", "linked"].iter().all(|name| !outbox.join(name).exists())
    });
    assert!(ignored.iter().all(|name| outbox.join(name).exists()), "an unfinished name was taken");
    assert!(elsewhere.exists() && !new.exists());
    assert_eq!(host.sink.received().len(), 3);
}

#[test]
fn an_outbox_that_was_removed_is_made_again_and_watched() {
    let host = Host::start();
    let (home, daemon) = watching(&host, Account::of(&host, "alice"));
    let outbox = home.outbox("alice");
    for round in 1..3 {
        until(PATIENCE, "the outbox", || outbox.is_dir());
        // Dropped maybe before the new outbox is watched; a second name says that it is whole.
        let whole = home.dir().join(format!("draft-{round}"));
        fs::write(&whole, draft("bob", "from a new outbox")).unwrap();
        fs::hard_link(&whole, outbox.join("draft")).unwrap();
        host.sink.wait_for(round);
        until(PATIENCE, "the outbox to be empty", || !outbox.join("draft").exists());
        fs::remove_dir(&outbox).unwrap();
    }
    let said = daemon.stderr();
    let is_about_outbox = |line: &&str| line.contains("outbox") || line.contains("submit");
    assert_eq!(said.lines().filter(|line| line.contains("WARN")).find(is_about_outbox), None, "{said}");
}

/// A submission server of its own, which can be scripted, behind which mail is watched as usual.
fn scripted(host: &Host) -> (Sink, Account) {
    let tokens = host.tokens.clone();
    let sink = Sink::submission(&host.authority, move |user, token| {
        user == "alice" && tokens.secrets().iter().any(|known| known == token)
    });
    let account = Account { smtp: (sink.port(), "implicit"), ..Account::of(host, "alice") };
    (sink, account)
}

fn outbox(home: &Home) -> serde_json::Value {
    home.status()["accounts"][0]["outbox"].clone()
}

fn wait_outbox(home: &Home, key: &str, count: u64) {
    until(PATIENCE, &format!("{key} to be {count}"), || outbox(home)[key] == count);
}

#[test]
fn a_permanent_refusal_gives_the_file_back_with_the_servers_words() {
    let host = Host::start();
    let (sink, account) = scripted(&host);
    let (home, daemon) = watching(&host, account);
    sink.script(Stage::Recipient, Step::Reply("550 5.1.1 Nobody of that name"), 1);
    home.send("alice", "draft", &draft("nobody", "refused"));
    wait_outbox(&home, "failed", 1);
    let failed = home.outbox("alice").join("failed");
    until(PATIENCE, "the file in failed/", || failed.join("draft").exists());
    let words = fs::read_to_string(failed.join("draft.txt")).unwrap();
    assert!(words.contains("550") && words.contains("Nobody of that name"), "{words}");
    let kept = fs::read_to_string(failed.join("draft")).unwrap();
    assert!(kept.contains("Subject: refused\n") && kept.ends_with("\n\nHello.\n"), "{kept}");
    assert!(sink.received().is_empty());
    assert_eq!(daemon.stderr().matches("WARN").count(), 1, "{}", daemon.stderr());
}

/// Lets the time of a deferred message come, as if the daemon had been stopped meanwhile.
fn let_time_pass(queue: &Path) {
    let records = fs::read_dir(queue).unwrap().flatten().map(|entry| entry.path());
    let mut changed = 0;
    for path in records.filter(|path| path.extension().is_some_and(|kind| kind == "json")) {
        let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        record["next_try"] = "2026-01-01T00:00:00Z".into();
        fs::write(&path, record.to_string()).unwrap();
        changed += 1;
    }
    assert_eq!(changed, 1, "records in {}", queue.display());
}

#[test]
fn a_temporary_refusal_is_waited_out_and_tried_again() {
    let host = Host::start();
    let (sink, account) = scripted(&host);
    let (home, daemon) = watching(&host, account);
    sink.script(Stage::Mail, Step::Reply("451 4.3.0 Greylisted"), 1);
    home.send("alice", "draft", &draft("bob", "later"));
    until(PATIENCE, "the refusal in the log", || daemon.stderr().contains("Greylisted"));
    wait_outbox(&home, "queued", 1);
    until(PATIENCE, "the time of the next try", || outbox(&home)["next_try"].is_string());
    assert!(home.ok(&["status"]).contains("  to send: next try in "), "{}", home.ok(&["status"]));
    assert!(daemon.stop().0.success());
    assert_eq!(sink.received().len(), 0);
    let_time_pass(&home.state("alice").join("queue"));
    let _daemon = home.start();
    sink.wait_for(1);
    assert_filed_once(&host, &home, "later");
    wait_outbox(&home, "queued", 0);
}

#[test]
fn a_message_at_which_the_server_breaks_off_lets_the_others_pass_first() {
    let host = Host::start();
    let (sink, account) = scripted(&host);
    let (home, daemon) = watching(&host, account);
    assert!(daemon.stop().0.success());
    sink.script(Stage::Mail, Step::Close, 1);
    for user in ["alice", "alison"] {
        let letter = format!("From: {user}@mail.test\nTo: bob@mail.test\n\nHello.\n");
        home.send("alice", user, letter.as_bytes());
        // Nobody sees it closed; the second name says that it is whole.
        fs::hard_link(home.outbox("alice").join(user), home.dir().join(user)).unwrap();
    }
    let _daemon = home.start();
    sink.wait_for(2);
    let tries: Vec<String> = sink.commands().into_iter().filter(|line| line.starts_with("MAIL")).collect();
    assert_eq!(tries.len(), 3, "{tries:?}");
    assert!(tries[0] == tries[2] && tries[0] != tries[1], "{tries:?}");
}

#[test]
fn an_end_after_the_dot_is_uncertain_and_never_sent_again() {
    let host = Host::start();
    for step in [Step::KeepAndClose, Step::Close] {
        let (sink, account) = scripted(&host);
        let (home, daemon) = watching(&host, account);
        sink.script(Stage::Dot, step, 1);
        home.send("alice", "draft", &draft("bob", "in doubt"));
        wait_outbox(&home, "uncertain", 1);
        assert!(daemon.stop().0.success());
        let _daemon = home.start();
        // What nobody saw closed would have to wait for a minute.
        home.wait_state("alice", "watching");
        home.send("alice", "another", &draft("bob", "no doubt"));
        until(PATIENCE, "the other message", || {
            let subject = b"Subject: no doubt";
            sink.received().iter().any(|one| memchr::memmem::find(&one.message, subject).is_some())
        });
        assert_eq!(outbox(&home)["uncertain"], 1);
        assert_eq!(sink.commands().iter().filter(|line| *line == "DATA").count(), 2);
    }
}

#[test]
fn a_refused_submission_login_keeps_the_message_and_mail_goes_on() {
    let host = Host::start();
    let sink = Sink::submission(&host.authority, |_, _| false);
    let account = Account { smtp: (sink.port(), "implicit"), ..Account::of(&host, "alice") };
    let (home, _daemon) = watching(&host, account);
    home.send("alice", "draft", &draft("bob", "not yet"));
    let account = until_some(PATIENCE, "the trouble in the status", || {
        let account = home.status()["accounts"][0].clone();
        account["error"].as_str().is_some_and(|error| error.starts_with("submission: ")).then_some(account)
    });
    assert_eq!((&account["outbox"]["queued"], &account["outbox"]["failed"]), (&1.into(), &0.into()));
    host.deliver("alice", &message("while refused"));
    until(PATIENCE, "new mail", || home.maildir("alice").find("INBOX", "while refused").is_some());
    home.wait_state("alice", "watching");
    let logins = sink.commands().iter().filter(|line| *line == "AUTH").count();
    assert_eq!(logins, 2, "one forced refresh, then patience");
}

#[test]
fn a_server_that_files_sent_mail_gets_no_copy_from_us() {
    let host = Host::start();
    let account = Account { extra: "sent = \"server\"".into(), ..Account::of(&host, "alice") };
    let (home, _daemon) = watching(&host, account);
    home.send("alice", "draft", &draft("bob", "filed elsewhere"));
    host.sink.wait_for(1);
    wait_outbox(&home, "queued", 0);
    home.ok(&["sync", "alice"]);
    let mut server = host.imap("alice");
    server.select("Sent");
    assert!(server.search_header("Subject", "filed elsewhere").is_empty());
    assert_eq!(home.maildir("alice").count("Sent"), 0);
}

#[test]
fn a_copy_that_could_not_be_filed_is_filed_later_and_no_error_stays() {
    let host = Host::start();
    let (home, _daemon) = watching(&host, Account::of(&host, "alice"));
    let (sent, aside) = (home.maildir("alice").directory("Sent"), home.dir().join("aside"));
    fs::rename(&sent, &aside).unwrap();
    fs::write(&sent, "in the way").unwrap();
    home.send("alice", "draft", &draft("bob", "filed late"));
    host.sink.wait_for(1);
    let error = |error: &serde_json::Value| error.as_str().is_some_and(|text| text.contains("mailbox Sent"));
    until(PATIENCE, "the trouble in the status", || error(&home.status()["accounts"][0]["error"]));
    fs::remove_file(&sent).unwrap();
    fs::rename(&aside, &sent).unwrap();
    home.ok(&["sync", "alice"]);
    assert_filed_once(&host, &home, "filed late");
    until(PATIENCE, "all to be well", || home.status()["accounts"][0]["error"].is_null());
}

#[test]
fn a_kill_right_after_the_servers_250_makes_no_second_copy_and_no_second_submission() {
    let host = Host::start();
    let (home, daemon) = watching(&host, Account::of(&host, "alice"));
    home.send("alice", "draft", &draft("bob", "cut short"));
    host.sink.wait_for(1);
    daemon.kill();
    let _daemon = home.start();
    home.wait_state("alice", "watching");
    until(PATIENCE, "the submission to be settled", || outbox(&home)["queued"] == 0);
    // Killed before the 250 was noted, it is in doubt: then nobody files a copy, and the status says so.
    match outbox(&home)["uncertain"].as_u64() {
        Some(0) => assert_filed_once(&host, &home, "cut short"),
        uncertain => assert_eq!(uncertain, Some(1)),
    }
    home.ok(&["sync", "alice"]);
    assert_eq!(host.sink.received().len(), 1);
}
