//! Where the mail is: what the domain, its mail exchangers and nobody tell, and what then stands in the file.

use std::fs;

use crate::scene::{MAILBOXES, OLD, config, home, mode, resolver, told};

#[test]
fn gmail_without_a_terminal_tells_how_to_get_a_client_and_goes_on_when_run_again() {
    let home = home();
    let first = home.run(&["add", "you@gmail.com"]);
    let (stdout, stderr) = told(&first);
    assert_eq!(first.status.code(), Some(77), "{stderr}");
    for words in [
        "  1. Create a project: https://",
        "  6. Create a client",
        "ends after 7 days",
        "[accounts.gmail.oauth]",
    ] {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    assert!(stdout.contains("--client-secret") && stdout.contains("apppasswords"), "{stdout}");
    assert!(stderr.contains("needs a client of your own"), "{stderr}");
    assert!(stderr.contains("not fetched") && stderr.contains("[Gmail]/All Mail"), "{stderr}");
    let written =
        &format!("[accounts.gmail]\naddress = \"you@gmail.com\"\nprovider = \"gmail\"\n{MAILBOXES}");
    assert_eq!(config(&home), *written);
    assert_eq!(mode(&home.config()), 0o600);
    let again = home.run(&["add", "You@gmail.com"]);
    assert!(told(&again).1.contains("stays as it is"), "{}", told(&again).1);
    assert_eq!((again.status.code(), config(&home).as_str()), (Some(77), written.as_str()));
    let half = home.run(&["add", "you@gmail.com", "--client-id", "mine"]);
    assert_eq!(half.status.code(), Some(77));
    assert!(told(&half).1.contains("needs the secret of its client"), "{}", told(&half).1);
    let client = ["add", "you@gmail.com", "--client-id", "mine", "--client-secret-command", "printf s"];
    let third = home.run(&client);
    let (stdout, stderr) = told(&third);
    assert_eq!((third.status.code(), stdout.as_str()), (Some(77), ""), "{stderr}");
    assert!(stderr.contains("account gmail is written and needs a login"), "{stderr}");
    let named = "\n[accounts.gmail.oauth]\nclient_id = \"mine\"\nclient_secret_command = \"printf s\"\n";
    assert_eq!(config(&home), format!("{written}{named}"));
}

#[test]
fn a_domain_hosted_by_microsoft_or_google_is_recognised_and_comments_stay() {
    let (home, resolver) = (home(), resolver());
    fs::write(home.config(), OLD).unwrap();
    let dns = resolver.address();
    let output = home.run(&["add", "me@contoso.test", "--dns", &dns, "--client-id", "mine"]);
    let (_, stderr) = told(&output);
    assert_eq!(output.status.code(), Some(77), "{stderr}");
    assert!(stderr.contains("me@contoso.test is served by Microsoft 365"), "{stderr}");
    let work = "\n[accounts.contoso]\naddress = \"me@contoso.test\"\nprovider = \"microsoft\"\n\n[accounts.contoso.oauth]\nclient_id = \"mine\"\n";
    assert_eq!(config(&home), format!("{OLD}{work}"));
    let team = ["add", "team@contoso.test", "--dns", &dns, "--login-as", "me@contoso.test", "--name", "team"];
    assert!(told(&home.run(&team)).1.contains("account team is written and needs a login"));
    let shared = "\n[accounts.team]\naddress = \"team@contoso.test\"\nprovider = \"microsoft\"\nlogin_as = \"me@contoso.test\"\n\n[accounts.team.oauth]\nclient_id = \"mine\"\n";
    assert_eq!(config(&home), format!("{OLD}{work}{shared}"), "one client serves both");
    let work = &format!("{work}{shared}");
    let output = home.run(&["add", "me@school.test", "--dns", &dns, "--name", "uni"]);
    assert!(told(&output).1.contains("is served by Gmail"), "{}", told(&output).1);
    let school =
        &format!("\n[accounts.uni]\naddress = \"me@school.test\"\nprovider = \"gmail\"\n{MAILBOXES}");
    assert_eq!(config(&home), format!("{OLD}{work}{school}"));
    let taken = home.run(&["add", "other@school.test", "--dns", &dns, "--name", "uni"]);
    assert_eq!(taken.status.code(), Some(2));
    let refused = home.run(&["add", "b@contoso.test", "--dns", &dns, "--password-command", "pass b"]);
    assert_eq!(refused.status.code(), Some(78));
    assert!(told(&refused).1.contains("takes no passwords"), "{}", told(&refused).1);
    assert_eq!(config(&home), format!("{OLD}{work}{school}"), "what is refused is not written");
}

#[test]
fn an_unknown_domain_without_a_terminal_is_told_what_to_write() {
    let (home, resolver) = (home(), resolver());
    for address in ["me@own.test", "me@nowhere.test"] {
        let output = home.run(&["add", address, "--dns", &resolver.address()]);
        let (_, stderr) = told(&output);
        assert_eq!(output.status.code(), Some(78), "{stderr}");
        let domain = address.split_once('@').unwrap().1;
        assert!(stderr.contains(&format!("no provider is known for {domain}")), "{stderr}");
        assert!(stderr.contains(&format!("imap = {{ host = \"imap.{domain}\"")), "{stderr}");
    }
    assert_eq!(config(&home), "");
}

#[test]
fn a_submission_server_beside_a_providers_own_is_refused() {
    let home = home();
    let output = home.run(&["add", "you@gmail.com", "--smtp", "smtp.own.test"]);
    let (_, stderr) = told(&output);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--smtp goes with --imap or --pop"), "{stderr}");
    assert_eq!(config(&home), "");
}

#[test]
fn what_is_no_address_or_no_certificate_is_refused_before_anything_is_written() {
    let home = home();
    let wrong: [(&[&str], i32, &str); 2] = [
        (&["add", "not-an-address"], 2, "no mail address"),
        (&["add", "you@gmail.com", "--ca", "/nowhere.pem"], 78, "/nowhere.pem"),
    ];
    for (arguments, code, words) in wrong {
        let output = home.run(arguments);
        let (_, stderr) = told(&output);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
        assert_eq!(config(&home), "");
    }
}

#[test]
fn a_mistake_in_the_configuration_is_shown_and_nothing_is_added() {
    let home = home();
    fs::write(home.config(), "[accounts.a]\naddres = \"a@gmail.com\"\n").unwrap();
    let output = home.run(&["add", "you@gmail.com"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(told(&output).1.contains("config.toml:2:1: unknown key"), "{}", told(&output).1);
    assert_eq!(config(&home), "[accounts.a]\naddres = \"a@gmail.com\"\n");
}

#[test]
fn an_option_that_the_way_to_log_in_cannot_use_is_refused_by_name() {
    let home = home();
    let icloud = ["add", "me@icloud.com", "--password-command", "pass icloud"];
    let servers = ["add", "me@own.test", "--imap", "imap.own.test"];
    let refused = |base: &[&str], option: &[&str], words: &str| {
        let output = home.run(&[base, option].concat());
        let (_, stderr) = told(&output);
        assert_eq!(output.status.code(), Some(2), "{option:?}: {stderr}");
        assert!(stderr.contains(option[0]) && stderr.contains(words), "{option:?}: {stderr}");
    };
    for option in [&["--device"][..], &["--import"], &["--client-id", "x"], &["--login-as", "b@icloud.com"]] {
        refused(&icloud, option, "--password-command");
        refused(&["add", "me@icloud.com"], option, "has no use here: iCloud Mail wants an app password");
        refused(&servers, option, "has no use here: the servers take a password");
    }
    refused(&servers, &["--protocol", "pop3"], "--imap names no server for --protocol pop3");
    assert_eq!(config(&home), "");
    let _ = home.run(&icloud);
    let written = config(&home);
    assert!(written.contains("auth = \"password\""), "{written}");
    for option in [&["--device"][..], &["--paste"], &["--tenant", "x"]] {
        refused(&["add", "me@icloud.com"], option, "account icloud logs in with a password");
    }
    assert_eq!(config(&home), written);
}
