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

#[cfg(test)]
mod accidents;
mod apply;
mod arrive;
pub mod delta;
mod describe;
mod discover;
#[cfg(test)]
mod fakes;
pub mod guard;
#[cfg(test)]
mod histories;
mod ledger;
mod local;
mod look;
pub mod maildrop;
pub mod merge;
mod moves;
pub mod pair;
pub mod pass;
pub mod plan;
mod remote;
pub mod report;
mod sources;
#[cfg(test)]
mod testing;
mod upload;

pub use ledger::{Base, Entry, Held, Ledger, Loose, MailboxRecord, Row, RowState};
pub use local::{DirectoryId, Local, LocalChange, LocalView, Recognised, Seen, Staged};
pub use pass::{Extent, Pass, directory_lost};
pub use remote::{
    Arrival, At, Enough, Fate, Fetched, FlagChange, Gone, LARGEST, Landed, Likeness, Listed, Listing, Marks,
    Outgoing, Remote, RemoteMailbox, RemoteView, Since,
};

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
