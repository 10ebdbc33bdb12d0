//! `login --paste`: the browser is elsewhere, and the person brings back its address.

use std::net::TcpStream;

use super::scene::{Scene, parameter};
use super::support::person::{Decision, decide};

#[test]
fn the_address_is_pasted_and_a_wrong_one_is_explained() {
    let scene = Scene::of(&["alice"]);
    let mut login =
        scene.login_with(&["alice", "--paste"], &[("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")]);
    let address = login.address();
    assert!(!scene.opened().exists(), "no browser is opened here");
    login.type_line("what now?");
    login.wait_words("copy the whole address");
    let redirect = decide(&address, Decision::Allow);
    login.type_line(&redirect.replace("state=", "state=x"));
    login.wait_words("does not belong to this login");
    login.type_line(&redirect);
    login.succeeds();
    let _daemon = scene.home.start();
    scene.home.wait_state("alice", "watching");
}

#[test]
fn nobody_on_this_machine_can_end_a_paste() {
    let scene = Scene::of(&["alice"]);
    let mut login = scene.login(&["alice", "--paste"]);
    let address = login.address();
    let place = url::Url::parse(&parameter(&address, "redirect_uri")).unwrap();
    for _ in 0..500 {
        drop(TcpStream::connect(("127.0.0.1", place.port().unwrap())).unwrap());
    }
    let redirect = decide(&address, Decision::Allow);
    login.type_line(&redirect);
    login.succeeds();
}

#[test]
fn a_denial_can_be_pasted_too() {
    let scene = Scene::of(&["alice"]);
    let mut login = scene.login(&["alice", "--paste"]);
    let redirect = decide(&login.address(), Decision::Deny);
    login.type_line(&redirect);
    login.fails(&scene.token_file("alice"), 77, &["access_denied"]);
}

#[test]
fn what_a_pasted_login_lacks_is_told_and_nothing_is_saved() {
    let scene = Scene::of(&["alice"]);
    let mut login = scene.login(&["alice", "--paste"]);
    let redirect = decide(&login.address(), Decision::AllowWithout("mail"));
    login.type_line(&redirect);
    login.fails(&scene.token_file("alice"), 77, &["mail is missing", "tick the box"]);
    scene.host.tokens.withhold_refresh("alice", true);
    let mut login = scene.login(&["alice", "--paste"]);
    let redirect = decide(&login.address(), Decision::Allow);
    login.type_line(&redirect);
    login.fails(&scene.token_file("alice"), 78, &["no refresh token", "offline_access"]);
}

#[test]
fn without_a_terminal_nothing_is_begun_that_nobody_would_see() {
    let scene = Scene::of(&["alice"]);
    let login = scene.login(&["alice"]);
    login.fails(&scene.token_file("alice"), 2, &["no terminal", "--device"]);
    assert_eq!(scene.host.tokens.heard("/authorize").len(), 0);
}
