//! The record of one accepted submission, its states, and which of them may follow which. Pure.
//!
//! `dot-sent` is the point of no return: from it a message never goes back to `queued` by itself. Recovery after a crash is
//! part of the same table: what was `sending` had not been sent, what was `dot-sent` may have been.

use super::envelope::Envelope;
use super::outbox::FileIdentity;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;

/// The name of a submission: time of acceptance and a random part, so that names sort by age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(String);

/// Where a submission stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Accepted; may be sent now.
    Queued,
    /// A transaction runs; its end has not been sent.
    Sending,
    /// The end of the message may have left.
    DotSent,
    /// The server took it; the copy for the Sent mailbox is still owed.
    Sent,
    /// Done: nothing of it is kept.
    Filed,
    /// Refused for now.
    Deferred,
    /// Held by the user, or because its text is damaged.
    Held,
    /// Refused for good; on its way to `failed/`.
    Failed,
    /// Contact was lost after the end was sent.
    Uncertain,
}

/// The file of the outbox that a submission was made of, while it may still stand there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where it was; not a path type, because those cannot be stored when they are not UTF-8.
    pub path: OsString,
    /// Which file it was.
    pub identity: FileIdentity,
}

/// An accepted submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub id: Id,
    /// Where it stands.
    pub state: State,
    /// From whom and for whom.
    pub envelope: Envelope,
    /// With angle brackets; the same at every attempt.
    pub message_id: String,
    /// Octets of the prepared message.
    pub size: u64,
    /// Whether it has bytes above 127.
    pub eight_bit: bool,
    /// The file name that the user gave it.
    pub name: String,
    /// The user's file, until it is known to be gone.
    pub source: Option<Source>,
    /// The Bcc fields that were taken out; given back if the message fails.
    pub bcc: String,
    /// Whether the user's file had CRLF line ends.
    pub crlf: bool,
    /// When it was accepted.
    pub accepted: Timestamp,
    /// How often the server refused it for now.
    pub attempts: u32,
    /// How often the connection ended amid it, or the server refused it with words for the whole account.
    #[serde(default)]
    pub breaks: u32,
    /// Not to be tried before.
    pub next_try: Option<Timestamp>,
    /// The last words on it, mostly the server's.
    pub words: Option<String>,
    /// Held because its text is not what was accepted, and only as long as that is so.
    #[serde(default)]
    pub damaged: bool,
}

impl Id {
    /// The name of a submission accepted at `now`.
    pub(super) fn new(now: Timestamp, random: u32) -> Id {
        Id(format!("{:012x}-{random:08x}", now.as_millisecond().max(0)))
    }

    /// A name as a user or a file name gives it; `None` if it is none.
    pub fn parse(text: &str) -> Option<Id> {
        let (time, random) = text.split_once('-')?;
        let is_hex = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        (text.len() <= 40 && is_hex(time) && is_hex(random)).then(|| Id(text.to_owned()))
    }
}

impl State {
    /// Whether `next` may follow.
    pub fn may_become(self, next: State) -> bool {
        use State::{Deferred, DotSent, Failed, Filed, Held, Queued, Sending, Sent, Uncertain};
        match self {
            Queued | Deferred => matches!(next, Queued | Sending | Held | Failed),
            Held => matches!(next, Queued | Failed),
            // Queued: trouble with the connection or the login, before the end was sent.
            Sending => matches!(next, DotSent | Queued | Deferred | Failed),
            DotSent => matches!(next, Sent | Deferred | Failed | Uncertain),
            // Sent: found in the Sent mailbox. Queued: known not to be there, or by the user's word.
            Uncertain => matches!(next, Sent | Queued | Failed),
            Sent => next == Filed,
            Failed | Filed => false,
        }
    }

    /// What a state found on disk means when nothing is under way.
    pub(super) fn recovered(self) -> State {
        match self {
            State::Sending => State::Queued,
            State::DotSent => State::Uncertain,
            other => other,
        }
    }

    /// Whether the user may throw the submission away: nobody is at it, and it is not one that the server has.
    pub(super) fn is_removable(self) -> bool {
        matches!(self, State::Queued | State::Deferred | State::Held | State::Uncertain)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Display for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            State::Queued => "queued",
            State::Sending => "sending",
            State::DotSent => "dot-sent",
            State::Sent => "sent",
            State::Filed => "filed",
            State::Deferred => "deferred",
            State::Held => "held",
            State::Failed => "failed",
            State::Uncertain => "uncertain",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::*;

    const ALL: [State; 9] = [Queued, Sending, DotSent, Sent, Filed, Deferred, Held, Failed, Uncertain];

    #[test]
    fn nothing_that_may_have_been_sent_is_sent_again_by_itself() {
        assert!(!DotSent.may_become(Queued) && !DotSent.may_become(Sending));
        assert!(!Sent.may_become(Queued) && !Uncertain.may_become(Sending));
        assert_eq!(DotSent.recovered(), Uncertain);
        assert_eq!(Sending.recovered(), Queued);
    }

    #[test]
    fn the_dot_is_sent_from_a_transaction_only_and_sent_needs_the_dot() {
        let before = |next| ALL.into_iter().filter(|state| state.may_become(next)).collect::<Vec<_>>();
        assert_eq!(before(DotSent), [Sending]);
        assert_eq!(before(Sent), [DotSent, Uncertain]);
        assert_eq!(before(Filed), [Sent]);
        assert_eq!(before(Sending), [Queued, Deferred]);
        assert!(ALL.into_iter().all(|next| !Failed.may_become(next) && !Filed.may_become(next)));
    }

    #[test]
    fn names_sort_by_age_and_are_safe_file_names() {
        let id = |second| Id::new(Timestamp::from_second(second).unwrap(), 7);
        assert!(id(1) < id(1_800_000_000));
        assert_eq!(Id::parse(&id(5).to_string()), Some(id(5)));
        for bad in ["", "-", "1-", "../../x-1", "1-2/3", "1-2.eml"] {
            assert_eq!(Id::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn states_are_written_as_documented() {
        assert!(ALL.iter().all(|state| serde_json::to_string(state).unwrap() == format!("\"{state}\"")));
    }
}
