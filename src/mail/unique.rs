//! The unique part of a Maildir file name: what comes before `:2,`.
//!
//! It is stable while readers move a file between `new` and `cur` and change its flags; a reader that files a message
//! elsewhere may change it, so the ledger, not the name, is the identity of a message.

use std::fmt;

/// The part of a Maildir file name before `:2,`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniqueName(String);

impl UniqueName {
    /// The unique part as found or made.
    pub fn new(name: impl Into<String>) -> UniqueName {
        UniqueName(name.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UniqueName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
