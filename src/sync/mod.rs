//! Two-way synchronisation: the traits that drivers implement, and the values that pass between them.
//!
//! *Base* is one ledger row per message pair. *Delta* is how one side differs from the base ([`delta`]), *plan* the
//! ordered actions that bring both sides together ([`plan`]), *guard* what may stop a plan ([`guard`]), and `apply`
//! the only code that acts. A [`pass`] is all of them once.
//!
//! Invariants: the base moves one row at a time, and only when both sides are known to agree; nothing observed is
//! written over it wholesale; a deletion is never derived from an error or an incomplete answer. This module knows
//! no IMAP, no file system and no SQL: those are behind [`Remote`], [`Local`] and [`Ledger`].

use crate::error::{Class, Classified};
use crate::mail::{Flags, Identity, MailboxName, ModSeq, SpecialUse, Uid, UidSet, UidValidity, UniqueName};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::future::Future;
use std::time::SystemTime;
use tokio::sync::mpsc;

#[cfg(test)]
mod accidents;
mod apply;
pub mod delta;
mod describe;
mod discover;
#[cfg(test)]
mod fakes;
pub mod guard;
#[cfg(test)]
mod histories;
pub mod pair;
pub mod pass;
pub mod plan;
pub mod report;
#[cfg(test)]
mod testing;

pub use pass::{Extent, Pass};

/// What went wrong in a driver, and how much of the world it takes with it.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct Trouble {
    /// How much is unusable.
    pub scope: Scope,
    /// What to do about it.
    pub class: Class,
    /// One sentence for the user, where there is something to change.
    pub hint: Option<String>,
    /// The driver's own error.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// How much of the world an error makes unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// One message; the mailbox goes on.
    Message,
    /// One mailbox; the others go on.
    Mailbox,
    /// The session with the server, or the local store as a whole: the pass ends.
    Pass,
}

impl Trouble {
    /// Wraps a driver's error.
    pub fn new(scope: Scope, error: impl Classified) -> Trouble {
        Trouble { scope, class: error.class(), hint: error.hint(), source: Box::new(error) }
    }
}

/// The outcome of every driver call.
pub type Outcome<T> = Result<T, Trouble>;

/// The numbers by which a server tells whether a mailbox changed (SELECT, STATUS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Generation of the UIDs.
    pub uid_validity: UidValidity,
    /// The next UID to be given out; missing on some servers.
    pub uid_next: Option<Uid>,
    /// How many messages there are.
    pub messages: u32,
    /// HIGHESTMODSEQ; missing without CONDSTORE.
    pub modseq: Option<ModSeq>,
}

/// A mailbox as the server lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteMailbox {
    /// Its name.
    pub name: MailboxName,
    /// Its special use, from the server or from a well-known name.
    pub special_use: Option<SpecialUse>,
    /// Whether it can hold messages (`\Noselect` cannot).
    pub selectable: bool,
    /// Its marks, where the server gave them with the list (LIST-STATUS, STATUS).
    pub marks: Option<Marks>,
}

/// A mailbox together with the generation of the UIDs that are meant: every command on UIDs names both, and a driver
/// refuses with [`Scope::Mailbox`] when the server's UIDVALIDITY is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The mailbox.
    pub mailbox: MailboxName,
    /// The generation in which the UIDs have a meaning.
    pub uid_validity: UidValidity,
}

/// What is known of a mailbox before it is opened: allows a driver to ask only for changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// The marks of the last complete and durable pass.
    pub marks: Marks,
    /// How many messages the base knows below `marks.uid_next`: with the new ones above it they make up EXISTS exactly
    /// when none is gone.
    pub known: u32,
}

/// One message as a listing shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its flags.
    pub flags: Flags,
    /// RFC822.SIZE where it was asked for: an estimate on some servers, for progress only.
    pub size: Option<u64>,
}

/// A mailbox as the server shows it when opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteView {
    /// Its marks at the time of opening.
    pub marks: Marks,
    /// Whether nothing can be changed in it.
    pub read_only: bool,
    /// The flags that the server stores here (PERMANENTFLAGS).
    pub storable: Flags,
    /// What is in it.
    pub listing: Listing,
}

/// What is in a mailbox. A driver returns one only when the server completed it with a tagged OK and the count agrees
/// with EXISTS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Every message.
    Full(BTreeMap<Uid, Listed>),
    /// Only what is new or changed since [`Since`], and what is gone.
    Changes {
        /// New and reflagged messages; may name messages that did not change.
        changed: BTreeMap<Uid, Listed>,
        /// Which known messages are gone.
        gone: Gone,
    },
}

/// Which known messages are gone, in the form that was cheapest to learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// None: the counts agree.
    Nothing,
    /// All but these (a search for all UIDs).
    AllBut(UidSet),
    /// These (VANISHED, QRESYNC); may name unknown ones.
    These(UidSet),
}

/// A message on its way from the server, piece by piece: `Start`, any number of `Chunk`s, `End`. A message without
/// `End` was cut off and is dropped.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// A message begins; `size` is the length of the literal in octets.
    Start {
        /// Octets to come.
        size: u64,
    },
    /// The next octets, as on the wire (CRLF).
    Chunk(Bytes),
    /// The message is complete; what the same response said about it.
    End(Fetched),
}

/// What a FETCH response says beside the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its UID.
    pub uid: Uid,
    /// Its flags.
    pub flags: Flags,
    /// INTERNALDATE; missing where the server's date made no sense.
    pub internal_date: Option<SystemTime>,
}

/// How a message is recognised without the base: identity and size with CRLF line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Likeness {
    /// Its content identity.
    pub identity: Identity,
    /// Its size in octets with CRLF line ends.
    pub size: u64,
}

/// A change of one message's flags on the server: bits to set and bits to clear, so that others stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagChange {
    /// The message.
    pub uid: Uid,
    /// Flags to set.
    pub add: Flags,
    /// Flags to clear.
    pub remove: Flags,
}

/// What becomes of messages that leave a mailbox of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They are moved to another mailbox (MOVE, or COPY and UID EXPUNGE).
    MoveTo(MailboxName),
    /// They are expunged for good.
    Expunge,
}

/// Where moved or appended messages landed, as far as the server told (COPYUID, APPENDUID).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landed {
    /// Generation of the UIDs of the target.
    pub uid_validity: Option<UidValidity>,
    /// Old UID to new UID.
    pub uids: BTreeMap<Uid, Uid>,
}

/// A local message to be uploaded, read from an open file: later renames by readers do not matter.
#[derive(Debug)]
pub struct Outgoing {
    /// The open file, at its beginning.
    pub file: std::fs::File,
    /// Octets after conversion to CRLF: the length of the literal.
    pub size: u64,
    /// Flags to store with it.
    pub flags: Flags,
    /// INTERNALDATE to give it: the file's mtime.
    pub internal_date: SystemTime,
}

/// The server's side. One object owns one connection; an error of [`Scope::Pass`] makes it unusable.
pub trait Remote: Send {
    /// All mailboxes, with marks where that costs no round trip per mailbox. An empty answer is an error: INBOX always
    /// exists.
    fn list(&mut self) -> impl Future<Output = Outcome<Vec<RemoteMailbox>>> + Send;

    /// Opens a mailbox and says what is in it, or what changed since `since`.
    fn open(
        &mut self,
        mailbox: &MailboxName,
        since: Option<Since>,
    ) -> impl Future<Output = Outcome<RemoteView>> + Send;

    /// How these messages are recognised; messages that vanished meanwhile are left out.
    fn identify(
        &mut self,
        at: &At,
        uids: &UidSet,
    ) -> impl Future<Output = Outcome<BTreeMap<Uid, Likeness>>> + Send;

    /// Streams whole messages into `into`, in the server's order. Ends with an error when any part was refused; what
    /// was sent with `End` before is good.
    fn fetch(
        &mut self,
        at: &At,
        uids: &UidSet,
        into: mpsc::Sender<Arrival>,
    ) -> impl Future<Output = Outcome<()>> + Send;

    /// Changes flags. Messages that vanished meanwhile are no error.
    fn store(&mut self, at: &At, changes: &[FlagChange]) -> impl Future<Output = Outcome<()>> + Send;

    /// Appends one message to a mailbox.
    fn append(
        &mut self,
        mailbox: &MailboxName,
        message: Outgoing,
    ) -> impl Future<Output = Outcome<Option<(UidValidity, Uid)>>> + Send;

    /// Takes messages out of a mailbox.
    fn remove(&mut self, at: &At, uids: &UidSet, fate: &Fate)
    -> impl Future<Output = Outcome<Landed>> + Send;

    /// Creates a mailbox; one that exists already is no error.
    fn create(&mut self, mailbox: &MailboxName) -> impl Future<Output = Outcome<()>> + Send;
}

/// Which directory a mailbox lives in: proof against unmounted disks and replaced directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryId {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
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

    /// How these files are recognised; files that vanished meanwhile are left out.
    fn identify(
        &mut self,
        mailbox: &MailboxName,
        names: &[UniqueName],
    ) -> impl Future<Output = Outcome<BTreeMap<UniqueName, Likeness>>> + Send;

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

    /// Applies changes to files and makes them durable; files that vanished meanwhile are no error.
    fn change(
        &mut self,
        mailbox: &MailboxName,
        changes: &[LocalChange],
    ) -> impl Future<Output = Outcome<()>> + Send;

    /// Opens a file for upload; `None` where it vanished meanwhile.
    fn read(
        &mut self,
        mailbox: &MailboxName,
        name: &UniqueName,
    ) -> impl Future<Output = Outcome<Option<Outgoing>>> + Send;
}

/// One message pair of the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its UID in the mailbox's UIDVALIDITY.
    pub uid: Uid,
    /// Its file.
    pub name: UniqueName,
    /// The flags both sides last agreed on.
    pub flags: Flags,
    /// How it is recognised.
    pub likeness: Likeness,
    /// How far it is.
    pub state: RowState,
}

/// How far a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// The file is durable in `tmp` but perhaps not yet published.
    Arriving,
    /// Both sides have the message.
    Settled,
    /// The user deleted the local copy and wants the server's kept (`on_delete = "keep"`).
    Kept,
}

/// A local file that has no UID, and why it is not simply new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loose {
    /// An upload was begun: before it is repeated the server's new messages are searched for it.
    Uploading,
    /// The server took it without telling its UID: it is searched for, and never uploaded again.
    Uploaded,
    /// Its pair was lost with a changed UIDVALIDITY: kept, reported, not uploaded.
    Orphan,
}

/// Which side messages disappeared from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// They are gone from the server; local copies would be removed.
    Remote,
    /// They are gone from the Maildir; the server's copies would be removed.
    Local,
}

/// Deletions that the guard holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where the messages disappeared.
    pub side: Side,
    /// How many deletions are held back.
    pub count: u32,
    /// Out of how many messages.
    pub of: u32,
    /// Whether the user approved them; the next pass carries them out.
    pub approved: bool,
}

/// What the ledger knows of a mailbox as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxRecord {
    /// Its name.
    pub name: MailboxName,
    /// Its special use.
    pub special_use: Option<SpecialUse>,
    /// The directory in which it was last seen.
    pub directory: Option<DirectoryId>,
    /// The generation of the rows' UIDs.
    pub uid_validity: Option<UidValidity>,
    /// The marks of the last complete and durable pass.
    pub marks: Option<Marks>,
    /// Whether the server no longer lists it.
    pub absent: bool,
    /// Deletions held back, if any.
    pub held: Vec<Held>,
    /// How many messages the base knows.
    pub messages: u32,
}

/// What the ledger knows of the messages of a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// The pairs, by ascending UID.
    pub rows: Vec<Row>,
    /// Files without a UID that are not simply new, with the likeness recorded.
    pub loose: BTreeMap<UniqueName, (Loose, Likeness)>,
}

/// One step of the base. Several in one commit happen together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The mailbox exists on the server, with this use, and lives in this directory.
    Known {
        /// Its special use.
        special_use: Option<SpecialUse>,
        /// Its directory; `None` leaves what is known of it.
        directory: Option<DirectoryId>,
    },
    /// The server no longer lists the mailbox, or lists it again.
    Absent(bool),
    /// The rows' UIDs belong to this generation from now on. Rows of another generation become orphans.
    Generation(UidValidity),
    /// A pair is known. Replaces the row of the same UID, and the loose file of the same name.
    Pair(Row),
    /// Arriving rows are settled.
    Settle(UidSet),
    /// Both sides agree on these flags.
    Agree(Uid, Flags),
    /// The file of a pair has this name from now on.
    Rename(Uid, UniqueName),
    /// The pair is gone on both sides.
    Forget(Uid),
    /// A file without a UID is from now on known as such.
    Loosen(UniqueName, Loose, Likeness),
    /// A loose file is gone, or simply new again.
    Unloosen(UniqueName),
    /// The last pass ended complete and durable at these marks; with `None` the next one lists everything, because the
    /// base forgot messages that the server still has.
    Marks(Option<Marks>),
    /// The guard holds these deletions back; an empty list ends that.
    Held(Vec<Held>),
}

/// The base on disk.
pub trait Ledger: Send {
    /// Every mailbox known, by name.
    fn mailboxes(&mut self) -> impl Future<Output = Outcome<Vec<MailboxRecord>>> + Send;

    /// The messages of one mailbox; an empty base for an unknown one.
    fn base(&mut self, mailbox: &MailboxName) -> impl Future<Output = Outcome<Base>> + Send;

    /// Writes steps in order, in one durable transaction. A mailbox unknown so far is made known.
    fn commit(&mut self, entries: Vec<(MailboxName, Entry)>) -> impl Future<Output = Outcome<()>> + Send;
}
