//! Servers that take a connection and say nothing, at every point of a login: bob hears of none of it, and the daemon can be
//! stopped in the middle of all of them. A token endpoint that is silent is waited for at the end: tests/token.rs has it.

use std::io::Read;
use std::time::Duration;

use super::super::support::Host;
use super::super::support::listener::Listening;
use super::super::support::process::Account;
use super::super::support::script::play_to_all;
use super::super::support::wait::{PATIENCE, until};
use super::beside_bob;

/// Hears everything and says nothing.
fn nobody() -> Listening {
    Listening::start(|mut stream| while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {})
}

#[test]
fn what_never_answers_keeps_nobody_waiting_but_its_own_account() {
    let (host, silent) = (Host::start(), nobody());
    let halfway = play_to_all(
        "S: * OK ready\nC: B1 CAPABILITY\nS: * CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR\nS: B1 OK done\n\
         C: B2 AUTHENTICATE XOAUTH2 *\nhang",
    );
    let of = |user: &str| Account::of(&host, user);
    let accounts = vec![
        Account { imap: (silent.port(), "none"), ..of("imap") },
        Account { imap: (silent.port(), "implicit"), ..of("imap-in-tls") },
        Account { imap: (silent.port(), "starttls"), ..of("imap-starttls") },
        Account { imap: (halfway.port(), "none"), ..of("imap-halfway") },
        Account { pop: Some((silent.port(), "none")), ..of("pop") },
        Account { pop: Some((silent.port(), "implicit")), ..of("pop-in-tls") },
        Account { token_url: None, password_command: "sleep 60".to_owned(), ..of("agent") },
        Account { smtp: (silent.port(), "none"), ..of("smtp") },
    ];
    let (scene, daemon) = beside_bob(host, accounts.clone(), &[]);
    scene.home.wait_state("smtp", "watching");
    scene.home.send("smtp", "letter", b"From: smtp@mail.test\nTo: bob@mail.test\nSubject: x\n\nHello.\n");
    for account in accounts.iter().filter(|account| account.name != "smtp") {
        scene.home.wait_state(&account.name, "connecting");
        scene.assert_mail_comes("bob", &format!("beside {}", account.name));
    }
    until(PATIENCE, "a letter under way", || {
        let status = scene.home.status();
        let accounts = status["accounts"].as_array().unwrap();
        accounts.iter().any(|one| one["name"] == "smtp" && one["outbox"]["queued"] == 1)
    });
    scene.assert_mail_comes("smtp", "nevertheless");
    let (status, time) = daemon.stop();
    assert!(status.success() && time < Duration::from_secs(5), "{status} after {time:?}");
}
