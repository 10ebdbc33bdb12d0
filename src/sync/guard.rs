//! What may stop a plan: too many deletions, or a directory that is not the one we knew. Pure.

use super::{DirectoryId, Held, Seen};
use crate::keeping::{DeletionLimit, Side};

/// Whether `count` deletions out of `of` messages must wait for the user: `None` lets them through. `recent` were deleted a
/// moment ago: a mass deletion seen in slices is still one.
pub fn hold(
    limit: DeletionLimit,
    side: Side,
    count: usize,
    of: u32,
    recent: u32,
    before: &[Held],
) -> Option<Held> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let (all, whole) = (u64::from(count) + u64::from(recent), u64::from(of) + u64::from(recent));
    let many = count > 0 && all > u64::from(limit.messages) && all * 100 > u64::from(limit.percent) * whole;
    let approved = before.iter().any(|held| held.side == side && held.approved && count <= held.count);
    (many && !approved).then_some(Held { side, count, of, approved: false })
}

/// What a scanned directory proves about missing files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// The directory of last time: a missing file was deleted.
    Firm,
    /// Ours, but restored, moved to another disk, or without its marker: a missing file is fetched again.
    Moved,
    /// Missing, or a stranger in its place (an unmounted disk): nothing may be concluded or written.
    Lost,
}

/// Judges the directory seen against the one known.
pub fn ground(known: DirectoryId, seen: Option<Seen>) -> Ground {
    match seen {
        None => Ground::Lost,
        Some(seen) => match (seen.directory == known, seen.marked) {
            (true, true) => Ground::Firm,
            (true, false) | (false, true) => Ground::Moved,
            (false, false) => Ground::Lost,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_must_be_exceeded() {
        let hold = |count, of| hold(DeletionLimit::default(), Side::Local, count, of, 0, &[]);
        assert_eq!(hold(20, 20), None);
        assert_eq!(hold(21, 84), None);
        assert_eq!(hold(21, 83), Some(Held { side: Side::Local, count: 21, of: 83, approved: false }));
    }

    #[test]
    fn a_mass_deletion_seen_in_slices_is_one() {
        let hold = |count, of, recent| hold(DeletionLimit::default(), Side::Local, count, of, recent, &[]);
        assert_eq!(hold(15, 60, 0), None);
        assert!(hold(15, 45, 15).is_some());
        assert_eq!(hold(0, 45, 30), None);
    }

    #[test]
    fn an_approval_covers_its_side_and_no_more_than_was_approved() {
        let approved = [Held { side: Side::Local, count: 30, of: 40, approved: true }];
        let hold = |side, count| hold(DeletionLimit::default(), side, count, 40, 0, &approved);
        assert_eq!(hold(Side::Local, 30), None);
        assert!(hold(Side::Local, 31).is_some());
        assert!(hold(Side::Remote, 30).is_some());
    }

    #[test]
    fn only_the_same_marked_directory_is_firm_ground() {
        let known = DirectoryId { device: 1, inode: 2 };
        let seen = |inode, marked| Some(Seen { directory: DirectoryId { device: 1, inode }, marked });
        assert_eq!(ground(known, seen(2, true)), Ground::Firm);
        assert_eq!(ground(known, seen(3, true)), Ground::Moved);
        assert_eq!(ground(known, seen(2, false)), Ground::Moved);
        assert_eq!(ground(known, seen(3, false)), Ground::Lost);
        assert_eq!(ground(known, None), Ground::Lost);
    }
}
