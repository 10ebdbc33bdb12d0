//! The vocabulary of mail: identifiers, flags, names. No IO and no clock; std and a hash function only.
//!
//! Types here make wrong states unsayable: a UID is never zero, a set of UIDs is always sorted ranges, a mailbox name
//! is decoded UTF-8 with INBOX in one spelling. RFC 9051 (IMAP4rev2) and RFC 3501 give the terms.

mod fingerprint;
mod flags;
mod identity;
mod mailbox;
pub mod sasl;
mod uid;
mod uidl;
mod uidset;
mod unique;

pub use fingerprint::{Fingerprint, Sight};
pub use flags::Flags;
pub use identity::{IDENTITY_FIELDS, Identity, Sizer};
pub use mailbox::{MailboxName, SpecialUse};
pub use uid::{ModSeq, Uid, UidValidity};
pub use uidl::Uidl;
pub use uidset::UidSet;
pub use unique::UniqueName;
