//! Waiting for events: every wait has a deadline and fails with the words of what it waited for.
//!
//! [`until`] polls closely, for conditions that nothing announces (a port that answers, a flag on the server).
//! [`FileWatch`] uses inotify and carries the instant of the event, for latencies. Neither is a sleep in disguise:
//! they end as soon as the thing is so.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use notify::event::{EventKind, ModifyKind, RenameMode};
use notify::{RecursiveMode, Watcher};

/// How close [`until`] looks.
const POLL: Duration = Duration::from_millis(2);
/// How close where every look starts a program, which costs more than what is waited for.
const ASK: Duration = Duration::from_millis(30);

/// The usual patience; a loaded machine with two cores must not make a test fail.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` gives a value; none after `limit`.
pub fn some_within<T>(limit: Duration, condition: impl FnMut() -> Option<T>) -> Option<T> {
    some_every(POLL, limit, condition)
}

fn some_every<T>(pause: Duration, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(pause);
    }
}

/// Waits until `condition` gives a value; panics with `what` after `limit`.
// That is how a test fails.
#[allow(clippy::panic)]
pub fn until_some<T>(limit: Duration, what: &str, condition: impl FnMut() -> Option<T>) -> T {
    some_within(limit, condition).unwrap_or_else(|| panic!("waited {limit:?} in vain for: {what}"))
}

/// The same where every look starts a program.
#[allow(clippy::panic)]
pub fn until_told<T>(limit: Duration, what: &str, condition: impl FnMut() -> Option<T>) -> T {
    some_every(ASK, limit, condition).unwrap_or_else(|| panic!("waited {limit:?} in vain for: {what}"))
}

/// Waits until `condition` holds; panics with `what` after `limit`.
pub fn until(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    until_some(limit, what, || condition().then_some(()));
}

/// Reports files that appear in a directory, with the instant inotify told of them.
pub struct FileWatch {
    _watcher: notify::RecommendedWatcher,
    events: Receiver<(PathBuf, Instant)>,
}

impl FileWatch {
    /// Watches one directory (not below it) from now on.
    pub fn new(directory: &Path) -> FileWatch {
        let (send, events) = mpsc::channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if matches!(
                event.kind,
                EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To))
            ) {
                let now = Instant::now();
                event.paths.into_iter().for_each(|path| drop(send.send((path, now))));
            }
        })
        .expect("inotify");
        watcher.watch(directory, RecursiveMode::NonRecursive).expect("directory can be watched");
        FileWatch { _watcher: watcher, events }
    }

    /// The next file that appears.
    pub fn next(&self, limit: Duration) -> Option<(PathBuf, Instant)> {
        self.events.recv_timeout(limit).ok()
    }
}
