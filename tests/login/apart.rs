//! Accounts that fail in every way that servers, networks and secrets know, in one daemon with bob, who does not: he never
//! misses a message.
//!
//! Here the token endpoint; in [`fetching`] the mail servers, in [`sending`] submission, in [`silence`] what never answers.

mod fetching;
mod sending;
mod silence;

use super::scene::Scene;
use super::support::person::{Decision, visit};
use super::support::process::{Account, Daemon};
use super::support::tokens::{Failure, REFUSALS};
use super::support::wait::{PATIENCE, until};
use super::support::{Host, message};

/// A running daemon with these accounts and bob's, each called as its user. Those that can be are logged in; then their
/// requests for tokens fail so.
fn beside_bob(host: Host, accounts: Vec<Account>, failures: &[(&str, Failure)]) -> (Scene, Daemon) {
    let accounts = [accounts, vec![Account::of(&host, "bob")]].concat();
    let scene = Scene::with(host, &accounts);
    let can_log_in = |account: &&Account| account.token_url.is_some() && account.client_id == "test";
    for account in accounts.iter().filter(can_log_in) {
        scene.home.login(&account.name, &scene.host.tokens.refresh_token(&account.name));
    }
    failures.iter().for_each(|(user, failure)| scene.host.tokens.fail(user, *failure, usize::MAX));
    let daemon = scene.home.start();
    scene.home.wait_state("bob", "watching");
    (scene, daemon)
}

/// Every failure, with the state that its account must end in; what passes comes first.
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
    let mut all: Vec<_> = network.map(|failure| (failure, "waiting")).into_iter().chain(refusals).collect();
    all.sort_by_key(|(_, state)| *state != "waiting");
    all
}

#[test]
fn every_failure_parks_its_own_account_and_bob_never_misses_a_message() {
    let failures = failures();
    let users: Vec<String> = (0..failures.len()).map(|number| format!("user{number}")).collect();
    let host = Host::start();
    let accounts = users.iter().map(|user| Account::of(&host, user)).collect();
    let by_user: Vec<_> =
        users.iter().zip(&failures).map(|(user, (failure, _))| (user.as_str(), *failure)).collect();
    let (scene, _daemon) = beside_bob(host, accounts, &by_user);
    let tokens = &scene.host.tokens;
    for ((failure, state), user) in failures.iter().zip(&users) {
        let account = scene.home.wait_state(user, state);
        assert!(account["error"].is_string(), "{failure:?}: {account}");
        if *state != "waiting" {
            assert!(account["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{failure:?}: {account}");
        }
        scene.host.deliver(user, &message("kept at the server"));
        scene.assert_mail_comes("bob", &format!("while {user} fails"));
        if *state == "waiting" {
            // At once: the pause before the next attempt grows with every failure.
            tokens.heal(user);
        }
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

#[test]
fn a_token_that_is_revoked_while_idle_is_its_own_accounts_trouble() {
    let users = ["alice", "carol", "dave", "erin"];
    let host = Host::start();
    let accounts = users.iter().map(|user| Account::of(&host, user)).collect();
    let (scene, _daemon) = beside_bob(host, accounts, &[]);
    let tokens = &scene.host.tokens;
    users.iter().for_each(|user| drop(scene.home.wait_state(user, "watching")));
    let failures = [
        (Failure::InvalidGrant, "needs-login"),
        (Failure::Refusal(REFUSALS[4].0), "needs-login"),
        (Failure::Internal, "waiting"),
        (Failure::Stall, "connecting"),
    ];
    for (user, (failure, state)) in users.iter().zip(failures) {
        tokens.fail(user, failure, usize::MAX);
        tokens.revoke_access(user);
        scene.host.dovecot.kick(user);
        scene.home.wait_state(user, state);
        scene.assert_mail_comes("bob", &format!("after {failure:?}"));
        assert_eq!(scene.home.wait_state("bob", "watching")["error"], serde_json::Value::Null);
    }
}

#[test]
fn a_token_for_another_resource_is_refused_by_the_mail_server_and_told_once() {
    let scene = Scene::of(&["alice", "bob"]);
    scene.host.tokens.misdirect("alice", true);
    // The login itself cannot know: the token is good, for somebody else.
    let login = scene.login(&["alice", "--browser"]);
    visit(&scene.opened_address(), Decision::Allow);
    login.succeeds();
    scene.home.login("bob", &scene.host.tokens.refresh_token("bob"));
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
