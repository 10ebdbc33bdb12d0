//! The daemon with a scripted fleet: injected signals and a service manager that listens; real signals in a process of
//! its own.

mod reload;

use super::*;
use crate::control::client;
use crate::error::Class;
use crate::status::State;
use std::path::Path;
use std::sync::Mutex;
use tokio::time::timeout;

/// Longest wait for something that must happen.
const SOON: Duration = Duration::from_secs(10);

/// What an account of the tests does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    /// Watches until it is asked to stop.
    Watch(u8),
    /// Needs a login; once there is one, it watches.
    Login,
    /// Panics.
    Panic,
    /// Does not listen when it is asked to stop.
    Deaf,
}

type Config = Result<BTreeMap<String, Script>, String>;

/// Accounts after a script, and a configuration that the test writes.
struct Scripted {
    config: Mutex<Config>,
    has_login: Mutex<bool>,
    runs: mpsc::UnboundedSender<(String, Script)>,
}

impl Fleet for Scripted {
    type Spec = Script;

    fn load(&self) -> anyhow::Result<BTreeMap<String, Script>> {
        self.config.lock().unwrap().clone().map_err(anyhow::Error::msg)
    }

    fn stranded(&self, _: &Path, accounts: &BTreeMap<String, Script>) -> Vec<Stranded> {
        let old = Stranded { account: "old".into(), queue: "/old".into(), messages: 1 };
        if accounts.contains_key("old") { Vec::new() } else { vec![old] }
    }

    fn run(&self, unit: Unit<Script>) -> BoxFuture<'static, Result<(), Failure>> {
        let _test_over = self.runs.send((unit.name.clone(), unit.spec));
        let has_login = *self.has_login.lock().unwrap();
        Box::pin(async move {
            assert!(unit.state_dir.join("lock").exists(), "the state of the account is locked");
            match unit.spec {
                Script::Panic => panic!("scripted"),
                Script::Login if !has_login => {
                    return Err(Failure { class: Class::NeedsLogin, text: "refused".into(), hint: None });
                }
                Script::Deaf => return std::future::pending().await,
                Script::Watch(_) | Script::Login => {}
            }
            unit.status.send_modify(|account| account.state = State::Watching);
            unit.bounds.stop.cancelled().await;
            Ok(())
        })
    }

    fn answer(&self, request: Request, _: Replies) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move { Err(Refusal::new(Code::Failed, format!("fleet heard {request:?}"))) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

fn accounts(list: &[(&str, Script)]) -> Config {
    Ok(list.iter().map(|&(name, script)| (name.to_owned(), script)).collect())
}

struct Rig {
    directory: tempfile::TempDir,
    fleet: Arc<Scripted>,
    signals: mpsc::UnboundedSender<Signal>,
    /// What the service manager heard.
    heard: mpsc::UnboundedReceiver<String>,
    runs: mpsc::UnboundedReceiver<(String, Script)>,
    daemon: JoinHandle<anyhow::Result<()>>,
}

fn places(directory: &Path) -> Places {
    Places { socket: directory.join("run/control.sock"), state_dir: directory.join("state") }
}

impl Rig {
    fn start(config: Config) -> Rig {
        Rig::start_in(tempfile::tempdir().unwrap(), config, None)
    }

    fn start_in(directory: tempfile::TempDir, config: Config, watchdog: Option<Duration>) -> Rig {
        let (started, runs) = mpsc::unbounded_channel();
        let fleet = Scripted { config: Mutex::new(config), has_login: Mutex::new(false), runs: started };
        let fleet = Arc::new(fleet);
        let (signals, mut arriving) = mpsc::unbounded_channel();
        let (sender, heard) = mpsc::unbounded_channel();
        let herald = Herald::new(move |states| {
            for state in states {
                let _test_over = sender.send(state.to_string());
            }
        });
        let stream = futures_util::stream::poll_fn(move |context| arriving.poll_recv(context));
        let (fleet_too, places) = (Arc::clone(&fleet), places(directory.path()));
        let daemon = tokio::spawn(serve(fleet_too, places, stream, herald, watchdog));
        Rig { directory, fleet, signals, heard, runs, daemon }
    }

    /// Waits until the service manager hears a line that starts so.
    async fn hears(&mut self, start: &str) -> String {
        let until = async {
            loop {
                let line = self.heard.recv().await.expect("the daemon ended");
                if line.starts_with(start) {
                    return line;
                }
            }
        };
        timeout(SOON, until).await.unwrap_or_else(|_| panic!("never heard {start}"))
    }

    async fn next_run(&mut self) -> (String, Script) {
        timeout(SOON, self.runs.recv()).await.expect("nothing was started").unwrap()
    }

    async fn ask(&self, request: &Request) -> Result<Vec<Response>, client::Error> {
        let mut responses = client::request(&places(self.directory.path()).socket, request).await?;
        let mut all = Vec::new();
        while let Some(response) = timeout(SOON, responses.next()).await.unwrap()? {
            all.push(response);
        }
        Ok(all)
    }

    async fn refusal(&self, request: &Request) -> Refusal {
        match self.ask(request).await {
            Err(client::Error::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    async fn account(&self, name: &str) -> Account {
        let Response::Status(status) = self.ask(&Request::Status).await.unwrap().remove(0) else { panic!() };
        status.accounts.into_iter().find(|account| account.name == name).unwrap()
    }

    fn write_config(&self, config: Config) {
        *self.fleet.config.lock().unwrap() = config;
    }

    async fn end(self) -> anyhow::Result<()> {
        timeout(SOON, self.daemon).await.expect("the daemon did not end").unwrap()
    }
}

#[tokio::test]
async fn the_service_manager_hears_ready_status_and_stopping() {
    let mut rig = Rig::start(accounts(&[("a", Script::Watch(1)), ("b", Script::Login)]));
    rig.hears("READY=1").await;
    assert!(places(rig.directory.path()).socket.exists(), "the socket is bound before READY");
    rig.hears("STATUS=1 account watching; 1 needs login").await;
    rig.signals.send(Signal::Stop).unwrap();
    rig.hears("STOPPING=1").await;
    timeout(SOON, &mut rig.daemon).await.unwrap().unwrap().unwrap();
    assert!(!places(rig.directory.path()).socket.exists());
}

#[tokio::test]
async fn trouble_of_one_account_is_told_and_touches_no_other() {
    let mut rig = Rig::start(accounts(&[("bad", Script::Panic), ("good", Script::Watch(1))]));
    rig.hears("STATUS=1 account watching; 1 waiting").await;
    let bad = rig.account("bad").await;
    assert_eq!(bad.error.as_deref(), Some("internal error: scripted"));
    assert!(bad.next_try.is_some());
    assert_eq!(rig.account("good").await.state, State::Watching);
}

#[tokio::test]
async fn a_login_brings_an_account_back() {
    let mut rig = Rig::start(accounts(&[("a", Script::Login)]));
    rig.hears("STATUS=1 account needs login").await;
    *rig.fleet.has_login.lock().unwrap() = true;
    let changed = Request::TokenChanged { account: "a".into() };
    assert_eq!(rig.ask(&changed).await.unwrap(), []);
    rig.hears("STATUS=1 account watching").await;
    let heard = rig.refusal(&changed).await;
    assert!(heard.message.contains("fleet heard TokenChanged"), "a running unit is the fleet's: {heard}");
}

#[tokio::test]
async fn a_start_with_a_wrong_configuration_fails_with_its_error() {
    let rig = Rig::start(Err("line 3".into()));
    assert_eq!(rig.end().await.unwrap_err().to_string(), "line 3");
}

#[tokio::test]
async fn a_second_daemon_is_refused_and_the_first_runs_on() {
    let mut first = Rig::start(accounts(&[("a", Script::Watch(1))]));
    first.hears("READY=1").await;
    let (_signals, mut arriving) = mpsc::unbounded_channel();
    let stream = futures_util::stream::poll_fn(move |context| arriving.poll_recv(context));
    let (fleet, places) = (Arc::clone(&first.fleet), places(first.directory.path()));
    let refused = serve(fleet, places, stream, Herald::new(|_| {}), None).await.unwrap_err();
    assert!(refused.downcast_ref::<crate::lock::Error>().is_some());
    assert!(refused.to_string().contains(&format!("(pid {})", std::process::id())), "{refused}");
    first.account("a").await;
}

#[tokio::test]
async fn an_account_in_use_by_another_process_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let _sync_without_daemon = Lock::account(&directory.path().join("state"), "a").unwrap();
    let mut rig = Rig::start_in(directory, accounts(&[("a", Script::Watch(1))]), None);
    rig.hears("STATUS=1 account waiting").await;
    let error = rig.account("a").await.error.unwrap();
    assert!(error.contains("account a is in use by another posthaste process"), "{error}");
    assert!(rig.runs.try_recv().is_err());
}

#[tokio::test]
async fn units_answer_for_the_watchdog_while_they_wait() {
    let directory = tempfile::tempdir().unwrap();
    let limit = Some(Duration::from_millis(40));
    let mut rig = Rig::start_in(directory, accounts(&[("a", Script::Watch(1))]), limit);
    rig.hears("STATUS=1 account watching").await;
    for _ in 0..3 {
        rig.hears("WATCHDOG=1").await;
    }
}

/// Where the process that [`signals_reload_stop_and_end_at_once`] starts finds its directory.
const SIGNALLED: &str = "POSTHASTE_TEST_SIGNALLED";

#[tokio::test]
#[ignore = "started by signals_reload_stop_and_end_at_once"]
async fn run_until_signalled() {
    let directory = PathBuf::from(std::env::var_os(SIGNALLED).unwrap());
    let (runs, _nobody_counts) = mpsc::unbounded_channel();
    let config = Mutex::new(accounts(&[("deaf", Script::Deaf)]));
    run(Scripted { config, has_login: Mutex::new(false), runs }, places(&directory)).await.unwrap();
}

#[test]
fn signals_reload_stop_and_end_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (socket, hear) = service_manager(directory.path());
    let mut daemon = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "daemon::tests::run_until_signalled", "--ignored"])
        .env("NOTIFY_SOCKET", &socket)
        .env(SIGNALLED, directory.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let send = |signal| rustix::process::kill_process(rustix::process::Pid::from_child(&daemon), signal);
    let hears = |start: &str| while !hear().starts_with(start) {};
    hears("READY=1");
    send(rustix::process::Signal::HUP).unwrap();
    hears("RELOADING=1");
    hears("READY=1");
    send(rustix::process::Signal::TERM).unwrap();
    hears("STOPPING=1");
    let begin = std::time::Instant::now();
    send(rustix::process::Signal::TERM).unwrap();
    assert_eq!(daemon.wait().unwrap().code(), Some(128 + 15));
    assert!(begin.elapsed() < Duration::from_secs(3), "the second signal does not wait for the deaf unit");
}

/// A socket that a service manager would listen on, and what it hears.
fn service_manager(directory: &Path) -> (PathBuf, impl Fn() -> String) {
    let path = directory.join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let hear = move || {
        let mut buffer = [0; 256];
        let size = socket.recv(&mut buffer).expect("nothing was said");
        String::from_utf8(buffer[..size].to_vec()).unwrap()
    };
    (path, hear)
}

/// The real socket: the environment cannot be changed inside a test, so this one runs in a process of its own, where
/// [`the_herald_speaks_to_notify_socket`] starts it.
#[test]
#[ignore = "started by the_herald_speaks_to_notify_socket"]
fn speak_to_the_service_manager() {
    let herald = Herald::systemd();
    herald.ready();
    herald.reloading();
    herald.status("3 accounts watching");
    herald.watchdog();
    herald.stopping();
}

#[test]
fn the_herald_speaks_to_notify_socket() {
    let directory = tempfile::tempdir().unwrap();
    let (socket, hear) = service_manager(directory.path());
    let mut speaker = std::process::Command::new(std::env::current_exe().unwrap());
    speaker.args(["--exact", "daemon::tests::speak_to_the_service_manager", "--ignored"]);
    assert!(speaker.env("NOTIFY_SOCKET", socket).output().unwrap().status.success());
    assert_eq!(hear(), "READY=1\n");
    let reloading = hear();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "one datagram: {reloading}");
    assert_eq!(hear(), "STATUS=3 accounts watching\n");
    assert_eq!(hear(), "WATCHDOG=1\n");
    assert_eq!(hear(), "STOPPING=1\n");
}

/// More than the queue of a socket holds.
#[test]
#[ignore = "started by a_service_manager_that_does_not_listen_holds_nothing_up"]
fn speak_without_end() {
    let herald = Herald::systemd();
    (0..5_000).for_each(|_| herald.status("still here"));
    herald.stopping();
}

#[test]
fn a_service_manager_that_does_not_listen_holds_nothing_up() {
    let directory = tempfile::tempdir().unwrap();
    let (socket, _never_heard) = service_manager(directory.path());
    let mut speaker = std::process::Command::new(std::env::current_exe().unwrap());
    speaker.args(["--exact", "daemon::tests::speak_without_end", "--ignored"]);
    let mut speaker =
        speaker.env("NOTIFY_SOCKET", socket).stdout(std::process::Stdio::null()).spawn().unwrap();
    let deadline = std::time::Instant::now() + SOON;
    while speaker.try_wait().unwrap().is_none() {
        if std::time::Instant::now() > deadline {
            speaker.kill().unwrap();
            panic!("it waits for its listener");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(speaker.wait().unwrap().success());
}
