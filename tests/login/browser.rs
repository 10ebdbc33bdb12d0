//! `login` in the browser: what the person sees at the end, and what becomes of it.

use std::net::TcpStream;
use std::path::PathBuf;

use super::scene::{Scene, parameter};
use super::support::browser::Browser;
use super::support::http::get;
use super::support::person::{Decision, decide, visit};
use super::support::tokens::{Failure, Issuer};
use super::support::wait::{PATIENCE, until};

/// A picture for a person to judge, in the build directory.
fn picture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"))
}

/// The page is as wide as it should be, complains about nothing and holds nothing of the address.
fn assert_page_is_sound(browser: &mut Browser, address: &str) {
    assert_eq!(browser.complaints(), [] as [String; 0], "{address}");
    let text = browser.evaluate("document.documentElement.outerHTML").to_string();
    for name in ["code", "state"] {
        let value = parameter(&browser.address(), name);
        assert!(value.is_empty() || !text.contains(&value), "{name} is in the page: {text}");
    }
    assert_eq!(browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), true);
}

#[test]
fn a_login_ends_on_a_page_that_says_so_and_mail_comes() {
    let scene = Scene::of(&["alice"]);
    let Some(mut browser) = Browser::start() else { return };
    let login = scene.login(&["alice", "--browser"]);
    let address = scene.opened_address();
    assert_eq!(address, login.address(), "the same address is opened and shown");
    browser.open(&address);
    browser.click("[value=allow]");
    browser.wait_text("You are logged in");
    assert_page_is_sound(&mut browser, &address);
    browser.screenshot(&picture("logged-in"));
    browser.prefer_dark();
    browser.screenshot(&picture("logged-in-dark"));
    login.succeeds();
    let _daemon = scene.home.start();
    scene.home.wait_state("alice", "watching");
    scene.assert_mail_comes("alice", "after the login");
    assert!(!scene.host.tokens.was_reused("alice"));
}

#[test]
fn a_denial_is_told_on_the_page_and_in_the_terminal() {
    let scene = Scene::of(&["alice"]);
    let Some(mut browser) = Browser::start() else { return };
    let login = scene.login(&["alice", "--browser"]);
    let address = scene.opened_address();
    browser.open(&address);
    browser.click("[value=deny]");
    browser.wait_text("Not logged in");
    assert_page_is_sound(&mut browser, &address);
    browser.screenshot(&picture("denied"));
    login.fails(&scene.token_file("alice"), 77, &["access_denied", "log in again"]);
}

#[test]
fn an_unticked_box_is_named() {
    let scene = Scene::of(&["alice"]);
    let Some(mut browser) = Browser::start() else { return };
    let login = scene.login(&["alice", "--browser"]);
    let address = scene.opened_address();
    browser.open(&address);
    browser.click("[name=scope][value=mail]");
    browser.click("[value=allow]");
    browser.wait_text("did not work");
    assert_page_is_sound(&mut browser, &address);
    browser.screenshot(&picture("failed"));
    login.fails(&scene.token_file("alice"), 77, &["mail is missing", "tick the box"]);
}

#[test]
fn a_page_that_brings_another_state_changes_nothing() {
    let scene = Scene::of(&["alice"]);
    let Some(mut browser) = Browser::start() else { return };
    let login = scene.login(&["alice", "--browser"]);
    let address = scene.opened_address();
    let redirect = parameter(&address, "redirect_uri");
    let stray = format!("{redirect}/?code=planted&state=guessed");
    // A page of another site sends the browser there.
    browser.open(&scene.host.tokens.authorize_url());
    browser.evaluate(&format!("location.href = {stray:?}"));
    browser.wait_text("posthaste");
    assert_eq!(get(&stray).status, 400);
    assert_eq!(get(&format!("{redirect}/?error=access_denied&state=guessed")).status, 400);
    assert!(!login.said().contains("denied"), "{}", login.said());
    browser.open(&address);
    browser.click("[value=allow]");
    browser.wait_text("You are logged in");
    login.succeeds();
    let codes: Vec<_> =
        scene.host.tokens.heard("/token").into_iter().map(|form| form["code"].clone()).collect();
    assert!(codes.iter().all(|code| code != "planted"), "{codes:?}");
}

#[test]
fn a_login_without_a_refresh_token_is_an_error_at_once() {
    let scene = Scene::of(&["alice"]);
    scene.host.tokens.withhold_refresh("alice", true);
    let login = scene.login(&["alice", "--browser"]);
    let page = visit(&scene.opened_address(), Decision::Allow);
    assert!(page.body.contains("did not work"), "{}", page.body);
    login.fails(&scene.token_file("alice"), 78, &["no refresh token", "offline_access"]);
}

#[test]
fn an_answer_of_another_issuer_is_not_redeemed() {
    let scene = Scene::of(&["alice"]);
    scene.host.tokens.set_issuer(Issuer::Wrong);
    let login = scene.login(&["alice", "--browser"]);
    visit(&scene.opened_address(), Decision::Allow);
    login.fails(&scene.token_file("alice"), 77, &["login.elsewhere.test"]);
    assert_eq!(scene.host.tokens.heard("/token").len(), 0, "the code stays here");
    scene.host.tokens.set_issuer(Issuer::Absent);
    let login = scene.login(&["alice", "--browser"]);
    visit(&scene.opened_address(), Decision::Allow);
    login.succeeds();
}

#[test]
fn a_redirect_is_taken_once_and_nothing_listens_while_its_code_is_redeemed() {
    let scene = Scene::of(&["alice"]);
    let tokens = &scene.host.tokens;
    tokens.fail("/token", Failure::Stall, 1);
    let login = scene.login(&["alice", "--browser"]);
    let redirect = decide(&scene.opened_address(), Decision::Allow);
    let port = url::Url::parse(&redirect).unwrap().port().unwrap();
    let browser = std::thread::spawn(move || get(&redirect));
    until(PATIENCE, "the code to be redeemed", || !tokens.heard("/token").is_empty());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "nobody brings it a second time");
    drop(login);
    assert_eq!(browser.join().unwrap().status, 0, "a login that was ended tells the browser nothing");
}

#[test]
fn the_page_forbids_everything() {
    let scene = Scene::of(&["alice"]);
    let login = scene.login(&["alice", "--browser"]);
    let redirect = decide(&scene.opened_address(), Decision::Allow);
    let page = get(&redirect);
    login.succeeds();
    let header = |name: &str| page.header(name).unwrap_or_default().to_ascii_lowercase();
    assert!(header("content-security-policy").starts_with("default-src 'none'"), "{}", page.head);
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(scene.host.tokens.logins("alice"), 1);
}
