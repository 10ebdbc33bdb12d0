//! What the doctor found: the documented, versioned shape of `posthaste doctor --json`.

use serde::Serialize;

/// The version of this shape; raised when a field changes meaning or goes away, not when one is added.
pub const SCHEMA: u32 = 1;

/// Everything that was examined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Examination {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of the program.
    pub version: String,
    /// Whether no step failed; warnings are allowed.
    pub ok: bool,
    /// The daemon and its unit.
    pub machine: Vec<Step>,
    /// Every account examined, in the order of the configuration.
    pub accounts: Vec<Examined>,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Examined {
    /// Its name.
    pub name: String,
    /// Whether no step failed.
    pub ok: bool,
    /// The mailboxes of the server, as far as it told: nothing that is shown, but what a report must know to keep quiet.
    #[serde(skip)]
    pub mailboxes: Vec<String>,
    /// What was done, in the order of [`super::chart::CHECKS`]; steps that do not concern the account are missing.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name: `imap.tls`.
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub milliseconds: u64,
    /// What was found, in one line.
    pub detail: String,
    /// What to do about a failure or a warning.
    pub advice: Option<String>,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All is well.
    Ok,
    /// It works, and something about it may surprise.
    Warn,
    /// It does not work.
    Fail,
    /// Not tried, because a step that it needs did not pass.
    Skipped,
}

impl Examination {
    /// The whole from its parts.
    pub fn new(machine: Vec<Step>, accounts: Vec<Examined>) -> Examination {
        let ok = !has_failed(&machine) && accounts.iter().all(|account| account.ok);
        Examination { schema: SCHEMA, version: env!("CARGO_PKG_VERSION").to_owned(), ok, machine, accounts }
    }
}

impl Step {
    /// Whether it does not work.
    pub fn has_failed(&self) -> bool {
        self.outcome == Outcome::Fail
    }
}

impl Examined {
    /// An account with its steps.
    pub fn new(name: &str, mailboxes: Vec<String>, steps: Vec<Step>) -> Examined {
        Examined { name: name.to_owned(), ok: !has_failed(&steps), mailboxes, steps }
    }
}

fn has_failed(steps: &[Step]) -> bool {
    steps.iter().any(Step::has_failed)
}
