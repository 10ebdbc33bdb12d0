//! A visit to the doctor, and what was found.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use crate::support::Host;
use crate::support::authority::Identity;
use crate::support::listener::Listening;
use crate::support::process::{Account, Home};
use serde_json::Value;

/// Every check of an account with a token and a submission server.
pub(crate) const ALL: [&str; 18] = [
    "token",
    "imap.dns",
    "imap.tcp",
    "imap.tls",
    "imap.greeting",
    "imap.login",
    "imap.inbox",
    "imap.capabilities",
    "imap.mailboxes",
    "smtp.dns",
    "smtp.tcp",
    "smtp.tls",
    "smtp.greeting",
    "smtp.login",
    "smtp.sender",
    "maildir",
    "outbox",
    "state",
];

pub(crate) fn home_of(host: &Host, accounts: &[Account]) -> Home {
    let home = Home::new(env!("CARGO_BIN_EXE_posthaste"));
    home.configure(accounts);
    for account in accounts.iter().filter(|account| account.token_url.is_some()) {
        home.login(&account.name, &host.tokens.refresh_token(&account.user));
    }
    home
}

/// `doctor --json` with its exit code.
pub(crate) fn examine(home: &Home, more: &[&str]) -> (Value, i32) {
    found(&home.run(&[&["doctor", "--json"], more].concat()))
}

/// A command that finds these shell scripts before the programs of their names.
pub(crate) fn beside(home: &Home, arguments: &[&str], scripts: &[(&str, &str)]) -> Command {
    let directory = home.dir().join("bin");
    fs::create_dir_all(&directory).unwrap();
    for (name, script) in scripts {
        let path = directory.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let usual = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths([directory].into_iter().chain(std::env::split_paths(&usual))).unwrap();
    let mut command = home.command(arguments);
    command.env("PATH", path);
    command
}

/// What `doctor --json` printed, and its exit code.
pub(crate) fn found(output: &Output) -> (Value, i32) {
    let (said, complaint) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    let found = serde_json::from_slice(said).unwrap_or_else(|error| panic!("{error}: {complaint}"));
    (found, output.status.code().unwrap())
}

pub(crate) fn step<'a>(account: &'a Value, name: &str) -> &'a Value {
    let steps = account["steps"].as_array().unwrap();
    steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no {name} in {account:#}"))
}

/// The names of the steps with this outcome.
pub(crate) fn ended<'a>(account: &'a Value, outcome: &str) -> Vec<&'a str> {
    let steps = account["steps"].as_array().unwrap().iter();
    steps.filter(|step| step["outcome"] == outcome).map(|step| step["name"].as_str().unwrap()).collect()
}

/// Exactly this check fails, with these words, and has a remedy; those that need it are skipped and no others.
pub(crate) fn assert_only(home: &Home, failing: &str, words: &str, skipped: &[&str]) -> Value {
    let (found, code) = examine(home, &["--timeout", "20"]);
    let account = &found["accounts"][0];
    assert_eq!(ended(account, "fail"), [failing], "{account:#}");
    assert_eq!(ended(account, "skipped"), skipped, "{account:#}");
    let step = step(account, failing).clone();
    let said = format!("{} -> {}", step["detail"], step["advice"]);
    assert!(said.contains(words) && step["advice"].is_string(), "not {words:?}: {said}");
    assert_eq!((code, &found["ok"], &account["ok"]), (1, &Value::Bool(false), &Value::Bool(false)));
    step
}

/// A server in TLS with this certificate that sends the first line, and after each line heard the next ones.
pub(crate) fn in_tls(identity: &Identity, lines: &'static [&'static str]) -> Listening {
    let identity = native_tls::Identity::from_pkcs8(&identity.certificate, &identity.key).unwrap();
    let acceptor = native_tls::TlsAcceptor::new(identity).unwrap();
    Listening::start(move |stream: TcpStream| {
        let Ok(stream) = acceptor.accept(stream) else { return };
        let mut stream = BufReader::new(stream);
        for line in lines {
            if stream.get_mut().write_all(line.as_bytes()).is_err()
                || stream.read_line(&mut String::new()).is_err()
            {
                return;
            }
        }
    })
}
