//! `posthaste add`: from an address to an account that works, at a terminal and without one.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use support::process::Home;
use support::resolver::Resolver;
use support::terminal::Terminal;
use support::{Host, dovecot, message};

const OLD: &str = "# my mail\nmaildir_root = \"~/M\"   # short\n\n# the first one\n[accounts.home]\naddress = \"me@icloud.com\"\n\
                   auth = \"password\"   # made for this machine\npassword_command = \"pass icloud\"\n\n# the end\n";

fn home() -> Home {
    Home::new(env!("CARGO_BIN_EXE_posthaste"))
}

fn config(home: &Home) -> String {
    fs::read_to_string(home.config()).unwrap_or_default()
}

fn told(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// A resolver by which Microsoft receives the mail of `contoso.test` and Google that of `school.test`.
fn resolver() -> Resolver {
    Resolver::start(&[
        ("contoso.test", &["contoso-test.mail.protection.outlook.com"]),
        ("school.test", &["aspmx.l.google.com", "alt1.aspmx.l.google.com"]),
        ("own.test", &["mx.own.test"]),
    ])
}

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
    assert!(stdout.contains("--client-secret-command") && stdout.contains("apppasswords"), "{stdout}");
    assert!(stderr.contains("needs a client of your own"), "{stderr}");
    let written = "[accounts.gmail]\naddress = \"you@gmail.com\"\nprovider = \"gmail\"\n";
    assert_eq!(config(&home), written);
    let again = home.run(&["add", "You@gmail.com"]);
    assert!(told(&again).1.contains("stays as it is"), "{}", told(&again).1);
    assert_eq!((again.status.code(), config(&home).as_str()), (Some(77), written));
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
    let school = "\n[accounts.uni]\naddress = \"me@school.test\"\nprovider = \"gmail\"\n";
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
fn a_mistake_in_the_configuration_is_shown_and_nothing_is_added() {
    let home = home();
    fs::write(home.config(), "[accounts.a]\naddres = \"a@gmail.com\"\n").unwrap();
    let output = home.run(&["add", "you@gmail.com"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(told(&output).1.contains("config.toml:2:1: unknown field"), "{}", told(&output).1);
    assert_eq!(config(&home), "[accounts.a]\naddres = \"a@gmail.com\"\n");
}

/// What a provider publishes about a host, with tokens or passwords.
fn autoconfig(host: &Host, home: &Home, authentication: &str) -> PathBuf {
    let file = home.dir().join("config.xml");
    let server = |tag: &str, kind: &str, port: u16| {
        format!(
            "<{tag} type=\"{kind}\"><hostname>localhost</hostname><port>{port}</port><socketType>SSL</socketType>\
             <username>%EMAILLOCALPART%</username><authentication>{authentication}</authentication></{tag}>"
        )
    };
    let ports = host.dovecot.ports;
    let text = format!(
        "<clientConfig version=\"1.1\"><emailProvider id=\"mail.test\">{}{}</emailProvider>\
         <oAuth2><scope>mail</scope><authURL>{}</authURL><tokenURL>{}</tokenURL></oAuth2></clientConfig>",
        server("incomingServer", "imap", ports.imaps),
        server("outgoingServer", "smtp", ports.submissions),
        host.tokens.token_url(),
        host.tokens.token_url(),
    );
    fs::write(&file, text).unwrap();
    file
}

fn run(host: &Host, home: &Home, arguments: &[&str], input: &str) -> Output {
    use std::io::Write;
    let mut command = home.command(arguments);
    command.env("SSL_CERT_FILE", host.ca()).stdin(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

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
fn at_a_terminal_the_servers_of_an_unknown_domain_are_asked_for() {
    let (host, home, resolver) = (Host::start(), home(), resolver());
    host.furnish("alice");
    let mut command = home.command(&["add", "alice@own.test", "--dns", &resolver.address()]);
    command.env("SSL_CERT_FILE", host.ca());
    let mut terminal = Terminal::run(command);
    terminal.answer("IMAP server [imap.own.test]: ", "no server");
    terminal.expect("this is no server");
    terminal.answer("IMAP server [imap.own.test]: ", &format!("localhost:{}", host.dovecot.ports.imaps));
    terminal.answer("[smtp.own.test]: ", &format!("localhost:{}", host.dovecot.ports.submissions));
    terminal.answer("Login name [alice@own.test]: ", "alice");
    terminal.answer("Command that prints the password", &format!("printf {}", dovecot::PASSWORD));
    assert!(terminal.wait().success(), "{}", terminal.shown());
    terminal.expect("account own works.");
    assert!(config(&home).contains("user = \"alice\"\nauth = \"password\"\n"), "{}", config(&home));
}

#[test]
fn at_a_terminal_the_client_of_a_big_provider_is_asked_for_and_the_login_begins() {
    let resolver = resolver();
    for (address, questions, begins) in [
        (
            "you@gmail.com",
            ["Client id", "Command that prints the client secret"].as_slice(),
            "https://accounts.google.com/",
        ),
        ("you@contoso.test", &["Client id"], "https://login.microsoftonline.com/"),
    ] {
        let home = home();
        let mut command = home.command(&["add", address, "--paste", "--dns", &resolver.address()]);
        command.env("TERM", "xterm");
        let mut terminal = Terminal::run(command);
        terminal.expect("  1. ");
        for question in questions {
            terminal.answer(question, "printf x");
        }
        terminal.expect(begins);
        assert!(config(&home).contains("client_id = \"printf x\""), "{}", config(&home));
    }
}
