//! `posthaste add`: from an address to an account that works, at a terminal and without one.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod again;
mod place;
mod scene;
mod terminal;
mod works;
