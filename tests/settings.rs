//! Lines of the configuration and of the status that only a real server can prove: STARTTLS on both ways, and when the
//! token ends; and the progress of a pass at a terminal.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use support::process::{Account, Home};
use support::wait::{PATIENCE, until};
use support::{Host, filler, message};

fn home(host: &Host, account: Account) -> Home {
    let home = Home::new(env!("CARGO_BIN_EXE_posthaste"));
    home.configure(&[account]);
    host.furnish("alice");
    home.login("alice", &host.tokens.refresh_token("alice"));
    home
}

#[test]
fn starttls_on_both_ways_encrypts_before_the_login() {
    let host = Host::start();
    host.deliver("alice", &message("arrives"));
    let ports = host.dovecot.ports;
    let (imap, smtp) = ((ports.imap, "starttls"), (ports.submission, "starttls"));
    let home = home(&host, Account { imap, smtp, ..Account::of(&host, "alice") });
    let _daemon = home.start();
    home.wait_state("alice", "watching");
    until(PATIENCE, "the message", || home.maildir("alice").find("INBOX", "arrives").is_some());
    home.send("alice", "letter", &message("leaves"));
    assert!(String::from_utf8_lossy(&host.sink.wait_for(1)[0].message).contains("Subject: leaves"));
    // Dovecot says of each login whether it came over TLS; the host's own look at INBOX did not.
    let log = host.dovecot.log();
    let logins = |service: &str| -> Vec<&str> {
        log.lines().filter(|line| line.contains(service) && line.contains("method=OAUTHBEARER")).collect()
    };
    let (imap, smtp) = (logins("imap-login: "), logins("submission-login: "));
    assert!(
        imap.len() >= 2 && !smtp.is_empty(),
        "watching, working and sending connections logged in: {log}"
    );
    assert!(imap.iter().chain(&smtp).all(|line| line.contains(", TLS")), "{imap:?} {smtp:?}");
}

#[test]
fn the_status_tells_when_the_token_ends() {
    const LIFE: Duration = Duration::from_secs(1234);
    let host = Host::start();
    host.tokens.set_lifetime(LIFE);
    let home = home(&host, Account::of(&host, "alice"));
    // The status counts in whole seconds.
    let before = Timestamp::now() - Duration::from_secs(1);
    let _daemon = home.start();
    let account = home.wait_state("alice", "watching");
    let expires: Timestamp = account["token_expires"].as_str().unwrap().parse().unwrap();
    assert!((before + LIFE..=Timestamp::now() + LIFE).contains(&expires), "{expires}");
}

#[test]
fn a_terminal_sees_messages_octets_and_rate_and_a_pipe_sees_nothing_of_it() {
    let host = Host::start();
    let home = home(&host, Account::of(&host, "alice"));
    filler::fill(&mut host.imap("alice"), "INBOX", filler::plain(500, 3_000));
    let program = env!("CARGO_BIN_EXE_posthaste");
    let mut script = Command::new("script");
    script.args(["-qec", &format!("stty cols 120; {program} sync"), "/dev/null"]);
    script.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    let output = script.envs(home.environment()).env("TERM", "xterm").output().unwrap();
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{seen}");
    // Each drawing begins by clearing the line.
    let drawn: Vec<&str> = seen.split("\r\u{1b}[2K").collect();
    let shows = |words: &[&str]| drawn.iter().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(shows(&["alice INBOX 500/500 messages", "MiB/1.45 MiB", "iB/s"]), "{drawn:?}");
    assert_eq!(drawn.last(), Some(&"alice: 500 fetched\r\n"), "the bar is gone and the report stands alone");
    assert_eq!(home.maildir("alice").count("INBOX"), 500);

    filler::fill(&mut host.imap("alice"), "INBOX", filler::plain(500, 3_000));
    let output = home.run(&["sync"]);
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "alice: 500 fetched\n");
}
