//! Hints that a reader changed something, from inotify.
//!
//! Only hints: the truth is always a scan. They are merged in a set, so that a flood of events costs no memory, and
//! nothing is lost when nobody listens for a while. Reading a message gives no hint. Our own writes do; a pass over a
//! mailbox in step is cheap. Network file systems give no events, so a caller also scans from time to time.
//!
//! Watches are put on `new` and `cur`, and on the directories that hold mailboxes, never on whole trees: a recursive
//! watch also sees every file in `tmp` and the quarantine. A debouncer crate was rejected: it stitches renames, and
//! nobody here asks which file it was.

use super::error::Error;
use crate::mail::MailboxName;
use notify::event::{AccessKind, AccessMode, Event, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What may have changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// Anything: events were lost.
    Everything,
    /// Mailboxes came or went.
    Structure,
    /// Messages of one mailbox.
    Mailbox(MailboxName),
}

/// Watches mailboxes until dropped.
#[derive(Debug)]
pub struct MaildirWatch {
    watcher: RecommendedWatcher,
    shared: Arc<Shared>,
}

/// The receiving end of a [`MaildirWatch`].
#[derive(Debug)]
pub struct Hints {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    watched: HashMap<PathBuf, Holds>,
    hints: BTreeSet<Hint>,
}

/// What an event in a watched directory is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Holds {
    Messages(MailboxName),
    Directories,
}

impl MaildirWatch {
    /// Begins to watch; nothing is followed yet.
    ///
    /// # Errors
    /// When the kernel gives no more inotify instances.
    pub fn new() -> Result<(MaildirWatch, Hints), Error> {
        let shared = Arc::new(Shared::default());
        let sink = Arc::clone(&shared);
        let watcher = notify::recommended_watcher(move |event| sink.take(event))
            .map_err(|source| Error::Watch { path: PathBuf::new(), source })?;
        Ok((MaildirWatch { watcher, shared: Arc::clone(&shared) }, Hints { shared }))
    }

    /// Follows a directory in which mailbox directories come and go: the root, for one.
    ///
    /// # Errors
    /// When it is missing, or the kernel's limit on watches is reached.
    pub fn follow_directories(&mut self, directory: &Path) -> Result<(), Error> {
        self.watch(directory, Holds::Directories)
    }

    /// Follows the messages of a mailbox and the mailboxes below it. Again after its directory was replaced.
    ///
    /// # Errors
    /// When its directory is missing, or the kernel's limit on watches is reached: then only scans find changes.
    pub fn follow(&mut self, mailbox: &MailboxName, directory: &Path) -> Result<(), Error> {
        self.watch(directory, Holds::Directories)?;
        for place in ["new", "cur"] {
            self.watch(&directory.join(place), Holds::Messages(mailbox.clone()))?;
        }
        Ok(())
    }

    /// Ends [`MaildirWatch::follow`].
    pub fn unfollow(&mut self, directory: &Path) {
        for path in [directory.to_owned(), directory.join("new"), directory.join("cur")] {
            self.shared.state().watched.remove(&path);
            // Already gone with its directory, most often.
            let _ = self.watcher.unwatch(&path);
        }
    }

    /// The meaning is noted first: an event may come before `watch` returns.
    fn watch(&mut self, path: &Path, holds: Holds) -> Result<(), Error> {
        self.shared.state().watched.insert(path.to_owned(), holds);
        self.watcher.watch(path, RecursiveMode::NonRecursive).map_err(|source| {
            self.shared.state().watched.remove(path);
            Error::Watch { path: path.to_owned(), source }
        })
    }
}

impl Hints {
    /// The next hint, as soon as there is one. Cancel-safe: a hint is taken only when it is returned.
    pub async fn next(&mut self) -> Hint {
        loop {
            if let Some(hint) = self.try_next() {
                return hint;
            }
            self.shared.wake.notified().await;
        }
    }

    /// A hint that is there already.
    pub fn try_next(&mut self) -> Option<Hint> {
        self.shared.state().hints.pop_first()
    }
}

impl Shared {
    fn take(&self, event: notify::Result<Event>) {
        let mut state = self.state();
        let hints = match event {
            Ok(event) if event.need_rescan() => vec![Hint::Everything],
            Ok(event) if changes_names(event.kind) => {
                event.paths.iter().filter_map(|path| state.hint(path)).collect()
            }
            Ok(_) => return,
            Err(error) => {
                tracing::debug!(%error, "trouble while watching");
                vec![Hint::Everything]
            }
        };
        if !hints.is_empty() {
            state.hints.extend(hints);
            self.wake.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Only whole inserts and removals happen under the lock: it is consistent whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn hint(&self, path: &Path) -> Option<Hint> {
        match self.watched.get(path.parent()?)? {
            Holds::Messages(mailbox) => Some(Hint::Mailbox(mailbox.clone())),
            // Our marker and other plain dot-files come and go in mailbox directories; Maildir++ mailboxes begin
            // with a dot as well, so only our own names are left out.
            Holds::Directories if is_ours(path) => None,
            Holds::Directories => Some(Hint::Structure),
        }
    }
}

/// Whether an event can mean that a message came, went or was renamed. Opening, reading, closing and touching a file
/// do not; closing one that was written does, for deliveries that skip `tmp`.
fn changes_names(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        EventKind::Modify(kind) => matches!(kind, ModifyKind::Name(_) | ModifyKind::Any | ModifyKind::Other),
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Any | EventKind::Other => true,
    }
}

fn is_ours(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".posthaste"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    async fn next(hints: &mut Hints) -> Hint {
        tokio::time::timeout(Duration::from_secs(10), hints.next()).await.expect("a hint in time")
    }

    /// Waits until everything before is delivered, by causing an event of another mailbox and reading up to it.
    async fn flush(hints: &mut Hints, beacon: &Path, count: u32) -> Vec<Hint> {
        // A rename out of the unwatched `tmp` is a single event; a write would leave a second one behind.
        fs::write(beacon.join("tmp/beacon"), "").unwrap();
        fs::rename(beacon.join("tmp/beacon"), beacon.join(format!("new/{count}"))).unwrap();
        let mut seen = Vec::new();
        loop {
            match next(hints).await {
                Hint::Mailbox(name) if name.as_str() == "beacon" => return seen,
                hint => seen.push(hint),
            }
        }
    }

    fn maildir(root: &Path, name: &str) -> PathBuf {
        for place in ["new", "cur", "tmp"] {
            fs::create_dir_all(root.join(name).join(place)).unwrap();
        }
        root.join(name)
    }

    #[tokio::test]
    async fn what_readers_do_gives_a_hint_and_reading_gives_none() {
        let root = tempfile::tempdir().unwrap();
        let (mailbox, beacon) = (maildir(root.path(), "a"), maildir(root.path(), "beacon"));
        fs::write(mailbox.join("new/x"), "body").unwrap();
        let (mut watch, mut hints) = MaildirWatch::new().unwrap();
        watch.follow(&MailboxName::new("a"), &mailbox).unwrap();
        watch.follow(&MailboxName::new("beacon"), &beacon).unwrap();
        let dirty = Hint::Mailbox(MailboxName::new("a"));
        let steps: [(&str, &dyn Fn()); 5] = [
            ("seen", &|| fs::rename(mailbox.join("new/x"), mailbox.join("cur/x:2,S")).unwrap()),
            ("flagged", &|| fs::rename(mailbox.join("cur/x:2,S"), mailbox.join("cur/x:2,FS")).unwrap()),
            ("linked in", &|| fs::hard_link(mailbox.join("cur/x:2,FS"), mailbox.join("new/y")).unwrap()),
            ("deleted", &|| fs::remove_file(mailbox.join("new/y")).unwrap()),
            ("filed", &|| fs::rename(mailbox.join("cur/x:2,FS"), beacon.join("tmp/x")).unwrap()),
        ];
        for (count, (what, step)) in (0..).zip(steps) {
            step();
            assert_eq!(next(&mut hints).await, dirty, "{what}");
            flush(&mut hints, &beacon, count).await;
        }
        fs::write(mailbox.join("tmp/z"), "body").unwrap();
        fs::hard_link(mailbox.join("tmp/z"), mailbox.join("cur/z:2,S")).unwrap();
        flush(&mut hints, &beacon, 100).await;
        fs::read(mailbox.join("cur/z:2,S")).unwrap();
        fs::read_dir(mailbox.join("cur")).unwrap().count();
        assert_eq!(flush(&mut hints, &beacon, 101).await, [], "reading");
    }

    #[tokio::test]
    async fn new_and_vanished_directories_are_a_change_of_structure() {
        let root = tempfile::tempdir().unwrap();
        let beacon = maildir(root.path(), "beacon");
        let (mut watch, mut hints) = MaildirWatch::new().unwrap();
        watch.follow_directories(root.path()).unwrap();
        watch.follow(&MailboxName::new("beacon"), &beacon).unwrap();
        fs::create_dir(root.path().join("b")).unwrap();
        assert_eq!(next(&mut hints).await, Hint::Structure);
        flush(&mut hints, &beacon, 0).await;
        fs::write(beacon.join(".posthaste-mailbox"), "beacon").unwrap();
        assert_eq!(flush(&mut hints, &beacon, 1).await, [], "our marker");
        fs::remove_dir(root.path().join("b")).unwrap();
        assert_eq!(next(&mut hints).await, Hint::Structure);
    }

    #[tokio::test]
    async fn lost_events_mean_everything_and_hints_merge() {
        let shared = Arc::new(Shared::default());
        let mut hints = Hints { shared: Arc::clone(&shared) };
        let overflow = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        for _ in 0..1000 {
            shared.take(Ok(overflow.clone()));
        }
        assert_eq!(next(&mut hints).await, Hint::Everything);
        assert_eq!(hints.try_next(), None);
    }

    #[tokio::test]
    async fn what_cannot_be_followed_says_so() {
        let (mut watch, _hints) = MaildirWatch::new().unwrap();
        let missing = watch.follow_directories(Path::new("/nonexistent/x"));
        assert!(missing.is_err_and(|error| error.to_string().contains("/nonexistent/x")));
    }
}
