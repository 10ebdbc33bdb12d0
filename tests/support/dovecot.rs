//! One Dovecot process group on loopback: IMAP, POP3, submission, LMTP, with tokens checked by introspection.
//!
//! Works as root (mail belongs to `nobody`, logins run as Debian's own dovecot users) and as anybody (all is the
//! user's own). Every user name exists; the password of all is [`PASSWORD`]. The system's Dovecot and its
//! configuration are never touched. Tried with 2.3.19 and 2.4.1.

mod conf;

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use super::authority::Authority;
use super::guard::Guard;
use super::tokens::TokenServer;
use super::wait;
use conf::Conf;

/// Everybody's password: a word that stands nowhere else, so that it can be searched for.
pub const PASSWORD: &str = "open-sesame-7d1e";

/// The ports on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// IMAP, plain and STARTTLS.
    pub imap: u16,
    /// IMAP over implicit TLS.
    pub imaps: u16,
    /// POP3, plain and STLS.
    pub pop: u16,
    /// POP3 over implicit TLS.
    pub pops: u16,
    /// Submission with STARTTLS.
    pub submission: u16,
    /// Submission over implicit TLS.
    pub submissions: u16,
    /// LMTP without TLS.
    pub lmtp: u16,
}

/// What a test may want different.
#[derive(Clone, Debug)]
pub struct Options {
    /// Advertised instead of Dovecot's own list, to play a poorer server; the hidden commands still work.
    pub imap_capability: Option<String>,
    /// COMPRESS=DEFLATE; without effect beside `imap_capability`.
    pub compress: bool,
    /// The hierarchy separator.
    pub separator: char,
    /// SIZE limit of the submission service, in bytes; 0 is none.
    pub submission_limit: u64,
    /// More lines for the end of the configuration.
    pub extra: String,
    /// The server certificate is for another name.
    pub wrong_name: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            imap_capability: None,
            compress: true,
            separator: '/',
            submission_limit: 0,
            extra: String::new(),
            wrong_name: false,
        }
    }
}

/// A running Dovecot; it ends with this value.
pub struct Dovecot {
    /// Where it listens; the same after a restart.
    pub ports: Ports,
    root: TempDir,
    master: Option<Master>,
}

/// The master process, leader of its process group.
struct Master {
    process: Child,
    guard: Guard,
}

impl Master {
    fn guarded(process: Child, dir: &Path) -> Master {
        let guard = Guard::of(-i64::from(process.id()), dir);
        Master { process, guard }
    }

    fn kill(mut self) {
        drop(self.guard);
        if let Some(group) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.process.wait();
    }
}

impl Dovecot {
    /// Starts Dovecot and waits until it greets.
    pub fn start(options: &Options, authority: &Authority, tokens: &TokenServer, relay: u16) -> Dovecot {
        let root = tempfile::Builder::new().prefix("posthaste-host-").tempdir().expect("temporary directory");
        let dir = root.path();
        // Dovecot's unprivileged processes must be able to pass.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        let identity = if options.wrong_name { authority.wrong_name() } else { authority.localhost() };
        fs::write(dir.join("cert.pem"), identity.certificate).unwrap();
        fs::write(dir.join("key.pem"), identity.key).unwrap();
        fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
        fs::create_dir(dir.join("mail")).unwrap();
        let owner = Owner::current();
        owner.give(&dir.join("mail"));
        let introspection = tokens.introspection_url();
        // Another process may take a port between the choice and Dovecot's bind; then others are tried.
        for _ in 0..5 {
            let ports = Ports::choose();
            Conf { dir, ports: &ports, options, owner: &owner, relay, introspection: &introspection }.write();
            if let Some(master) = launch(dir, &ports) {
                return Dovecot { ports, root, master: Some(master) };
            }
        }
        panic!(
            "dovecot does not start:\n{}",
            fs::read_to_string(dir.join("dovecot.log")).unwrap_or_default()
        );
    }

    /// Its directory: `ca.pem`, `dovecot.conf`, `dovecot.log`, `mail/USER`.
    pub fn dir(&self) -> &Path {
        self.root.path()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir().join("dovecot.log")).unwrap_or_default()
    }

    /// Ends every process at once, as a crash of the machine would; the ports refuse from now on.
    pub fn kill(&mut self) {
        let Some(master) = self.master.take() else { return };
        master.kill();
        let ports = self.ports;
        wait::until(wait::PATIENCE, "dovecot's ports to close", || {
            !answers(ports.imap) && !answers(ports.imaps)
        });
        // A killed master leaves these behind and would refuse to start beside them.
        let _ = fs::remove_dir_all(self.dir().join("run"));
    }

    /// Starts again on the same ports with the same mail.
    pub fn restart(&mut self) {
        self.kill();
        let (dir, ports) = (self.dir().to_owned(), self.ports);
        self.master =
            Some(wait::until_some(wait::PATIENCE, "dovecot to start again", || launch(&dir, &ports)));
    }

    /// Runs `doveadm` against this server.
    pub fn doveadm(&self, arguments: &[&str]) -> Output {
        let conf = self.dir().join("dovecot.conf");
        Command::new("doveadm").arg("-c").arg(conf).args(arguments).output().expect("doveadm runs")
    }

    /// Ends every IMAP session of `user`, as a server does when it sheds load.
    pub fn kick(&self, user: &str) {
        let kicked = self.doveadm(&["kick", user]);
        assert!(kicked.status.success(), "doveadm kick: {}", String::from_utf8_lossy(&kicked.stderr));
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Ports {
    /// Seven free ports below the range that the kernel gives to outgoing connections: no such connection can take
    /// them while Dovecot is down for a restart.
    fn choose() -> Ports {
        let mut held = Vec::new();
        while held.len() < 7 {
            held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, fastrand::u16(10_000..32_000))));
        }
        let port = |index: usize| held[index].local_addr().unwrap().port();
        Ports {
            imap: port(0),
            imaps: port(1),
            submission: port(2),
            submissions: port(3),
            lmtp: port(4),
            pop: port(5),
            pops: port(6),
        }
    }
}

/// Whom Dovecot runs as and who owns the mail.
struct Owner {
    root: bool,
    mail: String,
    settings: String,
}

impl Owner {
    fn current() -> Owner {
        if rustix::process::geteuid().is_root() {
            return Owner { root: true, mail: "nobody:nogroup".to_owned(), settings: String::new() };
        }
        let (user, group) = (id("-un"), id("-gn"));
        let settings = format!(
            "default_internal_user = {user}\ndefault_internal_group = {group}\ndefault_login_user = {user}\n"
        );
        Owner { root: false, mail: format!("{user}:{group}"), settings }
    }

    fn give(&self, directory: &Path) {
        if self.root {
            let done = Command::new("chown").arg(&self.mail).arg(directory).status().expect("chown runs");
            assert!(done.success(), "chown {}", self.mail);
        }
    }
}

fn id(what: &str) -> String {
    let output = Command::new("id").arg(what).output().expect("id runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn answers(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn program() -> &'static str {
    let places = ["/usr/sbin/dovecot", "/usr/local/sbin/dovecot"];
    let found = places.into_iter().find(|path| Path::new(path).exists());
    found.expect("dovecot is installed (tests/install-deps does it)")
}

/// Starts the master; nothing when it ended before it greeted.
fn launch(dir: &Path, ports: &Ports) -> Option<Master> {
    let errors = fs::File::create(dir.join("start.log")).unwrap();
    let mut master = Command::new(program())
        .arg("-F")
        .arg("-c")
        .arg(dir.join("dovecot.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .process_group(0)
        .spawn()
        .expect("dovecot can be run");
    let mut running = true;
    wait::until(Duration::from_secs(10), "dovecot to listen", || {
        running = master.try_wait().unwrap().is_none();
        !running || (answers(ports.imap) && answers(ports.submissions) && answers(ports.lmtp))
    });
    running.then(|| Master::guarded(master, dir))
}
