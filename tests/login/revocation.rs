//! A login that ends: at `logout`, by a thief's use of its refresh token, by revocation at the provider; and the next
//! login, from which the running daemon goes on.

use serde_json::Value;

use super::scene::Scene;
use super::support::http::post;
use super::support::person::{Decision, visit};
use super::support::tokens::Failure;

/// The refresh token in the account's file, which a thief could read there.
fn saved_token(scene: &Scene, account: &str) -> String {
    let file = std::fs::read(scene.token_file(account)).unwrap();
    let saved: Value = serde_json::from_slice(&file).unwrap();
    saved["refresh_token"].as_str().expect("a refresh token").to_owned()
}

fn log_in(scene: &Scene, account: &str) {
    let login = scene.login(&[account, "--browser"]);
    visit(&scene.opened_address(), Decision::Allow);
    login.succeeds();
}

#[test]
fn logout_revokes_the_login_at_its_server() {
    let scene = Scene::of(&["alice"]);
    log_in(&scene, "alice");
    assert_eq!(scene.host.tokens.logins("alice"), 1);
    let output = scene.home.run(&["logout", "alice"]);
    assert!(output.status.success());
    assert_eq!(scene.host.tokens.logins("alice"), 0);
    assert!(!scene.token_file("alice").exists());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("revoked") && !said.contains("warning"), "{said}");
}

#[test]
fn logout_forgets_here_even_where_the_server_does_not_listen() {
    let scene = Scene::of(&["alice"]);
    log_in(&scene, "alice");
    scene.host.tokens.fail("/revoke", Failure::Internal, 1);
    let output = scene.home.run(&["logout", "alice"]);
    assert!(output.status.success());
    assert!(!scene.token_file("alice").exists());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("warning"), "{said}");
    assert_eq!(scene.host.tokens.logins("alice"), 1, "what could not be revoked is not said to be");
}

#[test]
fn a_stolen_refresh_token_parks_the_account_once_it_is_used_and_a_login_mends_it() {
    let scene = Scene::of(&["alice", "bob"]);
    scene.host.tokens.set_reuse_detection(true);
    ["alice", "bob"].iter().for_each(|user| log_in(&scene, user));
    let daemon = scene.home.start();
    ["alice", "bob"].iter().for_each(|user| drop(scene.home.wait_state(user, "watching")));
    scene.assert_mail_comes("alice", "before the theft");
    let stolen = saved_token(&scene, "alice");
    let form = [("grant_type", "refresh_token"), ("client_id", "test"), ("refresh_token", &*stolen)];
    assert_eq!(post(&scene.host.tokens.token_url(), &form).status, 200, "the thief has it");
    // The owner's next refresh is the reuse: the whole login ends, for the thief too.
    scene.host.tokens.revoke_access("alice");
    scene.host.dovecot.kick("alice");
    let alice = scene.home.wait_state("alice", "needs-login");
    assert!(alice["hint"].as_str().unwrap().contains("posthaste login alice"), "{alice}");
    assert!(scene.host.tokens.was_reused("alice") && scene.host.tokens.logins("alice") == 0);
    scene.assert_mail_comes("bob", "meanwhile");
    let before = transfers(&scene, "alice");
    log_in(&scene, "alice");
    scene.home.wait_state("alice", "watching");
    scene.assert_mail_comes("alice", "after the login");
    assert_eq!(transfers(&scene, "alice"), before + 1, "nothing was fetched a second time");
    let warnings = daemon.stderr().lines().filter(|line| line.contains("WARN")).count();
    assert_eq!(warnings, 1, "{}", daemon.stderr());
}

/// Messages in the Maildir, with every file that a second transfer would have made.
fn transfers(scene: &Scene, user: &str) -> usize {
    scene.home.maildir(user).count("INBOX")
}
