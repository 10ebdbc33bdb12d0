//! A set of UIDs as sorted, disjoint ranges: what IMAP calls a sequence set (RFC 9051 §9).
//!
//! Servers send huge and reversed ranges (`1:4294967295`, `10:5`); nothing here is ever proportional to the numbers
//! inside a range, only to the count of ranges, except [`UidSet::iter`], which callers use on sets they made.

use super::Uid;
use std::fmt;

/// Sorted, disjoint, non-adjacent inclusive ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UidSet {
    ranges: Vec<(u32, u32)>,
}

impl UidSet {
    /// The empty set.
    pub fn new() -> UidSet {
        UidSet::default()
    }

    /// Every UID from `first` to `last`, in whichever order they are given (RFC 9051: `4:2` is `2:4`).
    pub fn range(first: Uid, last: Uid) -> UidSet {
        let mut set = UidSet::new();
        set.insert_range(first, last);
        set
    }

    /// Every UID from `first` on.
    pub fn from_on(first: Uid) -> UidSet {
        UidSet::range(first, Uid::MAX)
    }

    /// Adds one UID.
    pub fn insert(&mut self, uid: Uid) {
        self.insert_range(uid, uid);
    }

    /// Adds an inclusive range, given in either order.
    pub fn insert_range(&mut self, one: Uid, other: Uid) {
        let (mut low, mut high) = (one.value().min(other.value()), one.value().max(other.value()));
        let start = self.ranges.partition_point(|&(_, end)| end.saturating_add(1) < low);
        let stop = self.ranges.partition_point(|&(begin, _)| begin <= high.saturating_add(1));
        for &(begin, end) in self.ranges.get(start..stop).unwrap_or_default() {
            low = low.min(begin);
            high = high.max(end);
        }
        self.ranges.splice(start..stop.max(start), [(low, high)]);
    }

    /// Whether the set holds `uid`.
    pub fn contains(&self, uid: Uid) -> bool {
        let at = self.ranges.partition_point(|&(_, end)| end < uid.value());
        self.ranges.get(at).is_some_and(|&(begin, _)| begin <= uid.value())
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many UIDs it holds.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|&(begin, end)| u64::from(end - begin) + 1).sum()
    }

    /// Every UID in ascending order. Only for sets whose size the caller knows.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.ranges.iter().flat_map(|&(begin, end)| (begin..=end).filter_map(Uid::new))
    }

    /// Cuts the set into pieces of at most `count` UIDs each, in ascending order.
    pub fn chunks(&self, count: usize) -> Vec<UidSet> {
        let mut pieces = Vec::new();
        let mut piece = UidSet::new();
        let mut room = count.max(1) as u64;
        for &(mut begin, end) in &self.ranges {
            loop {
                let take = room.min(u64::from(end - begin) + 1);
                let last = begin + (take - 1) as u32;
                piece.ranges.push((begin, last));
                room -= take;
                if room == 0 {
                    pieces.push(std::mem::take(&mut piece));
                    room = count.max(1) as u64;
                }
                if last == end {
                    break;
                }
                begin = last + 1;
            }
        }
        if !piece.is_empty() {
            pieces.push(piece);
        }
        pieces
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> UidSet {
        let mut set = UidSet::new();
        for uid in uids {
            set.insert(uid);
        }
        set
    }
}

impl Extend<Uid> for UidSet {
    fn extend<I: IntoIterator<Item = Uid>>(&mut self, uids: I) {
        for uid in uids {
            self.insert(uid);
        }
    }
}

/// As on the wire: `1:3,7`. The empty set has no wire form and prints as nothing.
impl fmt::Display for UidSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, &(begin, end)) in self.ranges.iter().enumerate() {
            if position > 0 {
                out.write_str(",")?;
            }
            if begin == end {
                write!(out, "{begin}")?;
            } else {
                write!(out, "{begin}:{end}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    #[test]
    fn reversed_and_touching_ranges_join() {
        let mut set = UidSet::range(uid(10), uid(5));
        set.insert(uid(11));
        set.insert(uid(3));
        assert_eq!(set.to_string(), "3,5:11");
        set.insert(uid(4));
        assert_eq!(set.to_string(), "3:11");
        set.insert_range(uid(1), Uid::MAX);
        assert_eq!(set.to_string(), "1:4294967295");
        assert_eq!(set.len(), u64::from(u32::MAX));
    }

    proptest! {
        #[test]
        fn behaves_like_a_plain_set(numbers in proptest::collection::vec(1_u32..200, 0..60), size in 1_usize..20) {
            let model: BTreeSet<u32> = numbers.iter().copied().collect();
            let set: UidSet = numbers.iter().map(|&number| uid(number)).collect();
            prop_assert_eq!(set.iter().map(Uid::value).collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(set.len(), model.len() as u64);
            for number in 1..200 {
                prop_assert_eq!(set.contains(uid(number)), model.contains(&number));
            }
            let pieces = set.chunks(size);
            prop_assert!(pieces.iter().all(|piece| piece.len() <= size as u64));
            let joined: Vec<u32> = pieces.iter().flat_map(|piece| piece.iter().map(Uid::value)).collect();
            prop_assert_eq!(joined, model.into_iter().collect::<Vec<_>>());
        }
    }
}
