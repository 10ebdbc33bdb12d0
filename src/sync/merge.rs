//! Flags of a message on both sides, merged bit by bit against what was agreed. Pure.
//!
//! The side that differs from the base wins; two that differ agree. A flag that the server cannot store is never sent.

use super::FlagChange;
use crate::mail::{Flags, Uid};

/// The outcome of a three-way merge of flags, as changes to either side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merge {
    /// To set on the server.
    pub remote_add: Flags,
    /// To clear on the server.
    pub remote_remove: Flags,
    /// To set on the file.
    pub local_add: Flags,
    /// To clear on the file.
    pub local_remove: Flags,
    /// What both sides then agree on.
    pub agreed: Flags,
}

/// Merges flags three ways; what the server cannot store counts as unchanged there.
pub fn merge(base: Flags, remote: Flags, local: Flags, storable: Flags) -> Merge {
    let agreed = Flags::merge(base, remote, local);
    Merge {
        remote_add: agreed.without(remote) & storable,
        remote_remove: remote.without(agreed) & storable,
        local_add: agreed.without(local),
        local_remove: local.without(agreed),
        agreed,
    }
}

impl Merge {
    /// The change to the server, if there is one.
    pub fn remote_change(&self, uid: Uid) -> Option<FlagChange> {
        let change = FlagChange { uid, add: self.remote_add, remove: self.remote_remove };
        (!(change.add | change.remove).is_empty()).then_some(change)
    }

    /// The flags of the file before it changes.
    pub fn local(&self) -> Flags {
        self.agreed.without(self.local_add) | self.local_remove
    }

    /// Whether the file changes.
    pub fn changes_file(&self) -> bool {
        !(self.local_add | self.local_remove).is_empty()
    }
}
