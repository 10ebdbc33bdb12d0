//! What is wrong with a configuration, and where.
//!
//! The message is one line, fit for a log; [`Error::excerpt`] adds the source line with a caret for people at a
//! terminal. Values of keys that hold secrets never show, neither in messages nor in excerpts.

use super::meant::meant;
use crate::error::{Class, Classified};
use crate::provider;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
        /// What it was to say.
        wanted: String,
    },
    /// The file is not valid TOML, or a key is unknown, of the wrong type, or contradicts another.
    #[error("{place}: {message}")]
    File {
        /// Where.
        place: Place,
        /// What, and what was expected.
        message: String,
    },
    /// An environment variable overrides a key with a value that makes no sense.
    #[error("{variable}: {message}")]
    Environment {
        /// The variable.
        variable: String,
        /// What, and what was expected.
        message: String,
    },
    /// The layers do not fit together; only possible where a check of a single layer is missing.
    #[error("cannot combine the configuration with the environment")]
    Layers(#[source] config::ConfigError),
    /// The built-in table of providers is broken.
    #[error(transparent)]
    Providers(#[from] provider::Error),
}

/// A place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The source line with a caret below it; `None` where it may show a secret.
    pub excerpt: Option<String>,
}

impl Error {
    /// The source line with a caret below it, where there is one to show.
    pub fn excerpt(&self) -> Option<&str> {
        match self {
            Error::File { place, .. } => place.excerpt.as_deref(),
            _ => None,
        }
    }
}

impl Classified for Error {
    fn class(&self) -> Class {
        Class::Configuration
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Read { path, source } if source.kind() == io::ErrorKind::NotFound => Some(format!(
                "posthaste add you@example.org writes {}; `posthaste config example` prints every key",
                path.display()
            )),
            // Where something else makes the file, like home-manager, it is pasted there.
            Error::Write { wanted, .. } => {
                Some(format!("what it was to say, to be written by hand:\n\n{wanted}"))
            }
            Error::File { message, .. } | Error::Environment { message, .. } => {
                meant(message).map(|word| format!("did you mean `{word}`?"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}
