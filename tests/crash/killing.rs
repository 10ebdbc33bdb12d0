//! Killing the program at chosen moments: after a random time, or as soon as something can be seen from outside.
//!
//! Every choice comes from one seed, which a failing test prints with the moments tried. The wall clock is not part
//! of it, so a seed repeats the choices and not the very instruction; `CRASH_SEED` sets it.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Output};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::support::meddler::Meddler;
use super::support::process::Home;

/// How close the outside is looked at.
const POLL: Duration = Duration::from_micros(200);
/// Up to so much later than an event: before the server's answer, in it, and after it.
const JITTER_MICROS: u64 = 4_000;

/// When to kill.
pub struct Moment {
    name: String,
    due: Box<dyn FnMut() -> bool>,
}

impl Moment {
    /// As soon as `due` says so.
    pub fn when(name: &str, due: impl FnMut() -> bool + 'static) -> Moment {
        Moment { name: name.to_owned(), due: Box::new(due) }
    }

    /// This long after now.
    pub fn after(time: Duration) -> Moment {
        let start = Instant::now();
        Moment::when(&format!("after {time:?}"), move || start.elapsed() >= time)
    }

    /// The same moment a little later.
    fn then(mut self, later: Duration) -> Moment {
        let mut reached = None;
        Moment::when(&format!("{} and {later:?}", self.name), move || {
            if reached.is_none() && (self.due)() {
                reached = Some(Instant::now());
            }
            reached.is_some_and(|at| at.elapsed() >= later)
        })
    }
}

/// Chooses moments and counts kills.
pub struct Killer {
    seed: u64,
    rng: Rng,
    /// How long the undisturbed thing takes.
    pub span: Duration,
    /// Kills that met a living program.
    pub kills: usize,
    /// Of these, how many at an event.
    pub at_events: usize,
    log: Vec<String>,
}

impl Killer {
    /// With its own seed for each test, or that of the environment.
    pub fn new(seed: u64) -> Killer {
        let seed = std::env::var("CRASH_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(seed);
        let rng = Rng::with_seed(seed);
        Killer { seed, rng, span: Duration::ZERO, kills: 0, at_events: 0, log: Vec::new() }
    }

    /// Starts `sync`, kills it at a time of the `rest` of the span or at one of `events`; whether it was killed. A run
    /// that ended before must have ended well.
    pub fn strike(&mut self, home: &Home, rest: f64, events: Vec<Moment>) -> bool {
        let (moment, is_event) = self.choose(rest, events);
        let child = home.command(&["sync"]).spawn().expect("posthaste can be run");
        let (killed, output) = kill_at(child, moment);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(killed || output.status.success(), "ended with {}: {errors}", output.status);
        self.count(killed, is_event);
        killed
    }

    /// A random time within the `rest` of the span, or one of the events, about as often.
    pub fn choose(&mut self, rest: f64, mut events: Vec<Moment>) -> (Moment, bool) {
        let is_event = !events.is_empty() && self.rng.bool();
        let moment = if is_event {
            let later = Duration::from_micros(self.rng.u64(..JITTER_MICROS));
            events.swap_remove(self.rng.usize(..events.len())).then(later)
        } else {
            Moment::after(self.span.mul_f64(rest * self.rng.f64()))
        };
        self.log.push(moment.name.clone());
        (moment, is_event)
    }

    /// Notes what became of the moment chosen last.
    pub fn count(&mut self, killed: bool, is_event: bool) {
        self.kills += usize::from(killed);
        self.at_events += usize::from(killed && is_event);
        if let (false, Some(last)) = (killed, self.log.last_mut()) {
            last.push_str(": ended before");
        }
    }

    /// Random numbers of the same seed.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Says what was done, for the report of a run with `--nocapture`.
    pub fn tell(&self, what: &str) {
        let Killer { kills, at_events, span, .. } = self;
        eprintln!("{what}: {kills} kills, {at_events} of them at events; undisturbed {span:?}");
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("CRASH_SEED={} after the moments\n  {}", self.seed, self.log.join("\n  "));
        }
    }
}

/// Waits for the moment or the end of the program, whichever comes first.
fn kill_at(mut child: Child, mut moment: Moment) -> (bool, Output) {
    while child.try_wait().expect("the program can be waited for").is_none() {
        if (moment.due)() {
            child.kill().expect("the program can be killed");
            break;
        }
        std::thread::sleep(POLL);
    }
    let output = child.wait_with_output().expect("the program ends");
    (output.status.signal() == Some(9), output)
}

/// Waits for the moment.
pub fn wait_for(mut moment: Moment, mut give_up: impl FnMut() -> bool) -> bool {
    loop {
        if (moment.due)() {
            return true;
        }
        if give_up() {
            return false;
        }
        std::thread::sleep(POLL);
    }
}

/// What can be seen of a pass from outside: files in `tmp`, files in place, the ledger's log, commands on the wire.
pub fn events(home: &Home, meddler: &std::sync::Arc<Meddler>, patterns: &[&'static str]) -> Vec<Moment> {
    let root = home.maildir_path("alice");
    let mut events = Vec::new();
    for place in ["tmp", "new", "cur"] {
        let (root, before) = (root.clone(), files(&root, place));
        events.push(Moment::when(&format!("a change in {place}"), move || files(&root, place) != before));
    }
    let wal = home.state("alice").join("ledger.db-wal");
    for pages in [1_u64, 4] {
        let (wal, mut least) = (wal.clone(), u64::MAX);
        events.push(Moment::when(&format!("{pages} more pages in the ledger's log"), move || {
            let now = std::fs::metadata(&wal).map_or(0, |found| found.len());
            least = least.min(now);
            now >= least + pages * 4096
        }));
    }
    let seen = meddler.commands().len();
    for &pattern in patterns {
        let meddler = meddler.clone();
        events.push(Moment::when(pattern, move || {
            meddler.commands().iter().skip(seen).any(|command| command.contains(pattern))
        }));
    }
    events
}

/// How many files stand in the directories of this name.
fn files(directory: &std::path::Path, place: &str) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let count = |path: std::path::PathBuf| match path.file_name().is_some_and(|name| name == place) {
        true => std::fs::read_dir(&path).into_iter().flatten().count(),
        false if path.is_dir() => files(&path, place),
        false => 0,
    };
    entries.map(|entry| count(entry.path())).sum()
}
