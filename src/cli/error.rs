//! How a command fails: what, the place in the configuration where there is one, one hint, and the exit code.
//!
//! The codes are those of sysexits(3) where it has one, because scripts and mail programs know them. They follow from
//! error classes, never from the text of a message.

use crate::control::client;
use crate::control::{Code, Refusal};
use crate::error::{Class, Classified, chain};
use std::fmt;
use std::io;
use std::process::ExitCode;

/// Exit codes; documented, so they never change meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed, and repeating does not help.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// No daemon, or no server (EX_UNAVAILABLE).
    Unavailable = 69,
    /// Try later (EX_TEMPFAIL).
    TryLater = 75,
    /// A login is needed (EX_NOPERM).
    NeedsLogin = 77,
    /// The configuration is wrong (EX_CONFIG).
    Configuration = 78,
}

/// Why a command failed.
#[derive(Debug, PartialEq, Eq)]
pub struct CommandError {
    /// The exit code.
    pub exit: Exit,
    /// What failed and why, on one line.
    pub message: String,
    /// The line of the configuration that is to blame, with a caret below it.
    pub excerpt: Option<String>,
    /// What the user can do.
    pub hint: Option<String>,
}

impl CommandError {
    /// A failure without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> CommandError {
        CommandError { exit, message: message.into(), excerpt: None, hint: None }
    }

    /// A failure of this machine.
    pub fn io(what: &str, cause: &io::Error) -> CommandError {
        CommandError::new(Exit::Failed, format!("{what}: {cause}"))
    }

    /// A failure of a driver; `what` says on which account.
    pub fn of_driver(what: &str, error: &impl Classified) -> CommandError {
        let message = format!("{what}: {}", chain(error));
        CommandError { hint: error.hint(), ..CommandError::new(error.class().into(), message) }
    }
}

impl From<Class> for Exit {
    fn from(class: Class) -> Exit {
        match class {
            Class::Retry { .. } => Exit::TryLater,
            Class::NeedsLogin => Exit::NeedsLogin,
            Class::Configuration => Exit::Configuration,
            Class::Denied | Class::GiveUp => Exit::Failed,
        }
    }
}

impl From<Code> for Exit {
    fn from(code: Code) -> Exit {
        match code {
            Code::Retry => Exit::TryLater,
            Code::NeedsLogin => Exit::NeedsLogin,
            Code::Configuration => Exit::Configuration,
            Code::BadRequest => Exit::Usage,
            Code::Denied | Code::Version | Code::Failed => Exit::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<crate::config::Error> for CommandError {
    fn from(error: crate::config::Error) -> CommandError {
        CommandError {
            excerpt: error.excerpt().map(str::to_owned),
            hint: error.hint(),
            ..CommandError::new(Exit::Configuration, chain(&error))
        }
    }
}

impl From<Refusal> for CommandError {
    fn from(refusal: Refusal) -> CommandError {
        let Refusal { code, message, hint } = refusal;
        CommandError { hint, ..CommandError::new(code.into(), message) }
    }
}

impl From<client::Error> for CommandError {
    fn from(error: client::Error) -> CommandError {
        match error {
            client::Error::Refused(refusal) => refusal.into(),
            other => {
                CommandError { hint: other.hint(), ..CommandError::new(Exit::Unavailable, chain(&other)) }
            }
        }
    }
}

/// As printed on stderr, without the last line end.
impl fmt::Display for CommandError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "posthaste: {}", self.message)?;
        for line in self.excerpt.iter().flat_map(|excerpt| excerpt.lines()) {
            write!(out, "\n  | {line}")?;
        }
        match &self.hint {
            Some(hint) => write!(out, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_what_place_and_hint() {
        let error = CommandError {
            exit: Exit::Configuration,
            message: "c.toml:1:3: unknown key `x`".into(),
            excerpt: Some("  x = 1\n  ^".into()),
            hint: Some("remove it".into()),
        };
        assert_eq!(
            error.to_string(),
            "posthaste: c.toml:1:3: unknown key `x`\n  |   x = 1\n  |   ^\nhint: remove it"
        );
    }

    #[test]
    fn without_a_daemon_the_service_is_unavailable() {
        let error = CommandError::from(client::Error::Absent);
        assert_eq!((error.exit, error.exit as u8), (Exit::Unavailable, 69));
        assert!(error.hint.is_some());
    }

    #[test]
    fn refusals_keep_their_kind() {
        let exit = |code| CommandError::from(Refusal::new(code, "x")).exit as u8;
        assert_eq!(exit(Code::NeedsLogin), 77);
        assert_eq!(exit(Code::Retry), 75);
        assert_eq!(exit(Code::Configuration), 78);
        assert_eq!(exit(Code::BadRequest), 2);
        assert_eq!(exit(Code::Failed), 1);
    }
}
