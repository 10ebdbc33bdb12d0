//! The posthaste binary from outside: a private home, a configuration from a builder, the daemon, its commands.
//!
//! The child sees a clean environment with XDG directories of its own, so that neither the user's configuration nor
//! another test can be touched. Readiness comes through `NOTIFY_SOCKET` as systemd would hear it.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::guard::Guard;
use super::maildir::Reader;
use super::{Host, wait};

/// One account of the configuration.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name in the configuration.
    pub name: String,
    /// The login name; the address is `USER@mail.test`.
    pub user: String,
    /// IMAP port and its `tls`.
    pub imap: (u16, &'static str),
    /// POP3 port and its `tls`, for an account that fetches by that instead.
    pub pop: Option<(u16, &'static str)>,
    /// Submission port and its `tls`.
    pub smtp: (u16, &'static str),
    /// The authority's certificate.
    pub ca: PathBuf,
    /// Where tokens come from; none means password.
    pub token_url: Option<String>,
    /// What prints that.
    pub password_command: String,
    /// More lines of the account's own table.
    pub extra: String,
    /// The client that the program is registered as, if it is.
    pub client_id: String,
    /// More lines of its `oauth` table.
    pub oauth: String,
}

impl Account {
    /// An OAuth2 account of `user` on `host`, implicit TLS, called as the user.
    pub fn of(host: &Host, user: &str) -> Account {
        Account {
            name: user.to_owned(),
            user: user.to_owned(),
            imap: (host.dovecot.ports.imaps, "implicit"),
            pop: None,
            smtp: (host.dovecot.ports.submissions, "implicit"),
            ca: host.ca(),
            token_url: Some(host.tokens.token_url()),
            password_command: format!("printf {}", super::dovecot::PASSWORD),
            extra: String::new(),
            client_id: "test".to_owned(),
            oauth: format!(
                "authorize_url = {:?}\ndevice_url = {:?}\nrevoke_url = {:?}",
                host.tokens.authorize_url(),
                host.tokens.device_url(),
                host.tokens.revoke_url()
            ),
        }
    }

    fn render(&self, home: &Home) -> String {
        let Account { name, user, imap, pop, smtp, ca, token_url, extra, client_id, oauth, .. } = self;
        let auth = match token_url {
            Some(_) => "auth = \"oauth2\"".to_owned(),
            None => format!("auth = \"password\"\npassword_command = {:?}", self.password_command),
        };
        let (protocol, incoming) = match pop {
            Some(pop) => ("protocol = \"pop3\"", ("pop", pop)),
            None => ("", ("imap", imap)),
        };
        let (maildir, outbox) = (home.maildir_path(name), home.outbox(name));
        let mut text = format!(
            "[accounts.{name}]\naddress = \"{user}@mail.test\"\nuser = \"{user}\"\n{auth}\n{protocol}\n\
             maildir = {maildir:?}\noutbox = {outbox:?}\n{extra}\n"
        );
        for (table, (port, tls)) in [incoming, ("smtp", smtp)] {
            let table =
                format!("[accounts.{name}.{table}]\nhost = \"localhost\"\nport = {port}\ntls = \"{tls}\"");
            writeln!(text, "{table}\nca = {ca:?}\n").unwrap();
        }
        if let Some(url) = token_url {
            let client = match client_id.as_str() {
                "" => String::new(),
                id => format!("client_id = \"{id}\"\n"),
            };
            let table = format!("[accounts.{name}.oauth]\n{client}token_url = \"{url}\"");
            writeln!(text, "{table}\nscopes = [\"mail\"]\n{oauth}\n").unwrap();
        }
        text
    }
}

/// A person's home with posthaste in it.
pub struct Home {
    root: TempDir,
    binary: PathBuf,
}

impl Home {
    /// An empty home for the program at `binary`.
    pub fn new(binary: impl Into<PathBuf>) -> Home {
        let root = tempfile::Builder::new().prefix("posthaste-home-").tempdir().expect("temporary directory");
        for name in ["config/posthaste", "state", "run", "home"] {
            let path = root.path().join(name);
            fs::DirBuilder::new().recursive(true).mode(0o700).create(path).unwrap();
        }
        fs::write(root.path().join("no-authorities.pem"), "").unwrap();
        Home { root, binary: binary.into() }
    }

    /// Its directory: `config`, `state`, `run`, `mail/ACCOUNT`, `outbox/ACCOUNT`.
    pub fn dir(&self) -> &Path {
        self.root.path()
    }

    /// Keeps the directory after this value is gone.
    pub fn keep(&mut self) {
        self.root.disable_cleanup(true);
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.dir().join("config/posthaste/config.toml")
    }

    /// Writes the configuration.
    pub fn configure(&self, accounts: &[Account]) {
        self.configure_with("", accounts);
    }

    /// Writes the configuration with lines before the accounts.
    pub fn configure_with(&self, head: &str, accounts: &[Account]) {
        let tables: String = accounts.iter().map(|account| account.render(self)).collect();
        fs::write(self.config(), format!("{head}\n{tables}")).unwrap();
    }

    /// Where the account's mail goes.
    pub fn maildir_path(&self, account: &str) -> PathBuf {
        self.dir().join("mail").join(account)
    }

    /// A reader on it.
    pub fn maildir(&self, account: &str) -> Reader {
        Reader::new(self.maildir_path(account))
    }

    /// Where the account's outgoing files are dropped.
    pub fn outbox(&self, account: &str) -> PathBuf {
        self.dir().join("outbox").join(account)
    }

    /// Where the account's ledger, token and queue are.
    pub fn state(&self, account: &str) -> PathBuf {
        self.dir().join("state/posthaste").join(account)
    }

    /// Drops a message into the outbox by rename; the moment it was there.
    pub fn send(&self, account: &str, name: &str, message: &[u8]) -> Instant {
        let outbox = self.outbox(account);
        let temporary = outbox.join(format!(".{name}.writing"));
        fs::write(&temporary, message).expect("the outbox can be written");
        fs::rename(&temporary, outbox.join(name)).expect("the message can be dropped");
        Instant::now()
    }

    /// A command of the program, not yet started: environment and output are set.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
        command.envs(self.environment());
        command
    }

    /// The variables that make a program see this home.
    pub fn environment(&self) -> [(&'static str, PathBuf); 5] {
        [
            // The world's authorities are of no use here, and each TLS connection would read them for 30 ms.
            ("SSL_CERT_FILE", self.dir().join("no-authorities.pem")),
            ("HOME", self.dir().join("home")),
            ("XDG_CONFIG_HOME", self.dir().join("config")),
            ("XDG_STATE_HOME", self.dir().join("state")),
            ("XDG_RUNTIME_DIR", self.dir().join("run")),
        ]
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "")
    }

    /// Runs a command with `input` on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("posthaste can be run");
        // A program that ends without reading its input has closed the pipe: its exit code tells.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().expect("posthaste ends")
    }

    /// Runs a command that must succeed; its output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        succeeded(arguments, &self.run(arguments))
    }

    /// `login ACCOUNT --import`.
    pub fn login(&self, account: &str, refresh_token: &str) {
        let arguments = ["login", account, "--import"];
        succeeded(&arguments, &self.run_with(&arguments, &format!("{refresh_token}\n")));
    }

    /// `status --json`, also without a daemon.
    pub fn status(&self) -> Value {
        let output = self.run(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("status --json: {error}: {}", String::from_utf8_lossy(&output.stdout))
        })
    }

    /// Waits until `status` shows the account in `state`; the account.
    pub fn wait_state(&self, account: &str, state: &str) -> Value {
        wait::until_told(wait::PATIENCE, &format!("{account} to be {state}"), || {
            let status = self.status();
            let found = status["accounts"].as_array()?.iter().find(|one| one["name"] == account)?.clone();
            (found["state"] == state).then_some(found)
        })
    }

    /// Starts the daemon without waiting.
    pub fn spawn(&self) -> Daemon {
        self.spawn_with(&[])
    }

    /// Starts the daemon without waiting, with more variables in its environment.
    pub fn spawn_with(&self, variables: &[(&str, &str)]) -> Daemon {
        let socket = self.dir().join("run/notify.sock");
        let _ = fs::remove_file(&socket);
        let notify = UnixDatagram::bind(&socket).expect("the notification socket");
        let mut command = self.command(&["run"]);
        command.env("NOTIFY_SOCKET", &socket).envs(variables.iter().copied());
        let mut child = command.spawn().expect("posthaste can be run");
        let said = Arc::new(Mutex::new(String::new()));
        let pipe = child.stderr.take().unwrap();
        let heard = said.clone();
        std::thread::spawn(move || listen(pipe, &heard));
        let guard = Guard::of(child.id().into(), self.dir());
        Daemon { child, _guard: guard, notify, said }
    }

    /// Starts the daemon and waits until it is ready.
    pub fn start(&self) -> Daemon {
        self.start_with(&[])
    }

    /// Starts the daemon with more variables and waits until it is ready.
    pub fn start_with(&self, variables: &[(&str, &str)]) -> Daemon {
        let mut daemon = self.spawn_with(variables);
        daemon.wait_notified("READY=1");
        daemon
    }
}

/// A running daemon; killed with its value.
pub struct Daemon {
    child: Child,
    _guard: Guard,
    notify: UnixDatagram,
    said: Arc<Mutex<String>>,
}

impl Daemon {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits for a notification with this line; the whole notification.
    pub fn wait_notified(&mut self, line: &str) -> String {
        self.wait_notification(line, |text| text.lines().any(|one| one == line))
    }

    /// Waits for a notification that is `wanted`; the whole notification.
    pub fn wait_notification(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + wait::PATIENCE;
        let mut buffer = [0; 4096];
        while Instant::now() < deadline {
            self.notify.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            if let Ok(length) = self.notify.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if wanted(&text) {
                    return text;
                }
            } else if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the daemon ended with {status} before {what}:\n{}", self.stderr());
            }
        }
        panic!("no {what} from the daemon:\n{}", self.stderr());
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("the daemon runs");
    }

    /// SIGHUP.
    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// SIGTERM, and its end, with how long it took.
    pub fn stop(mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        self.signal(Signal::TERM);
        (self.wait(), start.elapsed())
    }

    /// Its end, if that comes within `limit` without our doing.
    pub fn ends_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        wait::some_within(limit, || self.child.try_wait().unwrap())
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("the daemon runs");
        self.child.wait().expect("the daemon ends");
    }

    /// Its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait::until_some(wait::PATIENCE, "the daemon to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- posthaste run\n{}", self.stderr());
        }
    }
}

fn succeeded(arguments: &[&str], output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "posthaste {} ended with {}:\n{errors}",
        arguments.join(" "),
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn listen(mut pipe: impl Read, heard: &Mutex<String>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = pipe.read(&mut buffer) {
        heard.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
}
