//! No secret of any way to log in is seen by others: everything is run at trace level, and logs, command lines,
//! environments (of the program and of what it starts) and files are searched for what the server issued and received.

use std::fs;

use super::applications::Application;
use super::scene::{Login, Scene};
use super::support::Host;
use super::support::canary::Canary;
use super::support::person::{Decision, activate, decide, visit};
use super::support::process::Account;
use super::support::tokens::{Client, Failure};

const TRACE: &[(&str, &str)] = &[("POSTHASTE_LOG", "trace")];
const SECRET: &str = "canary-of-a-client-secret-5b1c";

/// What a login wrote, after it was seen alive.
fn look(canary: &mut Canary, what: &str, login: Login) {
    let (code, said) = login.end();
    assert!(said.contains("TRACE") || said.contains("DEBUG"), "{what}: the log is on: {said}");
    canary.look(&format!("{what}, which ended with {code}"), said);
}

/// Alice, whose client has a secret that a command prints, and bob, who is logged in by a certificate. The command and the
/// opener of addresses note what they see.
fn scene() -> Scene {
    let host = Host::start();
    host.tokens.register("test", Client::with_secret(SECRET));
    let alice = Account::of(&host, "alice");
    let scene = Scene::with(host, &[]);
    let (home, vault) = (scene.home.dir().join("home"), scene.home.dir().join("vault"));
    fs::create_dir(&vault).unwrap();
    fs::write(vault.join("secret"), SECRET).unwrap();
    let command = format!("env >> {0}/seen-by-command; cat {1}/secret", home.display(), vault.display());
    let oauth = format!("{}\nclient_secret_command = {command:?}", alice.oauth);
    let bob = Application::Certificate.account(&scene.host, &vault, "bob");
    scene.home.configure(&[Account { oauth, ..alice }, bob]);
    ["alice", "bob"].iter().for_each(|user| scene.host.furnish(user));
    let opener = scene.home.dir().join("bin/xdg-open");
    let spying = "#!/bin/sh\n{ env; echo \"$@\"; } >> \"$HOME/seen-by-opener\"\n\
                  printf '%s' \"$1\" > \"$HOME/opened.new\" && mv \"$HOME/opened.new\" \"$HOME/opened\"\n";
    fs::write(opener, spying).unwrap();
    scene
}

#[test]
fn no_way_to_log_in_shows_a_secret() {
    let scene = scene();
    let tokens = &scene.host.tokens;
    let mut canary = Canary::default();
    let login = scene.login_with(&["alice", "--browser"], TRACE);
    let redirect = decide(&scene.opened_address(), Decision::Allow);
    canary.look_at_process(login.pid());
    canary.look("the page", super::support::http::get(&redirect).body);
    look(&mut canary, "a login in the browser", login);

    let login = scene.login_with(&["alice", "--browser"], TRACE);
    visit(&scene.opened_address(), Decision::AllowWithout("mail"));
    look(&mut canary, "a login without mail", login);

    let mut login = scene.login_with(&["alice", "--paste"], TRACE);
    let redirect = decide(&login.address(), Decision::Allow);
    login.type_line(&redirect.replace("state=", "state=x"));
    login.type_line(&redirect);
    canary.look_at_process(login.pid());
    look(&mut canary, "a pasted login", login);

    let login = scene.login_with(&["alice", "--device"], TRACE);
    canary.look_at_process(login.pid());
    activate(&login.address(), &login.user_code(), "alice", true);
    look(&mut canary, "a login by device", login);

    let daemon = scene.home.start_with(TRACE);
    for user in ["alice", "bob"] {
        scene.home.wait_state(user, "watching");
        scene.assert_mail_comes(user, "seen");
    }
    tokens.revoke_access("alice");
    tokens.fail("alice", Failure::InvalidGrant, usize::MAX);
    scene.host.dovecot.kick("alice");
    scene.home.wait_state("alice", "needs-login");
    canary.look_at_daemon(&daemon);
    tokens.fail("/revoke", Failure::Internal, 1);
    for arguments in [&["status"][..], &["status", "--json"], &["config", "show"], &["logout", "alice"]] {
        let output = scene.home.command(arguments).env("POSTHASTE_LOG", "trace").output().unwrap();
        canary.look(&arguments.join(" "), [output.stdout, output.stderr].concat());
    }
    canary.look_at_files(&scene.home);
    for spy in ["seen-by-command", "seen-by-opener"] {
        assert!(scene.home.dir().join("home").join(spy).exists(), "{spy}");
    }
    let mut secrets = tokens.secrets();
    let key = fs::read_to_string(scene.home.dir().join("vault/bob.key")).unwrap();
    secrets.extend(key.lines().nth(1).map(str::to_owned));
    // A JWT begins with the braces of its header.
    assert!(secrets.iter().any(|secret| secret.starts_with("eyJ")), "an assertion was seen: {secrets:?}");
    for kind in ["refresh-", "access-", "code-", "device-", "canary-"] {
        assert!(secrets.iter().any(|secret| secret.starts_with(kind)), "{kind}: {secrets:?}");
    }
    assert!(canary.saw("code_challenge"), "the address was seen");
    canary.assert_silent(&secrets);
}
