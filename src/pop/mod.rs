//! The POP3 driver: a session with a maildrop, and the [`Remote`] of one account that only has that.
//!
//! One session is one visit: log in, list everything once (the maildrop is locked and does not change), fetch what is
//! new, mark what is due for deletion, QUIT. Invariants: no credential leaves before TLS is up where it was asked for; a
//! listing exists only when LIST and UIDL were completed and agree; nothing is deleted on the server but by a QUIT after
//! all went well. UIDs are not POP3's: whoever keeps the base says which UID a unique-id has. RFC 1939, 2449 (CAPA),
//! 2595 (STLS), 3206 (response codes), 5034 (AUTH). This module knows no Maildir, no ledger and no token endpoint.
//!
//! Rejected: a crate (async-pop reads whole messages into memory and brings a second TLS layer).

mod auth;
mod body;
mod capabilities;
mod error;
mod remote;
mod reply;
#[cfg(test)]
mod script;
mod session;
#[cfg(test)]
mod tests;
mod transfer;
mod wire;

pub use capabilities::Capabilities;
pub use error::Error;
pub use remote::Remote;
pub use session::{Session, connect, preview};
