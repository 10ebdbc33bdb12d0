//! The server's side: what a driver must do for a pass, and the values that pass between them.

use super::Outcome;
use crate::mail::{Flags, Identity, MailboxName, ModSeq, SpecialUse, Uid, UidSet, UidValidity};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::SystemTime;
use tokio::sync::mpsc;

/// Octets of the largest message that is fetched: a larger one stays on the server for good.
pub const LARGEST: u64 = 256 * 1024 * 1024;

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
/// refuses with [`super::Scope::Mailbox`] when the server's UIDVALIDITY is another one.
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
    /// What is worth asking for.
    pub enough: Enough,
}

/// How much is asked of a server that cannot tell what changed (no CONDSTORE) and would have to list the flags of every
/// message. With less than everything a change of flags is seen later; nothing is ever taken for gone by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enough {
    /// All flags.
    #[default]
    Everything,
    /// Something changed: new messages, if that is what it was.
    New,
    /// Perhaps nothing changed: new messages, and that as many as here are unread of those below `marks.uid_next`.
    Counts {
        /// How many the base has.
        unseen: u32,
    },
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
    /// A message begins.
    Start {
        /// Octets to come, where the protocol says it in advance: another count then drops the message.
        size: Option<u64>,
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

/// The server's side. One object owns one connection; an error of [`super::Scope::Pass`] makes it unusable.
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

    /// How these messages are recognised; messages that vanished meanwhile are left out. `None` for one that is there and
    /// is not shown.
    fn identify(
        &mut self,
        at: &At,
        uids: &UidSet,
    ) -> impl Future<Output = Outcome<BTreeMap<Uid, Option<Likeness>>>> + Send;

    /// Streams whole messages into `into`, in the server's order. Ends with an error when any part was refused; what
    /// was sent with `End` before is good. May be dropped half way, which makes the session unusable.
    fn fetch(
        &mut self,
        at: &At,
        wanted: &BTreeMap<Uid, Listed>,
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
