//! The hook `needs_login`: one notice for a login that ended, and the next one only after the next login.

use std::fs;

use super::scene::Scene;
use super::support::Host;
use super::support::process::{Account, Daemon, Home};
use super::support::wait::{PATIENCE, until};

/// A scene whose hook notes whom it was run for, keeps its environment and ends as `end` says.
fn scene(host: Host, accounts: &[Account], end: &str) -> Scene {
    let scene = Scene::with(host, accounts);
    let hook = format!(
        r#"env > "$HOME/hook.env"; echo "$POSTHASTE_ACCOUNT: $POSTHASTE_COMMAND" >> "$HOME/notices"; {end}"#
    );
    scene.home.configure_with(&format!("[hooks]\nneeds_login = '''{hook}'''"), accounts);
    scene
}

fn of_home(scene: &Scene, name: &str) -> String {
    fs::read_to_string(scene.home.dir().join("home").join(name)).unwrap_or_default()
}

/// The provider ends the login, and the server the session.
fn revoke(scene: &Scene, user: &str) {
    scene.host.tokens.revoke_refresh(user);
    scene.host.tokens.revoke_access(user);
    scene.host.dovecot.kick(user);
}

fn wait_log(daemon: &Daemon, words: &[&str]) {
    let is_said = |line: &str| words.iter().all(|words| line.contains(words));
    until(PATIENCE, &format!("{words:?} in the log"), || daemon.stderr().lines().any(is_said));
}

#[test]
fn a_revoked_login_is_told_once_and_again_only_after_the_next_login() {
    let host = Host::start();
    let accounts = ["alice", "bob"].map(|user| Account::of(&host, user));
    let scene = scene(host, &accounts, "echo shown");
    for user in ["alice", "bob"] {
        scene.home.login(user, &scene.host.tokens.refresh_token(user));
    }
    let daemon = scene.home.start();
    ["alice", "bob"].iter().for_each(|user| drop(scene.home.wait_state(user, "watching")));
    for round in 1..=2 {
        revoke(&scene, "alice");
        scene.home.wait_state("alice", "needs-login");
        until(PATIENCE, "a notice", || of_home(&scene, "notices").lines().count() >= round);
        let refused = scene.home.run(&["sync", "alice"]);
        assert_eq!(refused.status.code(), Some(77), "another attempt, and no other notice");
        scene.assert_mail_comes("bob", &format!("meanwhile {round}"));
        scene.home.login("alice", &scene.host.tokens.refresh_token("alice"));
        scene.home.wait_state("alice", "watching");
    }
    assert_eq!(of_home(&scene, "notices"), "alice: posthaste login alice\n".repeat(2));
    wait_log(&daemon, &["INFO", "hook needs_login", "account=\"alice\"", "said=\"shown\""]);
    let (environment, log) = (of_home(&scene, "hook.env"), daemon.stderr());
    for secret in scene.host.tokens.secrets() {
        assert!(!environment.contains(&secret) && !log.contains(&secret), "{environment}\n{log}");
    }
}

#[test]
fn one_notice_serves_all_accounts_of_a_login_and_a_hook_that_fails_is_a_warning() {
    let host = Host::start();
    let team = Account { extra: "login_as = \"alice\"\n".to_owned(), ..Account::of(&host, "team") };
    let accounts = [Account::of(&host, "alice"), Account::of(&host, "bob"), team];
    let scene = scene(host, &accounts, "echo 'no display' >&2; exit 3");
    for user in ["alice", "bob"] {
        scene.home.login(user, &scene.host.tokens.refresh_token(user));
    }
    scene.host.tokens.revoke_refresh("alice");
    let daemon = scene.home.start();
    ["team", "alice"].iter().for_each(|account| drop(scene.home.wait_state(account, "needs-login")));
    scene.home.wait_state("bob", "watching");
    wait_log(&daemon, &["WARN", "hook needs_login failed", "exit status: 3", "said=\"no display\""]);
    assert_eq!(of_home(&scene, "notices"), "alice: posthaste login alice\n");
    scene.assert_mail_comes("bob", "beside it");
}

#[test]
fn what_keeps_a_login_from_being_made_is_told_alike_and_once() {
    let home = Home::new(env!("CARGO_BIN_EXE_posthaste"));
    let hook = r#"echo "$POSTHASTE_COMMAND" >> "$HOME/notices""#;
    let text = format!(
        "[hooks]\nneeds_login = '{hook}'\n[accounts.g]\naddress = \"you@gmail.com\"\noauth.client_id = \"mine\"\n"
    );
    fs::write(home.config(), text).unwrap();
    let daemon = home.start();
    let account = home.wait_state("g", "needs-login");
    assert_eq!(account["error"], "no client_secret is set");
    let hint = account["hint"].as_str().unwrap();
    assert!(
        hint.contains("[accounts.g.oauth]") && hint.contains("https://console.cloud.google.com/"),
        "{hint}"
    );
    for (arguments, code) in [
        (&["sync"][..], 77),
        (&["token", "g"], 77),
        (&["login", "g", "--device"], 2),
        (&["login", "g", "--paste"], 78),
    ] {
        let refused = home.run(arguments);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(code), "{said}");
        assert!(
            code == 2 || said.contains("no client_secret is set\nhint: ") && said.contains(hint),
            "{said}"
        );
    }
    until(PATIENCE, "a notice", || home.dir().join("home/notices").exists());
    assert_eq!(fs::read_to_string(home.dir().join("home/notices")).unwrap(), "posthaste doctor g\n");
    let log = daemon.stderr();
    assert_eq!(log.matches("no client_secret is set").count(), 1, "{log}");
}
