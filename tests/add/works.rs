//! To the end: against a real mail host.

use crate::scene::{autoconfig, config, home, run, told};
use crate::support::process::Account;
use crate::support::terminal::Terminal;
use crate::support::{Host, dovecot, message};

#[test]
fn an_autoconfig_file_leads_to_an_account_that_works_with_tokens_or_a_password() {
    let host = Host::start();
    host.furnish("alice");
    for (authentication, credentials) in [
        ("OAuth2", ["--client-id", "test", "--import"].as_slice()),
        ("password-cleartext", &["--password-command", &format!("printf {}", dovecot::PASSWORD)]),
    ] {
        let home = home();
        let file = autoconfig(&host, &home, authentication);
        let base = ["add", "alice@mail.test", "--autoconfig", file.to_str().unwrap()];
        let arguments = [&base[..], credentials].concat();
        let output = run(&host, &home, &arguments, &format!("{}\n", host.tokens.refresh_token("alice")));
        let (stdout, stderr) = told(&output);
        assert!(output.status.success(), "{stdout}{stderr}");
        assert!(
            stdout.contains("account mail works. Next: systemctl --user enable --now posthaste"),
            "{stdout}"
        );
        assert!(stdout.contains("Mail will be in ~/Mail/mail"), "{stdout}");
        let again = run(&host, &home, &["add", "alice@mail.test"], "");
        assert!(again.status.success(), "{:?}", told(&again));
        host.deliver("alice", &message(authentication));
        let synced = run(&host, &home, &["sync"], "");
        assert!(synced.status.success(), "{:?}", told(&synced));
    }
}

#[test]
fn a_maildrop_is_added_by_pop3() {
    let (host, home) = (Host::start(), home());
    host.furnish("alice");
    let (pop, smtp) = (host.dovecot.ports.pops, host.dovecot.ports.submissions);
    let (pop, smtp) = (format!("localhost:{pop}"), format!("localhost:{smtp}"));
    let ca = host.ca();
    let arguments =
        ["add", "alice@own.test", "--pop", &pop, "--smtp", &smtp, "--user", "alice", "--password"];
    let arguments = [&arguments[..], &["--ca", ca.to_str().unwrap()]].concat();
    let output = home.run_with(&arguments, dovecot::PASSWORD);
    let (stdout, stderr) = told(&output);
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("account own works"), "{stdout}");
    assert!(config(&home).contains("protocol = \"pop3\"\n"), "{}", config(&home));
    let row =
        home.run(&["add", "you@fastmail.com", "--protocol", "pop3", "--client-id", "x", "--name", "row"]);
    assert!(config(&home).contains("provider = \"fastmail\"\nprotocol = \"pop3\"\n"), "{}", told(&row).1);
    let microsoft = home.run(&["add", "you@outlook.com", "--protocol", "pop3"]);
    let (stdout, stderr) = told(&microsoft);
    assert!(
        stdout.contains("delegated: POP.AccessAsUser.All, SMTP.Send, offline_access"),
        "{stdout}{stderr}"
    );
}

#[test]
fn a_running_daemon_takes_the_account_over_when_it_is_logged_in() {
    let (host, home) = (Host::start(), home());
    for user in ["alice", "bob"] {
        host.furnish(user);
    }
    home.configure(&[Account::of(&host, "bob")]);
    home.login("bob", &host.tokens.refresh_token("bob"));
    let variables = [("SSL_CERT_FILE", host.ca())];
    let variables: Vec<_> = variables.iter().map(|(name, path)| (*name, path.to_str().unwrap())).collect();
    let _daemon = home.start_with(&variables);
    let file = autoconfig(&host, &home, "OAuth2");
    let base = ["add", "alice@mail.test", "--autoconfig", file.to_str().unwrap(), "--name", "alice"];
    let begin = Terminal::run(home.command(&[&base[..], &["--client-id", "test", "--paste"]].concat()));
    begin.expect("Log in to account alice");
    let known = home.status()["accounts"].as_array().unwrap().len();
    assert_eq!(known, 1, "an account that is not logged in yet needs no login");
    drop(begin);
    let arguments = [&base[..], &["--import"]].concat();
    let output = run(&host, &home, &arguments, &host.tokens.refresh_token("alice"));
    let (stdout, stderr) = told(&output);
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("The running daemon has taken it over."), "{stdout}");
    let _ = home.wait_state("alice", "watching");
}

#[test]
fn what_is_read_but_not_sent_is_told() {
    let (host, home) = (Host::start(), home());
    host.furnish("alice");
    let imap = format!("localhost:{}", host.dovecot.ports.imaps);
    let arguments = ["add", "alice@own.test", "--imap", &imap, "--smtp", "localhost:1", "--user", "alice"];
    let output = run(&host, &home, &[&arguments[..], &["--password"]].concat(), dovecot::PASSWORD);
    let (stdout, stderr) = told(&output);
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    assert!(stderr.contains("account own reads mail, and cannot send yet"), "{stderr}");
    let smtp = format!("localhost:{}", host.dovecot.ports.submissions);
    let mended = run(&host, &home, &["add", "alice@own.test", "--smtp", &smtp], "");
    assert!(mended.status.success(), "{:?}", told(&mended));
}

#[test]
fn a_running_daemon_tries_a_corrected_password_at_once() {
    let (host, home) = (Host::start(), home());
    for user in ["alice", "bob"] {
        host.furnish(user);
    }
    home.configure(&[Account::of(&host, "bob")]);
    home.login("bob", &host.tokens.refresh_token("bob"));
    let _daemon = home.start_with(&[("SSL_CERT_FILE", host.ca().to_str().unwrap())]);
    let imap = format!("localhost:{}", host.dovecot.ports.imaps);
    let add = ["add", "alice@own.test", "--imap", &imap, "--user", "alice", "--password"];
    let wrong = run(&host, &home, &add, "not-the-password");
    assert!(!wrong.status.success(), "{:?}", told(&wrong));
    let _ = home.wait_state("own", "needs-login");
    let mended = run(&host, &home, &["add", "alice@own.test", "--password"], dovecot::PASSWORD);
    assert!(mended.status.success(), "{:?}", told(&mended));
    let _ = home.wait_state("own", "watching");
}
