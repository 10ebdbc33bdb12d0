//! Why the queue could not do its work. Never a message's fault; what is wrong with a message is a
//! [`super::Refusal`].

use super::record::{Id, State};
use crate::error::{Class, Classified};
use crate::ownership;
use std::io;
use std::path::{Path, PathBuf};

/// Why the queue could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error("cannot {what} {path}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Others could have us send what they put there, or it is not ours.
    #[error("refusing the outbox {path}: it {problem}")]
    UnsafeOutbox {
        /// The outbox, or a part of the Maildir that it is.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No such submission.
    #[error("no message {0} in the queue")]
    Unknown(Id),
    /// A step that must not follow.
    #[error("message {id} is {from} and cannot become {to}")]
    Illegal {
        /// The submission.
        id: Id,
        /// Its state.
        from: State,
        /// The state asked for.
        to: State,
    },
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Error::Io { .. } | Error::UnsafeOutbox { .. } => Class::RETRY,
            Error::Unknown(_) | Error::Illegal { .. } => Class::GiveUp,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::UnsafeOutbox { path, .. } => Some(ownership::remedy(path)),
            Error::Io { source, .. }
                if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                Some(
                    "the disk or your quota is full: free some space; the message stays where it is"
                        .to_owned(),
                )
            }
            _ => None,
        }
    }
}

/// Tells what was tried on which file.
pub(super) fn at<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Io { what, path: path.to_owned(), source }
}
