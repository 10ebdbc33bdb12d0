//! The doctor against a real mail host: all is well, or exactly one thing is wrong and it is the one that is named.
//!
//! Every fault is staged where it would be in life: a port, a certificate, a token, an answer of the server, a
//! permission. What Dovecot cannot be made to say comes from the meddler or from a scripted server in TLS. [`healthy`]
//! accounts; [`way`]: what lies before a login; [`login`]: what is refused; [`report`]: what a help desk gets.

// The helpers are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod healthy;
mod login;
mod report;
#[path = "../support/mod.rs"]
mod support;
mod visit;
mod way;
