//! Two-way synchronisation as a person meets it: the binary from outside, a real Dovecot, a real Maildir.
//!
//! [`first`] is the first pass and the second that does nothing; [`both_ways`] every change on either side; [`safety`]
//! what must never be taken for a deletion; [`again`] lost and changed bases; [`racing`] readers that do not wait;
//! [`settings`] what the configuration changes.

// The helpers are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod again;
mod both_ways;
mod first;
mod racing;
mod safety;
mod scene;
mod settings;
#[path = "../support/mod.rs"]
mod support;
