//! Accounts that fetch by POP3, as a person meets them: the binary from outside and a real Maildir.
//!
//! [`real`] is Dovecot's POP3; [`quirks`] a maildrop that changes in ways Dovecot's does not; [`doubt`] one in which it is
//! not clear which message is which; [`hostile`] a server that
//! refuses, breaks off or talks nonsense at any command; [`crash`] kill -9.

// The helpers are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]
// The modules below are parts of this one test.
#![allow(unreachable_pub)]

mod crash;
mod doubt;
mod hostile;
#[path = "../crash/killing.rs"]
#[allow(dead_code)]
mod killing;
mod quirks;
mod real;
mod scene;
#[path = "../support/mod.rs"]
mod support;
