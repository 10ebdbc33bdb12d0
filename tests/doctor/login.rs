//! What is refused: tokens, logins, mailboxes, senders.

use crate::support::Host;
use crate::support::meddler::{Act, Meddler};
use crate::support::process::Account;
use crate::support::tokens::Failure;
use crate::visit::{assert_only, ended, examine, home_of, in_tls, step};

#[test]
fn a_login_that_was_revoked_skips_what_needs_it_and_nothing_else() {
    let host = Host::start();
    let home = home_of(&host, &[Account::of(&host, "alice"), Account::of(&host, "bob")]);
    host.tokens.revoke_refresh("alice");
    let (found, code) = examine(&home, &[]);
    let (alice, bob) = (&found["accounts"][0], &found["accounts"][1]);
    assert_eq!(
        (code, ended(alice, "fail"), bob["ok"].as_bool()),
        (1, vec!["token"], Some(true)),
        "{found:#}"
    );
    let skipped =
        ["imap.login", "imap.inbox", "imap.capabilities", "imap.mailboxes", "smtp.login", "smtp.sender"];
    assert_eq!(ended(alice, "skipped"), skipped);
    assert_eq!(step(alice, "smtp.sender")["detail"], "because token failed");
    assert!(step(alice, "token")["detail"].as_str().unwrap().contains("invalid_grant"), "{alice:#}");
    assert!(step(alice, "token")["advice"].as_str().unwrap().contains("posthaste login alice"), "{alice:#}");

    let text = home.run(&["doctor"]);
    let said = String::from_utf8_lossy(&text.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&text.stderr).into_owned();
    assert!(said.contains("FAIL  token") && said.contains("run: posthaste login alice"), "{said}");
    assert!(said.find("\nalice\n") < said.find("\nbob\n"), "{said}");
    assert!(complaint.contains("1 check failed: alice token"), "{complaint}");
    let (only_bob, code) = examine(&home, &["bob"]);
    assert_eq!((code, only_bob["accounts"].as_array().unwrap().len()), (0, 1));
    assert_eq!(home.run(&["doctor", "nobody"]).status.code(), Some(2));
}

#[test]
fn a_login_that_the_daemon_knows_to_be_lost_is_not_tried_again() {
    let host = Host::start();
    let home = home_of(&host, &[Account::of(&host, "alice")]);
    let _daemon = home.start();
    home.wait_state("alice", "watching");
    host.tokens.fail("alice", Failure::InvalidGrant, usize::MAX);
    host.tokens.revoke_access("alice");
    host.dovecot.kick("alice");
    home.wait_state("alice", "needs-login");
    let before = host.tokens.requests("alice");
    let (found, code) = examine(&home, &[]);
    let alice = &found["accounts"][0];
    assert_eq!((code, ended(alice, "fail")), (1, vec!["token"]), "{found:#}");
    let detail = step(alice, "token")["detail"].as_str().unwrap();
    assert!(detail.starts_with("the daemon says: the login of account alice"), "{detail}");
    assert_eq!(host.tokens.requests("alice"), before, "a refused token is not sent again");
}

#[test]
fn what_the_mail_server_refuses_is_told_in_its_own_words() {
    let host = Host::start();
    let after_login = ["imap.inbox", "imap.capabilities", "imap.mailboxes"];
    for (command, answer, failing, words, remedy, skipped) in [
        (
            "AUTHENTICATE",
            "{tag} NO AUTHENTICATE failed.\r\n",
            "imap.login",
            "AUTHENTICATE failed.",
            "posthaste login alice",
            &after_login[..],
        ),
        (
            "EXAMINE",
            "{tag} BAD User is authenticated but not connected.\r\n",
            "imap.inbox",
            "authenticated but not connected",
            "switch IMAP (or POP) on for the mailbox",
            &after_login[2..],
        ),
    ] {
        let meddler = Meddler::to(host.dovecot.ports.imap, &host.authority);
        meddler.always(command, Act::Answer(answer.as_bytes()));
        let account = Account { imap: (meddler.port(), "implicit"), ..Account::of(&host, "alice") };
        let step = assert_only(&home_of(&host, &[account]), failing, words, skipped);
        assert!(step["advice"].as_str().unwrap().contains(remedy), "{step}");
    }
}

#[test]
fn what_the_submission_server_refuses_is_told_and_reading_still_works() {
    const OFFERS: &str = "250-smtp.test\r\n250 AUTH XOAUTH2\r\n";
    let host = Host::start();
    let disabled = in_tls(
        &host.authority.localhost(),
        &[
            "220 smtp.test\r\n",
            OFFERS,
            "334 \r\n",
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit \
             https://aka.ms/smtp_auth_disabled for more information.\r\n",
        ],
    );
    let late = in_tls(
        &host.authority.localhost(),
        &[
            "220 smtp.test\r\n",
            OFFERS,
            "334 \r\n",
            "235 2.7.0 Authentication successful\r\n",
            "530 5.7.57 Client not authenticated to send mail.\r\n",
            "250 2.0.0 reset\r\n",
            "221 bye\r\n",
        ],
    );
    for (server, failing, words, remedy, skipped) in [
        (&disabled, "smtp.login", "5.7.139", "Authenticated SMTP", &["smtp.sender"][..]),
        (&late, "smtp.sender", "5.7.57", "SMTP.Send", &[]),
    ] {
        let account = Account { smtp: (server.port(), "implicit"), ..Account::of(&host, "alice") };
        let step = assert_only(&home_of(&host, &[account]), failing, words, skipped);
        assert!(step["advice"].as_str().unwrap().contains(remedy), "{step}");
    }
}
