//! Hints that something moved in the outbox, from inotify by way of `notify`.
//!
//! Hints only: the truth is a scan. They merge, so a flood of events costs one wake-up, and what is forgotten on
//! overflow only makes a file wait until it stood still for long. OPEN events, which our own reading makes, are dropped first.
//! Network file systems give no events: callers scan every minute anyway.

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Paths remembered between two looks; beyond it their names are forgotten, not the fact.
const MAX_PATHS: usize = 10_000;

/// What happened since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Files that were closed after writing, or renamed or linked into place.
    pub closed: BTreeSet<PathBuf>,
    /// A file appeared that may still be written, or may be a hard link to a finished one: scan, and let it stand still.
    pub has_appeared: bool,
    /// The watch itself is in trouble, or a directory to watch came or went: start another one, scan by the clock until
    /// then.
    pub is_stale: bool,
}

/// A watch on an outbox directory and the Maildir that it may be.
#[derive(Debug)]
pub struct OutboxWatch {
    shared: Arc<Shared>,
    _watcher: RecommendedWatcher,
}

#[derive(Debug, Default)]
struct Shared {
    hints: Mutex<Hints>,
    wake: Notify,
}

impl OutboxWatch {
    /// Starts to watch. An error (no more watches, no such directory) means: scan by the clock.
    pub fn start(root: &Path) -> notify::Result<OutboxWatch> {
        let shared = Arc::new(Shared::default());
        let (sink, top) = (shared.clone(), root.to_owned());
        let mut watcher = notify::recommended_watcher(move |event| sink.take(event, &top))?;
        watcher.watch(root, RecursiveMode::NonRecursive)?;
        for directory in ["new", "cur"].map(|name| root.join(name)) {
            if directory.is_dir() {
                watcher.watch(&directory, RecursiveMode::NonRecursive)?;
            }
        }
        Ok(OutboxWatch { shared, _watcher: watcher })
    }

    /// Waits until something happened and tells it, everything since the last call at once. Cancel safe.
    pub async fn changed(&self) -> Hints {
        loop {
            let hints = std::mem::take(&mut *self.shared.lock());
            if hints != Hints::default() {
                return hints;
            }
            self.shared.wake.notified().await;
        }
    }
}

impl Shared {
    fn take(&self, event: notify::Result<Event>, root: &Path) {
        let news = event.map_or(Hints { is_stale: true, ..Hints::default() }, |event| hints(&event, root));
        if news == Hints::default() {
            return;
        }
        let mut hints = self.lock();
        hints.is_stale |= news.is_stale;
        hints.has_appeared |= news.has_appeared;
        if hints.closed.len() < MAX_PATHS {
            hints.closed.extend(news.closed);
        }
        drop(hints);
        self.wake.notify_one();
    }

    /// A panic elsewhere cannot leave hints half written.
    fn lock(&self) -> std::sync::MutexGuard<'_, Hints> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an event means. Pure.
fn hints(event: &Event, root: &Path) -> Hints {
    let is_ours = |path: &PathBuf| path.as_path() == root || is_maildir_part(path, root);
    let closed = || event.paths.iter().cloned().collect();
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
            Hints { closed: closed(), ..Hints::default() }
        }
        EventKind::Access(_) => Hints::default(),
        _ if event.need_rescan() => Hints { is_stale: true, ..Hints::default() },
        EventKind::Create(CreateKind::File) => Hints { has_appeared: true, ..Hints::default() },
        EventKind::Remove(_) | EventKind::Create(_) => {
            Hints { is_stale: event.paths.iter().any(is_ours), ..Hints::default() }
        }
        // A directory renamed away or into place shows here too.
        EventKind::Modify(ModifyKind::Name(mode)) => Hints {
            closed: if mode == RenameMode::From { BTreeSet::new() } else { closed() },
            is_stale: event.paths.iter().any(is_ours),
            has_appeared: false,
        },
        _ => Hints::default(),
    }
}

fn is_maildir_part(path: &Path, root: &Path) -> bool {
    path.parent() == Some(root) && ["new", "cur"].iter().any(|name| path.ends_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;
    use tokio::time::timeout;

    /// Waits for a hint on `path`.
    async fn until(watch: &OutboxWatch, wanted: impl Fn(&Hints) -> bool) {
        let wait = async { while !wanted(&watch.changed().await) {} };
        timeout(Duration::from_secs(20), wait).await.expect("a hint");
    }

    #[tokio::test]
    async fn finished_files_are_told_however_they_came() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("new")).unwrap();
        fs::write(at(".tmp-a"), "x").unwrap();
        let watch = OutboxWatch::start(root.path()).unwrap();
        fs::write(at("written"), "x").unwrap();
        until(&watch, |hints| hints.closed.contains(&at("written"))).await;
        fs::rename(at(".tmp-a"), at("renamed")).unwrap();
        until(&watch, |hints| hints.closed.contains(&at("renamed"))).await;
        fs::write(at("new/1"), "x").unwrap();
        until(&watch, |hints| hints.closed.contains(&at("new/1"))).await;
        fs::create_dir(at("cur")).unwrap();
        until(&watch, |hints| hints.is_stale).await;
    }

    #[test]
    fn reading_wakes_nobody_and_a_hard_link_does() {
        let root = Path::new("/o");
        let event = |kind| Event::new(kind).add_path("/o/a".into());
        assert_eq!(
            hints(&event(EventKind::Access(AccessKind::Open(AccessMode::Any))), root),
            Hints::default()
        );
        assert_eq!(
            hints(&event(EventKind::Access(AccessKind::Close(AccessMode::Read))), root),
            Hints::default()
        );
        assert!(hints(&event(EventKind::Create(CreateKind::File)), root).has_appeared);
        let overflow = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        assert!(hints(&overflow, root).is_stale);
        assert!(
            hints(
                &Event::new(EventKind::Remove(notify::event::RemoveKind::Folder)).add_path("/o".into()),
                root
            )
            .is_stale
        );
    }

    #[tokio::test]
    async fn no_directory_is_an_error_and_not_a_silence() {
        let root = tempfile::tempdir().unwrap();
        assert!(OutboxWatch::start(&root.path().join("missing")).is_err());
    }
}
