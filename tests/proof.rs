//! How an account proves to real servers who it is: which SASL mechanism carries its token, whose token opens a shared
//! mailbox, where secrets come from.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use support::dovecot::Options;
use support::process::{Account, Home};
use support::wait::{PATIENCE, until};
use support::{Host, message};

fn home() -> Home {
    Home::new(env!("CARGO_BIN_EXE_posthaste"))
}

/// A host whose IMAP and submission offer these mechanisms only.
fn offering(mechanisms: &str) -> Host {
    Host::with(Options { extra: format!("auth_mechanisms = {mechanisms}\n"), ..Options::default() })
}

fn home_of_alice(host: &Host) -> Home {
    let home = home();
    home.configure(&[Account::of(host, "alice")]);
    host.furnish("alice");
    home.login("alice", &host.tokens.refresh_token("alice"));
    home
}

#[test]
fn the_standard_mechanism_carries_the_token_where_it_is_offered_and_the_older_one_else() {
    for (offered, used) in [
        ("plain login xoauth2 oauthbearer", "OAUTHBEARER"),
        ("plain login oauthbearer", "OAUTHBEARER"),
        ("plain login xoauth2", "XOAUTH2"),
    ] {
        offering(offered).explain(|host| {
            let home = home_of_alice(host);
            let _daemon = home.start();
            assert_eq!(home.wait_state("alice", "watching")["mechanism"], used, "{offered}");
            home.send("alice", "draft", b"From: alice@mail.test\nTo: bob@mail.test\nSubject: x\n\nHello.\n");
            host.sink.wait_for(1);
            let submitted = format!("submission-login: Info: Login: user=<alice>, method={used}");
            until(PATIENCE, "the login in the log", || host.dovecot.log().contains(&submitted));
        });
    }
}

#[test]
fn a_token_never_goes_by_plain_even_where_nothing_else_is_offered() {
    offering("plain login").explain(|host| {
        let home = home_of_alice(host);
        let output = home.run(&["sync", "alice"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        assert!(told.contains("does not offer OAUTHBEARER or XOAUTH2"), "{told}");
    });
}

/// Alice's own mailbox on one host; on the other host her token opens the mailbox `team`, and no other does.
fn shared_mailbox() -> (Host, Host) {
    let own = Host::start();
    let shared = own.beside(own.tokens.delegating("alice", "team"));
    own.furnish("alice");
    shared.furnish("team");
    (own, shared)
}

/// `team` submits where alice has her account, as alice.
fn team(own: &Host, shared: &Host) -> Account {
    Account {
        imap: (shared.dovecot.ports.imaps, "implicit"),
        extra: "login_as = \"alice\"\n".to_owned(),
        ..Account::of(own, "team")
    }
}

#[test]
fn a_shared_mailbox_is_opened_with_the_token_of_its_user_who_also_submits_for_it() {
    let (own, shared) = shared_mailbox();
    let home = home();
    home.configure(&[Account::of(&own, "alice"), team(&own, &shared)]);
    home.login("team", &own.tokens.refresh_token("alice"));
    assert!(home.state("alice").join("token.json").exists(), "one token, kept with the user's own mailbox");
    assert!(!home.state("team").join("token.json").exists());
    let before = own.tokens.requests("alice");
    let _daemon = home.start();
    for account in ["alice", "team"] {
        home.wait_state(account, "watching");
    }
    assert_eq!(own.tokens.requests("alice"), before + 1, "one refresh serves both");
    shared.deliver("team", &message("for the team"));
    until(PATIENCE, "mail of the team", || home.maildir("team").find("INBOX", "for the team").is_some());
    home.send("team", "answer", b"From: team@mail.test\nTo: bob@mail.test\nSubject: answer\n\nHello.\n");
    assert_eq!(own.sink.wait_for(1)[0].sender, "team@mail.test");
    assert!(own.dovecot.log().contains("submission-login: Info: Login: user=<alice>"));
    // Under way: the token ends for both at once, and every refresh replaces the refresh token.
    own.tokens.revoke_access("alice");
    own.dovecot.kick("alice");
    shared.dovecot.kick("team");
    for (account, host) in [("alice", &own), ("team", &shared)] {
        host.deliver(account, &message("with the next token"));
        let maildir = home.maildir(account);
        until(PATIENCE, account, || maildir.find("INBOX", "with the next token").is_some());
    }
    assert_eq!(own.tokens.requests("alice"), before + 2, "one more serves both");
    assert!(!own.tokens.was_reused("alice"));
}

#[test]
fn a_lost_login_of_several_accounts_is_told_once_and_one_login_mends_all() {
    let (own, shared) = shared_mailbox();
    let home = home();
    home.configure(&[Account::of(&own, "alice"), team(&own, &shared)]);
    home.login("alice", &own.tokens.refresh_token("alice"));
    let daemon = home.start();
    for account in ["alice", "team"] {
        home.wait_state(account, "watching");
    }
    let before = own.tokens.requests("alice");
    own.tokens.revoke_access("alice");
    own.tokens.revoke_refresh("alice");
    own.dovecot.kick("alice");
    shared.dovecot.kick("team");
    for account in ["alice", "team"] {
        let status = home.wait_state(account, "needs-login");
        assert!(status["hint"].as_str().unwrap().contains("posthaste login alice"), "{status}");
    }
    assert!(own.tokens.requests("alice") <= before + 1, "asked once for both");
    let log = daemon.stderr();
    assert_eq!(log.matches("posthaste login alice").count(), 1, "{log}");
    home.login("team", &own.tokens.refresh_token("alice"));
    for account in ["alice", "team"] {
        home.wait_state(account, "watching");
    }
}

#[test]
fn a_secret_of_the_service_manager_is_read_from_its_directory() {
    let host = Host::start();
    host.furnish("bob");
    let home = home();
    home.configure(&[Account { token_url: None, ..Account::of(&host, "bob") }]);
    let text = std::fs::read_to_string(home.config()).unwrap();
    let command = text.lines().find(|line| line.starts_with("password_command")).unwrap().to_owned();
    std::fs::write(home.config(), text.replace(&command, "password_credential = \"bob\"")).unwrap();
    let refused = home.run(&["sync"]);
    assert_eq!(refused.status.code(), Some(78));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("credential bob") && told.contains("LoadCredential=bob:"), "{told}");
    let credentials = home.dir().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::write(credentials.join("bob"), format!("{}\n", support::dovecot::PASSWORD)).unwrap();
    let _daemon = home.start_with(&[("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap())]);
    assert_eq!(home.wait_state("bob", "watching")["mechanism"], "PLAIN");
}

#[test]
fn a_password_that_was_mended_in_its_store_is_tried_at_the_next_order_or_reload() {
    let host = Host::start();
    host.furnish("bob");
    let home = home();
    let store = home.dir().join("password");
    let password_command = format!("cat '{}'", store.display());
    home.configure(&[Account { token_url: None, password_command, ..Account::of(&host, "bob") }]);
    for mend in ["sync", "reload"] {
        std::fs::write(&store, "wrong").unwrap();
        let daemon = home.start();
        home.wait_state("bob", "needs-login");
        std::fs::write(&store, support::dovecot::PASSWORD).unwrap();
        match mend {
            "sync" => drop(home.ok(&["sync"])),
            _ => daemon.reload(),
        }
        home.wait_state("bob", "watching");
        assert!(daemon.stop().0.success());
    }
}

#[test]
fn an_account_that_turns_from_a_password_to_tokens_keeps_its_mail_and_its_state() {
    let host = Host::start();
    host.furnish("alice");
    host.deliver("alice", &message("from before"));
    let home = home();
    home.configure(&[Account { token_url: None, ..Account::of(&host, "alice") }]);
    home.ok(&["sync"]);
    home.configure(&[Account::of(&host, "alice")]);
    home.login("alice", &host.tokens.refresh_token("alice"));
    assert!(home.ok(&["sync"]).contains("in step"), "nothing was to be done");
    host.deliver("alice", &message("from after"));
    home.ok(&["sync"]);
    assert_eq!(home.maildir("alice").count("INBOX"), 2);
}

#[test]
fn an_account_without_a_submission_server_receives() {
    let host = Host::start();
    let home = home_of_alice(&host);
    let text = std::fs::read_to_string(home.config()).unwrap();
    let (before, rest) = text.split_once("[accounts.alice.smtp]").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    std::fs::write(home.config(), format!("{before}{after}")).unwrap();
    let _daemon = home.start();
    assert_eq!(home.wait_state("alice", "watching")["error"], serde_json::Value::Null);
    host.deliver("alice", &message("received"));
    until(PATIENCE, "mail", || home.maildir("alice").find("INBOX", "received").is_some());
    home.ok(&["doctor"]);
}
