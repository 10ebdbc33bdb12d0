//! The doctor against a real mail host: all is well, or exactly one thing is wrong and it is the one that is named.
//!
//! Every fault is staged where it would be in life: a port, a certificate, a token, an answer of the server, a
//! permission. What Dovecot cannot be made to say comes from the meddler or from a scripted server in TLS.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use support::authority::{Authority, Identity};
use support::listener::Listening;
use support::meddler::{Act, Meddler};
use support::process::{Account, Home};
use support::{Host, dovecot, message, wait};

/// Every check of an account with a token and a submission server.
const ALL: [&str; 18] = [
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

fn home_of(host: &Host, accounts: &[Account]) -> Home {
    let home = Home::new(env!("CARGO_BIN_EXE_posthaste"));
    home.configure(accounts);
    for account in accounts.iter().filter(|account| account.token_url.is_some()) {
        home.login(&account.name, &host.tokens.refresh_token(&account.user));
    }
    home
}

/// `doctor --json` with its exit code.
fn examine(home: &Home, more: &[&str]) -> (Value, i32) {
    let output = home.run(&[&["doctor", "--json"], more].concat());
    let (said, complaint) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    let found = serde_json::from_slice(said).unwrap_or_else(|error| panic!("{error}: {complaint}"));
    (found, output.status.code().unwrap())
}

fn step<'a>(account: &'a Value, name: &str) -> &'a Value {
    let steps = account["steps"].as_array().unwrap();
    steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no {name} in {account:#}"))
}

/// The names of the steps with this outcome.
fn ended<'a>(account: &'a Value, outcome: &str) -> Vec<&'a str> {
    let steps = account["steps"].as_array().unwrap().iter();
    steps.filter(|step| step["outcome"] == outcome).map(|step| step["name"].as_str().unwrap()).collect()
}

/// Exactly this check fails, with these words, and has a remedy; those that need it are skipped and no others.
fn assert_only(home: &Home, failing: &str, words: &str, skipped: &[&str]) -> Value {
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
fn in_tls(identity: &Identity, lines: &'static [&'static str]) -> Listening {
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
fn a_server_that_cannot_be_reached_is_told_at_the_step_where_it_ends() {
    let host = Host::start();
    let good = Account::of(&host, "alice");
    let closed = Listening::start(drop).port();
    let silent = Listening::start(|mut stream: TcpStream| drop(stream.read_to_end(&mut Vec::new())));
    let after_tcp =
        ["imap.tls", "imap.greeting", "imap.login", "imap.inbox", "imap.capabilities", "imap.mailboxes"];

    let home = home_of(&host, &[Account { imap: (closed, "implicit"), ..good.clone() }]);
    assert_only(&home, "imap.tcp", "nothing answers on port", &after_tcp);

    let config = fs::read_to_string(home.config()).unwrap();
    fs::write(home.config(), config.replacen("host = \"localhost\"", "host = \"mail..test\"", 1)).unwrap();
    let (found, _) = examine(&home, &[]);
    assert_eq!(ended(&found["accounts"][0], "fail"), ["imap.dns"]);

    let plain = Account { imap: (host.dovecot.ports.imap, "implicit"), ..good.clone() };
    assert_only(&home_of(&host, &[plain]), "imap.tls", "set tls = \\\"starttls\\\"", &after_tcp[1..]);

    let hushed = (silent.port(), "implicit");
    let home = home_of(&host, &[Account { imap: hushed, smtp: hushed, ..good }]);
    let (found, code) = examine(&home, &["--timeout", "5"]);
    let account = &found["accounts"][0];
    assert_eq!((code, ended(account, "fail")), (1, vec!["imap.tls", "smtp.tls"]), "{account:#}");
    assert_eq!(step(account, "smtp.tls")["detail"], "no answer within 5 s");
    let skipped = [&after_tcp[1..], &["smtp.greeting", "smtp.login", "smtp.sender"]].concat();
    assert_eq!(ended(account, "skipped"), skipped);
}

#[test]
fn a_certificate_is_told_by_what_is_wrong_with_it() {
    let host = Host::start();
    let stranger = tempfile::NamedTempFile::new().unwrap();
    fs::write(stranger.path(), Authority::new().pem()).unwrap();
    let expired = in_tls(&host.authority.expired(), &[]);
    let wrong_name = in_tls(&host.authority.wrong_name(), &[]);
    let good = Account::of(&host, "alice");
    let after_tls = ["imap.greeting", "imap.login", "imap.inbox", "imap.capabilities", "imap.mailboxes"];
    for (port, words) in [(expired.port(), "has expired"), (wrong_name.port(), "for another name")] {
        let home = home_of(&host, &[Account { imap: (port, "implicit"), ..good.clone() }]);
        assert_only(&home, "imap.tls", words, &after_tls);
    }
    let strange = home_of(&host, &[Account { ca: stranger.path().to_owned(), ..good.clone() }]);
    let without = home_of(&host, &[good]);
    let config = fs::read_to_string(without.config()).unwrap();
    let config: Vec<&str> = config.lines().filter(|line| !line.starts_with("ca = ")).collect();
    fs::write(without.config(), config.join("\n")).unwrap();
    for (home, words) in
        [(strange, "another key"), (without, "issuer of the server's certificate is not known")]
    {
        let (found, code) = examine(&home, &[]);
        let account = &found["accounts"][0];
        assert_eq!((code, ended(account, "fail")), (1, vec!["imap.tls", "smtp.tls"]), "{account:#}");
        for name in ["imap.tls", "smtp.tls"] {
            let step = step(account, name);
            assert!(step["detail"].as_str().unwrap().contains(words), "{step}");
            assert!(step["advice"].as_str().unwrap().contains("`ca`"), "{step}");
        }
    }
}

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
    assert!(said.contains("FAIL  token") && said.contains("-> run: posthaste login alice"), "{said}");
    assert!(said.find("\nalice\n") < said.find("\nbob\n"), "{said}");
    assert!(complaint.contains("1 check failed: alice token"), "{complaint}");
    let (only_bob, code) = examine(&home, &["bob"]);
    assert_eq!((code, only_bob["accounts"].as_array().unwrap().len()), (0, 1));
    assert_eq!(home.run(&["doctor", "nobody"]).status.code(), Some(2));
}

#[test]
fn what_the_mail_server_refuses_is_told_in_its_own_words() {
    let host = Host::start();
    let after_login = ["imap.inbox", "imap.capabilities", "imap.mailboxes"];
    for (command, answer, failing, words, skipped) in [
        (
            "AUTHENTICATE",
            "{tag} NO AUTHENTICATE failed.\r\n",
            "imap.login",
            "AUTHENTICATE failed.",
            &after_login[..],
        ),
        (
            "EXAMINE",
            "{tag} BAD User is authenticated but not connected.\r\n",
            "imap.inbox",
            "authenticated but not connected",
            &after_login[2..],
        ),
    ] {
        let meddler = Meddler::to(host.dovecot.ports.imap, &host.authority);
        meddler.always(command, Act::Answer(answer.as_bytes()));
        let home =
            home_of(&host, &[Account { imap: (meddler.port(), "implicit"), ..Account::of(&host, "alice") }]);
        assert_only(&home, failing, words, skipped);
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
    for (server, failing, words, skipped) in
        [(&disabled, "smtp.login", "5.7.139", &["smtp.sender"][..]), (&late, "smtp.sender", "5.7.57", &[])]
    {
        let home =
            home_of(&host, &[Account { smtp: (server.port(), "implicit"), ..Account::of(&host, "alice") }]);
        assert_only(&home, failing, words, skipped);
    }
}

#[test]
fn a_directory_that_others_own_or_can_write_is_told_with_the_command_that_mends_it() {
    let host = Host::start();
    let home = home_of(&host, &[Account::of(&host, "alice")]);
    let (maildir, outbox, state) = (home.maildir_path("alice"), home.outbox("alice"), home.state("alice"));
    fs::create_dir_all(&maildir).unwrap();
    fs::create_dir_all(&outbox).unwrap();
    for (directory, failing) in [(&maildir, "maildir"), (&outbox, "outbox")] {
        mode(directory, 0o777);
        assert_only(&home, failing, "chmod 700", &[]);
        mode(directory, 0o500);
        assert_only(&home, failing, "chmod u+rwx", &[]);
        mode(directory, 0o700);
    }
    mode(&state.join("token.json"), 0o644);
    let (found, _) = examine(&home, &[]);
    assert_eq!(ended(&found["accounts"][0], "fail"), ["token", "state"], "{found:#}");
    mode(&state.join("token.json"), 0o600);
    // Only root can give a directory away.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&outbox, Some(65_534), None).unwrap();
        assert_only(&home, "outbox", "belongs to user 65534", &[]);
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_clock_that_disagrees_with_the_authorization_server_is_a_warning() {
    let host = Host::start();
    let access = host.tokens.access_token("alice");
    // An authorization server of long ago: it grants this token and gives its Date.
    let body = format!(r#"{{"token_type":"Bearer","expires_in":3600,"access_token":"{access}"}}"#);
    let clerk = Listening::start(move |stream: TcpStream| {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while stream.read_line(&mut line).is_ok_and(|length| length > 2) {
            line.clear();
        }
        let _ = write!(
            stream.get_mut(),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
    });
    let token_url = Some(format!("http://127.0.0.1:{}/token", clerk.port()));
    let home = Home::new(env!("CARGO_BIN_EXE_posthaste"));
    home.configure(&[Account { token_url, ..Account::of(&host, "alice") }]);
    home.login("alice", "some-refresh-token");
    let (found, code) = examine(&home, &[]);
    let clock = step(&found["accounts"][0], "clock");
    assert_eq!((code, &clock["outcome"]), (0, &Value::from("warn")), "{found:#}");
    assert!(clock["detail"].as_str().unwrap().contains("min ahead of the authorization server"), "{clock}");
    assert!(clock["advice"].as_str().unwrap().contains("timedatectl"), "{clock}");
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
fn a_report_holds_what_was_found_and_neither_secrets_nor_persons() {
    let host = Host::start();
    let account = Account {
        name: "work".into(),
        extra: "on_delete = \"trash\"".into(),
        ..Account::of(&host, "wilhelmina.canary")
    };
    let private = Account { name: "private".into(), token_url: None, ..Account::of(&host, "theodora") };
    let home = home_of(&host, &[account, private]);
    let config = fs::read_to_string(home.config()).unwrap();
    let config = config.replacen(
        "client_id = \"test\"",
        "client_id = \"test\"\nclient_secret = \"planted-in-config\"",
        1,
    );
    fs::write(home.config(), config).unwrap();
    let _daemon = home.start();
    home.wait_state("work", "watching");
    host.imap("wilhelmina.canary").create("Divorce papers");
    let file = home.dir().join("report.json");
    let output = home.run(&["doctor", "--report", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&found["schema"], &found["doctor"]["ok"]), (&Value::from(1), &Value::Bool(true)));
    assert_eq!(found["status"]["accounts"].as_array().unwrap().len(), 2);
    assert!(text.contains("sweep = ") && text.contains("@mail.test"), "the configuration is in it: {text}");
    let mut planted = host.tokens.secrets();
    planted.extend(["planted-in-config", "wilhelmina", "canary", "theodora", "Divorce"].map(str::to_owned));
    planted.push(format!("printf {}", dovecot::PASSWORD));
    for secret in planted {
        assert!(!text.contains(&secret), "{secret} in {text}");
    }
    let again = home.run(&["doctor", "--report", file.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1), "a file that is there is not written over");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}
