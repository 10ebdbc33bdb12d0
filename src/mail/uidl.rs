//! The unique-id of a message in a POP3 maildrop (RFC 1939 §7).
//!
//! A server shall never give one twice, and some do: copies of one mail may have equal ids. The second of them in a
//! listing is told from the first by a number behind a blank, which no id can hold. Pure.

use std::fmt;

/// A message's unique-id, and which of several equal ones in a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uidl(String);

impl Uidl {
    /// The id as on the wire, found `before` times already in the same listing; `None` for an empty one, or one with
    /// blanks. Octets that are no ASCII are kept apart from each other.
    pub fn new(wire: &[u8], before: usize) -> Option<Uidl> {
        let is_id = !wire.is_empty() && !wire.iter().any(|octet| octet.is_ascii_whitespace());
        let mut text: String = wire.iter().map(|&octet| char::from(octet)).collect();
        if before > 0 {
            text.push_str(&format!(" {}", before + 1));
        }
        is_id.then_some(Uidl(text))
    }

    /// An id read back from storage.
    pub fn from_stored(text: String) -> Uidl {
        Uidl(text)
    }

    /// The text, for storage.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uidl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_default().fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ids_of_one_listing_are_told_apart_and_no_id_can_forge_that() {
        assert_eq!(Uidl::new(b"whqtswO00WBw418f9t5JxYwZ", 0).unwrap().as_str(), "whqtswO00WBw418f9t5JxYwZ");
        assert_eq!(Uidl::new(b"a", 1).unwrap().as_str(), "a 2");
        assert_eq!(Uidl::new(b"a 2", 0), None);
        assert_eq!(Uidl::new(b"", 0), None);
        assert_ne!(Uidl::new(b"\xe9", 0), Uidl::new(b"\xe8", 0));
    }
}
