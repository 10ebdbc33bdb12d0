//! Moves that the user made: a file that left one mailbox and stands in another, or under another name. Pure.
//!
//! A part of [`super::plan`]: it turns a disappearance and an appearance into one step, so that the message keeps its
//! content on the server and does not go to the Trash. What is alike decides, as in [`super::pair`].

use super::Likeness;
use super::merge::merge;
use super::pair::Candidate;
use super::plan::{Move, Observed, Plan};
use crate::mail::{Identity, MailboxName, Uid, UniqueName};
use std::collections::{BTreeMap, BTreeSet};

/// A move on a server without MOVE is a copy and an expunge. Where it was cut off between the two, the copy that was begun
/// has just been adopted, or is new in the Trash that deletions go to, and the file is gone from its old mailbox: what
/// stands there is the second half. A copy that nobody began proves nothing.
pub(super) fn finish(observed: &mut [Observed], trash: Option<&MailboxName>, plan: &mut Plan) {
    let adopted = observed.iter().flat_map(|mailbox| {
        let rows =
            plan.mailboxes.get(&mailbox.mailbox).map(|steps| steps.adopt.as_slice()).unwrap_or_default();
        let begun = rows.iter().filter(|row| mailbox.begun.contains(&row.name));
        begun.map(|row| (mailbox.mailbox.clone(), row.likeness))
    });
    let trashed = observed.iter().filter(|mailbox| Some(&mailbox.mailbox) == trash).flat_map(|mailbox| {
        let new = mailbox.remote_likeness.iter().filter(|(uid, _)| mailbox.remote.new.contains_key(uid));
        new.map(|(_, likeness)| (mailbox.mailbox.clone(), *likeness))
    });
    let arrived: Vec<(MailboxName, Likeness)> =
        adopted.chain(trashed).filter(|(_, likeness)| likeness.identity.is_strong()).collect();
    for (to, likeness) in arrived {
        let left = observed
            .iter_mut()
            .filter(|mailbox| mailbox.mailbox != to && !mailbox.read_only)
            .find_map(|mailbox| {
                let (&uid, _) = mailbox.local.gone.iter().find(|(_, row)| row.likeness == likeness)?;
                mailbox.local.gone.remove(&uid);
                Some((mailbox.mailbox.clone(), uid))
            });
        if let Some((from, uid)) = left
            && let Some(steps) = plan.mailboxes.get_mut(&from)
        {
            steps.discard.push(uid);
        }
    }
}

/// A file gone from the mailbox with this index, and its row.
type Source = (usize, Uid);

/// Matches files that appeared with files that disappeared anywhere in the pass.
pub(super) fn find(observed: &mut [Observed], plan: &mut Plan) {
    let mut sources: BTreeMap<Identity, Vec<Source>> = BTreeMap::new();
    for (index, mailbox) in observed.iter().enumerate().filter(|(_, mailbox)| !mailbox.read_only) {
        for (uid, row) in mailbox.local.gone.iter().filter(|(uid, _)| !mailbox.remote.gone.contains_key(uid))
        {
            sources.entry(row.likeness.identity).or_default().push((index, *uid));
        }
    }
    for target in 0..observed.len() {
        for (name, source, likeness) in matches(observed, target, &sources) {
            if let Some(list) = sources.get_mut(&likeness.identity) {
                let before = list.len();
                list.retain(|known| *known != source);
                if list.len() < before {
                    carry(observed, target, source, (name, likeness), plan);
                }
            }
        }
    }
}

/// For each new file of a mailbox the best source: the one of the same name, else of the same size, else of the same
/// mailbox, else any; without a Message-ID only the same name proves a move. A file that is not the same text is none of
/// these: it is uploaded, and the old text deleted.
fn matches(
    observed: &[Observed],
    target: usize,
    sources: &BTreeMap<Identity, Vec<Source>>,
) -> Vec<(UniqueName, Source, Likeness)> {
    let Some(mailbox) = observed.get(target).filter(|mailbox| !mailbox.read_only) else { return Vec::new() };
    let mut taken: BTreeSet<Source> = BTreeSet::new();
    let mut found = Vec::new();
    for name in mailbox.local.new.keys() {
        let Some(&Candidate { likeness, by_readers, .. }) = mailbox.candidates.get(name) else { continue };
        let free =
            sources.get(&likeness.identity).into_iter().flatten().filter(|source| !taken.contains(*source));
        let row = |&(index, uid): &Source| observed.get(index).and_then(|from| from.local.gone.get(&uid));
        // What else grew, or grew in its own mailbox, was edited: it is another text.
        let allowed = |source: &Source| if source.0 == target { 0 } else { by_readers };
        let growth =
            |source: &Source| row(source).and_then(|row| likeness.size.checked_sub(row.likeness.size));
        let is_other_name = |source: &Source| row(source).is_none_or(|row| row.name != *name);
        let best = free.filter(|source| match likeness.identity.is_strong() {
            true => growth(source).is_some_and(|octets| octets <= allowed(source)),
            false => growth(source) == Some(0) && !is_other_name(source),
        });
        if let Some(&source) =
            best.min_by_key(|source| (is_other_name(source), growth(source), source.0 != target, **source))
        {
            taken.insert(source);
            found.push((name.clone(), source, likeness));
        }
    }
    found
}

/// Turns a match into a rename within a mailbox or a move between two.
fn carry(
    observed: &mut [Observed],
    target: usize,
    (index, uid): Source,
    (name, likeness): (UniqueName, Likeness),
    plan: &mut Plan,
) {
    let Some((to, local)) = observed
        .get_mut(target)
        .and_then(|mailbox| Some((mailbox.mailbox.clone(), mailbox.local.new.remove(&name)?)))
    else {
        return;
    };
    let Some(from) = observed.get_mut(index) else { return };
    let (Some(row), Some(steps)) = (from.local.gone.remove(&uid), plan.mailboxes.get_mut(&from.mailbox))
    else {
        return;
    };
    let remote = from.remote.reflagged.remove(&uid).map_or(row.flags, |(_, flags)| flags);
    let merge = merge(row.flags, remote, local, from.storable);
    if index == target {
        steps.rename.push((uid, name.clone()));
        steps.push_reflag(uid, name, merge, row.flags);
    } else {
        steps.moves.push(Move { row, to, name, likeness, merge });
    }
}
