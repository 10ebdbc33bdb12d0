//! Healthy accounts: all checks pass, also beside a running daemon, and the JSON has its shape.

use crate::support::process::{Account, Home};
use crate::support::{Host, message, wait};
use crate::visit::{ALL, ended, examine, home_of, step};
use serde_json::Value;

#[test]
fn a_healthy_account_passes_every_check() {
    let host = Host::start();
    let starttls = Account {
        name: "bob".into(),
        user: "bob".into(),
        imap: (host.dovecot.ports.imap, "starttls"),
        smtp: (host.dovecot.ports.submission, "starttls"),
        ..Account::of(&host, "bob")
    };
    let password = Account { token_url: None, ..Account::of(&host, "carol") };
    let home = home_of(&host, &[Account::of(&host, "alice"), starttls, password]);
    host.deliver("alice", &message("one"));
    let (found, code) = examine(&home, &[]);
    assert_eq!((code, &found["ok"], &found["schema"]), (0, &Value::Bool(true), &Value::from(1)), "{found:#}");
    let names: Vec<_> = found["accounts"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["alice", "bob", "carol"]);
    for account in found["accounts"].as_array().unwrap() {
        let steps: Vec<_> =
            account["steps"].as_array().unwrap().iter().map(|step| step["name"].clone()).collect();
        let steps: Vec<_> = steps.iter().filter(|name| *name != "clock").collect();
        assert_eq!(steps, ALL, "{account:#}");
        assert_eq!((ended(account, "fail").len(), ended(account, "skipped").len()), (0, 0), "{account:#}");
    }
    let alice = &found["accounts"][0];
    assert_eq!(step(alice, "imap.inbox")["detail"], "INBOX has 1 messages");
    assert!(step(alice, "imap.mailboxes")["detail"].as_str().unwrap().contains("Sent, Trash"), "{alice:#}");
    assert!(step(&found["accounts"][1], "smtp.tls")["detail"].as_str().unwrap().contains("STARTTLS"));
    assert!(host.sink.received().is_empty(), "nothing was sent");
    assert!(!home.maildir_path("alice").exists() && !home.outbox("alice").exists(), "nothing was made");
}

#[test]
fn beside_a_running_daemon_no_token_is_asked_for() {
    let host = Host::start();
    let home = home_of(&host, &[Account::of(&host, "alice")]);
    let _daemon = home.start();
    home.wait_state("alice", "watching");
    let before = host.tokens.requests("alice");
    let (found, code) = examine(&home, &[]);
    assert_eq!(code, 0, "{found:#}");
    assert_eq!(host.tokens.requests("alice"), before);
    let token = step(&found["accounts"][0], "token");
    assert!(token["detail"].as_str().unwrap().contains("lent by the running daemon"), "{token}");
    let daemon = &found["machine"][0];
    assert_eq!((&daemon["name"], &daemon["outcome"]), (&Value::from("daemon"), &Value::from("ok")));
    assert!(daemon["detail"].as_str().unwrap().ends_with("alice watching"), "{daemon}");
    host.deliver("alice", &message("after the examination"));
    wait::until(wait::PATIENCE, "mail", || {
        home.maildir("alice").find("INBOX", "after the examination").is_some()
    });
}

#[test]
fn the_json_has_the_documented_shape() {
    let host = Host::start();
    let home = home_of(&host, &[Account::of(&host, "alice")]);
    let (found, _) = examine(&home, &[]);
    let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(keys(&found), ["accounts", "machine", "ok", "schema", "version"]);
    assert_eq!(keys(&found["accounts"][0]), ["name", "ok", "steps"]);
    for step in
        found["accounts"][0]["steps"].as_array().unwrap().iter().chain(found["machine"].as_array().unwrap())
    {
        assert_eq!(keys(step), ["advice", "detail", "milliseconds", "name", "outcome"]);
        assert!(["ok", "warn", "fail", "skipped"].contains(&step["outcome"].as_str().unwrap()), "{step}");
        assert!(step["milliseconds"].is_u64() && step["detail"].is_string(), "{step}");
    }
}

#[test]
fn a_shared_mailbox_is_examined_with_the_token_of_its_user() {
    let own = Host::start();
    let shared = own.beside(own.tokens.delegating("alice", "team"));
    let team = Account {
        imap: (shared.dovecot.ports.imaps, "implicit"),
        extra: "login_as = \"alice\"\n".to_owned(),
        ..Account::of(&own, "team")
    };
    let home = Home::new(env!("CARGO_BIN_EXE_posthaste"));
    home.configure(&[Account::of(&own, "alice"), team]);
    home.login("team", &own.tokens.refresh_token("alice"));
    shared.deliver("team", &message("one"));
    let (found, code) = examine(&home, &["team"]);
    let team = &found["accounts"][0];
    assert_eq!(code, 0, "{found:#}");
    assert_eq!(
        (&team["name"], &step(team, "imap.inbox")["detail"]),
        (&"team".into(), &"INBOX has 1 messages".into())
    );
    assert_eq!(step(team, "smtp.sender")["outcome"], "ok");
}
