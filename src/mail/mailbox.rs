//! Mailbox names as people mean them: decoded UTF-8, hierarchy written with `/` whatever delimiter the server uses.
//!
//! INBOX has one spelling. A `/` or `%` inside one level is written `%2F` and `%25`, so that names stay distinct
//! when a server's delimiter is not `/`. The IMAP driver alone translates to and from the wire.

use std::fmt;

/// A mailbox: its levels joined by `/`. `inbox` in any case is `INBOX` (RFC 9051 §5.1); nothing else is changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxName(String);

/// The special uses that the program acts on (RFC 6154).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpecialUse {
    /// `\All`: every message, as in Gmail's All Mail.
    All,
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Flagged`
    Flagged,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl MailboxName {
    /// A name as written above, from the ledger or the configuration.
    pub fn new(name: impl Into<String>) -> MailboxName {
        let name = name.into();
        match name.get(..5) {
            Some(first)
                if first.eq_ignore_ascii_case("INBOX") && matches!(name.get(5..6), None | Some("/")) =>
            {
                MailboxName(format!("INBOX{}", name.get(5..).unwrap_or_default()))
            }
            _ => MailboxName(name),
        }
    }

    /// The mailbox every account has.
    pub fn inbox() -> MailboxName {
        MailboxName("INBOX".to_owned())
    }

    /// A name from its decoded levels.
    pub fn from_levels<'a>(levels: impl IntoIterator<Item = &'a str>) -> MailboxName {
        let escaped = levels.into_iter().map(|level| level.replace('%', "%25").replace('/', "%2F"));
        MailboxName::new(escaped.collect::<Vec<_>>().join("/"))
    }

    /// The decoded levels of the hierarchy.
    pub fn levels(&self) -> Vec<String> {
        self.0.split('/').map(|level| level.replace("%2F", "/").replace("%25", "%")).collect()
    }

    /// Whether this is INBOX itself.
    pub fn is_inbox(&self) -> bool {
        self.0 == "INBOX"
    }

    /// The name as written above.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl SpecialUse {
    /// The use of a LIST attribute (`\Sent`, any case), including the older XLIST spellings.
    pub fn from_attribute(attribute: &str) -> Option<SpecialUse> {
        let name = attribute.strip_prefix('\\')?.to_ascii_lowercase();
        Some(match name.as_str() {
            "all" | "allmail" => SpecialUse::All,
            "archive" => SpecialUse::Archive,
            "drafts" => SpecialUse::Drafts,
            "flagged" | "starred" => SpecialUse::Flagged,
            "junk" | "spam" => SpecialUse::Junk,
            "sent" => SpecialUse::Sent,
            "trash" => SpecialUse::Trash,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inbox_has_one_spelling_also_as_a_parent() {
        assert!(MailboxName::new("iNbOx").is_inbox());
        assert_eq!(MailboxName::new("inbox/a").as_str(), "INBOX/a");
        assert_eq!(MailboxName::new("inboxes").as_str(), "inboxes");
        assert_eq!(MailboxName::new("inboé").as_str(), "inboé");
    }

    #[test]
    fn levels_survive_whatever_is_in_them() {
        let name = MailboxName::from_levels(["a/b", "100%", "%2F"]);
        assert_eq!(name.as_str(), "a%2Fb/100%25/%252F");
        assert_eq!(name.levels(), ["a/b", "100%", "%2F"]);
    }
}
