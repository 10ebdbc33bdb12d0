//! What can go wrong with an IMAP server, and what it means.
//!
//! Invariant: a refusal is permanent only where the server says so in words that are known to mean it (RFC 5530 codes,
//! the Exchange texts); everything else may pass and is tried again. Server text is cleaned and cut before it is kept,
//! and it is never shown from before TLS. No error carries a credential.

use crate::error::{Class, Classified};
use crate::net;
use crate::net::words::{is_denied, suggested_delay};
use std::io;

/// An error of the IMAP driver.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server could not be reached.
    #[error(transparent)]
    Dial(#[from] net::Error),
    /// The connection broke.
    #[error("the connection to the mail server broke")]
    Io(#[from] io::Error),
    /// The server closed the connection without a word. End of stream is never a success.
    #[error("the mail server closed the connection")]
    Closed,
    /// The server was silent for too long.
    #[error("the mail server did not answer in time")]
    TimedOut,
    /// Nothing that could be a greeting came.
    #[error("the mail server did not greet in time")]
    NoGreeting,
    /// The greeting is none of IMAP; the words only where they came through TLS.
    #[error("this is no IMAP server{}", .0.as_ref().map(|words| format!(": it said {words}")).unwrap_or_default())]
    NotImap(Option<String>),
    /// So little comes that the end of it cannot be waited for.
    #[error("the mail server answers too slowly to wait for the end")]
    TooSlow,
    /// The server ended the session.
    #[error("the mail server ended the session: {0}")]
    Bye(String),
    /// An earlier failure or an abandoned transfer left the session in an unknown state.
    #[error("the session with the mail server is no longer usable")]
    Unusable,
    /// The server broke the protocol or one of our bounds.
    #[error("the mail server broke the protocol: {0}")]
    Protocol(&'static str),
    /// The greeting or a reply during login could not be read as IMAP.
    #[error("the mail server's reply could not be read")]
    BringUp(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// STARTTLS was not offered, was refused, or somebody put bytes behind its answer.
    #[error("no protected connection: {0}")]
    StartTls(&'static str),
    /// The server offers no way to log in that we have credentials for.
    #[error("the mail server does not offer {0}")]
    NoMechanism(&'static str),
    /// The server refused the credentials.
    #[error("the mail server refused the login: {0}")]
    Login(String),
    /// A command was answered NO or BAD.
    #[error("{command} was refused: {}{text}", code.as_ref().map(|code| format!("[{code}] ")).unwrap_or_default())]
    Refused {
        /// The command, without its arguments.
        command: &'static str,
        /// The name of the response code, if there was one.
        code: Option<String>,
        /// The server's words.
        text: String,
        /// Whether it was BAD: the server does not know the command.
        is_bad: bool,
    },
    /// The server contradicted itself; nothing may be concluded from what it said.
    #[error("the answer for {mailbox} cannot be trusted: {reason}")]
    Contradiction {
        /// The mailbox.
        mailbox: String,
        /// What did not agree.
        reason: String,
    },
    /// The UIDs that were meant belong to another generation of the mailbox.
    #[error("UIDVALIDITY of {mailbox} changed")]
    Generation {
        /// The mailbox.
        mailbox: String,
    },
    /// The name cannot be written in the server's hierarchy.
    #[error("the mail server cannot have a mailbox named {0}")]
    Name(String),
    /// The server said that it created the mailbox and does not list it.
    #[error("the mail server says that it created {0}, but the mailbox is not there")]
    NotCreated(String),
    /// Messages of others are marked deleted and the server can only expunge all of them.
    #[error("not expunging {0}: other messages in it are marked deleted too")]
    UnsafeExpunge(String),
    /// Messages that are listed and did not arrive.
    #[error("{count} message(s) did not arrive, first UID {first}: {why}")]
    Undelivered {
        /// How many.
        count: u64,
        /// The first of them.
        first: u32,
        /// Why the first of them did not.
        why: &'static str,
    },
    /// A message above the size that the server takes.
    #[error("the mail server takes no message above {limit} octets, and this one has {size}")]
    TooLarge {
        /// Octets of the message.
        size: u64,
        /// What the server says that it takes.
        limit: u64,
    },
    /// A local file changed its size while it was being uploaded.
    #[error("the message changed while it was uploaded")]
    Changed,
    /// A local file could not be read while it was being uploaded.
    #[error("cannot read the message to upload")]
    Read(#[source] io::Error),
    /// Nobody wants the messages any more.
    #[error("fetching was abandoned")]
    Abandoned,
}

impl Error {
    /// Whether the session itself is gone or out of step.
    pub(super) fn is_fatal(&self) -> bool {
        !matches!(
            self,
            Error::Refused { .. }
                | Error::Contradiction { .. }
                | Error::Generation { .. }
                | Error::Name(_)
                | Error::NotCreated(_)
                | Error::UnsafeExpunge(_)
                | Error::Undelivered { .. }
                | Error::TooLarge { .. }
                | Error::Abandoned
        )
    }

    /// Whether the server did not understand what it offered to understand.
    pub(super) fn is_bad(&self) -> bool {
        matches!(self, Error::Refused { is_bad: true, .. })
    }

    /// The response code of a refusal.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Error::Refused { code, .. } => code.as_deref(),
            _ => None,
        }
    }
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Error::Dial(error) => error.class(),
            Error::Login(_) => Class::NeedsLogin,
            Error::NoMechanism(_) | Error::Name(_) => Class::GiveUp,
            Error::Refused { text, .. } if is_denied(text) => Class::Denied,
            Error::Refused { text, .. } | Error::Bye(text) => Class::Retry { after: suggested_delay(text) },
            _ => Class::RETRY,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Dial(error) => error.hint(),
            Error::NoGreeting => {
                Some("check `port` and `tls`: the port may want the other `tls` mode (993: implicit)".into())
            }
            Error::NotImap(_) => Some("check `host` and `port` of the mail server".into()),
            Error::StartTls(_) => Some("set tls = \"implicit\" if the server has a TLS port (993)".into()),
            Error::NoMechanism(_) => Some("check `auth` of the account".into()),
            Error::Refused { text, .. } if is_denied(text) => {
                Some("IMAP is switched off for this mailbox, or the login has no access to it".into())
            }
            Error::NotCreated(_) => Some(
                "it is tried again, and nothing in it is lost; see whether another mail reader can create it"
                    .into(),
            ),
            Error::UnsafeExpunge(_) => {
                Some("expunge or unmark the deleted messages of that mailbox with another mail reader".into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn refused(text: &str) -> Error {
        Error::Refused { command: "FETCH", code: None, text: text.into(), is_bad: false }
    }

    #[test]
    fn a_named_delay_is_the_least_to_wait() {
        let class = refused("Request is throttled. Suggested Backoff Time: 92415 milliseconds").class();
        assert_eq!(class, Class::Retry { after: Some(Duration::from_millis(92_415)) });
    }

    #[test]
    fn only_known_words_are_permanent() {
        assert_eq!(refused("User is authenticated but not connected.").class(), Class::Denied);
        for text in [
            "Server Unavailable. 15",
            "Temporary System Problem (Failure)",
            "UID FETCH Rate limit hit.",
            "Internal Server Error",
            "Error in IMAP command FETCH: Invalid messageset",
            "Suggested Backoff Time: soon",
            "",
        ] {
            assert_eq!(refused(text).class(), Class::RETRY, "{text}");
        }
        assert_eq!(Error::Closed.class(), Class::RETRY);
        assert_eq!(Error::Bye("Session expired, please login again.".into()).class(), Class::RETRY);
    }
}
