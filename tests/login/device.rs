//! `login --device`: a code here, the person elsewhere (RFC 8628).

use std::time::Duration;

use super::scene::Scene;
use super::support::browser::Browser;
use super::support::person::activate;
use super::support::tokens::{Failure, Refusal};

#[test]
fn the_code_is_typed_in_elsewhere_and_trouble_on_the_way_is_waited_out() {
    let scene = Scene::of(&["alice"]);
    let Some(mut browser) = Browser::start() else { return };
    scene.host.tokens.fail("test", Failure::Internal, 1);
    let login = scene.login(&["alice", "--device"]);
    browser.open(&login.address());
    browser.fill("[name=user_code]", &login.user_code());
    browser.fill("[name=user]", "alice");
    browser.click("[value=allow]");
    browser.wait_text("Device connected");
    let said = login.succeeds();
    assert!(scene.host.tokens.secrets().iter().all(|secret| !said.contains(secret)), "{said}");
    let _daemon = scene.home.start();
    scene.home.wait_state("alice", "watching");
    scene.assert_mail_comes("alice", "after the login");
}

#[test]
fn a_server_that_says_slow_down_is_asked_five_seconds_less_often() {
    const SLOW_DOWN: Refusal = Refusal { status: 400, error: "slow_down", description: "polled too often" };
    let scene = Scene::of(&["alice"]);
    scene.host.tokens.fail("test", Failure::Refusal(SLOW_DOWN), 1);
    let login = scene.login(&["alice", "--device"]);
    activate(&login.address(), &login.user_code(), "alice", true);
    login.succeeds();
    let polls = scene.host.tokens.polls();
    assert_eq!(polls.len(), 2);
    assert!(polls[1] - polls[0] >= Duration::from_secs(6), "{:?}", polls[1] - polls[0]);
}

#[test]
fn a_denial_and_an_expired_code_end_the_wait() {
    let scene = Scene::of(&["alice"]);
    let login = scene.login(&["alice", "--device"]);
    activate(&login.address(), &login.user_code(), "alice", false);
    login.fails(&scene.token_file("alice"), 77, &["access_denied"]);
    scene.host.tokens.set_device(1, 2);
    let login = scene.login(&["alice", "--device"]);
    login.fails(&scene.token_file("alice"), 77, &["not used in time"]);
}

#[test]
fn a_device_without_a_refresh_token_is_told_at_once() {
    let scene = Scene::of(&["alice"]);
    scene.host.tokens.withhold_refresh("alice", true);
    let login = scene.login(&["alice", "--device"]);
    activate(&login.address(), &login.user_code(), "alice", true);
    login.fails(&scene.token_file("alice"), 78, &["no refresh token", "offline_access"]);
}

#[test]
fn a_provider_that_refuses_the_scope_is_quoted() {
    const INVALID: Refusal =
        Refusal { status: 400, error: "invalid_scope", description: "Invalid device flow scope: mail" };
    let scene = Scene::of(&["alice"]);
    scene.host.tokens.fail("/device", Failure::Refusal(INVALID), 1);
    let login = scene.login(&["alice", "--device"]);
    login.fails(&scene.token_file("alice"), 78, &["invalid_scope", "Invalid device flow scope"]);
    assert_eq!(scene.host.tokens.polls().len(), 0);
}
