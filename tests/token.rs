//! Tokens in the running daemon: they end, are refused, rotate and fail to come, and a person sees as little of it as
//! can be. Dovecot asks the token server about every token, so what it refuses is really refused.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustix::process::Signal;
use serde_json::Value;
use support::imap_client::ImapClient;
use support::process::{Account, Daemon, Home};
use support::proxy::Proxy;
use support::tokens::Failure;
use support::wait::{PATIENCE, until};
use support::{Host, message};

fn home() -> Home {
    Home::new(env!("CARGO_BIN_EXE_posthaste"))
}

/// A home with these users of the host, logged in.
fn home_of(host: &Host, users: &[&str]) -> Home {
    let home = home();
    home.configure(&users.iter().map(|user| Account::of(host, user)).collect::<Vec<_>>());
    for user in users {
        host.furnish(user);
        home.login(user, &host.tokens.refresh_token(user));
    }
    home
}

fn started(home: &Home, users: &[&str]) -> Daemon {
    let daemon = home.start();
    users.iter().for_each(|user| drop(home.wait_state(user, "watching")));
    daemon
}

fn wait_mail(home: &Home, user: &str, subject: &str) {
    until(PATIENCE, &format!("{subject} of {user}"), || home.maildir(user).find("INBOX", subject).is_some());
}

fn account<'a>(status: &'a Value, name: &str) -> &'a Value {
    status["accounts"].as_array().unwrap().iter().find(|account| account["name"] == name).unwrap()
}

fn warnings(daemon: &Daemon) -> usize {
    daemon.stderr().lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).count()
}

fn text(output: &Output) -> String {
    let (stdout, stderr) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr))
}

#[test]
fn a_token_that_ends_while_idle_is_replaced_before_and_nobody_notices() {
    // The last fifth of it is left for slow machines to open the next connection in.
    const LIFE: Duration = Duration::from_secs(15);
    let host = Host::start();
    host.tokens.set_lifetime(LIFE);
    let proxy = Proxy::to(host.dovecot.ports.imaps);
    let home = home();
    home.configure(&[Account { imap: (proxy.port(), "implicit"), ..Account::of(&host, "alice") }]);
    host.furnish("alice");
    home.login("alice", &host.tokens.refresh_token("alice"));
    let daemon = started(&home, &["alice"]);
    let mut delivered = 0;
    // Mail comes all the time: before, at and after the change of both connections.
    while proxy.lives().len() < 4 || proxy.open() > 2 {
        let lives = proxy.lives();
        assert!(lives.iter().all(|life| *life < LIFE), "a connection outlived its token: {lives:?}");
        delivered += 1;
        host.deliver("alice", &message(&format!("number {delivered}")));
        wait_mail(&home, "alice", &format!("number {delivered}"));
        let status = home.status();
        let alice = account(&status, "alice");
        assert_eq!((&alice["error"], &alice["hint"]), (&Value::Null, &Value::Null), "{alice}");
        let state = alice["state"].as_str().unwrap();
        assert!(["watching", "connecting", "syncing"].contains(&state), "{state}");
    }
    assert_eq!(home.maildir("alice").count("INBOX"), delivered);
    assert_eq!(warnings(&daemon), 0, "{}", daemon.stderr());
    assert!(!host.tokens.was_reused("alice"));
}

#[test]
fn a_revoked_login_parks_one_account_until_the_next_login_and_no_other() {
    let host = Host::start();
    let home = home_of(&host, &["alice", "bob"]);
    let daemon = started(&home, &["alice", "bob"]);
    let before = host.tokens.requests("alice");
    // In this order: between the two no other token can be had.
    host.tokens.fail("alice", Failure::InvalidGrant, usize::MAX);
    host.tokens.revoke_access("alice");
    host.dovecot.kick("alice");
    let alice = home.wait_state("alice", "needs-login");
    assert!(alice["hint"].as_str().unwrap().contains("posthaste login alice"), "{alice}");
    host.deliver("bob", &message("for bob meanwhile"));
    wait_mail(&home, "bob", "for bob meanwhile");
    host.deliver("alice", &message("for alice meanwhile"));
    let refused = home.run(&["sync", "alice"]);
    assert_eq!(refused.status.code(), Some(77), "{}", text(&refused));
    assert!(text(&refused).contains("posthaste login alice"), "{}", text(&refused));
    assert_eq!(host.tokens.requests("alice"), before + 1, "asked once, and not again after the refusal");
    assert_eq!(warnings(&daemon), 1, "{}", daemon.stderr());

    host.tokens.heal("alice");
    home.login("alice", &host.tokens.refresh_token("alice"));
    home.wait_state("alice", "watching");
    wait_mail(&home, "alice", "for alice meanwhile");
    let status = home.status();
    assert_eq!(account(&status, "alice")["error"], Value::Null);
    assert_eq!(account(&status, "bob")["error"], Value::Null);
    host.deliver("alice", &message("after the login"));
    wait_mail(&home, "alice", "after the login");
    assert_eq!(warnings(&daemon), 1, "{}", daemon.stderr());
}

#[test]
fn a_login_that_is_lost_while_nobody_idles_is_noticed_when_the_connection_ends() {
    let host = Host::start();
    let home = home();
    home.configure(&[Account { extra: "poll_only = true\n".to_owned(), ..Account::of(&host, "alice") }]);
    host.furnish("alice");
    home.login("alice", &host.tokens.refresh_token("alice"));
    let _daemon = started(&home, &["alice"]);
    host.tokens.fail("alice", Failure::InvalidGrant, usize::MAX);
    host.tokens.revoke_access("alice");
    host.dovecot.kick("alice");
    home.wait_state("alice", "needs-login");
}

#[test]
fn a_revoked_access_token_costs_one_refresh_and_no_word() {
    let host = Host::start();
    let home = home_of(&host, &["alice"]);
    let daemon = started(&home, &["alice"]);
    let before = host.tokens.requests("alice");
    host.tokens.revoke_access("alice");
    host.dovecot.kick("alice");
    host.deliver("alice", &message("after the revocation"));
    wait_mail(&home, "alice", "after the revocation");
    home.wait_state("alice", "watching");
    host.deliver("alice", &message("pushed again"));
    wait_mail(&home, "alice", "pushed again");
    assert_eq!(host.tokens.requests("alice"), before + 1);
    assert_eq!(warnings(&daemon), 0, "{}", daemon.stderr());
    assert!(!host.tokens.was_reused("alice"));
}

#[test]
fn a_logout_parks_the_account_ends_its_connections_and_leaves_its_mail() {
    let host = Host::start();
    host.deliver("alice", &message("stays"));
    let proxy = Proxy::to(host.dovecot.ports.imaps);
    let home = home();
    home.configure(&[Account { imap: (proxy.port(), "implicit"), ..Account::of(&host, "alice") }]);
    host.furnish("alice");
    home.login("alice", &host.tokens.refresh_token("alice"));
    let _daemon = started(&home, &["alice"]);
    let is_pushed = || account(&home.status(), "alice")["push"] == "idle";
    until(PATIENCE, "mail to be pushed", is_pushed);
    home.ok(&["logout", "alice"]);
    assert_eq!(home.wait_state("alice", "needs-login")["push"], Value::Null);
    until(PATIENCE, "every connection to end", || proxy.open() == 0);
    assert!(!home.state("alice").join("token.json").exists());
    assert!(home.maildir("alice").find("INBOX", "stays").is_some());
    home.login("alice", &host.tokens.refresh_token("alice"));
    home.wait_state("alice", "watching");
    until(PATIENCE, "mail to be pushed again", is_pushed);
    assert_eq!(home.maildir("alice").count("INBOX"), 1);
}

#[test]
fn the_token_command_prints_a_token_that_works() {
    let host = Host::start();
    let home = home_of(&host, &["alice"]);
    for has_daemon in [false, true] {
        let daemon = has_daemon.then(|| started(&home, &["alice"]));
        let before = host.tokens.requests("alice");
        let token = home.ok(&["token", "alice"]);
        assert_eq!(
            host.tokens.requests("alice"),
            before + usize::from(!has_daemon),
            "a daemon lends its own"
        );
        let initial =
            BASE64_STANDARD.encode(format!("user=alice\x01auth=Bearer {}\x01\x01", token.trim_end()));
        let mut client = ImapClient::connect_tls(host.dovecot.ports.imaps, &host.ca());
        let (_, outcome) = client.authenticate("XOAUTH2", &initial);
        assert!(outcome.starts_with("OK"), "{outcome}");
        assert_eq!(daemon.map(|daemon| warnings(&daemon)).unwrap_or_default(), 0);
    }
    assert!(!host.tokens.was_reused("alice"));
}

#[test]
fn a_token_file_that_is_open_foreign_or_broken_is_refused_in_plain_words() {
    let host = Host::start();
    let home = home_of(&host, &["alice"]);
    let file = home.state("alice").join("token.json");
    let whole = fs::read(&file).unwrap();
    let refused = |words: &str| {
        let output = home.run(&["sync", "alice"]);
        assert!(!output.status.success());
        let told = text(&output);
        assert!(told.contains(words) && told.contains("token.json") && told.contains("hint: "), "{told}");
        assert!(host.tokens.secrets().iter().all(|secret| !told.contains(secret)), "{told}");
        output.status.code()
    };
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    refused("open to other users (mode 0644)");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&file, Some(1), None).unwrap();
        refused("belongs to user 1, not to you");
        std::os::unix::fs::chown(&file, Some(0), None).unwrap();
    }
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(refused("does not hold a saved login"), Some(77));
    fs::write(&file, &whole).unwrap();
    home.ok(&["sync", "alice"]);
}

#[test]
fn a_token_server_in_trouble_is_waited_for_and_the_login_kept() {
    let host = Host::start();
    let failures = [
        (Failure::Internal, "alice"),
        (Failure::Unavailable(1), "bob"),
        (Failure::TooMany(1), "carol"),
        (Failure::Html, "dave"),
        (Failure::BrokenJson, "erin"),
        (Failure::Close, "frank"),
    ];
    let users = failures.map(|(_, user)| user);
    let home = home_of(&host, &users);
    let kept = users.map(|user| fs::read(home.state(user).join("token.json")).unwrap());
    for (failure, user) in failures {
        host.tokens.fail(user, failure, usize::MAX);
    }
    let _daemon = home.start();
    for (user, kept) in users.iter().zip(kept) {
        let account = home.wait_state(user, "waiting");
        assert!(account["error"].is_string() && account["next_try"].is_string(), "{account}");
        assert_eq!(fs::read(home.state(user).join("token.json")).unwrap(), kept, "{user}");
    }
    users.iter().for_each(|user| host.tokens.heal(user));
    for user in users {
        let account = home.wait_state(user, "watching");
        assert_eq!(account["error"], Value::Null, "{account}");
        assert!(!host.tokens.was_reused(user));
    }
}

#[test]
fn retry_after_is_obeyed() {
    let host = Host::start();
    let home = home_of(&host, &["alice"]);
    let before = host.tokens.requests("alice");
    host.tokens.fail("alice", Failure::TooMany(4), 1);
    let start = Instant::now();
    let _daemon = home.start();
    home.wait_state("alice", "waiting");
    home.wait_state("alice", "watching");
    assert!(start.elapsed() >= Duration::from_secs(3), "after {:?}", start.elapsed());
    assert_eq!(host.tokens.requests("alice"), before + 2);
}

#[test]
fn a_silent_token_server_leaves_the_account_stoppable_and_the_other_well() {
    let host = Host::start();
    let home = home_of(&host, &["alice", "bob"]);
    host.tokens.fail("alice", Failure::Stall, usize::MAX);
    let daemon = home.start();
    home.wait_state("bob", "watching");
    host.deliver("bob", &message("beside the silence"));
    wait_mail(&home, "bob", "beside the silence");
    assert_eq!(account(&home.status(), "alice")["state"], "connecting");
    // Its answer may hold the only good token: it is waited for, unless somebody insists.
    let mut daemon = daemon;
    daemon.signal(Signal::TERM);
    until(PATIENCE, "the daemon to say that it waits", || {
        daemon.stderr().contains("a login is being renewed")
    });
    let insisted = Instant::now();
    daemon.signal(Signal::TERM);
    let status = daemon.wait();
    assert!(status.code() == Some(143), "{status}");
    assert!(insisted.elapsed() < Duration::from_secs(5), "after {:?}", insisted.elapsed());
}

#[test]
fn a_token_server_that_cannot_be_reached_does_not_delay_a_stop() {
    let host = Host::start();
    let home = home();
    // A listener that never accepts a word of TLS: the connection is open, and nothing has left.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://127.0.0.1:{}/token", silent.local_addr().unwrap().port());
    let alice = Account::of(&host, "alice");
    home.configure(std::slice::from_ref(&alice));
    host.furnish("alice");
    home.login("alice", &host.tokens.refresh_token("alice"));
    let file = home.state("alice").join("token.json");
    let saved = fs::read_to_string(&file).unwrap();
    fs::write(&file, saved.replace(&host.tokens.token_url(), &url)).unwrap();
    home.configure(&[Account { token_url: Some(url), ..alice }]);
    let daemon = home.start();
    let _stuck = silent.accept().unwrap();
    let (status, time) = daemon.stop();
    assert!(status.success() && time < Duration::from_secs(5), "{status} after {time:?}");
}
