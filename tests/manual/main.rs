//! The manual pages are true: they name every command, option, exit code, state and key, and nothing that does not exist.
//!
//! The pages are written by hand, because a generated one explains nothing; these tests compare them with the program.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod commands;
mod keys;
mod page;

use std::collections::BTreeSet;
use std::process::Command;

/// The names that a parser expected: all in backticks behind `expected`.
fn expected(complaint: &str) -> BTreeSet<String> {
    let (_, names) = complaint.split_once("expected").unwrap_or_default();
    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn mandoc_has_nothing_to_complain_of() {
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/man");
    let pages = ["posthaste.1", "posthaste-config.5"].map(|page| format!("{manual}/{page}"));
    match Command::new("mandoc").args(["-Tlint", "-Wwarning"]).args(&pages).output() {
        Ok(checked) => {
            let said = String::from_utf8_lossy(&checked.stdout).into_owned();
            assert!(checked.status.success() && said.is_empty(), "{said}");
        }
        Err(why) => eprintln!("SKIPPED: no mandoc here, the form of the pages was not checked: {why}"),
    }
}
