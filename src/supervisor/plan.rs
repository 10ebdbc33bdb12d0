//! What to do with units: pure.
//!
//! Two decisions live here: which units start, stop and are replaced when the wanted ones change, and whether a unit
//! that ended runs again. Both are functions of their arguments; clock and randomness are passed in.

use super::End;
use crate::backoff::Backoff;
use crate::error::Class;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What to do with one unit, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is no longer wanted.
    Stop(String),
    /// It is wanted with another specification, or anew.
    Replace(String),
    /// It is new.
    Start(String),
}

/// The steps from the units that run to the wanted ones; units that stay the same have none, except those wanted `anew`.
pub fn plan<S: PartialEq>(
    running: &BTreeMap<String, S>,
    wanted: &BTreeMap<String, S>,
    anew: &BTreeSet<String>,
) -> Vec<Action> {
    let stops = running.keys().filter(|name| !wanted.contains_key(*name)).cloned().map(Action::Stop);
    let others = wanted.iter().filter_map(|(name, spec)| match running.get(name) {
        None => Some(Action::Start(name.clone())),
        Some(same) if same == spec && !anew.contains(name) => None,
        Some(_) => Some(Action::Replace(name.clone())),
    });
    stops.chain(others).collect()
}

/// When a unit that ended runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Law {
    /// The pauses between attempts.
    pub backoff: Backoff,
    /// A run of this length was a good one: attempts are counted anew after it.
    pub settled: Duration,
}

impl Law {
    /// For workers that hold connections: as patient as their servers deserve; a minute is longer than any
    /// connection takes to fail.
    pub const WORKER: Law = Law { backoff: Backoff::CONNECTION, settled: Duration::from_secs(60) };
}

/// What follows the end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Run again after the pause; this many attempts have failed in a row.
    Again {
        /// How long to wait.
        pause: Duration,
        /// Attempts that failed in a row.
        failed: u32,
    },
    /// Stay down until revived or replaced.
    Down,
}

impl Law {
    /// What follows a run that ended so after `lived`, when `failed` attempts before it failed in a row; `random` is
    /// uniform in 0..1. A panic counts as passing trouble: the data that caused it may be gone the next time.
    pub fn next(&self, end: &End, lived: Duration, failed: u32, random: f64) -> Next {
        let failed = if lived >= self.settled { 0 } else { failed };
        let least = match end {
            End::Panicked(_) => Duration::ZERO,
            End::Failed(failure) => match failure.class {
                Class::Retry { after } => after.unwrap_or_default(),
                Class::NeedsLogin | Class::Denied | Class::Configuration | Class::GiveUp => {
                    return Next::Down;
                }
            },
            End::Finished => return Next::Down,
        };
        let pause = self.backoff.delay(failed, random).max(least);
        Next::Again { pause, failed: failed.saturating_add(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Failure;
    use super::*;
    use proptest::prelude::*;

    fn units(list: &[(&str, u8)]) -> BTreeMap<String, u8> {
        list.iter().map(|&(name, spec)| (name.to_owned(), spec)).collect()
    }

    fn failed(class: Class) -> End {
        End::Failed(Failure { class, text: "x".into(), hint: None })
    }

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn only_what_changed_is_touched_and_stops_come_first() {
        let running = units(&[("gone", 1), ("changed", 1), ("same", 1)]);
        let wanted = units(&[("changed", 2), ("same", 1), ("added", 1)]);
        assert_eq!(
            plan(&running, &wanted, &BTreeSet::new()),
            [Action::Stop("gone".into()), Action::Start("added".into()), Action::Replace("changed".into())]
        );
        assert_eq!(plan(&wanted, &wanted, &BTreeSet::new()), []);
        let anew = ["same", "gone"].map(str::to_owned).into();
        assert_eq!(plan(&wanted, &wanted, &anew), [Action::Replace("same".into())]);
    }

    proptest! {
        #[test]
        fn a_plan_leads_from_the_running_to_the_wanted(
            running in proptest::collection::btree_map("[a-d]", 0_u8..3, 0..4),
            wanted in proptest::collection::btree_map("[a-d]", 0_u8..3, 0..4),
            anew in proptest::collection::btree_set("[a-d]", 0..4),
        ) {
            let mut units = running.clone();
            for action in plan(&running, &wanted, &anew) {
                match action {
                    Action::Stop(name) => prop_assert!(units.remove(&name).is_some()),
                    Action::Replace(name) => prop_assert!(units.insert(name.clone(), wanted[&name]).is_some()),
                    Action::Start(name) => prop_assert!(units.insert(name.clone(), wanted[&name]).is_none()),
                }
            }
            prop_assert_eq!(units, wanted);
        }
    }

    #[test]
    fn pauses_grow_until_a_run_was_good() {
        let next = |lived, failed_before| Law::WORKER.next(&failed(Class::RETRY), lived, failed_before, 1.0);
        assert_eq!(next(S, 0), Next::Again { pause: S, failed: 1 });
        assert_eq!(next(S, 3), Next::Again { pause: 8 * S, failed: 4 });
        assert_eq!(next(59 * S, 3), Next::Again { pause: 8 * S, failed: 4 });
        assert_eq!(next(60 * S, 3), Next::Again { pause: S, failed: 1 });
        assert_eq!(next(S, u32::MAX), Next::Again { pause: 300 * S, failed: u32::MAX });
    }

    #[test]
    fn a_peer_that_named_a_delay_is_obeyed() {
        let end = failed(Class::Retry { after: Some(92 * S) });
        assert_eq!(Law::WORKER.next(&end, S, 0, 0.0), Next::Again { pause: 92 * S, failed: 1 });
    }

    #[test]
    fn what_repeating_cannot_help_stays_down() {
        let ends = [
            End::Finished,
            failed(Class::GiveUp),
            failed(Class::Configuration),
            failed(Class::NeedsLogin),
            failed(Class::Denied),
        ];
        for end in ends {
            assert_eq!(Law::WORKER.next(&end, 90 * S, 0, 0.5), Next::Down, "{end:?}");
        }
        let panicked = End::Panicked("x".into());
        assert_eq!(Law::WORKER.next(&panicked, S, 0, 1.0), Next::Again { pause: S, failed: 1 });
    }
}
