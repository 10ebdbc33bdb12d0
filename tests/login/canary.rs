//! No secret of any way to log in is seen by others: every command is run at trace level for every kind of account, and logs,
//! command lines, environments (of the program and of what it starts) and files are searched for what servers issued and
//! received, for passwords and for private keys.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::applications::Application;
use super::scene::{Login, Scene};
use super::support::canary::Canary;
use super::support::person::{Decision, activate, decide, visit};
use super::support::process::Account;
use super::support::tokens::{Client, Failure};
use super::support::{Host, dovecot};

const SECRET: &str = "canary-of-a-client-secret-5b1c";
const CREDENTIAL: &str = "canary-of-a-credential-77ea";
/// Prints the secret called `$1`, and notes what it sees of itself and of who started it.
const SPY: &str = "#!/bin/sh\n{ env; cat /proc/$$/cmdline /proc/$PPID/cmdline /proc/$PPID/environ; } >> \"$HOME/seen-by-$1\"\n\
                   exec cat \"${0%/*}/$1\"\n";
const OPENER: &str = "#!/bin/sh\n{ env; echo \"$@\"; } >> \"$HOME/seen-by-opener\"\n\
                      printf '%s' \"$1\" > \"$HOME/opened.new\" && mv \"$HOME/opened.new\" \"$HOME/opened\"\n";

/// Who fetches by which secret. Heidi's account is made by `add`.
const EVERYBODY: [&str; 8] = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];

/// A home with every kind of account, and all that was seen of it.
struct House {
    scene: Scene,
    vault: PathBuf,
    canary: Canary,
}

impl House {
    /// Alice's client has a secret; bob logs in by a certificate, carol by a service account, dave by a client secret of the
    /// service manager, erin by a password, frank by that and POP3, grace by a token and POP3.
    fn new() -> House {
        let host = Host::start();
        let scene = Scene::with(host, &[]);
        let vault = scene.home.dir().join("vault");
        fs::create_dir(&vault).unwrap();
        let house = House { scene, vault, canary: Canary::default() };
        house.keep("client", SECRET);
        house.keep("password", dovecot::PASSWORD);
        house.keep("dave", CREDENTIAL);
        house.keep("spy", SPY);
        fs::write(house.scene.home.dir().join("bin/xdg-open"), OPENER).unwrap();
        let mail = format!("maildir_root = {:?}", house.scene.home.dir().join("mail"));
        house.scene.home.configure_with(&mail, &house.accounts());
        EVERYBODY.iter().for_each(|user| house.scene.host.furnish(user));
        house
    }

    fn keep(&self, name: &str, secret: &str) {
        let path = self.vault.join(name);
        fs::write(&path, secret).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    }

    /// A command that prints a secret.
    fn spy(&self, name: &str) -> String {
        format!("{} {name}", self.vault.join("spy").display())
    }

    fn accounts(&self) -> Vec<Account> {
        let host = &self.scene.host;
        let of = |user: &str| {
            let account = Account::of(host, user);
            let secret = format!("client_secret_command = {:?}", self.spy("client"));
            Account { oauth: format!("{}\n{secret}", account.oauth), ..account }
        };
        let password = |user: &str| Account {
            token_url: None,
            password_command: self.spy("password"),
            extra: "sweep = \"1s\"".to_owned(),
            ..Account::of(host, user)
        };
        let pop = Some((host.dovecot.ports.pops, "implicit"));
        host.tokens.register("test", Client::with_secret(SECRET));
        let bob = Application::Certificate.account(host, &self.vault, "bob");
        let carol = Application::ServiceAccount.account(host, &self.vault, "carol");
        let dave = Application::Secret(CREDENTIAL).account(host, &self.vault, "dave");
        let inline = format!("client_secret = {CREDENTIAL:?}");
        let dave =
            Account { oauth: dave.oauth.replace(&inline, "client_secret_credential = \"dave\""), ..dave };
        vec![
            of("alice"),
            bob,
            carol,
            dave,
            password("erin"),
            Account { pop, ..password("frank") },
            Account { pop, extra: "sweep = \"1s\"".to_owned(), ..of("grace") },
        ]
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("POSTHASTE_LOG", "trace".to_owned()),
            ("CREDENTIALS_DIRECTORY", self.vault.display().to_string()),
            ("SSL_CERT_FILE", self.scene.host.ca().display().to_string()),
        ]
    }

    fn login(&self, arguments: &[&str]) -> Login {
        let variables = self.variables();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.scene.login_with(arguments, &variables)
    }

    /// What a login wrote, after it was seen alive.
    fn end(&mut self, what: &str, login: Login) {
        let (code, said) = login.end();
        assert!(said.contains("TRACE") || said.contains("DEBUG"), "{what}: the log is on: {said}");
        self.canary.look(&format!("{what}, which ended with {code}"), said);
    }

    /// A command, with a line to read; all that it said is looked at.
    fn run(&mut self, arguments: &[&str], input: &str) -> Output {
        let output = self.run_unseen(arguments, input);
        self.canary.look(&arguments.join(" "), output.stdout.clone());
        output
    }

    /// The same for a command whose answer is a secret: only the rest is looked at.
    fn run_unseen(&mut self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.scene.home.command(arguments);
        let mut child = command.envs(self.variables()).stdin(Stdio::piped()).spawn().unwrap();
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), format!("{input}\n").as_bytes());
        let output = child.wait_with_output().unwrap();
        self.canary.look(&format!("the log of {}", arguments.join(" ")), output.stderr.clone());
        output
    }

    fn succeed(&mut self, arguments: &[&str], input: &str) {
        let output = self.run(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn log_in_every_way(&mut self) {
        let login = self.login(&["alice", "--browser"]);
        let redirect = decide(&self.scene.opened_address(), Decision::Allow);
        self.canary.look_at_process(login.pid());
        self.canary.look("the page", super::support::http::get(&redirect).body);
        self.end("a login in the browser", login);

        let login = self.login(&["alice", "--browser"]);
        visit(&self.scene.opened_address(), Decision::AllowWithout("mail"));
        self.end("a login without mail", login);

        let mut login = self.login(&["alice", "--paste"]);
        let redirect = decide(&login.address(), Decision::Allow);
        login.type_line(&redirect.replace("state=", "state=x"));
        login.type_line(&redirect);
        self.canary.look_at_process(login.pid());
        self.end("a pasted login", login);

        let login = self.login(&["alice", "--device"]);
        self.canary.look_at_process(login.pid());
        activate(&login.address(), &login.user_code(), "alice", true);
        self.end("a login by device", login);

        let token = self.scene.host.tokens.refresh_token("grace");
        self.succeed(&["login", "grace", "--import"], &token);
        self.run(&["login", "alice", "--import"], "canary-of-a-refused-import");
        ["bob", "carol", "dave"].iter().for_each(|user| self.succeed(&["login", user], ""));
    }

    /// Heidi's account.
    fn add(&mut self) {
        let file = self.scene.home.dir().join("home/autoconfig.xml");
        let server = |tag: &str, kind: &str, port: u16| {
            format!(
                "<{tag} type=\"{kind}\"><hostname>localhost</hostname><port>{port}</port><socketType>SSL</socketType>\
                 <username>%EMAILLOCALPART%</username><authentication>password-cleartext</authentication></{tag}>"
            )
        };
        let ports = self.scene.host.dovecot.ports;
        let (imap, smtp) = (
            server("incomingServer", "imap", ports.imaps),
            server("outgoingServer", "smtp", ports.submissions),
        );
        let text = format!(
            "<clientConfig version=\"1.1\"><emailProvider id=\"mail.test\">{imap}{smtp}</emailProvider></clientConfig>"
        );
        fs::write(&file, text).unwrap();
        let (file, command) = (file.display().to_string(), self.spy("password"));
        let command = ["--password-command", &command, "--name", "heidi"];
        self.succeed(&[&["add", "heidi@mail.test", "--autoconfig", &file][..], &command].concat(), "");
    }

    /// Mail comes and goes for everybody, tokens are renewed, every command is run; then a login is lost.
    fn live(&mut self) {
        let variables = self.variables();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let daemon = self.scene.home.start_with(&variables);
        for user in EVERYBODY {
            self.scene.home.wait_state(user, "watching");
            self.scene.assert_mail_comes(user, "seen");
        }
        for user in ["alice", "dave", "erin"] {
            let letter = format!("From: {user}@mail.test\nTo: bob@mail.test\nSubject: x\n\nHello.\n");
            self.scene.home.send(user, "letter", letter.as_bytes());
        }
        self.scene.host.sink.wait_for(3);
        self.scene.host.tokens.revoke_access("alice");
        self.scene.host.dovecot.kick("alice");
        self.scene.assert_mail_comes("alice", "with another token");
        self.run_everything();
        self.scene.host.tokens.fail("alice", Failure::InvalidGrant, usize::MAX);
        self.scene.host.tokens.revoke_access("alice");
        self.scene.host.dovecot.kick("alice");
        self.scene.home.wait_state("alice", "needs-login");
        for arguments in [&["sync", "alice"][..], &["doctor", "alice"], &["token", "alice"], &["status"]] {
            self.run(arguments, "");
        }
        self.scene.host.tokens.fail("/revoke", Failure::Internal, 1);
        self.run(&["logout", "alice"], "");
        self.succeed(&["logout", "grace"], "");
        self.canary.look_at_daemon(&daemon);
    }

    fn run_everything(&mut self) {
        let report = format!("--report={}/home/report.json", self.scene.home.dir().display());
        for arguments in [
            &["status"][..],
            &["status", "--json"],
            &["sync"],
            &["held", "list"],
            &["doctor"],
            &["doctor", "--json"],
            &["doctor", &report],
            &["config", "check"],
            &["config", "show"],
        ] {
            self.succeed(arguments, "");
        }
        let token = self.run_unseen(&["token", "alice"], "");
        assert!(String::from_utf8_lossy(&token.stdout).starts_with("access-"), "{token:?}");
    }

    /// All that must not be seen.
    fn secrets(&self) -> Vec<String> {
        let mut secrets = self.scene.host.tokens.secrets();
        // A JWT begins with the braces of its header.
        for kind in ["refresh-", "access-", "code-", "device-", SECRET, CREDENTIAL, "eyJ"] {
            assert!(secrets.iter().any(|secret| secret.starts_with(kind)), "{kind}: {secrets:?}");
        }
        let key = fs::read_to_string(self.vault.join("bob.key")).unwrap();
        let json: serde_json::Value =
            serde_json::from_slice(&fs::read(self.vault.join("carol.json")).unwrap()).unwrap();
        for pem in [key.as_str(), json["private_key"].as_str().unwrap()] {
            secrets.push(pem.lines().nth(1).unwrap().to_owned());
        }
        secrets.extend([dovecot::PASSWORD, "canary-of-a-refused-import"].map(str::to_owned));
        secrets
    }
}

#[test]
fn no_way_to_log_in_shows_a_secret() {
    let mut house = House::new();
    house.log_in_every_way();
    house.add();
    house.live();
    house.canary.look_at_files(&house.scene.home);
    for spy in ["opener", "client", "password"] {
        assert!(house.scene.home.dir().join(format!("home/seen-by-{spy}")).exists(), "{spy}");
    }
    assert!(house.canary.saw("code_challenge"), "the address was seen");
    house.canary.assert_silent(&house.secrets());
}

#[test]
fn a_secret_is_found_wherever_it_stands_in_what_was_encoded() {
    for around in ["", "u", "us"] {
        let mut canary = Canary::default();
        canary.look("a line", BASE64_STANDARD.encode(format!("{around}{SECRET}{around}\x01")));
        assert!(canary.find(SECRET).is_some(), "after {around:?}");
        assert!(canary.find(CREDENTIAL).is_none());
    }
}
