//! Run again, with other options, in a bad moment or twice at once.

use std::fs;
use std::os::unix::fs::symlink;

use crate::scene::{MAILBOXES, autoconfig, config, home, mode, resolver, run, told};
use crate::support::Host;
use crate::support::terminal::Terminal;
use crate::support::tokens::Failure;

#[test]
fn options_of_another_run_change_the_account_or_are_refused_by_name() {
    let home = home();
    let run = |arguments: &[&str]| {
        let output = home.run(&[&["add", "you@gmail.com"], arguments].concat());
        (output.status.code(), told(&output).1)
    };
    let base = format!("[accounts.gmail]\naddress = \"you@gmail.com\"\nprovider = \"gmail\"\n{MAILBOXES}");
    let _ = run(&["--client-id", "mistyped", "--client-secret-command", "printf s"]);
    let (_, said) = run(&["--client-id", "mine", "--client-secret-command", "pass c", "--provider", "gmail"]);
    assert!(said.contains("account gmail is changed"), "{said}");
    let oauth = "\n[accounts.gmail.oauth]\nclient_id = \"mine\"\nclient_secret_command = \"pass c\"\n";
    assert_eq!(config(&home), format!("{base}{oauth}"));
    for (arguments, option) in [
        (["--provider", "yahoo"], "--provider"),
        (["--name", "other"], "--name"),
        (["--protocol", "pop3"], "--protocol"),
        (["--login-as", "me@gmail.com"], "--login-as"),
        (["--imap", "imap.own.test"], "imap"),
    ] {
        let (code, said) = run(&arguments);
        assert!(code == Some(2) || code == Some(78), "{option}: {code:?} {said}");
        assert!(said.contains(option), "{option}: {said}");
        assert_eq!(config(&home), format!("{base}{oauth}"), "{option}");
    }
    let turned = home.run_with(&["add", "you@gmail.com", "--password"], "abcd efgh\n");
    assert!(told(&turned).1.contains("account gmail is changed"), "{}", told(&turned).1);
    let file = home.config().with_file_name("gmail.password");
    let command = format!("auth = \"password\"\npassword_command = \"cat '{}'\"\n", file.display());
    assert_eq!(config(&home), format!("{base}{command}"));
    assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode(&file)), ("abcd efgh", 0o600));
}

#[test]
fn a_client_of_one_organisation_serves_its_other_mailboxes_with_its_tenant() {
    let (home, resolver) = (home(), resolver());
    let dns = resolver.address();
    let me = ["add", "me@contoso.test", "--dns", &dns, "--client-id", "mine", "--tenant", "contoso.test"];
    assert_eq!(home.run(&me).status.code(), Some(77));
    let team = ["add", "team@contoso.test", "--dns", &dns, "--login-as", "me@contoso.test", "--name", "team"];
    assert_eq!(home.run(&team).status.code(), Some(77));
    let oauth = "client_id = \"mine\"\ntenant = \"contoso.test\"\n";
    assert_eq!(config(&home).matches(oauth).count(), 2, "{}", config(&home));
}

#[test]
fn a_token_endpoint_that_is_away_begins_no_login() {
    let (host, home) = (Host::start(), home());
    host.furnish("alice");
    let file = autoconfig(&host, &home, "OAuth2");
    let base = ["add", "alice@mail.test", "--autoconfig", file.to_str().unwrap(), "--client-id", "test"];
    let first = run(&host, &home, &[&base[..], &["--import"]].concat(), &host.tokens.refresh_token("alice"));
    assert!(first.status.success(), "{:?}", told(&first));
    host.tokens.fail("alice", Failure::Internal, 100);
    let mut command = home.command(&["add", "alice@mail.test"]);
    command.env("SSL_CERT_FILE", host.ca());
    let mut terminal = Terminal::run(command);
    assert_eq!(terminal.wait().code(), Some(75), "{}", terminal.shown());
    assert!(!terminal.shown().contains("Log in to account"), "{}", terminal.shown());
    terminal.expect("when this is mended: posthaste add alice@mail.test");
}

#[test]
fn a_linked_configuration_stays_a_link_and_one_that_cannot_be_written_is_shown() {
    let home = home();
    let target = home.dir().join("dotfiles/posthaste.toml");
    symlink(&target, home.config()).unwrap();
    assert_eq!(home.run(&["add", "you@gmail.com"]).status.code(), Some(77));
    assert!(home.config().symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&target).unwrap(), config(&home));
    fs::remove_file(home.config()).unwrap();
    symlink("/proc/self/no-such-directory/config.toml", home.config()).unwrap();
    let refused = home.run(&["add", "you@gmail.com"]);
    let (_, stderr) = told(&refused);
    assert_eq!(refused.status.code(), Some(78), "{stderr}");
    assert!(stderr.contains("cannot write ") && stderr.contains("[accounts.gmail]\naddress"), "{stderr}");
}

#[test]
fn two_at_once_lose_no_account() {
    let home = home();
    let names: Vec<String> = (0..4).map(|number| format!("n{number}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let home = &home;
            scope.spawn(move || home.run(&["add", &format!("{name}@gmail.com"), "--name", name]));
        }
    });
    for name in &names {
        assert!(config(&home).contains(&format!("[accounts.{name}]")), "{}", config(&home));
    }
}
