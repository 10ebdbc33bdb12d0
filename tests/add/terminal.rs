//! With a person at a terminal, who is asked, types secrets unseen and may give up half way.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use crate::scene::{config, home, mode, resolver, told};
use crate::support::terminal::Terminal;
use crate::support::{Host, dovecot};

#[test]
fn at_a_terminal_the_servers_of_an_unknown_domain_are_asked_for() {
    let (host, home, resolver) = (Host::start(), home(), resolver());
    host.furnish("alice");
    let mut command = home.command(&["add", "alice@own.test", "--dns", &resolver.address()]);
    command.env("SSL_CERT_FILE", host.ca());
    let mut terminal = Terminal::run(command);
    let imap = "IMAP server (none: POP3 only) [imap.own.test]: ";
    terminal.answer(imap, "no server");
    terminal.expect("this is no server");
    terminal.answer(imap, &format!("localhost:{}", host.dovecot.ports.imaps));
    terminal.answer("[smtp.own.test]: ", &format!("localhost:{}", host.dovecot.ports.submissions));
    terminal.answer("Login name [alice@own.test]: ", "alice");
    terminal.answer("Password (not shown): ", "");
    terminal.answer("Command that prints the password", &format!("printf {}", dovecot::PASSWORD));
    assert!(terminal.wait().success(), "{}", terminal.shown());
    terminal.expect("account own works.");
    assert!(config(&home).contains("user = \"alice\"\nauth = \"password\"\n"), "{}", config(&home));
}

#[test]
fn a_password_is_typed_unseen_and_kept_in_a_file_of_its_own() {
    let (host, home) = (Host::start(), home());
    host.furnish("alice");
    let imap = format!("localhost:{}", host.dovecot.ports.imaps);
    let mut command = home.command(&["add", "alice@own.test", "--user", "alice", "--imap", &imap]);
    command.env("SSL_CERT_FILE", host.ca());
    let mut terminal = Terminal::run(command);
    terminal.expect("Password (not shown): ");
    assert!(!terminal.echoes());
    terminal.answer("Password (not shown): ", dovecot::PASSWORD);
    assert!(terminal.wait().success(), "{}", terminal.shown());
    assert!(terminal.echoes());
    let shown = terminal.shown().replace("client secret", "");
    assert!(!shown.contains(dovecot::PASSWORD), "{shown}");
    let file = home.config().with_file_name("own.password");
    assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode(&file)), (dovecot::PASSWORD, 0o600));
    assert!(config(&home).contains(&format!("password_command = \"cat '{}'\"", file.display())));
}

#[test]
fn ctrl_c_half_way_leaves_a_terminal_that_shows_and_an_account_to_go_on_with() {
    for (question, at) in [("Client id (Enter", None), ("Client secret (not shown): ", Some("mine"))] {
        let home = home();
        let mut command = home.command(&["add", "you@gmail.com", "--paste"]);
        command.env("TERM", "xterm");
        let mut terminal = Terminal::run(command);
        match at {
            None => {
                terminal.expect(question);
                terminal.interrupt();
            }
            Some(id) => {
                terminal.answer("Client id (Enter", id);
                terminal.expect(question);
                terminal.press('\u{3}');
            }
        }
        assert_eq!(terminal.wait().signal(), Some(2), "{}", terminal.shown());
        assert!(terminal.echoes());
        assert!(config(&home).starts_with("[accounts.gmail]\n"), "{}", config(&home));
        let files: Vec<_> = home.config().parent().unwrap().read_dir().unwrap().flatten().collect();
        assert_eq!(files.len(), 1, "{files:?}");
        assert_eq!(home.run(&["add", "you@gmail.com"]).status.code(), Some(77));
    }
}

#[test]
fn an_app_password_is_asked_for_where_new_clients_get_no_access() {
    let home = home();
    let refused = home.run(&["add", "you@yahoo.com"]);
    let (stdout, stderr) = told(&refused);
    assert_eq!((refused.status.code(), stdout.as_str()), (Some(78), ""), "{stderr}");
    assert!(stderr.contains("app password, made at https://login.yahoo.com/account/security"), "{stderr}");
    assert!(stderr.contains("--password-command") && config(&home).is_empty(), "{stderr}");
    let mut command = home.command(&["add", "you@yahoo.com"]);
    command.env("TERM", "xterm");
    let mut terminal = Terminal::run(command);
    terminal.expect("gives new clients no access to mail");
    terminal.answer("Password (not shown): ", "typed");
    terminal.expect("account yahoo is written");
    assert!(!terminal.shown().contains("Client id"), "{}", terminal.shown());
    drop(terminal);
    assert!(config(&home).contains("auth = \"password\"\n"), "{}", config(&home));
    let with_client = home.run(&["add", "me@aol.com", "--client-id", "from before"]);
    assert!(told(&with_client).1.contains("needs the secret of its client"), "{}", told(&with_client).1);
}

#[test]
fn at_a_terminal_the_client_of_a_big_provider_is_asked_for_and_the_login_begins() {
    let resolver = resolver();
    for (address, questions, begins) in [
        (
            "you@gmail.com",
            [("Client id", "printf x"), ("Client secret (not shown): ", "GOCSPX-x")].as_slice(),
            "https://accounts.google.com/",
        ),
        (
            "you@contoso.test",
            &[("Client id", "printf x"), ("Tenant", "")],
            "https://login.microsoftonline.com/",
        ),
    ] {
        let home = home();
        let mut command = home.command(&["add", address, "--paste", "--dns", &resolver.address()]);
        command.env("TERM", "xterm");
        let mut terminal = Terminal::run(command);
        terminal.expect("  1. ");
        for (question, answer) in questions {
            terminal.answer(question, answer);
        }
        terminal.expect(begins);
        assert!(config(&home).contains("client_id = \"printf x\""), "{}", config(&home));
    }
}
