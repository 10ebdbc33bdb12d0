//! The doctor: every step from DNS to MAIL FROM of an account, and what to do about each that fails.
//!
//! What is examined is data ([`chart::CHECKS`]): a check runs when all that it needs has passed, and is skipped else, so
//! that a refused submission does not hide that mail can be read. Accounts do not wait for each other. Invariants: no
//! check changes a mailbox, sends a message or makes a file that stays; every wait has a deadline; a running daemon is
//! not disturbed, and its access token is used before another one is asked for. Who prints is not known here, and what
//! belongs to the daemon (its token, its status) is passed in.

mod account;
pub mod chart;
mod clock;
mod disk;
mod imap;
mod machine;
mod pop;
pub mod record;
pub mod redact;
mod servers;
mod smtp;
mod tls;

pub use account::examine;
pub use machine::{examine as examine_machine, journal};
pub use record::{Examination, Examined, Outcome, Step};

use crate::account::Keepers;
use crate::error::Class;
use crate::oauth::AccessToken;
use crate::status::Status;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What the checks need to know beside the account.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Where accounts keep their state, a directory for each.
    pub state_dir: PathBuf,
    /// How long a check may take.
    pub patience: Duration,
    /// Accounts that log in by the same token share its keeper.
    pub keepers: Keepers,
    /// What the running daemon said; `None` without one.
    pub daemon: Option<Daemon>,
}

/// A running daemon.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// What it is doing.
    pub status: Status,
    /// Its access tokens, or why it has none, by account; accounts that it cannot speak for are missing.
    pub tokens: BTreeMap<String, Result<AccessToken, Complaint>>,
}

/// What the daemon says instead of a token.
#[derive(Clone, Debug)]
pub struct Complaint {
    /// What kind of trouble.
    pub class: Class,
    /// What failed.
    pub text: String,
    /// What the user can do.
    pub hint: Option<String>,
}
