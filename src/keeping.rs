//! How mail is kept on disk and against deletions: said in the configuration, done by `maildir` and `sync`.

use serde::{Deserialize, Serialize};

/// How mailboxes become directories below the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `Archive/2024` is `Archive/2024`, INBOX is `INBOX`.
    Nested,
    /// `Archive/2024` is `.Archive.2024`, INBOX is the root itself (Courier's Maildir++).
    #[serde(rename = "maildir++")]
    MaildirPlusPlus,
}

/// Line ends of the files in the Maildir.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineEndings {
    /// LF, as readers on Unix expect.
    Lf,
    /// CRLF, byte for byte what the server sent.
    Crlf,
}

/// What becomes of the server's copy when the local one is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDelete {
    /// It is moved to the Trash; inside the Trash it is expunged.
    #[default]
    Trash,
    /// It is expunged.
    Expunge,
    /// It stays.
    Keep,
}

/// How many deletions of one mailbox in one pass need no approval. Both must be exceeded to hold a plan back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletionLimit {
    /// Messages.
    pub messages: u32,
    /// Share of the mailbox, 0–100.
    pub percent: u8,
}

impl Default for DeletionLimit {
    /// A clean-up by hand stays below one of them, a lost directory exceeds both.
    fn default() -> DeletionLimit {
        DeletionLimit { messages: 20, percent: 25 }
    }
}

/// Which side messages disappeared from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// They are gone from the server; local copies would be removed.
    Remote,
    /// They are gone from the Maildir; the server's copies would be removed.
    Local,
}
