//! The narrated demo: a real mail host on loopback, one account, mail in and out in front of your eyes.
//!
//! It runs the finished binary from outside, on the same test host that the tests use, and prints one plain line per
//! thing that a person would see. Every figure is measured here and now. It ends with an error when something does
//! not happen. `KEEP=1` leaves everything running until SIGINT (Ctrl-C) or SIGTERM,
//! whatever standard input is.

// A demo prints; the library and the daemon never do. What does not happen ends it with the words of `expect`.
#![allow(clippy::print_stdout, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use support::dovecot::PASSWORD;
use support::maildir::Reader;
use support::process::{Account, Home};
use support::wait::{FileWatch, PATIENCE, until, until_some};
use support::{Host, filler, message};

/// A small mailbox is enough to see; `make bench` has the large one.
const MESSAGES: usize = 200;
/// A daemon that heard Ctrl-C ends within this time.
const CTRL_C: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let Some(binary) = binary() else {
        println!("build the program first: cargo build --bin posthaste");
        return ExitCode::FAILURE;
    };
    println!("Starting a mail host on loopback: Dovecot, a token server, a fresh certificate authority.");
    let started = Instant::now();
    let host = Host::start();
    println!("  ready after {} ms; XOAUTH2 is checked by introspection at the token server", ms(started));

    let home = Home::new(binary);
    home.configure(&[Account::of(&host, "alice")]);
    fill(&host);
    home.login("alice", &host.tokens.refresh_token("alice"));
    println!("Logged in with a refresh token: posthaste login alice --import");

    let started = Instant::now();
    let mut daemon = home.start();
    let mail = home.maildir("alice");
    first_sync(&home, &mail, started);
    push(&host, &mail);
    flag(&host, &mail);
    submit(&host, &home, &mail);
    status(&home);
    if std::env::var_os("KEEP").is_some() {
        keep(&host, &home);
        // The Ctrl-C of a terminal reached the daemon too: a second signal would cut its end short.
        if let Some(status) = daemon.ends_within(CTRL_C) {
            return told(status, "with Ctrl-C");
        }
    }
    let (status, time) = daemon.stop();
    told(status, &format!("after {} ms", time.as_millis()))
}

/// The program beside this example: `target/PROFILE/examples/demo` and `target/PROFILE/posthaste`.
fn binary() -> Option<std::path::PathBuf> {
    let demo = std::env::current_exe().ok()?;
    let path = demo.parent()?.parent()?.join("posthaste");
    path.exists().then_some(path)
}

fn fill(host: &Host) {
    let mut server = host.imap("alice");
    server.create("Projekte/Grüße");
    filler::fill(
        &mut server,
        "INBOX",
        filler::odd(1 << 20).into_iter().chain(filler::plain(MESSAGES, 4_000)),
    );
    filler::fill(&mut server, "Projekte/Grüße", filler::plain(MESSAGES / 2, 4_000));
    println!("Filled alice's INBOX and \"Projekte/Grüße\" with {} messages.", wanted());
}

fn wanted() -> usize {
    MESSAGES + MESSAGES / 2 + filler::odd(0).len()
}

fn first_sync(home: &Home, mail: &Reader, started: Instant) {
    let count = || mail.count("INBOX") + mail.count("Projekte/Grüße");
    until(PATIENCE, "the first sync", || count() == wanted());
    println!("First sync: {} messages in {} after {} ms", count(), mail.directory("").display(), ms(started));
    home.wait_state("alice", "watching");
    println!("  the account is watching: the server will tell of new mail");
}

fn push(host: &Host, mail: &Reader) {
    let watch = FileWatch::new(&mail.directory("INBOX").join("new"));
    let delivered = host.deliver("alice", &message("Hello from the server"));
    let (path, at) = watch.next(PATIENCE).expect("the message arrives in new/");
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    println!(
        "A message was delivered on the server; in Maildir {} ms later: new/{name}",
        between(delivered, at)
    );
}

fn flag(host: &Host, mail: &Reader) {
    let found = mail.find("INBOX", "Subject: Hello from the server").expect("the message stands in INBOX");
    let start = Instant::now();
    mail.flag(&found, 'F');
    let mut server = host.imap("alice");
    server.select("INBOX");
    let uid = server.search_header("Subject", "Hello from the server");
    let uid = uid.first().copied().expect("the message is on the server");
    until(PATIENCE, "the flag on the server", || {
        server.fetch(&uid.to_string(), "(UID FLAGS)").get(&uid).is_some_and(|m| m.flags.contains("\\Flagged"))
    });
    println!("Flagged it in Maildir, as mutt does; on the server after {} ms: \\Flagged", ms(start));
}

fn submit(host: &Host, home: &Home, mail: &Reader) {
    let draft = "From: Alice <alice@mail.test>\nTo: bob@mail.test\nBcc: carol@mail.test\nSubject: Out it goes\n\n\
                 Hello Bob\n";
    let dropped = home.send("alice", "draft.eml", draft.as_bytes());
    let sent = host.sink.wait_for(1);
    println!("Dropped a draft into the outbox; submitted after {} ms", between(dropped, sent[0].at));
    for user in ["bob", "carol"] {
        let mut other = host.imap(user);
        until_some(PATIENCE, "the message at its recipient", || {
            other.select("INBOX");
            other.search_header("Subject", "Out it goes").first().copied()
        });
        println!("  arrived in {user}'s INBOX");
    }
    let mut server = host.imap("alice");
    until(PATIENCE, "the copy in Sent", || {
        server.select("Sent");
        !server.search_header("Subject", "Out it goes").is_empty()
    });
    until(PATIENCE, "the copy in the local Sent", || mail.find("Sent", "Subject: Out it goes").is_some());
    println!("  its copy is in Sent on both sides");
}

fn status(home: &Home) {
    println!("posthaste status:");
    home.ok(&["status"]).lines().for_each(|line| println!("  {line}"));
}

fn keep(host: &Host, home: &Home) {
    println!("KEEP=1: everything stays up. In another terminal:");
    let environment = home.environment().map(|(name, value)| format!("{name}={}", value.display())).join(" ");
    println!("  mutt -f {}", home.maildir("alice").directory("INBOX").display());
    let binary = binary().map(|path| path.display().to_string()).unwrap_or_default();
    println!("  {environment} {binary} status --watch");
    println!("  the configuration is {}", home.config().display());
    println!("  drop messages into {}", home.outbox("alice").display());
    let ports = host.dovecot.ports;
    println!("  IMAP with TLS on localhost:{}, submission on {}", ports.imaps, ports.submissions);
    println!("  user alice, password {PASSWORD}; the authority of both is {}", host.ca().display());
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).expect("signals can be waited for");
    println!("Ctrl-C ends it.");
    signals.forever().next();
}

fn told(status: ExitStatus, how: &str) -> ExitCode {
    println!("The daemon stopped {how}: {status}");
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn ms(start: Instant) -> u128 {
    start.elapsed().as_millis()
}

/// Milliseconds with a decimal; nothing where the effect was seen before its cause was confirmed.
fn between(start: Instant, end: Instant) -> String {
    format!("{:.1}", end.saturating_duration_since(start).as_secs_f64() * 1_000.0)
}
