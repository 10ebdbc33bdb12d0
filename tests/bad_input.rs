//! Bad input: configurations, outbox files, token files and arguments that make no sense get a clear message and an
//! exit code, and nothing that the user had is lost.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

use support::dovecot::Options;
use support::process::{Account, Daemon, Home};
use support::{Host, wait};

const BINARY: &str = env!("CARGO_BIN_EXE_posthaste");

/// An account whose servers are never asked.
const LAB: &str =
    "[accounts.lab]\naddress = \"alice@mail.test\"\nauth = \"password\"\npassword_command = \"true\"\n";
const SERVERS: &str = "[accounts.lab.imap]\nhost = \"localhost\"\nport = 1\ntls = \"implicit\"\n\
                       [accounts.lab.smtp]\nhost = \"localhost\"\nport = 1\ntls = \"implicit\"\n";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused_with_its_place() {
    let wrong = [
        (format!("{LAB}swep = \"5s\"\n{SERVERS}"), "config.toml:5:1: unknown key `swep`"),
        (
            format!("{LAB}idle = 7\n{SERVERS}"),
            "config.toml:5:8: `idle` takes a list in brackets, like [\"INBOX\"]",
        ),
        (format!("{LAB}sweep = \"5 parsecs\"\n{SERVERS}"), "config.toml:5:"),
        (format!("{LAB}mailboxes = [\"*\", \"!INBOX\"]\nidle = [\"INBOX\"]\n{SERVERS}"), "config.toml:6:"),
        (format!("{LAB}{SERVERS}[accounts.lab"), "config.toml:13:"),
        (LAB.replace("password_command = \"true\"\n", "") + SERVERS, "config.toml:"),
        (LAB.replace("alice@mail.test", "nobody") + SERVERS, "config.toml:2:"),
        (
            format!("{LAB}{}", SERVERS.replace("implicit", "none").replace("localhost", "mail.test")),
            "loopback",
        ),
        (format!("{LAB}{SERVERS}{LAB}{SERVERS}"), "config.toml:"),
    ];
    let home = Home::new(BINARY);
    for (text, words) in wrong {
        fs::write(home.config(), &text).unwrap();
        for command in [&["config", "check"][..], &["sync"], &["run"]] {
            let output = home.run(command);
            assert_eq!(output.status.code(), Some(78), "{command:?}\n{text}\n{}", said(&output));
            assert!(said(&output).contains(words), "{command:?}: not {words:?}:\n{}\n{text}", said(&output));
        }
    }
}

#[test]
fn a_password_command_that_is_not_there_is_a_fault_of_the_configuration() {
    let home = Home::new(BINARY);
    fs::write(home.config(), format!("{LAB}{SERVERS}").replace("\"true\"", "\"no-such-manager\"")).unwrap();
    let output = home.run(&["sync"]);
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    assert!(
        said(&output).contains("the password command was not found") && said(&output).contains("hint: "),
        "{}",
        said(&output)
    );
    // It ran and failed: what it asks may be locked, so another time it may do.
    fs::write(home.config(), format!("{LAB}{SERVERS}").replace("\"true\"", "\"false\"")).unwrap();
    assert_eq!(home.run(&["sync"]).status.code(), Some(75));
}

#[test]
fn a_sync_tells_of_every_account_in_trouble() {
    let home = Home::new(BINARY);
    let one = format!("{LAB}{SERVERS}").replace("\"true\"", "\"false\"");
    fs::write(home.config(), format!("{one}{}", one.replace("accounts.lab", "accounts.other"))).unwrap();
    let output = home.run(&["sync"]);
    assert_eq!(output.status.code(), Some(75), "{}", said(&output));
    for account in ["account lab: ", "account other: "] {
        assert!(said(&output).contains(account), "{}", said(&output));
    }
}

#[test]
fn a_configuration_or_an_account_that_is_not_there_is_named() {
    let home = Home::new(BINARY);
    for command in [&["sync"][..], &["run"], &["config", "check"], &["token", "lab"]] {
        let output = home.run(command);
        assert_eq!(output.status.code(), Some(78), "{command:?}: {}", said(&output));
        assert!(
            said(&output).contains("config.toml") && said(&output).contains("hint: "),
            "{}",
            said(&output)
        );
    }
    fs::write(home.config(), format!("{LAB}{SERVERS}")).unwrap();
    for command in [&["sync", "elsewhere"][..], &["token", "elsewhere"], &["logout", "elsewhere"]] {
        let output = home.run(command);
        assert_eq!(output.status.code(), Some(2), "{command:?}: {}", said(&output));
        assert!(said(&output).contains("no account is called elsewhere"), "{}", said(&output));
    }
}

#[test]
fn a_login_needs_somebody_who_sees_it_and_a_way_that_the_provider_knows() {
    let home = Home::new(BINARY);
    let oauth = "[accounts.g.oauth]\nclient_id = \"app\"\nclient_secret = \"CANARY\"\n";
    fs::write(home.config(), format!("[accounts.g]\naddress = \"alice@gmail.com\"\n{oauth}")).unwrap();
    let refused = |arguments: &[&str], input: &str, code: i32, words: &[&str]| {
        let output = home.run_with(arguments, input);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        for word in words {
            assert!(said(&output).contains(word), "{arguments:?}: not {word:?}: {}", said(&output));
        }
        assert!(!said(&output).contains("CANARY"), "{}", said(&output));
    };
    refused(&["login", "g"], "", 2, &["no terminal", "posthaste login g --browser"]);
    refused(&["login", "g", "--device"], "", 2, &["Google does not give its mail scope to devices"]);
    refused(&["login", "g", "--device", "--paste"], "", 2, &["cannot be used with"]);
    let address =
        ["https://accounts.google.com/", "code_challenge_method=S256", "login_hint=alice%40gmail.com"];
    refused(&["login", "g", "--paste"], "", 77, &address);
    refused(&["login", "g", "--paste"], "", 77, &["access_type=offline", "prompt=consent", "paste it here"]);
    refused(&["login", "g", "--paste"], "code=c1\n", 77, &["copy the whole address from the address bar"]);
}

#[test]
fn over_ssh_a_login_shows_how_to_connect_the_browser() {
    let home = Home::new(BINARY);
    let account = "[accounts.m]\naddress = \"a@contoso.com\"\nprovider = \"microsoft\"\noauth = { client_id = \"app\" }\n";
    fs::write(home.config(), account).unwrap();
    let mut command = home.command(&["login", "m", "--browser"]);
    let mut login = command.env("SSH_CONNECTION", "192.0.2.1 5 192.0.2.2 22").spawn().unwrap();
    let lines = BufReader::new(login.stderr.take().unwrap()).lines().map(Result::unwrap);
    let shown: Vec<String> = lines.take_while(|line| !line.contains("--paste")).collect();
    login.kill().unwrap();
    login.wait().unwrap();
    let shown = shown.join("\n");
    let (_, port) = shown.split_once("redirect_uri=http%3A%2F%2Flocalhost%3A").unwrap();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    assert!(shown.contains(&format!("ssh -N -L {port}:127.0.0.1:{port} 192.0.2.2")), "{shown}");
}

#[test]
fn logins_that_cannot_be_are_refused() {
    let host = Host::start();
    let home = Home::new(BINARY);
    let password = Account { token_url: None, name: "plain".into(), ..Account::of(&host, "alice") };
    home.configure(&[Account::of(&host, "alice"), password]);
    for input in ["", "  \n", "two words\n"] {
        let output = home.run_with(&["login", "alice", "--import"], input);
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains("no refresh token was given"), "{}", said(&output));
    }
    let output = home.run_with(&["login", "alice", "--import"], "made-up\n");
    assert_eq!(output.status.code(), Some(77), "{}", said(&output));
    assert!(!said(&output).contains("made-up"));
    for command in [&["token", "plain"][..], &["login", "plain", "--import"]] {
        let output = home.run(command);
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains("logs in with a password, not a token"), "{}", said(&output));
    }
    let output = home.run(&["token", "alice"]);
    assert_eq!(output.status.code(), Some(77));
    assert!(said(&output).contains("posthaste login alice"), "{}", said(&output));
}

#[test]
fn a_token_file_that_cannot_be_used_is_named_and_left_alone() {
    let host = Host::start();
    let home = Home::new(BINARY);
    home.configure(&[Account::of(&host, "alice")]);
    home.login("alice", &host.tokens.refresh_token("alice"));
    let file = home.state("alice").join("token.json");
    let good = fs::read(&file).unwrap();
    let refused = |words: &str| {
        for command in [&["sync"][..], &["token", "alice"]] {
            let output = home.run(command);
            assert!([1, 75, 77].contains(&output.status.code().unwrap()), "{words}: {}", output.status);
            let said = said(&output);
            assert!(said.contains("token.json") && said.contains(words), "not {words:?}: {said}");
        }
    };
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    refused("does not hold a saved login");
    assert_eq!(fs::read(&file).unwrap(), good[..good.len() / 2]);
    fs::write(&file, &good).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    refused("open to other users");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    refused("token.json");
    fs::remove_dir(&file).unwrap();
    fs::write(&file, &good).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    home.ok(&["sync"]);
}

#[test]
fn two_daemons_and_a_pass_beside_one_are_refused() {
    let host = Host::start();
    let home = Home::new(BINARY);
    home.configure(&[Account::of(&host, "alice")]);
    home.login("alice", &host.tokens.refresh_token("alice"));
    let first = home.start();
    let second = home.run(&["run"]);
    assert!(!second.status.success());
    assert!(said(&second).contains(&format!("pid {}", first.pid())), "{}", said(&second));
    // Its socket is gone, its locks are not.
    fs::remove_file(home.dir().join("run/posthaste/control.sock")).unwrap();
    let beside = home.run(&["sync"]);
    assert!(!beside.status.success());
    assert!(said(&beside).contains(&format!("in use by another posthaste process (pid {})", first.pid())));
    assert!(first.stop().0.success());
}

/// Waits until `failed/` has the file as it was, with these words beside it.
fn assert_failed(outbox: &Path, name: &str, content: &[u8], words: &str) {
    let place = outbox.join("failed").join(name);
    wait::until(wait::PATIENCE, &format!("{name} in failed/"), || place.exists());
    assert!(fs::read(&place).unwrap() == content, "{name} is not as it was");
    let reason = fs::read_to_string(outbox.join("failed").join(format!("{name}.txt"))).unwrap();
    assert!(reason.contains(words), "{name}: not {words:?}: {reason}");
}

/// A daemon that watches alice's mail, and her outbox.
fn watching(options: Options) -> (Host, Home, Daemon, PathBuf) {
    let host = Host::with(options);
    let home = Home::new(BINARY);
    home.configure(&[Account::of(&host, "alice")]);
    home.login("alice", &host.tokens.refresh_token("alice"));
    let daemon = home.start();
    home.wait_state("alice", "watching");
    let outbox = home.outbox("alice");
    wait::until(wait::PATIENCE, "the outbox", || outbox.is_dir());
    (host, home, daemon, outbox)
}

#[test]
fn what_cannot_be_sent_comes_back_whole_with_the_reason() {
    let (host, home, _daemon, outbox) = watching(Options { submission_limit: 1 << 20, ..Options::default() });
    let head = b"To: bob@mail.test\nSubject: x\n\n".to_vec();
    // Complete, so that nothing is added to it.
    let huge = b"From: alice@mail.test\nDate: Mon, 2 Nov 2026 10:00:00 +0000\nMessage-ID: <huge@mail.test>\n";
    let huge =
        [huge, &head[..], &b"all work and no play makes a dull message\n".repeat(60_000_000 / 42)].concat();
    let wrong: [(&str, Vec<u8>, &str); 8] = [
        ("nobody.eml", b"Subject: x\n\nbody\n".to_vec(), "no recipients"),
        ("nul.eml", [&head[..], b"a\0b\n"].concat(), "NUL byte at offset"),
        ("cr.eml", [&head[..], b"a\rb\n"].concat(), "carriage return without a line feed"),
        ("inject.eml", b"To: <bob@mail.test>\rRCPT TO:<eve@mail.test>\n\nx\n".to_vec(), "carriage return"),
        ("angle.eml", b"To: <bob@mail.test> <eve@mail.test>\n\nx\n".to_vec(), "in the field To"),
        ("space.eml", b"To: \"bob> SIZE=1\n MAIL FROM:<x\n\nx\n".to_vec(), "in the field To"),
        ("text.eml", b"this is no message\n\nx\n".to_vec(), "no header field"),
        ("huge.eml", huge, "takes no more than 1048576"),
    ];
    for (name, content, _) in &wrong {
        home.send("alice", name, content);
    }
    home.send("alice", "header-only.eml", b"To: bob@mail.test\nSubject: only a header");
    for (name, content, words) in &wrong {
        // What is refused by the server comes back as it was too.
        assert_failed(&outbox, name, content, words);
    }
    let received = host.sink.wait_for(1);
    assert_eq!(received.len(), 1);
    assert!(String::from_utf8_lossy(&received[0].message).contains("only a header"));
    assert_eq!(received[0].recipients, ["bob@mail.test"]);
    assert_eq!(home.status()["accounts"][0]["outbox"]["failed"], wrong.len());
    let status = home.ok(&["status"]);
    assert!(status.contains(&format!("see {}/failed", outbox.display())), "{status}");
}

#[test]
fn what_is_no_message_is_left_in_the_outbox_and_named_once() {
    let (_host, home, daemon, outbox) = watching(Options::default());
    symlink("/etc/hostname", outbox.join("link.eml")).unwrap();
    fs::create_dir(outbox.join("directory.eml")).unwrap();
    let (fifo, owner) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, outbox.join("fifo.eml"), fifo, owner, 0).unwrap();
    fs::write(outbox.join("empty.eml"), "").unwrap();
    let odd = [
        "directory.eml is a directory",
        "empty.eml is empty",
        "fifo.eml is no regular file",
        "link.eml is a symbolic link",
    ];
    wait::until(wait::PATIENCE, "what is passed over", || {
        home.status()["accounts"][0]["passed_over"] == serde_json::json!(odd)
    });
    home.send("alice", "real.eml", b"To: nobody\nSubject: x\n\nx\n");
    assert_failed(&outbox, "real.eml", b"To: nobody\nSubject: x\n\nx\n", "");
    let told = daemon.stderr().matches("not taken from the outbox").count();
    assert_eq!(told, odd.len(), "each is told once:\n{}", daemon.stderr());
    for name in ["link.eml", "directory.eml", "fifo.eml", "empty.eml"] {
        assert!(fs::symlink_metadata(outbox.join(name)).is_ok(), "{name} was touched");
    }
}
