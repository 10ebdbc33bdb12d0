//! Message flags that both IMAP and Maildir can store.
//!
//! IMAP system flags (RFC 9051 §2.3.2) and `$Forwarded` (RFC 5788) on one side, the letters of the Maildir
//! specification (D F P R S T) on the other. `\Recent` is the server's own business and is not a flag here.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitXor, Not};

/// A set of flags; the natural merge is bit by bit.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flags(u8);

/// (flag, name on the IMAP wire, Maildir letter), in the order of the letters.
const TABLE: [(Flags, &str, char); 6] = [
    (Flags::DRAFT, "\\Draft", 'D'),
    (Flags::FLAGGED, "\\Flagged", 'F'),
    (Flags::FORWARDED, "$Forwarded", 'P'),
    (Flags::ANSWERED, "\\Answered", 'R'),
    (Flags::SEEN, "\\Seen", 'S'),
    (Flags::DELETED, "\\Deleted", 'T'),
];

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);
    /// `\Draft`, Maildir `D`.
    pub const DRAFT: Flags = Flags(1);
    /// `\Flagged`, Maildir `F`.
    pub const FLAGGED: Flags = Flags(2);
    /// `$Forwarded`, Maildir `P` (passed).
    pub const FORWARDED: Flags = Flags(4);
    /// `\Answered`, Maildir `R` (replied).
    pub const ANSWERED: Flags = Flags(8);
    /// `\Seen`, Maildir `S`.
    pub const SEEN: Flags = Flags(16);
    /// `\Deleted`, Maildir `T` (trashed): a mark, not a deletion.
    pub const DELETED: Flags = Flags(32);
    /// Every flag there is.
    pub const ALL: Flags = Flags(63);

    /// Flags from stored bits; unknown bits are dropped.
    pub fn from_bits(bits: u8) -> Flags {
        Flags(bits & Flags::ALL.0)
    }

    /// The bits, for storage.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether all of `other` is set.
    pub fn contains(self, other: Flags) -> bool {
        self & other == other
    }

    /// Whether no flag is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is set here and not in `other`.
    pub fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// The flag of an IMAP name in any case; `None` for keywords that Maildir cannot hold.
    pub fn from_imap(name: &str) -> Option<Flags> {
        if name.eq_ignore_ascii_case("Forwarded") {
            return Some(Flags::FORWARDED);
        }
        TABLE.iter().find(|(_, imap, _)| imap.eq_ignore_ascii_case(name)).map(|&(flag, _, _)| flag)
    }

    /// The names on the IMAP wire.
    pub fn imap_names(self) -> impl Iterator<Item = &'static str> {
        TABLE.into_iter().filter(move |&(flag, _, _)| self.contains(flag)).map(|(_, name, _)| name)
    }

    /// Flags from the letters after `:2,`; other letters (a reader's own) are ignored here and kept by the driver.
    pub fn from_maildir(letters: &str) -> Flags {
        letters
            .chars()
            .filter_map(|letter| TABLE.iter().find(|&&(_, _, known)| known == letter))
            .fold(Flags::NONE, |all, &(flag, _, _)| all | flag)
    }

    /// The Maildir letters in alphabetical order, as readers expect them.
    pub fn maildir_letters(self) -> String {
        TABLE.into_iter().filter(|&(flag, _, _)| self.contains(flag)).map(|(_, _, letter)| letter).collect()
    }

    /// Three-way merge, bit by bit: the side that differs from the base wins; where both differ they agree.
    pub fn merge(base: Flags, one: Flags, other: Flags) -> Flags {
        base ^ ((base ^ one) | (base ^ other))
    }
}

impl BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl BitAnd for Flags {
    type Output = Flags;
    fn bitand(self, other: Flags) -> Flags {
        Flags(self.0 & other.0)
    }
}

impl BitXor for Flags {
    type Output = Flags;
    fn bitxor(self, other: Flags) -> Flags {
        Flags(self.0 ^ other.0)
    }
}

impl Not for Flags {
    type Output = Flags;
    fn not(self) -> Flags {
        Flags(!self.0 & Flags::ALL.0)
    }
}

impl FromIterator<Flags> for Flags {
    fn from_iter<I: IntoIterator<Item = Flags>>(flags: I) -> Flags {
        flags.into_iter().fold(Flags::NONE, |all, flag| all | flag)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Flags({})", self.maildir_letters())
    }
}

/// As on the IMAP wire, without parentheses: `\Flagged \Seen`.
impl fmt::Display for Flags {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, name) in self.imap_names().enumerate() {
            if position > 0 {
                out.write_str(" ")?;
            }
            out.write_str(name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_worlds_name_the_same_flags() {
        let flags = Flags::SEEN | Flags::FORWARDED | Flags::DELETED;
        assert_eq!(flags.maildir_letters(), "PST");
        assert_eq!(flags.to_string(), "$Forwarded \\Seen \\Deleted");
        assert_eq!(Flags::from_maildir("TaSbP"), flags);
        assert_eq!(Flags::from_imap("\\sEEN"), Some(Flags::SEEN));
        assert_eq!(Flags::from_imap("\\Recent"), None);
        assert_eq!(Flags::from_imap("Junk"), None);
    }

    proptest! {
        #[test]
        fn a_merge_takes_each_bit_from_the_side_that_changed_it(base in 0_u8..64, one in 0_u8..64, other in 0_u8..64) {
            let (base, one, other) = (Flags::from_bits(base), Flags::from_bits(one), Flags::from_bits(other));
            let merged = Flags::merge(base, one, other);
            for bit in TABLE.map(|(flag, _, _)| flag) {
                let expected = if one & bit != base & bit { one & bit } else { other & bit };
                prop_assert_eq!(merged & bit, expected);
            }
        }
    }
}
