//! What goes into a mail transaction, its envelope, and what comes out, its verdict. Plain values.
//!
//! A verdict is about one message. What concerns the server or the login is an [`super::Error`] and no message's fault.

use super::error::Stage;
use super::reply::Reply;
use std::fmt;
use std::time::Duration;

/// Who a message is from and for, and what it asks of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The return path; empty for a message that must not bounce.
    pub sender: String,
    /// At least one address.
    pub recipients: Vec<String>,
    /// Octets of the message with CRLF line ends.
    pub size: u64,
    /// Whether a byte above 127 is in the message.
    pub eight_bit: bool,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server took responsibility.
    Sent {
        /// Its words; often with its queue id.
        reply: Reply,
    },
    /// Not taken now; the same message may be taken later.
    Temporary {
        /// Where it was said.
        stage: Stage,
        /// Why.
        cause: Cause,
        /// The recipients that were refused, if that is the reason.
        recipients: Vec<Refusal>,
    },
    /// Not taken, and never will be as it is.
    Permanent {
        /// Where it was said.
        stage: Stage,
        /// Why.
        cause: Cause,
        /// The recipients that were refused, if that is the reason.
        recipients: Vec<Refusal>,
    },
    /// Not taken, nor is anything else of this account for now.
    Throttled {
        /// What the server said.
        reply: Reply,
        /// How long to leave it alone.
        pause: Duration,
    },
    /// The end of the message may have reached the server, and no clear answer came back.
    Uncertain {
        /// How contact was lost.
        cause: String,
    },
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The server said so.
    Reply(Reply),
    /// It is larger than the server's SIZE.
    TooLarge {
        /// Octets of the message.
        size: u64,
        /// Octets that the server takes.
        limit: u64,
    },
    /// It has 8-bit text and the server does not offer 8BITMIME.
    NoEightBit,
    /// An address is not ASCII and the server does not offer SMTPUTF8.
    NoUtf8,
    /// An address that would break out of its command.
    BadAddress(String),
    /// There is nobody to send it to.
    NoRecipients,
    /// It has more recipients than the server takes for one message.
    TooManyRecipients {
        /// How many it took.
        taken: usize,
        /// How many there are.
        all: usize,
        /// What it said to the others.
        reply: Reply,
    },
    /// Its text could not be read to the end, or is not as long as it should be; nothing of it was delivered.
    Unreadable(String),
}

/// A recipient that the server refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The address.
    pub address: String,
    /// The server's words on it.
    pub reply: Reply,
}

impl Envelope {
    /// Whether an address needs SMTPUTF8. Raw UTF-8 in header fields alone does not ask for it: a message marked
    /// SMTPUTF8 bounces at the first old relay, one that is not is delivered practically everywhere.
    pub(super) fn is_utf8(&self) -> bool {
        !self.sender.is_ascii() || !self.recipients.iter().all(|address| address.is_ascii())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Reply(reply) => reply.fmt(out),
            Cause::TooLarge { size, limit } => {
                write!(out, "the message has {size} bytes, the server takes no more than {limit}")
            }
            Cause::NoEightBit => {
                out.write_str("the message has 8-bit text and the server takes 7-bit only (no 8BITMIME)")
            }
            Cause::NoUtf8 => out.write_str(
                "an address is not plain ASCII and the server takes no such addresses (no SMTPUTF8)",
            ),
            Cause::BadAddress(address) => write!(out, "{address:?} is no address that can be sent to"),
            Cause::Unreadable(why) => write!(out, "the message cannot be read: {why}"),
            Cause::NoRecipients => out.write_str("the message has no recipients"),
            Cause::TooManyRecipients { taken, all, reply } => {
                write!(out, "the server takes {taken} recipients per message, this one has {all}: {reply}")
            }
        }
    }
}
