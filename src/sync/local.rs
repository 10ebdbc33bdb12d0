//! The Maildir side: what a driver must do for a pass, and the values that pass between them.

use super::{Arrival, Likeness, Outcome, Outgoing};
use crate::mail::{Flags, Identity, MailboxName, Uid, UniqueName};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;

/// Which directory a mailbox lives in: proof against unmounted disks and replaced directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryId {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
}

/// A directory as it stands on the disk now, without what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which directory it is.
    pub directory: DirectoryId,
    /// Whether our marker file stands in it.
    pub marked: bool,
}

/// A mailbox directory as a scan shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalView {
    /// Which directory was read.
    pub directory: DirectoryId,
    /// Whether our marker file stands in it.
    pub marked: bool,
    /// The files of `new` and `cur`: unique name to flags.
    pub files: BTreeMap<UniqueName, Flags>,
}

impl LocalView {
    /// The directory itself.
    pub fn seen(&self) -> Seen {
        Seen { directory: self.directory, marked: self.marked }
    }
}

/// What a look into files shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recognised {
    /// How they are recognised, and how many octets of each are header fields that a reader may have added.
    pub files: BTreeMap<UniqueName, (Likeness, u64)>,
    /// What others seem to be so far, which were left out because somebody may still be writing them: they are worth
    /// another look soon.
    pub unfinished: BTreeSet<Identity>,
}

/// A message that stands complete and durable in `tmp`, to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// Its UID on the server.
    pub uid: Uid,
    /// Its unique name; the file in `tmp` has the same.
    pub name: UniqueName,
    /// Its flags.
    pub flags: Flags,
    /// How it is recognised.
    pub likeness: Likeness,
}

/// A change to one local file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalChange {
    /// Set and clear flags: the file is renamed, from `new` to `cur` where needed. Other flags stay as they are.
    Reflag {
        /// The file.
        name: UniqueName,
        /// Flags to set.
        add: Flags,
        /// Flags to clear.
        remove: Flags,
    },
    /// Remove a staged message that is not going to be published.
    Unstage {
        /// The file in `tmp`.
        name: UniqueName,
    },
    /// Take the file out of the mailbox into the quarantine.
    Quarantine {
        /// The file.
        name: UniqueName,
    },
}

/// The Maildir side.
pub trait Local: Send {
    /// Every directory that is a Maildir, ours or not, as mailbox names.
    fn list(&mut self) -> impl Future<Output = Outcome<Vec<MailboxName>>> + Send;

    /// Makes the directory of a mailbox (`new`, `cur`, `tmp`, marker), or marks an existing one as ours.
    fn create(&mut self, mailbox: &MailboxName) -> impl Future<Output = Outcome<DirectoryId>> + Send;

    /// Reads a mailbox directory; `None` where there is none.
    fn scan(&mut self, mailbox: &MailboxName) -> impl Future<Output = Outcome<Option<LocalView>>> + Send;

    /// How these files are recognised; left out are files that vanished meanwhile, that are still being written, that cannot
    /// be read, and empty ones, which are no messages.
    fn identify(
        &mut self,
        mailbox: &MailboxName,
        names: &[UniqueName],
    ) -> impl Future<Output = Outcome<Recognised>> + Send;

    /// Writes arriving messages into `tmp` until a batch is full, a pause comes or the sender is gone, and returns the
    /// batch once all of it is on disk. An empty batch means that nothing more will come.
    fn stage(
        &mut self,
        mailbox: &MailboxName,
        from: &mut mpsc::Receiver<Arrival>,
    ) -> impl Future<Output = Outcome<Vec<Staged>>> + Send;

    /// Moves staged files into `new` or `cur` and makes that durable. A file already there counts as published; the
    /// names of files found nowhere are returned.
    fn publish(
        &mut self,
        mailbox: &MailboxName,
        batch: &[Staged],
    ) -> impl Future<Output = Outcome<Vec<UniqueName>>> + Send;

    /// Applies changes to files and makes them durable; files that vanished meanwhile are no error. Returns the names of
    /// those that stand there with the flags they had, because their name cannot be changed.
    fn change(
        &mut self,
        mailbox: &MailboxName,
        changes: &[LocalChange],
    ) -> impl Future<Output = Outcome<Vec<UniqueName>>> + Send;

    /// Opens a file for upload; `None` where it vanished meanwhile or cannot be read.
    fn read(
        &mut self,
        mailbox: &MailboxName,
        name: &UniqueName,
    ) -> impl Future<Output = Outcome<Option<Outgoing>>> + Send;
}
