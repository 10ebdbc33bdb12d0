//! What goes over the control socket, as serde types. Pure.
//!
//! A request line is `{"version":1,"request":"sync",…}`, a response line `{"response":"done",…}`. The version is
//! checked before anything else is read, and the shape of [`Response::Error`] never changes, so that a command and a
//! daemon of different releases can always tell each other so. Unknown fields are ignored: adding one needs no new
//! version.

use super::Lease;
use crate::error::{Class, Classified};
use crate::keeping::Side;
use crate::status::{Progress, Status, Summary};
use serde::{Deserialize, Serialize};

/// The version of the protocol; raised when a field changes meaning or goes away.
pub const PROTOCOL: u32 = 1;

/// What a command asks of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// What every account is doing: one [`Response::Status`].
    Status,
    /// One complete pass now: [`Response::Progress`] on the way, a [`Response::Report`] for each account; for a dry
    /// run a [`Response::Plan`] for each account instead.
    Sync {
        /// Names of accounts; empty means all.
        #[serde(default)]
        accounts: Vec<String>,
        /// Only mailboxes that match this glob.
        #[serde(default)]
        mailbox: Option<String>,
        /// Only show the plan.
        #[serde(default)]
        dry_run: bool,
    },
    /// A login or logout changed the token of this account on disk.
    TokenChanged {
        /// Its name.
        account: String,
    },
    /// The access token at hand, or a new one: one [`Response::Token`].
    Token {
        /// Name of the account.
        account: String,
    },
    /// Deletions held back, and copies in quarantine.
    Held(HeldRequest),
    /// Read the configuration again and apply what changed.
    Reload,
}

/// What to do with deletions held back and copies in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "held", rename_all = "kebab-case")]
pub enum HeldRequest {
    /// One [`Response::Held`].
    List,
    /// Carry the deletions out with the next pass.
    Approve {
        /// Name of the account.
        account: String,
        /// Name of the mailbox.
        mailbox: String,
    },
    /// Bring the copies of a mailbox back from quarantine.
    Restore {
        /// Name of the account.
        account: String,
        /// Name of the mailbox.
        mailbox: String,
    },
}

/// One line of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "kebab-case")]
pub enum Response {
    /// What every account is doing.
    Status(Status),
    /// How far a pass is.
    Progress {
        /// Name of the account.
        account: String,
        /// How far.
        #[serde(flatten)]
        progress: Progress,
    },
    /// What a pass would do, ready to print.
    Plan {
        /// Name of the account.
        account: String,
        /// Lines of text.
        text: String,
        /// What they come to.
        #[serde(flatten)]
        summary: Summary,
    },
    /// What a pass did.
    Report {
        /// Name of the account.
        account: String,
        /// What it did.
        #[serde(flatten)]
        summary: Summary,
    },
    /// What is held back and what lies in quarantine.
    Held {
        /// Deletions that wait for approval.
        deletions: Vec<Deletions>,
        /// Copies that can be restored.
        quarantined: Vec<Quarantined>,
    },
    /// An access token.
    Token(Lease),
    /// The request is carried out; nothing follows.
    Done,
    /// The request failed; nothing follows.
    Error(Refusal),
}

/// Deletions of one mailbox that the guard held back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletions {
    /// Name of the account.
    pub account: String,
    /// Name of the mailbox.
    pub mailbox: String,
    /// Where the messages disappeared.
    pub side: Side,
    /// How many would be deleted on the other side.
    pub count: u32,
    /// Out of how many messages.
    pub of: u32,
    /// Whether the next pass will carry them out.
    pub approved: bool,
}

/// Copies of one mailbox in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Name of the account.
    pub account: String,
    /// Name of the mailbox.
    pub mailbox: String,
    /// How many copies.
    pub count: u64,
}

/// Why a request failed, in words for the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of failure; decides the exit code of the command.
    pub code: Code,
    /// What failed, on which account and mailbox, and the cause.
    pub message: String,
    /// What the user can do about it.
    #[serde(default)]
    pub hint: Option<String>,
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// Passing trouble: try again later.
    Retry,
    /// The account needs a login.
    NeedsLogin,
    /// The server refuses the mailbox.
    Denied,
    /// The configuration is wrong.
    Configuration,
    /// The request makes no sense: an unknown account, a malformed line.
    BadRequest,
    /// The command and the daemon speak different versions.
    Version,
    /// Anything else, also codes of later releases.
    #[serde(other)]
    Failed,
}

impl From<Class> for Code {
    fn from(class: Class) -> Code {
        match class {
            Class::Retry { .. } => Code::Retry,
            Class::NeedsLogin => Code::NeedsLogin,
            Class::Denied => Code::Denied,
            Class::Configuration => Code::Configuration,
            Class::GiveUp => Code::Failed,
        }
    }
}

impl Classified for Refusal {
    fn class(&self) -> Class {
        match self.code {
            Code::Retry => Class::RETRY,
            Code::NeedsLogin => Class::NeedsLogin,
            Code::Denied => Class::Denied,
            Code::Configuration => Class::Configuration,
            Code::BadRequest | Code::Version | Code::Failed => Class::GiveUp,
        }
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

impl Refusal {
    /// A failure without a hint.
    pub fn new(code: Code, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into(), hint: None }
    }

    /// The same failure with a hint.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Refusal {
        self.hint = Some(hint.into());
        self
    }
}

impl Request {
    /// The request as a line, with its line end.
    pub(super) fn to_line(&self) -> Result<String, serde_json::Error> {
        #[derive(Serialize)]
        struct Versioned<'a> {
            version: u32,
            #[serde(flatten)]
            request: &'a Request,
        }
        Ok(serde_json::to_string(&Versioned { version: PROTOCOL, request: self })? + "\n")
    }

    /// The request of a line; the version is looked at first.
    pub(super) fn from_line(line: &str) -> Result<Request, Refusal> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let malformed = |error| Refusal::new(Code::BadRequest, format!("malformed request: {error}"));
        let Version { version } = serde_json::from_str(line).map_err(malformed)?;
        if version != PROTOCOL {
            let message =
                format!("the daemon speaks version {PROTOCOL} of the control protocol, not {version}");
            return Err(Refusal::new(Code::Version, message)
                .with_hint("restart the daemon after an update: systemctl --user restart posthaste"));
        }
        serde_json::from_str(line).map_err(malformed)
    }
}

impl Response {
    /// The response as a line, with its line end.
    pub(super) fn to_line(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// Whether nothing follows it.
    pub(super) fn is_last(&self) -> bool {
        matches!(self, Response::Done | Response::Error(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_the_wire() {
        let requests = [
            Request::Status,
            Request::Sync { accounts: vec!["lab".into()], mailbox: Some("IN*".into()), dry_run: true },
            Request::TokenChanged { account: "lab".into() },
            Request::Token { account: "lab".into() },
            Request::Held(HeldRequest::List),
            Request::Held(HeldRequest::Approve { account: "lab".into(), mailbox: "INBOX".into() }),
            Request::Reload,
        ];
        for request in requests {
            let line = request.to_line().unwrap();
            assert!(line.ends_with('\n') && line.starts_with(r#"{"version":1,"#), "{line}");
            assert_eq!(Request::from_line(&line), Ok(request));
        }
    }

    #[test]
    fn responses_survive_the_wire() {
        let summary = Summary { downloaded: 3, errors: vec!["lost".into()], ..Summary::default() };
        let responses = [
            Response::Status(Status::absent()),
            Response::Progress {
                account: "lab".into(),
                progress: Progress { mailbox: "INBOX".into(), messages_done: 3, ..Progress::default() },
            },
            Response::Plan { account: "lab".into(), text: "a\nb".into(), summary: summary.clone() },
            Response::Report { account: "lab".into(), summary },
            Response::Held {
                deletions: vec![Deletions {
                    account: "lab".into(),
                    mailbox: "INBOX".into(),
                    side: Side::Local,
                    count: 30,
                    of: 40,
                    approved: false,
                }],
                quarantined: vec![],
            },
            Response::Token(Lease { secret: "canary".into(), expires: None }),
            Response::Done,
            Response::Error(Refusal::new(Code::NeedsLogin, "x").with_hint("y")),
        ];
        for response in responses {
            let line = response.to_line().unwrap();
            assert_eq!(line.matches('\n').count(), 1, "one response is one line: {line}");
            assert_eq!(serde_json::from_str::<Response>(&line).unwrap(), response);
        }
    }

    #[test]
    fn another_version_is_named_before_the_request_is_read() {
        let refusal = Request::from_line(r#"{"version":2,"request":"from the future"}"#).unwrap_err();
        assert_eq!(refusal.code, Code::Version);
        assert!(refusal.message.contains("version 1") && refusal.message.contains("not 2"), "{refusal}");
    }

    #[test]
    fn nonsense_is_a_bad_request() {
        for line in ["", "{}", "[]", r#"{"version":1}"#, r#"{"version":1,"request":"fly"}"#, "\u{0}"] {
            assert_eq!(Request::from_line(line).unwrap_err().code, Code::BadRequest, "{line}");
        }
    }

    #[test]
    fn fields_and_codes_of_later_releases_are_tolerated() {
        let line = r#"{"version":1,"request":"sync","depth":3}"#;
        let plain = Request::Sync { accounts: vec![], mailbox: None, dry_run: false };
        assert_eq!(Request::from_line(line), Ok(plain));
        let line = r#"{"response":"report","account":"lab","downloaded":3,"new":1}"#;
        let summary = Summary { downloaded: 3, ..Summary::default() };
        let report = Response::Report { account: "lab".into(), summary };
        assert_eq!(serde_json::from_str::<Response>(line).unwrap(), report);
        let line = r#"{"response":"error","code":"eaten-by-a-whale","message":"m","new":1}"#;
        let Response::Error(refusal) = serde_json::from_str(line).unwrap() else { panic!("not an error") };
        assert_eq!(refusal, Refusal::new(Code::Failed, "m"));
    }
}
