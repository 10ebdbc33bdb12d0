//! A first sync of a large mailbox, posthaste beside mbsync, on the same server in the same run.
//!
//! Prints figures and judges nothing: a busy machine must not fail a build. The two take turns so that neither has
//! the warmer cache. Peak RSS is VmHWM of /proc; syncs to disk are counted by strace in a run of its own
//! with fewer messages, because tracing slows. `BENCH_MESSAGES` (20000) and `BENCH_ROUNDS` (2) scale it.

// A benchmark prints its figures, and one that cannot run its programs ends with the words of `expect`.
#![allow(clippy::print_stdout, clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

use support::dovecot::PASSWORD;
use support::imap_client::ImapClient;
use support::process::{Account, Home};
use support::{Host, filler};

/// 185 MB in 20,000 messages.
const SIZE: usize = 9_250;
/// Messages of the traced run.
const TRACED: usize = 1_000;

/// What the rounds left on disk.
#[derive(Default)]
struct Kept {
    homes: Vec<Home>,
    directories: Vec<TempDir>,
}

/// One run of one program.
struct Figures {
    wall: Duration,
    peak_kib: u64,
    messages: usize,
}

fn main() {
    let binary = binary();
    let count = number("BENCH_MESSAGES", 20_000);
    let host = Host::start();
    let started = Instant::now();
    filler::fill(&mut host.imap("bench"), "INBOX", messages(count));
    println!(
        "filled INBOX with {count} messages, {} MB, in {:.1?}",
        count * SIZE / 1_000_000,
        started.elapsed()
    );
    // Kept to the end: ext4 is slow to make files where many were removed in the last seconds.
    let mut kept = Kept::default();
    for round in 1..=number("BENCH_ROUNDS", 2) {
        println!("round {round}");
        bare(&host, "bench");
        kept.homes.push(ours(&host, &binary, "bench"));
        kept.directories.extend(theirs(&host, "bench"));
    }
    if installed("strace") {
        let traced = TRACED.min(count);
        filler::fill(&mut host.imap("traced"), "INBOX", messages(traced));
        println!("pushes to disk while fetching {traced} messages");
        traced_runs(&host, &binary);
    }
}

/// None of them `\Deleted`: mbsync leaves such messages where they are, and the two would not do the same work.
fn messages(count: usize) -> impl Iterator<Item = filler::Fixture> {
    let kept = |flags: &'static str| if flags.contains("Deleted") { "\\Seen" } else { flags };
    filler::plain(count, SIZE).map(move |one| filler::Fixture { flags: kept(one.flags), ..one })
}

/// The FETCH stream alone, over the same TLS, nothing stored: what no program can be faster than on one connection.
fn bare(host: &Host, user: &str) {
    let mut client = ImapClient::connect_tls(host.dovecot.ports.imaps, &host.ca());
    client.ok(&format!("LOGIN {user} {PASSWORD}"));
    client.select("INBOX");
    let started = Instant::now();
    let messages = client.stream_all();
    println!(
        "  {:<10} {:<6} {:>8.2} s   {messages} messages",
        "bare FETCH",
        "",
        started.elapsed().as_secs_f64()
    );
}

fn ours(host: &Host, binary: &Path, user: &str) -> Home {
    let home = prepared(host, binary, user);
    for pass in ["first", "again"] {
        let figures = measure(&mut home.command(&["sync", user]), &home.maildir(user).directory("INBOX"));
        report("posthaste", pass, &figures);
    }
    home
}

fn theirs(host: &Host, user: &str) -> Option<TempDir> {
    if !installed("mbsync") {
        println!("  mbsync is not installed");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    for pass in ["first", "again"] {
        let mut command = mbsync(host, user, directory.path());
        report("mbsync", pass, &measure(&mut command, &directory.path().join("mail/INBOX")));
    }
    Some(directory)
}

fn traced_runs(host: &Host, binary: &Path) {
    let home = prepared(host, binary, "traced");
    let plain = home.command(&["sync", "traced"]);
    count_syncs("posthaste", &plain, home.dir());
    if installed("mbsync") {
        let directory = tempfile::tempdir().unwrap();
        count_syncs("mbsync", &mbsync(host, "traced", directory.path()), directory.path());
    }
}

fn prepared(host: &Host, binary: &Path, user: &str) -> Home {
    let home = Home::new(binary);
    home.configure(&[Account::of(host, user)]);
    home.login(user, &host.tokens.refresh_token(user));
    home
}

/// mbsync with its defaults (FSync on), every mailbox, both ways, over the same implicit TLS.
fn mbsync(host: &Host, user: &str, directory: &Path) -> Command {
    let mail = directory.join("mail");
    fs::create_dir_all(&mail).unwrap();
    let conf = directory.join("mbsyncrc");
    let text = format!(
        "IMAPStore far\nHost localhost\nPort {port}\nUser {user}\nPass {PASSWORD}\nSSLType IMAPS\nAuthMechs PLAIN\n\
         CertificateFile {ca}\nSystemCertificates no\n\n\
         MaildirStore near\nPath {mail}/\nInbox {mail}/INBOX\nSubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge None\nCopyArrivalDate yes\n\
         SyncState *\n",
        port = host.dovecot.ports.imaps,
        ca = host.ca().display(),
        mail = mail.display(),
    );
    fs::write(&conf, text).unwrap();
    let mut command = Command::new("mbsync");
    command.arg("-q").arg("-c").arg(conf).arg("-a");
    command
}

/// Runs a program to its end, following its peak resident size.
fn measure(command: &mut Command, inbox: &Path) -> Figures {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().expect("the program runs");
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak_kib.max(high_water(&child));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let wall = started.elapsed();
    assert!(status.success(), "{command:?} ended with {status}");
    let entries = ["new", "cur"].map(|part| fs::read_dir(inbox.join(part)).map(Iterator::count).unwrap_or(0));
    Figures { wall, peak_kib, messages: entries.iter().sum() }
}

/// VmHWM only grows, so the last look before the end is the peak.
fn high_water(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn report(program: &str, pass: &str, figures: &Figures) {
    println!(
        "  {program:<10} {pass:<6} {:>8.2} s   peak RSS {:>7.1} MiB   {} messages",
        figures.wall.as_secs_f64(),
        figures.peak_kib as f64 / 1_024.0,
        figures.messages
    );
}

/// Runs a copy of `command` under strace and prints how often each kind of push to disk was called.
fn count_syncs(program: &str, command: &Command, directory: &Path) {
    let table = directory.join("strace.txt");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-c", "-e", "trace=fsync,fdatasync,syncfs,sync_file_range", "-o"]).arg(&table);
    traced.arg(command.get_program()).args(command.get_args()).stdout(Stdio::null());
    for (name, value) in command.get_envs() {
        value.map(|value| traced.env(name, value));
    }
    let status = traced.status().expect("strace runs");
    let text = fs::read_to_string(&table).unwrap_or_default();
    let counts: Vec<String> = text.lines().filter_map(call).collect();
    let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    println!("  {program:<10} {counts} ({status})");
}

/// `NAME COUNT` of a row of strace's table: % time, seconds, usecs/call, calls, [errors], syscall.
fn call(line: &str) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let name = fields.last().filter(|name| name.contains("sync"))?;
    Some(format!("{name} {}", fields.get(3)?))
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn installed(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

/// The program beside this example: `target/PROFILE/examples/bench` and `target/PROFILE/posthaste`.
fn binary() -> PathBuf {
    let bench = std::env::current_exe().unwrap();
    let path = bench.parent().and_then(Path::parent).unwrap().join("posthaste");
    assert!(path.exists(), "build the program first: cargo build --release --bin posthaste");
    path
}
