//! The control socket: how a command talks to the running daemon of the same user.
//!
//! JSON lines over a Unix socket in the user's runtime directory. One connection carries one [`Request`] and its
//! stream of [`Response`]s, ended by [`Response::Done`] or [`Response::Error`]. This module knows no daemon and no
//! account: the [`server`] hands requests to a [`server::Handler`] that the daemon passes in.
//!
//! Rejected: D-Bus (not there on a headless machine) and HTTP (a parser for nothing).

pub mod client;
mod lease;
mod line;
mod protocol;
pub mod server;
mod socket;

pub use lease::Lease;
pub use protocol::{Code, Deletions, HeldRequest, PROTOCOL, Quarantined, Refusal, Request, Response};
