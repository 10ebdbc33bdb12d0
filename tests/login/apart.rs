//! Two accounts, of which one fails in every way a server knows: the other never misses a message.

use super::scene::Scene;
use super::support::process::Account;
use super::support::script::play_to_all;
use super::support::tokens::{Failure, REFUSALS};
use super::support::wait::{PATIENCE, until};
use super::support::{Host, message};

/// Every failure, with the state that its account must end in.
fn failures() -> Vec<(Failure, &'static str)> {
    let refusals = REFUSALS.iter().map(|(refusal, state)| (Failure::Refusal(*refusal), *state));
    let network = [
        Failure::Internal,
        Failure::Unavailable(1),
        Failure::TooMany(1),
        Failure::Html,
        Failure::BrokenJson,
        Failure::Cut,
        Failure::Close,
    ];
    refusals.chain(network.map(|failure| (failure, "waiting"))).collect()
}

#[test]
fn every_failure_parks_its_own_account_and_bob_never_misses_a_message() {
    let failures = failures();
    let users: Vec<String> = (0..failures.len()).map(|number| format!("user{number}")).collect();
    let host = Host::start();
    let everybody = users.iter().map(String::as_str).chain(["bob"]);
    let accounts: Vec<_> = everybody.map(|user| Account::of(&host, user)).collect();
    let scene = Scene::with(host, &accounts);
    let tokens = &scene.host.tokens;
    for account in &accounts {
        scene.home.login(&account.name, &tokens.refresh_token(&account.name));
    }
    for ((failure, _), user) in failures.iter().zip(&users) {
        tokens.fail(user, *failure, usize::MAX);
    }
    let _daemon = scene.home.start();
    scene.home.wait_state("bob", "watching");
    for ((failure, state), user) in failures.iter().zip(&users) {
        let account = scene.home.wait_state(user, state);
        assert!(account["error"].is_string(), "{failure:?}: {account}");
        if *state != "waiting" {
            assert!(account["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{failure:?}: {account}");
        }
        scene.host.deliver(user, &message("kept at the server"));
        scene.assert_mail_comes("bob", &format!("while {user} fails"));
    }
    assert_eq!(scene.home.maildir("bob").count("INBOX"), users.len());
    users.iter().for_each(|user| tokens.heal(user));
    for ((_, state), user) in failures.iter().zip(&users) {
        if *state != "waiting" {
            scene.home.login(user, &tokens.refresh_token(user));
        }
        until(PATIENCE, &format!("{user} to go on"), || {
            scene.home.maildir(user).find("INBOX", "kept at the server").is_some()
        });
    }
}

/// What a mail server says to a token, and the state that its account must end in.
const ANSWERS: &[(&str, &str)] = &[
    ("S: B2 NO AUTHENTICATE failed.", "needs-login"),
    ("S: + eyJzdGF0dXMiOiI0MDEifQ==\nC: \nS: B2 NO SASL authentication failed", "needs-login"),
    (
        "S: B2 OK AUTHENTICATE completed.\nC: P1 CAPABILITY\n\
         S: P1 BAD User is authenticated but not connected.\nS: * BYE Connection closed. 14",
        "denied",
    ),
    ("S: B2 BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds", "waiting"),
    ("S: B2 NO [UNAVAILABLE] Temporary authentication failure.", "waiting"),
    ("S: * BYE Too many simultaneous connections", "waiting"),
    ("", "waiting"),
];

#[test]
fn every_refusal_of_a_mail_server_parks_its_own_account_and_bob_never_misses_a_message() {
    const HELLO: &str = "S: * OK The Microsoft Exchange IMAP4 service is ready.\nC: B1 CAPABILITY\n\
        S: * CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR ID\nS: B1 OK CAPABILITY completed.\nC: B2 AUTHENTICATE XOAUTH2 *";
    let host = Host::start();
    let servers: Vec<_> =
        ANSWERS.iter().map(|(answer, _)| play_to_all(&format!("{HELLO}\n{answer}"))).collect();
    let refused = servers.iter().enumerate().map(|(number, server)| Account {
        imap: (server.port(), "none"),
        ..Account::of(&host, &format!("user{number}"))
    });
    let accounts: Vec<_> = refused.chain([Account::of(&host, "bob")]).collect();
    let scene = Scene::with(host, &accounts);
    for account in &accounts {
        scene.home.login(&account.name, &scene.host.tokens.refresh_token(&account.name));
    }
    let _daemon = scene.home.start();
    scene.home.wait_state("bob", "watching");
    for (number, (answer, state)) in ANSWERS.iter().enumerate() {
        let user = format!("user{number}");
        let account = scene.home.wait_state(&user, state);
        assert!(account["error"].is_string(), "{answer}: {account}");
        scene.assert_mail_comes("bob", &format!("while {user} is refused"));
        assert!(scene.host.tokens.requests(&user) <= 4, "{answer}: {}", scene.host.tokens.requests(&user));
    }
}

#[test]
fn a_token_for_another_resource_is_refused_by_the_mail_server_and_told_once() {
    let scene = Scene::of(&["alice", "bob"]);
    scene.host.tokens.misdirect("alice", true);
    for user in ["alice", "bob"] {
        scene.home.login(user, &scene.host.tokens.refresh_token(user));
    }
    let daemon = scene.home.start();
    scene.home.wait_state("alice", "needs-login");
    scene.home.wait_state("bob", "watching");
    scene.assert_mail_comes("bob", "beside it");
    assert!(scene.host.tokens.requests("alice") <= 4, "{} requests", scene.host.tokens.requests("alice"));
    let warnings = daemon.stderr().lines().filter(|line| line.contains("WARN")).count();
    assert_eq!(warnings, 1, "{}", daemon.stderr());
    scene.host.tokens.misdirect("alice", false);
    scene.home.login("alice", &scene.host.tokens.refresh_token("alice"));
    scene.home.wait_state("alice", "watching");
    scene.assert_mail_comes("alice", "at last");
}
