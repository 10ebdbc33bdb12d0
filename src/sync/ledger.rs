//! The base: what the ledger keeps, and the steps in which it moves.

use super::{DirectoryId, Likeness, Marks, Outcome};
use crate::keeping::Side;
use crate::mail::{Flags, Identity, MailboxName, SpecialUse, Uid, UidSet, UidValidity, UniqueName};
use std::collections::{BTreeMap, BTreeSet};

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
    /// It is new in a mailbox that takes nothing: it was read once, to be recognised, and waits for what may come.
    Stranger,
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

    /// The mailboxes in which the base knows a message of one of these identities.
    fn holders(
        &mut self,
        identities: &[Identity],
    ) -> impl Future<Output = Outcome<BTreeSet<MailboxName>>> + Send;

    /// Writes steps in order, in one durable transaction. A mailbox unknown so far is made known.
    fn commit(&mut self, entries: Vec<(MailboxName, Entry)>) -> impl Future<Output = Outcome<()>> + Send;
}
