//! `token_store = "secret-service"`: a saved login that is sealed with a key of a real keyring, on a session bus of its own.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use support::process::{Account, Home};
use support::skip::skip;
use support::wait::{PATIENCE, until};
use support::{Host, message};
use tempfile::TempDir;

/// Without directories of services: nothing may start another keyring on it.
const BUS: &str = r#"<busconfig><type>session</type><listen>unix:dir=DIR</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>"#;
const HEAD: &str = "token_store = \"secret-service\"";

/// A desktop session: a bus, and a keyring on it while it is open.
struct Desktop {
    dir: TempDir,
    bus: Child,
    keyring: Option<Child>,
    address: String,
}

impl Desktop {
    /// A session with an open keyring; `None`, said aloud, where this cannot be tried.
    fn start() -> Option<Desktop> {
        if !cfg!(feature = "secret-service") {
            eprintln!("SKIPPED: built without the feature secret-service, so no keyring was tried");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("posthaste-desktop-").tempdir().unwrap();
        let config = dir.path().join("bus.conf");
        fs::write(&config, BUS.replace("DIR", dir.path().to_str().unwrap())).unwrap();
        let mut bus = Command::new("dbus-daemon");
        bus.arg("--config-file").arg(&config).args(["--nofork", "--nopidfile", "--print-address=1"]);
        let mut bus = match bus.stdout(Stdio::piped()).stderr(Stdio::null()).spawn() {
            Ok(bus) => bus,
            Err(why) => {
                skip(&format!("no dbus-daemon here, so no keyring was tried: {why}"));
                return None;
            }
        };
        let mut address = String::new();
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let mut desktop = Desktop { dir, bus, keyring: None, address: address.trim().to_owned() };
        desktop.open().then_some(desktop)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("HOME", self.dir.path());
        command.env("XDG_RUNTIME_DIR", self.dir.path()).env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    /// Begins a keyring that is open, in place of the one before; `false` where there is none to begin.
    fn open(&mut self) -> bool {
        self.close();
        let mut keyring = self.command("gnome-keyring-daemon");
        let keyring =
            keyring.args(["--foreground", "--components=secrets", "--unlock"]).stdout(Stdio::null());
        let mut keyring = match keyring.spawn() {
            Ok(keyring) => keyring,
            Err(why) => {
                skip(&format!("no gnome-keyring-daemon here, so no keyring was tried: {why}"));
                return false;
            }
        };
        keyring.stdin.take().unwrap().write_all(b"password").unwrap();
        self.keyring = Some(keyring);
        until(PATIENCE, "an open keyring", || self.ask(&["ReadAlias", "string:default"]).contains("/login"));
        true
    }

    /// Locks it, as a screen saver may.
    fn lock(&self) {
        self.ask(&["Lock", "array:objpath:/org/freedesktop/secrets/aliases/default"]);
    }

    fn close(&mut self) {
        if let Some(mut keyring) = self.keyring.take() {
            keyring.kill().unwrap();
            keyring.wait().unwrap();
        }
    }

    fn ask(&self, [method, argument]: &[&str; 2]) -> String {
        let mut ask = self.command("dbus-send");
        ask.args([
            "--session",
            "--print-reply",
            "--dest=org.freedesktop.secrets",
            "/org/freedesktop/secrets",
        ]);
        ask.arg(format!("org.freedesktop.Secret.Service.{method}")).arg(argument);
        String::from_utf8(ask.output().expect("dbus-send").stdout).unwrap()
    }

    fn variables(&self) -> [(&str, &str); 1] {
        [("DBUS_SESSION_BUS_ADDRESS", &self.address)]
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        self.close();
        let _ = self.bus.kill();
        let _ = self.bus.wait();
    }
}

/// `login ACCOUNT --import` in this environment.
fn import(home: &Home, variables: &[(&str, &str)], token: &str) -> Output {
    let mut login = home.command(&["login", "alice", "--import"]);
    let mut login = login.envs(variables.iter().copied()).stdin(Stdio::piped()).spawn().unwrap();
    let _ = login.stdin.take().unwrap().write_all(token.as_bytes());
    login.wait_with_output().unwrap()
}

fn assert_sealed(file: &Path, host: &Host) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains("\"sealed\""), "{text}");
    for secret in host.tokens.secrets() {
        assert!(!text.contains(&secret), "{text}");
    }
}

fn scene() -> (Host, Home) {
    let (host, home) = (Host::start(), Home::new(env!("CARGO_BIN_EXE_posthaste")));
    host.furnish("alice");
    home.configure_with(HEAD, &[Account::of(&host, "alice")]);
    (host, home)
}

#[test]
fn a_login_rests_sealed_and_a_locked_keyring_is_passing_trouble() {
    let Some(mut desktop) = Desktop::start() else { return };
    let (host, home) = scene();
    host.tokens.set_rotation(true);
    let token = host.tokens.refresh_token("alice");
    let login = import(&home, &desktop.variables(), &token);
    assert!(login.status.success(), "{}", String::from_utf8_lossy(&login.stderr));
    let file = home.state("alice").join("token.json");
    assert_sealed(&file, &host);
    let before = fs::read(&file).unwrap();
    let _daemon = home.start_with(&desktop.variables());
    home.wait_state("alice", "watching");
    assert_ne!(fs::read(&file).unwrap(), before, "the next token of the rotation is sealed too");
    assert_sealed(&file, &host);

    desktop.lock();
    host.tokens.revoke_access("alice");
    host.dovecot.kick("alice");
    let alice = home.wait_state("alice", "waiting");
    assert!(alice["error"].as_str().unwrap().contains("the keyring is locked"), "{alice}");
    assert!(alice["hint"].as_str().unwrap().contains("token_store"), "{alice}");
    desktop.open();
    home.wait_state("alice", "watching");
    host.deliver("alice", &message("after the lock"));
    until(PATIENCE, "mail", || home.maildir("alice").find("INBOX", "after the lock").is_some());
}

#[test]
fn without_a_keyring_nothing_is_saved_and_the_reason_is_said() {
    if !cfg!(feature = "secret-service") {
        eprintln!("SKIPPED: built without the feature secret-service, so no keyring was missed");
        return;
    }
    let (host, home) = scene();
    let login = import(&home, &[], &host.tokens.refresh_token("alice"));
    let said = String::from_utf8_lossy(&login.stderr);
    assert_eq!(login.status.code(), Some(75), "{said}");
    assert!(said.contains("the keyring cannot be used") && said.contains("token_store"), "{said}");
    assert!(!home.state("alice").join("token.json").exists());
}

#[test]
fn a_program_without_the_feature_says_so() {
    if cfg!(feature = "secret-service") {
        return;
    }
    let (_host, home) = scene();
    let check = home.run(&["config", "check"]);
    let said = String::from_utf8_lossy(&check.stderr);
    assert_eq!(check.status.code(), Some(78), "{said}");
    assert!(said.contains("config.toml:1:15") && said.contains("feature secret-service"), "{said}");
}
