//! Short constructors for tests.

use super::{Likeness, Listed, Marks, Row, RowState};
use crate::mail::{Flags, Identity, ModSeq, Uid, UidValidity, UniqueName};

pub(super) fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

pub(super) fn name(text: &str) -> UniqueName {
    UniqueName::new(text)
}

pub(super) fn flags(letters: &str) -> Flags {
    Flags::from_maildir(letters)
}

pub(super) fn listed(letters: &str) -> Listed {
    Listed { flags: flags(letters), size: None }
}

pub(super) fn likeness(message_id: &str, size: u64) -> Likeness {
    Likeness { identity: Identity::from_header(format!("Message-ID: {message_id}\n\n").as_bytes()), size }
}

pub(super) fn weak(subject: &str, size: u64) -> Likeness {
    Likeness { identity: Identity::from_header(format!("Subject: {subject}\n\n").as_bytes()), size }
}

pub(super) fn row(number: u32, file: &str, letters: &str) -> Row {
    let likeness = likeness(file, 10);
    Row { uid: uid(number), name: name(file), flags: flags(letters), likeness, state: RowState::Settled }
}

pub(super) fn marks(uid_validity: u32, uid_next: u32, messages: u32, modseq: Option<u64>) -> Marks {
    Marks {
        uid_validity: UidValidity::new(uid_validity).unwrap(),
        uid_next: Uid::new(uid_next),
        messages,
        modseq: modseq.and_then(ModSeq::new),
    }
}
