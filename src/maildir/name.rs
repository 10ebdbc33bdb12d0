//! File names of a Maildir: making unique ones, reading flags from them, writing flags into them. Pure.
//!
//! A name is `unique` or `unique:2,LETTERS` (Maildir specification; RFC-less, written down by D. J. Bernstein). All
//! before `:2,` is the unique name, also fields such as Dovecot's `,S=123`. Letters that are not ours (Dovecot's
//! keywords `a`-`z`) survive every change of flags, and letters are always written sorted.
//!
//! Rejected: the UID in the file name (mbsync's `,U=`): readers that file a message elsewhere carry it along, and it
//! then names a message of another mailbox. The ledger is the identity.

use crate::mail::{Flags, UniqueName};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// What separates the unique name from the flags.
const INFO: &str = ":2,";

/// Makes unique names: time, process, counter, 64 random bits and host, so that neither two processes on one host nor
/// two hosts on one file system ever choose the same.
#[derive(Debug)]
pub(super) struct UniqueNames {
    pid: u32,
    host: String,
    count: AtomicU64,
}

impl UniqueNames {
    pub(super) fn new(pid: u32, host: &str) -> UniqueNames {
        // Bounded: a file name ends at 255 bytes, and readers append flags. `/` and `:` as the specification says.
        let short: String = host.chars().filter(|letter| !letter.is_control()).take(32).collect();
        let host = short.replace('/', "\\057").replace(':', "\\072");
        UniqueNames { pid, host, count: AtomicU64::new(0) }
    }

    pub(super) fn next(&self, now: SystemTime, random: u64) -> UniqueName {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let (seconds, micros) = (since.as_secs(), since.subsec_micros());
        let UniqueNames { pid, host, .. } = self;
        UniqueName::new(format!("{seconds}.M{micros}P{pid}Q{count}R{random:016x}.{host}"))
    }
}

/// Splits a file name into its unique part and the rest, which is empty or begins with `:2,`.
pub(super) fn split(name: &str) -> (&str, &str) {
    name.split_at(name.find(INFO).unwrap_or(name.len()))
}

/// The flags in what [`split`] calls the rest.
pub(super) fn flags(info: &str) -> Flags {
    Flags::from_maildir(letters(info).0)
}

/// The rest that says `flags`, with the foreign letters of `old` kept.
pub(super) fn reflag(old: &str, flags: Flags) -> String {
    let (old_letters, tail) = letters(old);
    let foreign =
        old_letters.chars().filter(|&letter| Flags::from_maildir(letter.encode_utf8(&mut [0; 4])).is_empty());
    let sorted: BTreeSet<char> = flags.maildir_letters().chars().chain(foreign).collect();
    format!("{INFO}{}{tail}", sorted.into_iter().collect::<String>())
}

/// The letters, and whatever follows them after a comma.
fn letters(info: &str) -> (&str, &str) {
    let all = info.strip_prefix(INFO).unwrap_or_default();
    all.split_at(all.find(',').unwrap_or(all.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_before_the_flags_belong_to_the_unique_name() {
        assert_eq!(split("12.M3P4.host,S=99,W=101:2,FS"), ("12.M3P4.host,S=99,W=101", ":2,FS"));
        assert_eq!(split("12.M3P4.host"), ("12.M3P4.host", ""));
        assert_eq!(split("x:1,old"), ("x:1,old", ""));
    }

    #[test]
    fn foreign_letters_and_fields_survive_a_change_of_flags() {
        assert_eq!(reflag(":2,FSab", Flags::SEEN | Flags::ANSWERED), ":2,RSab");
        assert_eq!(reflag(":2,S,x=1", Flags::NONE), ":2,,x=1");
        assert_eq!(reflag("", Flags::NONE), ":2,");
        assert_eq!(flags(":2,SaF,T"), Flags::SEEN | Flags::FLAGGED);
    }

    #[test]
    fn names_differ_and_a_hostile_host_name_adds_no_separator() {
        let names = UniqueNames::new(7, "a/b:2,S\n");
        let one = names.next(UNIX_EPOCH, 1);
        assert_ne!(one, names.next(UNIX_EPOCH, 1));
        assert_eq!(one.as_str(), "0.M0P7Q0R0000000000000001.a\\057b\\0722,S");
        assert_eq!(split(one.as_str()).1, "");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(info in "(:2,[A-Za-z]{0,8}(,.{0,5})?)?", bits in 0_u8..64) {
            let wanted = Flags::from_bits(bits);
            prop_assert_eq!(flags(&reflag(&info, wanted)), wanted);
            prop_assert_eq!(reflag(&reflag(&info, wanted), wanted), reflag(&info, wanted));
        }
    }
}
