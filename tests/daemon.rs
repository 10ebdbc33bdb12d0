//! The daemon as a service manager and a second terminal see it: notifications, signals, reloads, rivals, crashes.
//!
//! What it does is judged by what goes over connections (counted by proxies), by its exit and by its words, never by
//! its insides.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use support::filler;
use support::meddler::{Act, Meddler};
use support::process::{Account, Daemon, Home};
use support::proxy::{Mood, Proxy};
use support::wait::{PATIENCE, until};
use support::{Host, message};

/// A stop is over within this time.
const STOP: Duration = Duration::from_secs(5);

fn home() -> Home {
    Home::new(env!("CARGO_BIN_EXE_posthaste"))
}

fn log_in(host: &Host, home: &Home, users: &[&str]) {
    for user in users {
        host.furnish(user);
        home.login(user, &host.tokens.refresh_token(user));
    }
}

fn home_of(host: &Host, accounts: &[Account]) -> Home {
    let home = home();
    home.configure(accounts);
    let users: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
    log_in(host, &home, &users);
    home
}

/// The account of `user` by way of a proxy.
fn through(host: &Host, user: &str, proxy: &Proxy) -> Account {
    Account { imap: (proxy.port(), "implicit"), ..Account::of(host, user) }
}

fn wait_mail(home: &Home, user: &str, subject: &str) {
    until(PATIENCE, &format!("{subject} of {user}"), || home.maildir(user).find("INBOX", subject).is_some());
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// SIGTERM and a clean end in time.
fn assert_stops(daemon: Daemon) {
    let (status, time) = daemon.stop();
    assert!(status.success() && time < STOP, "{status} after {time:?}");
}

/// Waits for a STATUS notification that holds `words`.
fn wait_status(daemon: &mut Daemon, words: &str) {
    daemon.wait_notification(&format!("STATUS with {words}"), |text| {
        text.lines().any(|line| line.starts_with("STATUS=") && line.contains(words))
    });
}

#[test]
fn the_service_manager_hears_ready_status_reloading_and_stopping() {
    let host = Host::start();
    let home = home_of(&host, &[Account::of(&host, "alice")]);
    let mut daemon = home.start();
    wait_status(&mut daemon, "1 account watching");
    daemon.reload();
    let reloading = daemon.wait_notified("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    daemon.wait_notified("READY=1");
    daemon.signal(Signal::TERM);
    daemon.wait_notified("STOPPING=1");
    assert!(daemon.wait().success());
    assert!(!home.dir().join("run/posthaste/control.sock").exists());
}

#[test]
fn a_service_manager_that_reads_nothing_holds_nothing_up() {
    let host = Host::start();
    let home = home_of(&host, &[Account::of(&host, "alice")]);
    let daemon = home.start();
    home.wait_state("alice", "watching");
    // Every message changes the status twice; the kernel keeps some ten notifications for a reader.
    for number in 0..12 {
        host.deliver("alice", &message(&format!("number {number}")));
        host.explain(|_| wait_mail(&home, "alice", &format!("number {number}")));
    }
    assert_stops(daemon);
}

#[test]
fn a_stop_in_the_middle_of_a_first_sync_is_quick_and_leaves_nothing_half_done() {
    const COUNT: usize = 3_000;
    let host = Host::start();
    filler::fill(&mut host.imap("alice"), "INBOX", filler::plain(COUNT, 2_000));
    let home = home_of(&host, &[Account::of(&host, "alice")]);
    let daemon = home.start();
    until(PATIENCE, "the first messages", || home.maildir("alice").count("INBOX") > 0);
    assert_stops(daemon);
    let stopped_at = home.maildir("alice").count("INBOX");
    assert!(stopped_at < COUNT, "the sync had already ended");
    let _daemon = home.start();
    until(Duration::from_secs(60), "the rest", || home.maildir("alice").count("INBOX") >= COUNT);
    home.wait_state("alice", "watching");
    home.ok(&["sync"]);
    assert_eq!(home.maildir("alice").count("INBOX"), COUNT);
    assert_eq!(fs::read_dir(home.maildir("alice").directory("INBOX/tmp")).unwrap().count(), 0);
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    let host = Host::start();
    let proxy = Proxy::to(host.dovecot.ports.imaps);
    let home = home_of(&host, &[through(&host, "alice", &proxy)]);
    let mut daemon = home.start();
    home.wait_state("alice", "watching");
    // The farewell to a dead server takes its time.
    proxy.set(Mood::Stall);
    daemon.signal(Signal::TERM);
    daemon.wait_notified("STOPPING=1");
    let start = std::time::Instant::now();
    daemon.signal(Signal::TERM);
    let status = daemon.wait();
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    // At once, or so soon that the first stop was quicker.
    assert!(status.code() == Some(143) || status.success(), "{status}");
}

#[test]
fn a_dead_server_does_not_delay_a_stop() {
    let host = Host::start();
    let proxy = Proxy::to(host.dovecot.ports.imaps);
    let home = home_of(&host, &[through(&host, "alice", &proxy)]);
    let daemon = home.start();
    home.wait_state("alice", "watching");
    proxy.set(Mood::Stall);
    assert_stops(daemon);
}

/// The mistake in line 2 is told wherever somebody looks, and who serves says by what.
fn assert_mistake_is_told(home: &Home) {
    for words in ["config.toml:2:1: unknown key `addres`", "the former one stays in force"] {
        let notice = home.status()["notice"].clone();
        assert!(notice.as_str().unwrap().contains(words), "{notice}");
        assert!(home.ok(&["status"]).contains(words), "{}", home.ok(&["status"]));
        let refused = home.run(&["reload"]);
        assert_eq!(refused.status.code(), Some(78), "{}", stderr(&refused));
        assert!(stderr(&refused).contains(words), "{}", stderr(&refused));
    }
    let served = home.run(&["sync", "alice"]);
    assert!(served.status.success() && stderr(&served).contains("config.toml:2:1"), "{}", stderr(&served));
    assert!(stderr(&served).contains("the former one stays in force"), "{}", stderr(&served));
}

#[test]
fn a_reload_touches_only_what_changed() {
    let host = Host::start();
    let proxies = ["alice", "bob", "carol"].map(|_| Proxy::to(host.dovecot.ports.imaps));
    let [alice, bob, carol] = ["alice", "bob", "carol"];
    let of = |index: usize, user: &str| through(&host, user, &proxies[index]);
    let home = home_of(&host, &[of(0, alice), of(1, bob)]);
    let mut daemon = home.start();
    for user in [alice, bob] {
        home.wait_state(user, "watching");
    }
    until(PATIENCE, "both connections of each", || proxies[..2].iter().all(|proxy| proxy.connections() == 2));
    let served = home.run(&["--config", "/nowhere/config.toml", "sync", "alice"]);
    assert!(served.status.success(), "{}", stderr(&served));
    assert!(!stderr(&served).contains("/nowhere"), "the daemon reads another file: {}", stderr(&served));

    home.configure(&[of(0, alice), of(1, bob), of(2, carol)]);
    log_in(&host, &home, &[carol]);
    daemon.reload();
    home.wait_state(carol, "watching");
    until(PATIENCE, "the new connections", || proxies[2].connections() == 2);
    assert_eq!(proxies.each_ref().map(Proxy::connections), [2, 2, 2], "adding one starts only it");

    home.configure(&[of(0, alice), Account { extra: "sweep = \"45s\"".into(), ..of(1, bob) }, of(2, carol)]);
    daemon.reload();
    until(PATIENCE, "the changed account to start anew", || proxies[1].connections() == 4);
    home.wait_state(bob, "watching");
    assert_eq!(proxies.each_ref().map(Proxy::connections), [2, 4, 2], "changing one restarts only it");

    fs::write(home.config(), "[accounts.alice]\naddres = 1\n").unwrap();
    daemon.reload();
    wait_status(&mut daemon, "configuration not reloaded");
    until(PATIENCE, "the place of the mistake", || daemon.stderr().contains("config.toml:2:1"));
    assert_mistake_is_told(&home);
    for user in [alice, bob, carol] {
        host.deliver(user, &message("under the old configuration"));
        wait_mail(&home, user, "under the old configuration");
    }
    assert_eq!(proxies.each_ref().map(Proxy::connections), [2, 4, 2]);

    home.configure(&[of(0, alice), of(2, carol)]);
    home.ok(&["reload"]);
    let mended = home.status();
    assert_eq!((&mended["notice"], mended["accounts"].as_array().unwrap().len()), (&Value::Null, 2));
    assert_eq!(stderr(&home.run(&["sync", "alice"])), "");
    host.deliver(alice, &message("after the removal"));
    wait_mail(&home, alice, "after the removal");
    assert_eq!(proxies.each_ref().map(Proxy::connections), [2, 4, 2]);
    let kept = home.maildir(bob).find("INBOX", "under the old configuration");
    assert!(kept.is_some(), "the mail of a removed account stays");
}

#[test]
fn a_second_daemon_is_refused_and_sync_goes_through_the_first() {
    let host = Host::start();
    let proxy = Proxy::to(host.dovecot.ports.imaps);
    let home = home_of(&host, &[through(&host, "alice", &proxy)]);
    let daemon = home.start();
    home.wait_state("alice", "watching");
    let second = home.run(&["run"]);
    assert_eq!(second.status.code(), Some(75));
    assert!(stderr(&second).contains(&format!("(pid {})", daemon.pid())), "{}", stderr(&second));
    until(PATIENCE, "both connections", || proxy.connections() == 2);
    let told = home.ok(&["sync", "alice"]);
    assert_eq!(proxy.connections(), 2, "the daemon's own connection made the pass");
    assert!(told.contains("alice"), "{told}");
}

#[test]
fn a_sync_beside_another_is_refused_with_its_pid() {
    let host = Host::start();
    let meddler = Meddler::to(host.dovecot.ports.imap, &host.authority);
    let account = Account { imap: (meddler.port(), "implicit"), ..Account::of(&host, "alice") };
    let home = home_of(&host, &[account]);
    meddler.always("LIST", Act::Silence);
    let mut first = home.command(&["sync"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until(PATIENCE, "the first to be at work", || meddler.acted() > 0);
    let second = home.run(&["sync"]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.status.code(), Some(75), "{}", stderr(&second));
    assert!(stderr(&second).contains(&format!("(pid {})", first.id())), "{}", stderr(&second));
    meddler.calm();
    home.ok(&["sync"]);
}

#[test]
fn a_killed_daemon_leaves_nothing_in_the_way_of_the_next() {
    let host = Host::start();
    let home = home_of(&host, &[Account::of(&host, "alice")]);
    let daemon = home.start();
    home.wait_state("alice", "watching");
    daemon.kill();
    assert!(home.dir().join("run/posthaste/control.sock").exists(), "the stale socket is there");
    let absent = home.run(&["status", "--json"]);
    assert_eq!(absent.status.code(), Some(69));
    let told: Value = serde_json::from_slice(&absent.stdout).unwrap();
    assert_eq!(told, serde_json::json!({"schema": 1, "accounts": []}));
    let daemon = home.start();
    assert_eq!(home.wait_state("alice", "watching")["error"], Value::Null);
    host.deliver("alice", &message("after the kill"));
    wait_mail(&home, "alice", "after the kill");
    assert_stops(daemon);
}

#[test]
fn a_server_that_is_down_at_the_start_is_waited_for() {
    let mut host = Host::start();
    let home = home_of(&host, &[Account::of(&host, "alice")]);
    host.deliver("alice", &message("before"));
    host.dovecot.kill();
    let _daemon = home.start();
    let account = home.wait_state("alice", "waiting");
    assert!(account["error"].is_string() && account["next_try"].is_string(), "{account}");
    host.dovecot.restart();
    let account = home.wait_state("alice", "watching");
    assert_eq!(account["error"], Value::Null);
    wait_mail(&home, "alice", "before");
}

#[test]
fn a_dead_server_of_one_account_is_invisible_to_the_other() {
    let host = Host::start();
    let proxy = Proxy::to(host.dovecot.ports.imaps);
    let home = home_of(&host, &[through(&host, "alice", &proxy), Account::of(&host, "bob")]);
    let daemon = home.start();
    for user in ["alice", "bob"] {
        home.wait_state(user, "watching");
    }
    proxy.set(Mood::Refuse);
    proxy.cut();
    home.wait_state("alice", "waiting");
    host.deliver("bob", &message("meanwhile"));
    wait_mail(&home, "bob", "meanwhile");
    let bob = home.wait_state("bob", "watching");
    assert_eq!(bob["error"], Value::Null);
    host.deliver("alice", &message("for later"));
    proxy.set(Mood::Pass);
    assert_eq!(home.wait_state("alice", "watching")["error"], Value::Null);
    wait_mail(&home, "alice", "for later");
    let said = daemon.stderr();
    assert!(!said.lines().any(|line| line.contains("WARN") && line.contains("bob")), "{said}");
}

#[test]
fn an_account_that_cannot_run_at_all_leaves_the_other_running() {
    let host = Host::start();
    let home = home_of(&host, &[Account::of(&host, "alice"), Account::of(&host, "bob")]);
    fs::create_dir_all(home.maildir_path("alice").parent().unwrap()).unwrap();
    fs::write(home.maildir_path("alice"), "a file where the Maildir should be").unwrap();
    let daemon = home.start();
    home.wait_state("bob", "watching");
    host.deliver("bob", &message("all the same"));
    wait_mail(&home, "bob", "all the same");
    until(PATIENCE, "the trouble of alice", || home.status()["accounts"][0]["error"].is_string());
    let whole = home.run(&["sync"]);
    assert_eq!(whole.status.code(), Some(75), "half a pass is no whole one: {}", stderr(&whole));
    assert!(stderr(&whole).contains("account alice "), "{}", stderr(&whole));
    assert!(
        String::from_utf8_lossy(&whole.stdout).contains("bob: in step"),
        "the other is synced all the same"
    );
    let list = home.run(&["held", "list"]);
    assert_eq!(list.status.code(), Some(75), "half a list is no whole one: {}", stderr(&list));
    assert!(stderr(&list).contains("account alice "), "{}", stderr(&list));
    assert_eq!(home.run(&["sync", "nobody"]).status.code(), Some(2));
    assert_stops(daemon);
}

#[test]
fn an_account_that_cannot_log_in_says_why_and_lists_what_it_holds_all_the_same() {
    let host = Host::start();
    let home = home_of(&host, &[Account::of(&host, "alice")]);
    let whole = fs::read_to_string(home.config()).unwrap();
    fs::write(home.config(), whole.replace("client_id = \"test\"\n", "")).unwrap();
    let _daemon = home.start();
    home.wait_state("alice", "needs-login");
    let refused = home.run(&["sync"]);
    assert_eq!(refused.status.code(), Some(77), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("no client_id is set"), "{}", stderr(&refused));
    assert!(home.ok(&["held", "list"]).contains("nothing is held back"));
}

/// Set for the runner that is killed.
const DOOMED: &str = "POSTHASTE_TEST_DOOMED";

#[test]
fn a_test_runner_that_is_killed_leaves_nothing_running() {
    if std::env::var_os(DOOMED).is_some() {
        let host = Host::start();
        let home = home_of(&host, &[Account::of(&host, "alice")]);
        let daemon = home.start();
        println!("\nrunning {} in {}", daemon.pid(), home.dir().display());
        loop {
            std::thread::park();
        }
    }
    let mut runner = Command::new(std::env::current_exe().unwrap());
    runner.args(["--exact", "a_test_runner_that_is_killed_leaves_nothing_running", "--nocapture"]);
    let mut runner = runner.env(DOOMED, "yes").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(runner.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said = lines.find_map(|line| line.strip_prefix("running ")?.split_once(" in ").map(owned)).unwrap();
    let (process, directory) = (Path::new("/proc").join(said.0), said.1);
    assert!(process.exists(), "the daemon runs");
    runner.kill().unwrap();
    runner.wait().unwrap();
    until(PATIENCE, "the daemon to end", || !process.exists());
    until(PATIENCE, "its home to be removed", || !Path::new(&directory).exists());
}

fn owned((one, other): (&str, &str)) -> (String, String) {
    (one.to_owned(), other.to_owned())
}
