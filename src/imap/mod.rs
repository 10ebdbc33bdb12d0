//! The IMAP driver: wire, parser, session, and the [`Remote`] of one account.
//!
//! Bytes become framed responses (`wire`), these become values (`parse`), a [`Session`] turns commands into typed
//! outcomes, and [`Remote`] says what they mean for a pass. Invariant: no command ends without the server's tagged
//! answer or an error; an empty or cut answer is never taken for an empty mailbox. async-imap serves only until login
//! is done (`bringup`); its typed commands turn NO and cut connections into empty successes. RFC 9051, 3501, 7162,
//! 6851, 4315, 2177, 5819, 6154, 7888. This module knows no Maildir, no ledger and no token endpoint.

mod batch;
mod bringup;
mod capabilities;
mod date;
mod error;
mod guard;
mod idle;
mod names;
mod parse;
mod remote;
mod select;
mod selected;
mod session;
mod suspects;
mod utf7;
mod wire;

#[cfg(test)]
mod script;

pub use capabilities::Capabilities;
pub use error::Error;
pub use idle::IdleEnd;
pub use remote::Remote;
pub use session::Session;
pub use suspects::Suspects;

use crate::mail::SpecialUse;
use crate::mail::sasl::Credentials;
use crate::net;
use std::collections::{BTreeMap, BTreeSet};

/// Where to connect, and what not to use there.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub endpoint: net::Endpoint,
    /// Capabilities that are switched off although the server offers them, such as `CONDSTORE`; and two that no
    /// server offers by name: without `PIPELINING` one command is sent at a time, without `COPYUID` the pairs told for
    /// several moved messages are not believed (Yahoo).
    pub disable: BTreeSet<String>,
    /// Special uses by names of mailboxes in lower case, for a server that tells none (RFC 6154).
    pub special_use: BTreeMap<String, SpecialUse>,
}

/// Connects and logs in, within one deadline for all of it.
///
/// # Errors
/// [`Error::Login`] where the credentials are refused; what else can happen may pass.
pub async fn connect(options: &Options, credentials: &Credentials) -> Result<Session, Error> {
    bringup::bring_up(net::dial(&options.endpoint), options, credentials).await
}

/// What a server offers before login, in capitals: for who wants to know how far it goes. `stream` stands where
/// [`net::dial`] leaves it; STARTTLS is done here. The session is ended again.
///
/// # Errors
/// What stands in the way of a protected session, and a server that does not speak IMAP.
pub async fn preview(stream: net::Stream, endpoint: &net::Endpoint) -> Result<Vec<String>, Error> {
    bringup::preview(stream, endpoint).await
}
