//! What can go wrong with a POP3 server, and what it means.
//!
//! Invariant: a refusal is permanent only where the server says so with a response code or in words known to mean it;
//! everything else may pass and is tried again. Nothing that was said before TLS is shown. No error carries a
//! credential.

use super::reply::Refusal;
use crate::error::{Class, Classified};
use crate::net;
use crate::net::words::{is_denied, suggested_delay};
use std::io;
use std::time::Duration;

/// How long a server that refused for LOGIN-DELAY is left alone where it does not say; servers want 5 to 15 min.
const LOGIN_DELAY: Duration = Duration::from_secs(600);

/// An error of the POP3 driver.
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
    /// So little comes that the end of it cannot be waited for.
    #[error("the mail server answers too slowly to wait for the end")]
    TooSlow,
    /// An earlier failure or an abandoned transfer left the session in an unknown state.
    #[error("the session with the mail server is no longer usable")]
    Unusable,
    /// The server broke the protocol or one of our bounds.
    #[error("the mail server broke the protocol: {0}")]
    Protocol(&'static str),
    /// STLS was not offered, was refused, or somebody put bytes behind its answer.
    #[error("no protected connection: {0}")]
    StartTls(&'static str),
    /// The server offers no way to log in that we have credentials for.
    #[error("the mail server does not offer {0}")]
    NoMechanism(&'static str),
    /// The password has characters that POP3 cannot carry.
    #[error("the password holds a line break or another control character")]
    Password,
    /// The server refused the credentials.
    #[error("the mail server refused the login: {0}")]
    Login(String),
    /// A command was answered with `-ERR`.
    #[error("{command} was refused: {}", refusal.text)]
    Refused {
        /// The command, without its arguments.
        command: &'static str,
        /// The server's words.
        refusal: Refusal,
    },
    /// Without unique-ids no message can be recognised at the next visit.
    #[error("the mail server has no unique-ids (UIDL)")]
    NoUidl,
    /// Messages that were listed and not delivered.
    #[error("the mail server did not deliver {count} message(s): {text}")]
    Undelivered {
        /// How many.
        count: usize,
        /// The server's words about the first of them.
        text: String,
    },
    /// Nothing can be changed in a maildrop but by deleting.
    #[error("a POP3 maildrop cannot be changed")]
    ReadOnly,
    /// Nobody wants the messages any more.
    #[error("fetching was abandoned")]
    Abandoned,
}

impl Error {
    /// What a refused login means (RFC 3206, RFC 2449 §8, and the words of servers without response codes).
    pub(super) fn login(refusal: Refusal) -> Error {
        let passes = match refusal.code.as_deref() {
            Some("AUTH") => false,
            Some("IN-USE" | "LOGIN-DELAY" | "SYS/TEMP" | "SYS/PERM") => true,
            _ => is_passing(&refusal.text),
        };
        match passes {
            true => Error::Refused { command: "the login", refusal },
            false => Error::Login(refusal.text),
        }
    }
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Error::Dial(error) => error.class(),
            Error::Login(_) => Class::NeedsLogin,
            Error::NoMechanism(_) | Error::NoUidl | Error::ReadOnly => Class::GiveUp,
            Error::Password => Class::Configuration,
            Error::Refused { refusal, .. } => refused(refusal),
            _ => Class::RETRY,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Dial(error) => error.hint(),
            Error::StartTls(_) => Some("set tls = \"implicit\" if the server has a TLS port (995)".into()),
            Error::NoMechanism(_) => Some("check `auth` of the account".into()),
            Error::Password => Some("check what `password_command` prints".into()),
            Error::NoUidl => Some("use IMAP with this server, if it has that".into()),
            Error::Refused { refusal, .. } if refused(refusal) == Class::Denied => {
                Some("POP3 is switched off for this mailbox, or the login has no access to it".into())
            }
            Error::Refused { refusal, .. } if refusal.code.as_deref() == Some("IN-USE") => {
                Some("another mail program has the maildrop open; it is tried again".into())
            }
            _ => None,
        }
    }
}

fn refused(refusal: &Refusal) -> Class {
    match refusal.code.as_deref() {
        Some("SYS/PERM") => Class::Denied,
        _ if is_denied(&refusal.text) => Class::Denied,
        Some("LOGIN-DELAY") => Class::Retry { after: Some(LOGIN_DELAY) },
        _ => Class::Retry { after: suggested_delay(&refusal.text) },
    }
}

/// Words of servers that mean trouble with themselves and not with the login.
fn is_passing(text: &str) -> bool {
    const WORDS: [&str; 8] = [
        "temporar",
        "unavailable",
        "try again",
        "too many",
        "maximum number of connections",
        "internal error",
        "maildrop already locked",
        "unable to lock",
    ];
    if is_denied(text) || suggested_delay(text).is_some() {
        return true;
    }
    let text = text.to_ascii_lowercase();
    WORDS.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::super::reply::Reply;
    use super::*;

    fn login(line: &str) -> Class {
        match Reply::parse(line.as_bytes()) {
            Some(Reply::Err(refusal)) => Error::login(refusal).class(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_refused_login_is_read_by_its_code_first() {
        let after = |seconds| Class::Retry { after: Some(Duration::from_secs(seconds)) };
        for (line, class) in [
            ("-ERR [AUTH] try again with another password", Class::NeedsLogin),
            ("-ERR Authentication failure: unknown user name or bad password.", Class::NeedsLogin),
            ("-ERR [IN-USE] Unable to lock maildrop", Class::RETRY),
            ("-ERR [LOGIN-DELAY] minimum time between mail checks violation", after(600)),
            ("-ERR [SYS/TEMP] Temporary system problem", Class::RETRY),
            ("-ERR [SYS/PERM] Your account is not enabled for POP access.", Class::Denied),
            ("-ERR Server Unavailable. 15", Class::RETRY),
            ("-ERR Request is throttled. Suggested Backoff Time: 92000 milliseconds", after(92)),
            ("-ERR User is authenticated but not connected.", Class::Denied),
            ("-ERR maildrop already locked", Class::RETRY),
            ("-ERR", Class::NeedsLogin),
        ] {
            assert_eq!(login(line), class, "{line}");
        }
    }
}
