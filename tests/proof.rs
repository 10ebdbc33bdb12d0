//! How an account proves to real servers who it is: which SASL mechanism carries its token.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use support::dovecot::Options;
use support::process::{Account, Home};
use support::{Host, wait};

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
            wait::until(wait::PATIENCE, "the login in the log", || host.dovecot.log().contains(&submitted));
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
