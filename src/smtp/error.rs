//! What can go wrong with a submission server as such, and the stages of a session.
//!
//! An [`Error`] is never the fault of a message: the queue waits and counts no attempt. What a server says about one
//! message is a [`super::Verdict`]. After an error the session is dead and must be dropped. Classes follow the codes of
//! RFC 4954 §6 and what Gmail and Exchange send in practice; text is read only where one code has two meanings.

use super::reply::{EnhancedCode, Malformed, Reply};
use crate::error::{Class, Classified};
use crate::net;
use std::fmt;
use std::io;

/// Where in a session something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for the greeting.
    Greeting,
    /// EHLO.
    Ehlo,
    /// STARTTLS.
    StartTls,
    /// AUTH and its dialogue.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA, until its 354.
    Data,
    /// The message itself, before its end.
    Body,
    /// The final dot and the reply to it.
    Dot,
    /// RSET.
    Reset,
    /// QUIT.
    Quit,
}

/// Why no session is to be had, or why it ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection or no TLS.
    #[error(transparent)]
    Net(#[from] net::Error),
    /// The connection broke.
    #[error("connection to the submission server lost at {stage}")]
    Lost {
        /// Where.
        stage: Stage,
        /// The cause; a time-out has its own kind.
        source: io::Error,
    },
    /// The server does not speak SMTP.
    #[error("the submission server breaks the protocol at {stage}")]
    Malformed {
        /// Where.
        stage: Stage,
        /// How.
        source: Malformed,
    },
    /// A reply of an unexpected kind.
    #[error("unexpected reply at {stage}: {reply}")]
    Unexpected {
        /// Where.
        stage: Stage,
        /// What the server said.
        reply: Reply,
    },
    /// The server refuses service or the login, not a message.
    #[error("the submission server refused at {stage}: {reply}")]
    Refused {
        /// Where.
        stage: Stage,
        /// What the server said.
        reply: Reply,
    },
    /// The server refused before TLS; what it said may be anybody's words and is not kept.
    #[error("the submission server refused at {stage}, before TLS")]
    BeforeTls {
        /// Where.
        stage: Stage,
    },
    /// STARTTLS is demanded and not offered: a poor server, or somebody in between.
    #[error("the submission server does not offer STARTTLS")]
    NoStartTls,
    /// Bytes came in the clear after the reply to STARTTLS, to be taken for bytes inside TLS.
    #[error("data was injected before TLS")]
    Injected,
    /// The way to log in is not offered.
    #[error("the submission server does not offer {wanted} (it offers: {offered})")]
    NoMechanism {
        /// What the account is set to.
        wanted: &'static str,
        /// What there is.
        offered: String,
    },
    /// The sender cannot be written in a command of this server: its address needs SMTPUTF8 or is none.
    #[error("the submission server cannot take this sender address")]
    BadSender,
    /// The session was used after its end.
    #[error("the SMTP session has ended")]
    Ended,
    /// The caller could not record that the end of the message is about to be sent; it was not sent.
    #[error("cannot record the state of the message before its end is sent")]
    Hook(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// The error without words that were said before TLS.
    pub(super) fn muted(self) -> Error {
        match self {
            Error::Refused { stage, .. } | Error::Unexpected { stage, .. } => Error::BeforeTls { stage },
            other => other,
        }
    }

    /// Whether the session ended amid a message. It may be the message's doing: then it happens each time.
    pub fn is_amid_message(&self) -> bool {
        use Stage::{Body, Data, Mail, Rcpt};
        let (Error::Lost { stage, .. }
        | Error::Malformed { stage, .. }
        | Error::Unexpected { stage, .. }
        | Error::Refused { stage, .. }) = self
        else {
            return false;
        };
        matches!(stage, Mail | Rcpt | Data | Body) && matches!(self.class(), Class::Retry { .. })
    }

    /// The reply in it, if the server gave one.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Error::Refused { reply, .. } | Error::Unexpected { reply, .. } => Some(reply),
            _ => None,
        }
    }
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Error::Net(error) => error.class(),
            // Nobody was asked for credentials yet: these words are not about them.
            Error::Refused { stage: Stage::Greeting | Stage::Ehlo | Stage::StartTls, .. } => Class::RETRY,
            Error::Refused { reply, .. } => refusal_class(reply),
            Error::NoMechanism { .. } => Class::Denied,
            Error::BadSender => Class::Configuration,
            // Retried although it looks like configuration: a café network that strips STARTTLS is left again.
            Error::NoStartTls
            | Error::BeforeTls { .. }
            | Error::Lost { .. }
            | Error::Malformed { .. }
            | Error::Unexpected { .. }
            | Error::Injected
            | Error::Ended
            | Error::Hook(_) => Class::RETRY,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Net(error) => return error.hint(),
            Error::Refused { reply, .. } => refusal_hint(reply)?,
            Error::NoStartTls => {
                "check the port and `tls` of the submission server; if they are right, somebody may be \
                 tampering with the connection"
            }
            Error::Lost { stage: Stage::Greeting, source } if source.kind() == io::ErrorKind::TimedOut => {
                "check `port` and `tls` of the submission server: the port may want the other `tls` mode \
                 (465: implicit)"
            }
            Error::Injected => "somebody may be tampering with the connection",
            Error::NoMechanism { .. } => "set `auth` to what the submission server offers",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// Whether a reply to MAIL, RCPT or DATA speaks of the login and not of the message.
pub(super) fn is_login_trouble(reply: &Reply) -> bool {
    matches!(reply.code(), 530 | 534 | 535 | 538)
        || matches!(policy_detail(reply), Some(30 | 57 | 139)) && reply.is_permanent()
}

/// Exchange's security policy refusals: 5.7.30 basic authentication is gone, 5.7.57 not authenticated, 5.7.139 switched
/// off for the mailbox or locked. Only 5.7.139 is also sent for credentials that are plainly wrong.
fn refusal_class(reply: &Reply) -> Class {
    if reply.is_temporary() || !is_login_trouble(reply) {
        return Class::RETRY;
    }
    match policy_detail(reply) {
        Some(139) if says(reply, "credentials were incorrect") => Class::NeedsLogin,
        Some(30 | 139) => Class::Denied,
        _ => Class::NeedsLogin,
    }
}

fn refusal_hint(reply: &Reply) -> Option<&'static str> {
    match policy_detail(reply) {
        _ if !reply.is_permanent() => None,
        Some(139) if says(reply, "SmtpClientAuthentication is disabled") => Some(
            "SMTP submission is switched off for this mailbox or tenant; an administrator can allow it: \
             https://aka.ms/smtp_auth_disabled",
        ),
        Some(139) if says(reply, "security defaults") => {
            Some("the organization's security defaults block this login; ask its administrator")
        }
        Some(30) => Some("the server no longer takes passwords; set auth = \"oauth2\""),
        Some(9) => Some("this account wants an application-specific password or auth = \"oauth2\""),
        _ => None,
    }
}

/// The detail of a 5.7.x (or 4.7.x) code.
fn policy_detail(reply: &Reply) -> Option<u16> {
    reply.enhanced().and_then(|EnhancedCode { subject, detail, .. }| (subject == 7).then_some(detail))
}

pub(super) fn says(reply: &Reply, words: &str) -> bool {
    reply.to_string().to_ascii_lowercase().contains(&words.to_ascii_lowercase())
}

impl fmt::Display for Stage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Stage::Greeting => "the greeting",
            Stage::Ehlo => "EHLO",
            Stage::StartTls => "STARTTLS",
            Stage::Auth => "AUTH",
            Stage::Mail => "MAIL FROM",
            Stage::Rcpt => "RCPT TO",
            Stage::Data => "DATA",
            Stage::Body => "the message text",
            Stage::Dot => "the end of the message",
            Stage::Reset => "RSET",
            Stage::Quit => "QUIT",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::Parser;
    use super::*;

    fn refused(line: &str) -> Error {
        let reply = Parser::default().line(line.as_bytes()).unwrap().unwrap();
        Error::Refused { stage: Stage::Auth, reply }
    }

    #[test]
    fn replies_seen_in_the_wild_have_the_right_class() {
        let cases = [
            ("535 5.7.3 Authentication unsuccessful [SN2PR00CA0001]", Class::NeedsLogin),
            ("535 5.7.8 Username and Password not accepted", Class::NeedsLogin),
            ("534 5.7.9 Application-specific password required", Class::NeedsLogin),
            ("530 5.7.57 Client not authenticated to send mail", Class::NeedsLogin),
            (
                "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
                Class::Denied,
            ),
            (
                "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.",
                Class::NeedsLogin,
            ),
            ("550 5.7.30 Basic authentication is not supported for Client Submission.", Class::Denied),
            ("432 4.3.2 Concurrent connections limit exceeded", Class::RETRY),
            ("421 4.7.0 Try again later", Class::RETRY),
            ("454 4.7.0 Temporary authentication failure", Class::RETRY),
            ("554 no SMTP service here", Class::RETRY),
        ];
        for (line, class) in cases {
            assert_eq!(refused(line).class(), class, "{line}");
        }
    }

    #[test]
    fn policy_refusals_say_what_to_do() {
        let hint = |line| refused(line).hint().unwrap_or_default();
        assert!(
            hint("535 5.7.139 x, SmtpClientAuthentication is disabled for the Mailbox").contains("aka.ms")
        );
        assert!(hint("550 5.7.30 Basic authentication is not supported").contains("oauth2"));
        assert_eq!(hint("535 5.7.3 Authentication unsuccessful"), "");
    }
}
