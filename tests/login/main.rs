//! Logging in and out as a person does it: the program from outside, a browser, an authorization server that checks
//! every rule, and a real mail server behind it. One area per file.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod apart;
mod applications;
mod browser;
mod canary;
mod device;
mod independent;
mod notice;
mod paste;
mod processes;
mod revocation;
mod scene;
mod terminal;
