//! `login` where a person sits: the way is chosen by what there is, a desktop, a terminal, an ssh session.

use super::scene::{Scene, parameter};
use super::support::person::{Decision, activate, visit};
use super::support::terminal::Terminal;

#[test]
fn in_a_terminal_the_browser_is_the_usual_way() {
    let scene = Scene::of(&["alice"]);
    let login = scene.login_in_terminal(&["alice"]);
    visit(&scene.opened_address(), Decision::Allow);
    login.succeeds();
    assert!(scene.token_file("alice").exists());
}

#[test]
fn in_a_terminal_a_device_code_comes_with_a_picture_for_a_camera() {
    let scene = Scene::of(&["alice"]);
    let login = scene.login_in_terminal(&["alice", "--device"]);
    activate(&login.address(), &login.user_code(), "alice", true);
    let said = login.succeeds();
    assert!(said.contains('▀') && said.contains('█'), "{said}");
}

#[test]
fn over_ssh_the_line_for_the_other_machine_is_shown_and_works() {
    let scene = Scene::of(&["alice"]);
    let ssh = [("SSH_CONNECTION", "192.0.2.7 50000 198.51.100.2 22"), ("BROWSER", "")];
    let login = scene.login_with(&["alice", "--browser"], &ssh);
    let redirect = parameter(&login.address(), "redirect_uri");
    let port = url::Url::parse(&redirect).unwrap().port().unwrap();
    login.wait_words(&format!("ssh -N -L {port}:127.0.0.1:{port} 198.51.100.2"));
    assert!(!scene.opened().exists(), "nobody sees a browser that is opened here");
    visit(&login.address(), Decision::Allow);
    login.succeeds();
}

#[test]
fn a_refresh_token_is_asked_for_and_typed_unseen() {
    let scene = Scene::of(&["alice"]);
    let token = scene.host.tokens.refresh_token("alice");
    let mut terminal = Terminal::run(scene.home.command(&["login", "alice", "--import"]));
    terminal.expect("Refresh token (not shown): ");
    assert!(!terminal.echoes());
    terminal.answer("Refresh token (not shown): ", &token);
    assert!(terminal.wait().success(), "{}", terminal.shown());
    assert!(terminal.echoes() && !terminal.shown().contains(&token), "{}", terminal.shown());
    assert!(scene.token_file("alice").exists());
}
