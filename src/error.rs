//! What a failure means for the one who has to react to it.
//!
//! Every driver has its own error enum; each of them says its [`Class`]. The class alone decides what a worker does
//! next, so that no caller reads messages. Unknown failures are [`Class::Retry`]: giving up is the exception.

use std::time::Duration;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Passing trouble (network, throttling, full disk): try again later, not before `after` if the peer named one.
    Retry {
        /// The least time to wait that the peer asked for.
        after: Option<Duration>,
    },
    /// The account's token or password is refused: only a login helps.
    NeedsLogin,
    /// Login succeeded but the mailbox is refused by configuration or policy at the server.
    Denied,
    /// The configuration is wrong or names something that is not there: only the user can mend it.
    Configuration,
    /// Repeating cannot help: a bug, a contradiction, or a permanent refusal.
    GiveUp,
}

impl Class {
    /// Passing trouble without a named delay.
    pub const RETRY: Class = Class::Retry { after: None };
}

/// An error that knows its class.
pub trait Classified: std::error::Error + Send + Sync + 'static {
    /// What to do about it.
    fn class(&self) -> Class;

    /// One sentence that tells the user what to change, where there is something to change.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// The whole chain of an error on one line, joined by `: `, as logs and `status` show it.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
