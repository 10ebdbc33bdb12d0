//! What can go wrong in a Maildir, how much of the store it takes with it, and what the user can do.
//!
//! Nothing here is final except a name that cannot be a directory: disks fill and empty, mounts come back, modes are
//! repaired. So nearly all of it is [`Class::RETRY`]; a store that is not usable as a whole ends the pass.

use crate::error::{Class, Classified};
use crate::mail::MailboxName;
use crate::ownership;
use crate::sync::{Scope, Trouble};
use rustix::io::Errno;
use std::io;
use std::path::PathBuf;

/// Why a Maildir operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The root cannot be opened or made.
    #[error("cannot open the Maildir root {path}")]
    Root {
        /// The root.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Others could put files under the root, or it is not ours.
    #[error("refusing the Maildir root {path}: it {problem}")]
    UnsafeRoot {
        /// The root.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The name cannot be a directory.
    #[error("mailbox {mailbox} is nested too deep for a directory")]
    TooDeep {
        /// The mailbox.
        mailbox: MailboxName,
    },
    /// The mailbox has no directory.
    #[error("mailbox {mailbox} has no Maildir directory")]
    NoMailbox {
        /// The mailbox.
        mailbox: MailboxName,
    },
    /// A system call failed.
    #[error("cannot {action} {subject}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or mailbox.
        subject: String,
        /// The cause.
        source: io::Error,
    },
    /// A directory cannot be watched for changes.
    #[error("cannot watch {path}")]
    Watch {
        /// The directory; empty when no watch can be had at all.
        path: PathBuf,
        /// The cause.
        source: notify::Error,
    },
    /// The operation was cut off: its file was taken away amid it.
    #[error("a Maildir operation was cut off")]
    Interrupted,
}

impl Error {
    /// Puts words around a failed system call.
    pub(super) fn io<E: Into<io::Error>>(
        action: &'static str,
        subject: impl ToString,
    ) -> impl FnOnce(E) -> Error {
        let subject = subject.to_string();
        move |source| Error::Io { action, subject, source: source.into() }
    }

    /// The error as the core sees it: a full or read-only disk concerns every mailbox, the rest one.
    pub(super) fn trouble(self) -> Trouble {
        let scope = match &self {
            Error::Root { .. } | Error::UnsafeRoot { .. } | Error::Interrupted => Scope::Pass,
            Error::Io { source, .. } if is_full(source) || is(source, Errno::ROFS) => Scope::Pass,
            Error::Io { .. } | Error::Watch { .. } | Error::TooDeep { .. } | Error::NoMailbox { .. } => {
                Scope::Mailbox
            }
        };
        Trouble::new(scope, self)
    }
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Error::TooDeep { .. } => Class::GiveUp,
            _ => Class::RETRY,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::UnsafeRoot { path, .. } => Some(ownership::remedy(path)),
            Error::Root { path, .. } => Some(format!("is the disk that holds {} mounted?", path.display())),
            Error::Watch { source, .. } if matches!(source.kind, notify::ErrorKind::MaxFilesWatch) => {
                Some("raise fs.inotify.max_user_watches; until then only periodic scans find changes".into())
            }
            Error::Io { source, .. } if is_full(source) => {
                Some("the disk or your quota is full: free some space; fetching goes on by itself".into())
            }
            Error::Io { source, .. } if is(source, Errno::ROFS) => {
                Some("the file system is mounted read-only; look at the kernel log for disk errors".into())
            }
            Error::Io { source, .. } if is(source, Errno::ACCESS) || is(source, Errno::PERM) => {
                Some("the mailbox directory and new, cur, tmp in it must be yours and writable".into())
            }
            Error::Io { source, .. } if is(source, Errno::XDEV) => {
                Some("all mailboxes of an account must be on one file system".into())
            }
            _ => None,
        }
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

/// No blocks, no inodes, or no quota left.
fn is_full(error: &io::Error) -> bool {
    is(error, Errno::NOSPC) || is(error, Errno::DQUOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_ends_the_pass_and_is_tried_again() {
        for errno in [Errno::NOSPC, Errno::DQUOT] {
            let trouble = Error::io::<io::Error>("write", "x")(errno.into()).trouble();
            assert_eq!((trouble.scope, trouble.class), (Scope::Pass, Class::RETRY));
            assert!(trouble.hint.unwrap().contains("full"));
        }
    }

    #[test]
    fn one_closed_directory_leaves_the_other_mailboxes_alone() {
        let trouble = Error::io::<Errno>("open", "x")(Errno::ACCESS).trouble();
        assert_eq!(trouble.scope, Scope::Mailbox);
    }
}
