//! The outbox and the durable queue of accepted submissions.
//!
//! A file dropped in the outbox is accepted by copying it, prepared, into the spool; only when that is durable does the
//! user's file disappear. From then on every state is on disk before the next step is taken, and a message that may have
//! been sent is never sent again without being asked about. It knows neither SMTP nor IMAP: plain values pass between it
//! and the drivers through the account. Everything here blocks on the disk and belongs off the reactor. A maildir-like
//! claim by rename was rejected: the outbox may be on another file system, and its owner may still have the file open.

mod accept;
mod address;
mod damage;
#[cfg(test)]
mod damage_tests;
mod disk;
mod envelope;
mod error;
#[cfg(test)]
mod fault_tests;
mod header;
mod load;
mod outbox;
mod plight;
mod prepare;
mod record;
mod retry;
mod returned;
mod spool;
#[cfg(test)]
mod spool_tests;
mod text;
pub mod watch;

pub use accept::Accepted;
pub use address::{Address, BadAddress};
pub use envelope::{Envelope, Refusal, Sender};
pub use error::Error;
pub use load::count;
pub use outbox::{FileIdentity, Outbox, OutboxFile, Scan};
pub use record::{Entry, Id, Source, State};
pub use retry::{Next, next_attempt};
pub use returned::refuse;
pub use spool::Spool;
