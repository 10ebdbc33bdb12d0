//! How one side differs from the base. Pure.
//!
//! A full listing becomes a delta here; an answer that is a delta already (CHANGEDSINCE, VANISHED) passes through the
//! same door, so that fast and slow paths meet before anything is decided. Deltas carry the rows they speak of: the
//! base itself is not needed after this, and memory is O(changes).

use super::{Base, Gone, Listed, Listing, LocalView, Loose, RemoteView, Row, RowState, Since};
use crate::mail::{Flags, Uid, UniqueName};
use std::collections::{BTreeMap, BTreeSet};

/// How the server differs from the base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteDelta {
    /// Messages that the base does not know.
    pub new: BTreeMap<Uid, Listed>,
    /// Known messages with other flags than agreed, and the flags they have now.
    pub reflagged: BTreeMap<Uid, (Row, Flags)>,
    /// Known messages that the server no longer has.
    pub gone: BTreeMap<Uid, Row>,
}

/// How the Maildir differs from the base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalDelta {
    /// Files that the base does not know, whose upload was begun, or whose mailbox took nothing so far.
    pub new: BTreeMap<UniqueName, Flags>,
    /// Files that are not uploaded, because they were on the server: those that lost their pair with a changed
    /// UIDVALIDITY, and those whose upload was taken without a UID.
    pub orphans: BTreeMap<UniqueName, Flags>,
    /// Known messages whose file has other flags than agreed, and the flags it has now.
    pub reflagged: BTreeMap<Uid, (Row, Flags)>,
    /// Known messages whose file is gone.
    pub gone: BTreeMap<Uid, Row>,
    /// Loose names whose file is gone.
    pub unloosened: BTreeSet<UniqueName>,
}

impl RemoteDelta {
    /// Whether the server shows nothing but what was agreed.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.reflagged.is_empty() && self.gone.is_empty()
    }
}

impl LocalDelta {
    /// Whether the Maildir shows nothing but what was agreed.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.reflagged.is_empty() && self.gone.is_empty() && self.unloosened.is_empty()
    }
}

/// The delta of a mailbox opened with `since`.
///
/// Changes since some marks name every message at or above their UIDNEXT, so that a known one up there which they do
/// not name is gone, whatever the counts say: it came and went since.
pub fn remote(base: &Base, view: &RemoteView, since: Option<Since>) -> RemoteDelta {
    let all_named_from = since.and_then(|since| since.marks.uid_next);
    let shown = match &view.listing {
        Listing::Full(listed) => listed,
        Listing::Changes { changed, .. } => changed,
    };
    let mut delta = RemoteDelta { new: shown.clone(), ..RemoteDelta::default() };
    for row in &base.rows {
        match delta.new.remove(&row.uid) {
            Some(listed) => {
                let flags = masked(listed.flags, row.flags, view.storable);
                if flags != row.flags && row.state != RowState::Kept {
                    delta.reflagged.insert(row.uid, (row.clone(), flags));
                }
            }
            None if all_named_from.is_some_and(|next| row.uid >= next) || is_gone(&view.listing, row.uid) => {
                delta.gone.insert(row.uid, row.clone());
            }
            None => {}
        }
    }
    delta
}

/// The delta of a scanned directory.
pub fn local(base: &Base, view: &LocalView) -> LocalDelta {
    let mut delta = LocalDelta { new: view.files.clone(), ..LocalDelta::default() };
    for row in &base.rows {
        match delta.new.remove(&row.name) {
            _ if row.state == RowState::Kept => {}
            Some(flags) if flags != row.flags => {
                delta.reflagged.insert(row.uid, (row.clone(), flags));
            }
            Some(_) => {}
            None => {
                delta.gone.insert(row.uid, row.clone());
            }
        }
    }
    for (name, (kind, _)) in &base.loose {
        match (view.files.get(name), kind) {
            (None, _) => {
                delta.unloosened.insert(name.clone());
            }
            (Some(&flags), Loose::Orphan | Loose::Uploaded) => {
                delta.new.remove(name);
                delta.orphans.insert(name.clone(), flags);
            }
            (Some(_), Loose::Uploading | Loose::Stranger) => {}
        }
    }
    delta
}

/// Flags that the server cannot store are as they were agreed, whatever it shows.
fn masked(shown: Flags, agreed: Flags, storable: Flags) -> Flags {
    (shown & storable) | agreed.without(storable)
}

fn is_gone(listing: &Listing, uid: Uid) -> bool {
    match listing {
        Listing::Full(_) => true,
        Listing::Changes { gone: Gone::Nothing, .. } => false,
        Listing::Changes { gone: Gone::AllBut(present), .. } => !present.contains(uid),
        Listing::Changes { gone: Gone::These(vanished), .. } => vanished.contains(uid),
    }
}

#[cfg(test)]
mod tests {
    use super::super::DirectoryId;
    use super::super::Enough;
    use super::super::testing::{flags, listed, marks, name, row, uid};
    use super::*;

    fn view(listing: Listing, storable: Flags) -> RemoteView {
        RemoteView { marks: marks(1, 9, 3, None), read_only: false, storable, listing }
    }

    fn base() -> Base {
        Base { rows: vec![row(1, "a", "S"), row(2, "b", ""), row(3, "c", "F")], ..Base::default() }
    }

    #[test]
    fn full_listings_and_changes_give_the_same_delta() {
        let full = Listing::Full([(uid(1), listed("")), (uid(3), listed("F")), (uid(5), listed("S"))].into());
        let changes =
            |gone| Listing::Changes { changed: [(uid(1), listed("")), (uid(5), listed("S"))].into(), gone };
        let present = [uid(1), uid(3), uid(5)].into_iter().collect();
        let expected = remote(&base(), &view(full, Flags::ALL), None);
        assert_eq!(expected.new.keys().copied().collect::<Vec<_>>(), [uid(5)]);
        assert_eq!(expected.reflagged.keys().copied().collect::<Vec<_>>(), [uid(1)]);
        assert_eq!(expected.gone.keys().copied().collect::<Vec<_>>(), [uid(2)]);
        assert_eq!(remote(&base(), &view(changes(Gone::AllBut(present)), Flags::ALL), None), expected);
        let vanished = crate::mail::UidSet::range(uid(2), uid(2));
        assert_eq!(remote(&base(), &view(changes(Gone::These(vanished)), Flags::ALL), None), expected);
        let nothing = remote(&base(), &view(changes(Gone::Nothing), Flags::ALL), None);
        assert!(nothing.gone.is_empty());
        let since = Since { marks: marks(1, 2, 1, Some(1)), known: 1, enough: Enough::Everything };
        let came_and_went = remote(&base(), &view(changes(Gone::Nothing), Flags::ALL), Some(since));
        assert_eq!(came_and_went.gone.keys().copied().collect::<Vec<_>>(), [uid(2), uid(3)]);
    }

    #[test]
    fn a_flag_the_server_cannot_store_is_no_change() {
        let full = Listing::Full([(uid(1), listed("S")), (uid(2), listed("")), (uid(3), listed(""))].into());
        assert!(remote(&base(), &view(full, Flags::SEEN), None).is_empty());
    }

    #[test]
    fn files_are_new_reflagged_gone_or_orphans() {
        let mut base = base();
        base.loose.insert(name("o"), (Loose::Orphan, row(1, "o", "").likeness));
        base.loose.insert(name("u"), (Loose::Uploading, row(1, "u", "").likeness));
        base.loose.insert(name("x"), (Loose::Orphan, row(1, "x", "").likeness));
        let files = [("a", "S"), ("b", "S"), ("n", ""), ("o", ""), ("u", "D")];
        let files = files.into_iter().map(|(file, letters)| (name(file), flags(letters))).collect();
        let view = LocalView { directory: DirectoryId { device: 1, inode: 1 }, marked: true, files };
        let delta = local(&base, &view);
        assert_eq!(delta.new.keys().cloned().collect::<Vec<_>>(), [name("n"), name("u")]);
        assert_eq!(delta.orphans.keys().cloned().collect::<Vec<_>>(), [name("o")]);
        assert_eq!(delta.reflagged.keys().copied().collect::<Vec<_>>(), [uid(2)]);
        assert_eq!(delta.gone.keys().copied().collect::<Vec<_>>(), [uid(3)]);
        assert_eq!(delta.unloosened.iter().cloned().collect::<Vec<_>>(), [name("x")]);
    }
}
