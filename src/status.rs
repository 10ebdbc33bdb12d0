//! What the daemon reports about itself: the documented, versioned shape of `posthaste status --json`.
//!
//! Workers fill it in, the control socket carries it, the command line prints it. Times are RFC 3339 in UTC.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

/// The version of this shape; raised when a field changes meaning or goes away, not when one is added.
pub const SCHEMA: u32 = 1;

/// The whole daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of the program.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Process id; 0 without a daemon.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pid: u32,
    /// When the daemon started.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "whole_seconds")]
    pub since: Option<Timestamp>,
    /// What is wrong with the daemon as a whole: a configuration that could not be reloaded, and where the mistake is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// Every configured account, by name.
    pub accounts: Vec<Account>,
    /// Queued messages that no account sends, as the configuration was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stranded: Vec<Stranded>,
}

/// A queue whose account is not configured any more, or has no way out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stranded {
    /// The account that queued them.
    pub account: String,
    /// Where they lie.
    pub queue: String,
    /// How many.
    pub messages: u64,
}

/// What an account is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Not yet connected for the first time.
    #[default]
    Starting,
    /// Dialling and logging in.
    Connecting,
    /// A pass is running.
    Syncing,
    /// All is in step; the server will tell of new mail.
    Watching,
    /// Trouble: the next attempt comes at `next_try`.
    Waiting,
    /// The token or password is refused.
    NeedsLogin,
    /// Login succeeds but the mailbox is refused.
    Denied,
    /// Deletions are held back for approval.
    Held,
    /// Stopped by the user or by an error that repeating cannot help.
    Stopped,
}

/// One account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name in the configuration.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// More words on that: a mailbox, a progress.
    pub detail: String,
    /// How it logged in: `XOAUTH2`, `OAUTHBEARER`, `PLAIN`.
    pub mechanism: Option<String>,
    /// When the access token in use expires.
    #[serde(serialize_with = "whole_seconds")]
    pub token_expires: Option<Timestamp>,
    /// When the server last said anything.
    #[serde(serialize_with = "whole_seconds")]
    pub last_contact: Option<Timestamp>,
    /// How new mail is learnt of: `idle`, `poll`; later `notify`.
    pub push: Option<String>,
    /// Its mailboxes, by name.
    pub mailboxes: Vec<Mailbox>,
    /// What waits in the queue.
    pub outbox: Outbox,
    /// Where files to be sent are dropped; `failed/` in it has what was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbox_path: Option<String>,
    /// What stands in the outbox and is not taken, and why: `letter.eml is empty`; the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<String>,
    /// How many deletions the guard holds back.
    pub deletions_held: u32,
    /// The error that stands, if one does.
    pub error: Option<String>,
    /// When the next attempt comes.
    #[serde(serialize_with = "whole_seconds")]
    pub next_try: Option<Timestamp>,
    /// What the user can do about it.
    pub hint: Option<String>,
    /// The login that is needed is another account's, which tells of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub told_elsewhere: bool,
}

/// One mailbox of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// Its name.
    pub name: String,
    /// How many messages both sides have.
    pub messages: u32,
    /// When a pass over it last ended complete.
    #[serde(serialize_with = "whole_seconds")]
    pub synced: Option<Timestamp>,
    /// Messages fetched since the daemon started.
    pub arrived: u64,
    /// Copies moved to quarantine since the daemon started.
    pub quarantined: u64,
    /// The error that stands in this mailbox alone, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What waits in the queue of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbox {
    /// Accepted and not yet sent.
    pub queued: u32,
    /// Held by the user.
    pub held: u32,
    /// Lost contact after the last byte: perhaps sent.
    pub uncertain: u32,
    /// Refused for good; see `failed/` in the outbox.
    pub failed: u32,
    /// When the first of what is queued is tried again, where it has to wait.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "whole_seconds")]
    pub next_try: Option<Timestamp>,
}

/// How far a pass over a mailbox is. Totals grow while the pass learns what there is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Name of the mailbox.
    pub mailbox: String,
    /// Messages transferred.
    pub messages_done: u64,
    /// Messages to transfer.
    pub messages_total: u64,
    /// Octets transferred.
    pub bytes_done: u64,
    /// Octets to transfer.
    pub bytes_total: u64,
}

/// What a pass over one account did, in numbers; of a dry run, what it would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Messages that were on both sides already and are known to be the same now.
    pub paired: u64,
    /// Messages fetched.
    pub downloaded: u64,
    /// Messages appended to the server.
    pub uploaded: u64,
    /// Messages moved to another mailbox of the server.
    pub moved: u64,
    /// Messages whose flags changed on either side.
    pub reflagged: u64,
    /// Local copies moved to quarantine.
    pub quarantined: u64,
    /// Messages taken out of mailboxes on the server.
    pub removed: u64,
    /// Deletions that the guard held back.
    pub held: u64,
    /// What went wrong, one line for each mailbox or message; empty means complete.
    pub errors: Vec<String>,
    /// Where only some mailboxes were asked for and the account has none of these: those that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unmatched: Option<Vec<String>>,
}

impl Status {
    /// The answer where no daemon runs.
    pub fn absent() -> Status {
        Status {
            schema: SCHEMA,
            version: String::new(),
            pid: 0,
            since: None,
            notice: None,
            accounts: Vec::new(),
            stranded: Vec::new(),
        }
    }
}

/// Nobody reads fractions of a second in a status.
fn whole_seconds<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    time.map(|time| Timestamp::from_second(time.as_second()).unwrap_or(time)).serialize(to)
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_daemon_the_shape_is_the_documented_one() {
        assert_eq!(serde_json::to_string(&Status::absent()).unwrap(), r#"{"schema":1,"accounts":[]}"#);
    }

    #[test]
    fn times_are_whole_seconds_in_utc() {
        let account =
            Account { last_contact: "2026-11-22T08:10:00.987654Z".parse().ok(), ..Account::default() };
        let text = serde_json::to_string(&account).unwrap();
        assert!(text.contains(r#""last_contact":"2026-11-22T08:10:00Z""#), "{text}");
    }

    #[test]
    fn states_are_kebab_case() {
        assert_eq!(serde_json::to_string(&State::NeedsLogin).unwrap(), r#""needs-login""#);
    }
}
