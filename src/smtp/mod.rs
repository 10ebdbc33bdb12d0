//! The SMTP submission client (RFC 6409, RFC 5321).
//!
//! A [`Session`] exists only inside TLS or on a loopback address, so no credential can be sent in the clear. Every
//! answer is tagged with the [`Stage`] at which it came, and a contact lost after the final dot is its own verdict,
//! [`Verdict::Uncertain`]: nobody can know whether the server took the message (RFC 1047). Every wait has the deadline
//! of RFC 5321 §4.5.3.2. It knows neither the queue nor where tokens come from. lettre was rejected: it has no
//! deadlines, does not say the stage of a failure and hangs on the XOAUTH2 error challenge.

mod auth;
mod capabilities;
mod dots;
mod error;
#[cfg(test)]
mod limits_tests;
mod probe;
mod reply;
#[cfg(test)]
mod scripted;
mod session;
#[cfg(test)]
mod starttls_tests;
mod throttle;
mod transaction;
#[cfg(test)]
mod unreadable_tests;
mod verdict;
mod wire;

pub use capabilities::Capabilities;
pub use dots::Stuffer;
pub use error::{Error, Stage};
pub use reply::{EnhancedCode, Malformed, Parser, Reply};
pub use session::Session;
pub use verdict::{Cause, Envelope, Refusal, Verdict};
