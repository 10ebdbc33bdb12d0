//! The local side: an account's Maildir tree.
//!
//! Keeps the durability law: a message is durable in `tmp` before its row is written, appears by a rename that never
//! replaces a file, and each directory is synced once per call. Never leaves its root, whatever a server calls its
//! mailboxes and whatever stands in the tree; never deletes a message, only moves it into the quarantine. Readers may
//! rename and move files at any moment.
//!
//! Knows no server and no ledger. Specification: D. J. Bernstein's Maildir, and Courier's Maildir++ as a layout. The
//! `maildir` crate was rejected: it syncs no directory, its renames overwrite, and each change reads the directory.

mod content;
mod deliver;
mod dir;
mod error;
mod layout;
mod name;
mod quarantine;
mod scan;
mod stage;
mod store;
#[cfg(test)]
mod tests;
mod watch;

pub use error::Error;
pub use quarantine::{KEEP, Quarantined};
pub use watch::{Hint, Hints, MaildirWatch};

use crate::keeping::{Layout, LineEndings};
use crate::mail::{Flags, MailboxName, UniqueName};
use crate::sync::{
    Arrival, DirectoryId, Likeness, Local, LocalChange, LocalView, Outcome, Outgoing, Seen, Staged,
};
use crate::task::off_reactor;
use dir::Root;
use name::UniqueNames;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use store::Store;
use tokio::sync::mpsc;

/// One account's Maildir tree.
#[derive(Debug)]
pub struct Maildir {
    store: Arc<Store>,
    /// Why a batch was cut short; told by the next call, after its good messages were handed out.
    failure: Option<(MailboxName, Error)>,
}

impl Maildir {
    /// Opens the tree at `root`; a missing root is made, 0700. Blocks.
    ///
    /// # Errors
    /// When the root cannot be made, is not the user's own, or others may write in it.
    pub fn open(root: PathBuf, layout: Layout, line_endings: LineEndings) -> Result<Maildir, Error> {
        let maildir = Maildir::at(root, layout, line_endings);
        maildir.store.root.make()?;
        Ok(maildir)
    }

    /// The tree at `root`, which is not made where it is missing.
    pub fn at(root: PathBuf, layout: Layout, line_endings: LineEndings) -> Maildir {
        let root = Root { path: root, layout };
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let names = UniqueNames::new(std::process::id(), &host);
        Maildir { store: Arc::new(Store::new(root, line_endings, names)), failure: None }
    }

    /// The directory in which all mailboxes are.
    pub fn root(&self) -> &Path {
        &self.store.root.path
    }

    /// The directory of a mailbox, whether or not it exists.
    ///
    /// # Errors
    /// When the name is nested too deep for a directory.
    pub fn directory(&self, mailbox: &MailboxName) -> Result<PathBuf, Error> {
        Ok(dir::path_below(self.root(), &self.store.root.components(mailbox)?))
    }

    /// Deletes quarantined copies whose day ended longer than `keep` ago; returns how many.
    ///
    /// # Errors
    /// When the quarantine cannot be read or changed.
    pub async fn purge_quarantine(&self, now: SystemTime, keep: Duration) -> Outcome<u64> {
        self.blocking(move |store| quarantine::purge(&store.root, now, keep)).await
    }

    /// Every copy in quarantine, oldest day first.
    ///
    /// # Errors
    /// When the quarantine cannot be read.
    pub async fn quarantined(&self) -> Outcome<Vec<Quarantined>> {
        self.blocking(|store| quarantine::list(&store.root)).await
    }

    /// Moves a copy from the quarantine back into its mailbox, where the next pass finds it as new; `false` where it
    /// is gone.
    ///
    /// # Errors
    /// When it cannot be moved, also because a file of its name is there already.
    pub async fn restore(&self, copy: &Quarantined) -> Outcome<bool> {
        let copy = copy.clone();
        self.blocking(move |store| quarantine::restore(&store.root, &copy)).await
    }

    /// Deletes files that have stood in `tmp` for 36 hours; returns how many. Not while anything is being staged that
    /// takes as long.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub async fn sweep_tmp(&self, now: SystemTime) -> Outcome<u64> {
        self.blocking(move |store| quarantine::sweep_tmp(&store.root, now)).await
    }

    /// The directory of a mailbox as it stands, without reading what is in it; `None` where it, or the root, is missing.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub async fn seen(&self, mailbox: &MailboxName) -> Outcome<Option<Seen>> {
        let mailbox = mailbox.clone();
        self.blocking(move |store| store.seen(&mailbox)).await
    }

    /// Puts a message of our own (CRLF) into a mailbox under a name that the caller chose, durably. Nothing happens where
    /// a file of that name is in the mailbox already, so it may be repeated.
    ///
    /// # Errors
    /// When the mailbox has no directory or the disk refuses.
    pub async fn deliver(
        &self,
        mailbox: &MailboxName,
        name: &UniqueName,
        message: std::fs::File,
        flags: Flags,
        date: SystemTime,
    ) -> Outcome<()> {
        let (mailbox, name) = (mailbox.clone(), name.clone());
        self.blocking(move |store| deliver::deliver(store, &mailbox, &name, message, flags, date)).await
    }

    /// Runs file work off the reactor.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    ) -> Outcome<T> {
        let store = Arc::clone(&self.store);
        off_reactor(move || work(&store)).await.map_err(Error::trouble)
    }
}

impl Local for Maildir {
    async fn list(&mut self) -> Outcome<Vec<MailboxName>> {
        self.blocking(|store| scan::mailboxes(&store.root)).await
    }

    async fn create(&mut self, mailbox: &MailboxName) -> Outcome<DirectoryId> {
        let mailbox = mailbox.clone();
        self.blocking(move |store| store.root.create(&mailbox)).await
    }

    async fn scan(&mut self, mailbox: &MailboxName) -> Outcome<Option<LocalView>> {
        let mailbox = mailbox.clone();
        self.blocking(move |store| store.scan(&mailbox)).await
    }

    async fn identify(
        &mut self,
        mailbox: &MailboxName,
        names: &[UniqueName],
    ) -> Outcome<BTreeMap<UniqueName, Likeness>> {
        let (mailbox, names) = (mailbox.clone(), names.to_vec());
        self.blocking(move |store| store.identify(&mailbox, &names)).await
    }

    async fn stage(
        &mut self,
        mailbox: &MailboxName,
        from: &mut mpsc::Receiver<Arrival>,
    ) -> Outcome<Vec<Staged>> {
        if let Some((_, error)) = self.failure.take().filter(|(failed, _)| failed == mailbox) {
            return Err(error.trouble());
        }
        loop {
            let (to_writer, arrivals) = stage::conveyor();
            let name = mailbox.clone();
            let written = self.blocking(move |store| {
                let dir = store.root.existing(&name)?;
                Ok(stage::write(&dir, &store.names, store.endings, arrivals))
            });
            let (written, ()) = tokio::join!(written, stage::forward(from, to_writer));
            let stage::Batch { staged, failure } = written?;
            match failure {
                Some(error) if staged.is_empty() => return Err(error.trouble()),
                failure => self.failure = failure.map(|error| (mailbox.clone(), error)),
            }
            // A batch of which nothing was usable is not the end: only a closed and drained stream is.
            if !staged.is_empty() || from.is_closed() && from.is_empty() {
                return Ok(staged);
            }
        }
    }

    async fn publish(&mut self, mailbox: &MailboxName, batch: &[Staged]) -> Outcome<Vec<UniqueName>> {
        let (mailbox, batch) = (mailbox.clone(), batch.to_vec());
        self.blocking(move |store| store.publish(&mailbox, &batch)).await
    }

    async fn change(&mut self, mailbox: &MailboxName, changes: &[LocalChange]) -> Outcome<()> {
        let (mailbox, changes) = (mailbox.clone(), changes.to_vec());
        self.blocking(move |store| store.change(&mailbox, &changes)).await
    }

    async fn read(&mut self, mailbox: &MailboxName, name: &UniqueName) -> Outcome<Option<Outgoing>> {
        let (mailbox, name) = (mailbox.clone(), name.clone());
        self.blocking(move |store| store.read(&mailbox, &name)).await
    }
}
