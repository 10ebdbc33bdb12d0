//! The outbox and the queue behind it, as the outbound loop uses them: what is complete is taken, and what stays is told.
//!
//! All of it is disk work: only used off the reactor.

use super::board::Complaint;
use crate::queue::{self, Accepted, Outbox, Sender, Spool};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// How soon a file that could not be taken is tried again: a full disk has room again as soon as somebody cleans up.
const TRY_TO_ACCEPT: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);

/// When to look again; nothing where only a hint or the clock leads there.
pub(super) type NextLook = Option<Timestamp>;

/// The queue with its outbox.
pub(super) struct Desk {
    root: PathBuf,
    outbox: Outbox,
    pub(super) spool: Spool,
    sender: Sender,
    /// What is not taken and was told in the log.
    passed_over: BTreeMap<PathBuf, &'static str>,
}

/// What a look at the outbox brought.
#[derive(Default)]
pub(super) struct Look {
    pub(super) again_at: NextLook,
    /// Why a file stays that should have been taken.
    pub(super) refused: Option<Complaint>,
    /// What is not taken, a line each.
    pub(super) passed_over: Vec<String>,
}

impl Desk {
    /// Opens both.
    pub(super) fn open(root: PathBuf, directory: PathBuf, sender: Sender) -> Result<Desk, queue::Error> {
        let spool = Spool::open(directory, root.clone())?;
        Ok(Desk { outbox: Outbox::new(root.clone()), root, spool, sender, passed_over: BTreeMap::new() })
    }

    /// Takes what is complete into the queue.
    pub(super) fn accept(&mut self, account: &str, closed: &BTreeSet<PathBuf>) -> Look {
        #[cfg(test)]
        assert!(!self.root.join(".planted").exists(), "planted in the desk");
        self.spool.settle();
        let now = Timestamp::now();
        let later = now.checked_add(TRY_TO_ACCEPT).ok();
        let scan = match self.outbox.scan(now, closed) {
            Ok(scan) => scan,
            Err(error) => {
                return match self.without_outbox(error) {
                    Ok(()) => Look { again_at: Some(now), ..Look::default() },
                    Err(error) => {
                        Look { again_at: later, refused: Some(Complaint::new(&error)), ..Look::default() }
                    }
                };
            }
        };
        let mut refused = None;
        for file in &scan.ready {
            match self.spool.accept(file, &self.sender, now) {
                Ok(Accepted::Refused { refusal, place }) => {
                    tracing::warn!(account, path = %place.display(), reason = %refusal, "refused");
                }
                Ok(Accepted::Queued { .. } | Accepted::Finished(_) | Accepted::Changed) => {}
                Err(error) => refused = Some(Complaint::new(&error)),
            }
        }
        let again_at = later.filter(|_| refused.is_some());
        let passed_over = self.tell_passed_over(account, scan.passed_over);
        Look { again_at: scan.again_at.into_iter().chain(again_at).min(), refused, passed_over }
    }

    /// Makes an outbox that the user removed; the next round, at once, watches it again.
    fn without_outbox(&self, error: queue::Error) -> Result<(), queue::Error> {
        match error {
            queue::Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                self.spool.make_outbox()
            }
            error => Err(error),
        }
    }

    /// Names what is not taken, in the log once.
    fn tell_passed_over(&mut self, account: &str, found: BTreeMap<PathBuf, &'static str>) -> Vec<String> {
        for (path, why) in found.iter().filter(|&(path, why)| self.passed_over.get(path) != Some(why)) {
            tracing::warn!(account, path = %path.display(), "not taken from the outbox: it {why}");
        }
        let short = |path: &Path| path.strip_prefix(&self.root).unwrap_or(path).display().to_string();
        let lines = found.iter().map(|(path, why)| format!("{} {why}", short(path))).collect();
        self.passed_over = found;
        lines
    }
}
