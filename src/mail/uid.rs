//! UID, UIDVALIDITY and MODSEQ: three numbers that must never be mistaken for each other (RFC 9051 §2.3.1, RFC 7162).

use std::fmt;
use std::num::NonZeroU32;

/// A message's unique identifier inside one mailbox and one UIDVALIDITY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(NonZeroU32);

/// The generation of a mailbox's UIDs: when it changes, every UID known before is meaningless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UidValidity(NonZeroU32);

/// A modification sequence number (RFC 7162): 1 to 2^63-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModSeq(u64);

impl Uid {
    /// The largest UID there can be; asking for `1:MAX` means "all" without the oddities of `*`.
    pub const MAX: Uid = Uid(NonZeroU32::MAX);

    /// `None` for 0, which servers must not send.
    pub fn new(number: u32) -> Option<Uid> {
        NonZeroU32::new(number).map(Uid)
    }

    /// The number on the wire.
    pub fn value(self) -> u32 {
        self.0.get()
    }
}

impl UidValidity {
    /// The first generation: for mailboxes whose UIDs are our own.
    pub const ONE: UidValidity = UidValidity(NonZeroU32::MIN);

    /// `None` for 0, which servers must not send.
    pub fn new(number: u32) -> Option<UidValidity> {
        NonZeroU32::new(number).map(UidValidity)
    }

    /// The number on the wire.
    pub fn value(self) -> u32 {
        self.0.get()
    }
}

impl ModSeq {
    /// `None` for 0 ("no mod-sequences here") and for what does not fit 63 bits (RFC 7162 §3.1).
    pub fn new(number: u64) -> Option<ModSeq> {
        (1..=i64::MAX as u64).contains(&number).then_some(ModSeq(number))
    }

    /// The number on the wire.
    pub fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl fmt::Display for UidValidity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl fmt::Display for ModSeq {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}
