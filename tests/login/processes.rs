//! Several processes with one login, and processes that end while it is being renewed, at a server that rotates refresh
//! tokens and takes the use of an old one for theft.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::scene::Scene;
use super::support::Host;
use super::support::process::Account;
use super::support::proxy::{Mood, Proxy};
use super::support::wait::{PATIENCE, until};

/// Alice, logged in, at a strict token server whose answers can be kept back.
struct Rotation {
    scene: Scene,
    proxy: Proxy,
}

impl Rotation {
    fn start() -> Rotation {
        let host = Host::start();
        let real = url::Url::parse(&host.tokens.token_url()).unwrap();
        let proxy = Proxy::to(real.port().unwrap());
        let token_url = format!("http://127.0.0.1:{}/token", proxy.port());
        let account = Account { token_url: Some(token_url), ..Account::of(&host, "alice") };
        let scene = Scene::with(host, &[account]);
        scene.host.tokens.set_reuse_detection(true);
        scene.home.login("alice", &scene.host.tokens.refresh_token("alice"));
        Rotation { scene, proxy }
    }

    fn token_command(&self) -> Child {
        self.scene.home.command(&["token", "alice"]).spawn().unwrap()
    }

    /// Where no daemon is found.
    fn elsewhere(&self) -> PathBuf {
        self.scene.home.dir().join("home")
    }

    /// Does `begin`; the server rotates the token, and its answer is kept back.
    fn amid_a_refresh<T>(&self, begin: impl FnOnce() -> T) -> T {
        let tokens = &self.scene.host.tokens;
        let before = tokens.heard("/token").len();
        self.proxy.set(Mood::Mute);
        let begun = begin();
        until(PATIENCE, "a refresh to arrive", || tokens.heard("/token").len() > before);
        begun
    }

    /// The login is as good as ever.
    fn assert_well(&self) {
        self.scene.home.ok(&["token", "alice"]);
        assert!(!self.scene.host.tokens.was_reused("alice"));
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Reads until the command says that it waits.
fn hears_that_it_waits(child: &mut Child) {
    let mut said = BufReader::new(child.stderr.as_mut().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("a login is being renewed"), "{line}");
}

#[test]
fn processes_beside_each_other_and_beside_a_daemon_never_send_one_token_twice() {
    let rotation = Rotation::start();
    let Rotation { scene, .. } = &rotation;
    let tokens = &scene.host.tokens;
    let all_succeed = |children: Vec<Child>| {
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    };
    all_succeed((0..4).map(|_| rotation.token_command()).collect());
    assert_eq!(tokens.requests("alice"), 1 + 4);
    let _daemon = scene.home.start();
    scene.home.wait_state("alice", "watching");
    let before = tokens.requests("alice");
    all_succeed((0..4).map(|_| rotation.token_command()).collect());
    assert_eq!(tokens.requests("alice"), before, "the daemon lends what it has");
    // Others that do not find it refresh beside it, while it has to renew its own token.
    let stranger = || {
        let mut command = scene.home.command(&["token", "alice"]);
        command.env("XDG_RUNTIME_DIR", rotation.elsewhere()).spawn().unwrap()
    };
    let strangers = (0..4).map(|_| stranger()).collect();
    tokens.revoke_access("alice");
    scene.host.dovecot.kick("alice");
    all_succeed(strangers);
    scene.assert_mail_comes("alice", "after all of it");
    assert!(tokens.requests("alice") >= before + 5, "{}", tokens.requests("alice"));
    rotation.assert_well();
}

#[test]
fn an_interrupted_command_waits_for_the_login_that_it_renews() {
    let rotation = Rotation::start();
    for wanted in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut command = rotation.amid_a_refresh(|| rotation.token_command());
        signal(&command, wanted);
        hears_that_it_waits(&mut command);
        rotation.proxy.set(Mood::Pass);
        let output = command.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(wanted.as_raw()), "it ends as by the signal");
        assert!(output.stdout.is_empty());
        rotation.assert_well();
    }
}

#[test]
fn a_command_that_renews_nothing_ends_at_once() {
    let rotation = Rotation::start();
    let login = rotation.scene.login(&["alice", "--browser"]);
    login.address();
    let pid = i32::try_from(login.pid()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let (code, said) = login.end();
    assert_eq!(code, -1, "ended by the signal: {said}");
    assert!(!said.contains("renewed"), "{said}");
    rotation.assert_well();
}

#[test]
fn a_second_signal_waits_for_nothing() {
    let rotation = Rotation::start();
    let mut command = rotation.amid_a_refresh(|| rotation.token_command());
    signal(&command, Signal::INT);
    hears_that_it_waits(&mut command);
    signal(&command, Signal::INT);
    assert_eq!(command.wait().unwrap().code(), Some(130));
}

#[test]
fn a_terminal_that_closes_hangs_up_twice_and_is_no_second_signal() {
    let rotation = Rotation::start();
    let mut command = rotation.amid_a_refresh(|| rotation.token_command());
    signal(&command, Signal::HUP);
    hears_that_it_waits(&mut command);
    signal(&command, Signal::HUP);
    rotation.proxy.set(Mood::Pass);
    assert_eq!(command.wait().unwrap().signal(), Some(Signal::HUP.as_raw()));
    rotation.assert_well();
}

#[test]
fn a_command_that_was_told_to_outlive_its_terminal_does_so() {
    let rotation = Rotation::start();
    let mut deaf = Command::new("nohup");
    deaf.arg(env!("CARGO_BIN_EXE_posthaste")).args(["token", "alice"]);
    deaf.env_clear().envs(rotation.scene.home.environment()).stdout(Stdio::piped());
    let command = rotation.amid_a_refresh(|| deaf.spawn().unwrap());
    signal(&command, Signal::HUP);
    rotation.proxy.set(Mood::Pass);
    let output = command.wait_with_output().unwrap();
    assert!(output.status.success() && !output.stdout.is_empty(), "{}", output.status);
    rotation.assert_well();
}

#[test]
fn a_daemon_that_stops_waits_for_the_login_that_it_renews() {
    let rotation = Rotation::start();
    let mut daemon = rotation.amid_a_refresh(|| rotation.scene.home.start());
    daemon.signal(Signal::TERM);
    until(PATIENCE, "the daemon to say that it waits", || {
        daemon.stderr().contains("a login is being renewed")
    });
    rotation.proxy.set(Mood::Pass);
    assert!(daemon.wait().success());
    rotation.assert_well();
}

#[test]
fn a_kill_between_answer_and_file_costs_a_login_only_where_the_old_token_is_dead() {
    let rotation = Rotation::start();
    let Rotation { scene, proxy } = &rotation;
    let killed = || {
        let mut command = rotation.amid_a_refresh(|| rotation.token_command());
        command.kill().unwrap();
        command.wait().unwrap();
        proxy.cut();
        proxy.set(Mood::Pass);
    };
    scene.host.tokens.set_overlap(true);
    killed();
    rotation.assert_well();

    scene.host.tokens.set_overlap(false);
    killed();
    let before = scene.host.tokens.requests("alice");
    let daemon = scene.home.start();
    let alice = scene.home.wait_state("alice", "needs-login");
    assert!(alice["hint"].as_str().unwrap().contains("posthaste login alice"), "{alice}");
    assert_eq!(scene.host.tokens.requests("alice"), before + 1, "tried once");
    let warnings = daemon.stderr().lines().filter(|line| line.contains("WARN")).count();
    assert_eq!(warnings, 1, "told once: {}", daemon.stderr());
    scene.home.login("alice", &scene.host.tokens.refresh_token("alice"));
    scene.home.wait_state("alice", "watching");
}
