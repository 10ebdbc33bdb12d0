//! Pairing of messages that the base does not know on either side. Pure.
//!
//! This is what makes a lost ledger, a changed UIDVALIDITY, an interrupted upload and a move without COPYUID harmless:
//! what is alike on both sides is one message, and is neither fetched nor uploaded. A wrong pair would hide a message,
//! a missed pair only doubles one, so doubt means "not a pair".

use super::Likeness;
use crate::mail::{Uid, UniqueName};
use std::collections::BTreeMap;

/// A local candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// How it is recognised.
    pub likeness: Likeness,
    /// Whether it is known to have been on the server (an orphan, a begun upload, a lost base): then the same
    /// Message-ID is enough even where the sizes differ, because Exchange only estimates RFC822.SIZE.
    pub was_paired: bool,
    /// Octets of header fields that a reader may have added.
    pub by_readers: u64,
}

/// Pairs server messages with files, in ascending order of UID and name where several are alike.
pub fn pair(
    remote: &BTreeMap<Uid, Likeness>,
    local: &BTreeMap<UniqueName, Candidate>,
) -> BTreeMap<Uid, UniqueName> {
    let mut pairs = BTreeMap::new();
    for (likeness, (uids, names)) in groups(remote, local, |likeness| likeness) {
        let sure =
            likeness.identity.is_strong() || uids.len() == names.len() || all_were_paired(&names, local);
        if sure {
            pairs.extend(uids.into_iter().zip(names.into_iter().cloned()));
        }
    }
    let remote =
        remote.iter().filter(|(uid, _)| !pairs.contains_key(uid)).map(|(&uid, &likeness)| (uid, likeness));
    let remote = remote.collect();
    let local = local
        .iter()
        .filter(|(name, candidate)| candidate.was_paired && !pairs.values().any(|used| used == *name));
    let local = local.map(|(name, &candidate)| (name.clone(), candidate)).collect();
    for (identity, (uids, names)) in groups(&remote, &local, |likeness| likeness.identity) {
        if let ([uid], [name], true) = (uids.as_slice(), names.as_slice(), identity.is_strong()) {
            pairs.insert(*uid, (*name).clone());
        }
    }
    pairs
}

type Group<'a> = (Vec<Uid>, Vec<&'a UniqueName>);

/// Both sides sorted into groups of equal keys; groups with only one side are left out.
fn groups<'a, K: Ord>(
    remote: &BTreeMap<Uid, Likeness>,
    local: &'a BTreeMap<UniqueName, Candidate>,
    key: impl Fn(Likeness) -> K,
) -> BTreeMap<K, Group<'a>> {
    let mut groups: BTreeMap<K, Group<'a>> = BTreeMap::new();
    for (&uid, &likeness) in remote {
        groups.entry(key(likeness)).or_default().0.push(uid);
    }
    for (name, candidate) in local {
        groups.entry(key(candidate.likeness)).or_default().1.push(name);
    }
    groups.retain(|_, (uids, names)| !uids.is_empty() && !names.is_empty());
    groups
}

fn all_were_paired(names: &[&UniqueName], local: &BTreeMap<UniqueName, Candidate>) -> bool {
    names.iter().all(|name| local.get(*name).is_some_and(|candidate| candidate.was_paired))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{likeness, name, uid, weak};
    use super::*;

    fn candidates(list: &[(&str, Likeness, bool)]) -> BTreeMap<UniqueName, Candidate> {
        let one = |&(file, likeness, was_paired): &(&str, Likeness, bool)| {
            (name(file), Candidate { likeness, was_paired, by_readers: 0 })
        };
        list.iter().map(one).collect()
    }

    #[test]
    fn the_same_message_id_and_size_is_one_message() {
        let remote =
            [(uid(1), likeness("a", 10)), (uid(2), likeness("b", 10)), (uid(3), likeness("c", 10))].into();
        let local = candidates(&[("x", likeness("b", 10), false), ("y", likeness("c", 11), false)]);
        assert_eq!(pair(&remote, &local), [(uid(2), name("x"))].into());
    }

    #[test]
    fn copies_pair_in_order_and_the_surplus_stays() {
        let remote =
            [(uid(1), likeness("a", 10)), (uid(2), likeness("a", 10)), (uid(3), likeness("a", 10))].into();
        let local = candidates(&[("x", likeness("a", 10), false), ("y", likeness("a", 10), false)]);
        assert_eq!(pair(&remote, &local), [(uid(1), name("x")), (uid(2), name("y"))].into());
    }

    #[test]
    fn an_estimated_size_matters_only_for_strangers() {
        let remote = [(uid(1), likeness("a", 10)), (uid(2), likeness("b", 10))].into();
        let local = candidates(&[("x", likeness("a", 12), true), ("y", likeness("b", 12), false)]);
        assert_eq!(pair(&remote, &local), [(uid(1), name("x"))].into());
    }

    #[test]
    fn weak_identities_pair_only_without_doubt() {
        let remote = [(uid(1), weak("a", 10)), (uid(2), weak("a", 10)), (uid(3), weak("b", 10))].into();
        let local = candidates(&[("x", weak("a", 10), false), ("y", weak("b", 10), false)]);
        assert_eq!(pair(&remote, &local), [(uid(3), name("y"))].into());
    }
}
