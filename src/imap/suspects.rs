//! Messages at which a session broke, remembered from one connection to the next.
//!
//! A body at which the server hangs up, falls silent or breaks the protocol must not stand between the account and all its
//! other mail. The first unanswered message is blamed: servers answer in the order of UIDs. It may be innocent, so it is
//! asked for last and alone the next time; when it breaks that session too it is spared for a while, and for longer each
//! time. Kept in memory only: a new process finds out again with two more connections.

use crate::backoff::Backoff;
use crate::mail::{MailboxName, Uid, UidSet, UidValidity};
use crate::sync::At;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a message is spared that broke a session again: each attempt costs the account its connection.
const REST: Backoff = Backoff { floor: Duration::from_secs(60), ceiling: Duration::from_secs(24 * 3600) };

/// What is known of broken sessions of one account; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Suspects(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// How many sessions broke at a message so far, whatever became of it.
    breaks: u32,
    places: BTreeMap<(MailboxName, UidValidity), BTreeMap<Uid, Suspect>>,
}

#[derive(Clone, Copy, Debug)]
struct Suspect {
    breaks: u32,
    spared_until: Instant,
}

/// Messages by how they may be asked for.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// As many at once as is good.
    pub(super) plain: UidSet,
    /// After the others, each alone.
    pub(super) last: UidSet,
    /// Not this time.
    pub(super) spared: UidSet,
}

impl Suspects {
    /// How many sessions broke at a message so far; never less than before.
    pub fn breaks(&self) -> u32 {
        self.known().breaks
    }

    /// Nobody is spared any more, for now: the user wants everything.
    pub fn try_again(&self) {
        let now = Instant::now();
        self.known()
            .places
            .values_mut()
            .flat_map(BTreeMap::values_mut)
            .for_each(|suspect| suspect.spared_until = now);
    }

    /// Sorts the messages of a mailbox.
    pub(super) fn sort(&self, at: &At, uids: impl IntoIterator<Item = Uid>) -> Sorted {
        let (known, now) = (self.known(), Instant::now());
        let here = known.places.get(&place(at));
        let mut sorted = Sorted::default();
        for uid in uids {
            match here.and_then(|here| here.get(&uid)) {
                None => sorted.plain.insert(uid),
                Some(suspect) if suspect.spared_until <= now => sorted.last.insert(uid),
                Some(_) => sorted.spared.insert(uid),
            }
        }
        sorted
    }

    /// The session broke at this message, if at one.
    pub(super) fn blame(&self, at: &At, uid: Option<Uid>) {
        let Some(uid) = uid else { return };
        let (mut known, now) = (self.known(), Instant::now());
        known.breaks = known.breaks.saturating_add(1);
        let here = known.places.entry(place(at)).or_default();
        let suspect = here.entry(uid).or_insert(Suspect { breaks: 0, spared_until: now });
        suspect.breaks += 1;
        if let Some(again) = suspect.breaks.checked_sub(2) {
            suspect.spared_until = now + REST.delay(again, 1.0);
        }
        tracing::debug!(mailbox = %at.mailbox, %uid, breaks = suspect.breaks, "the session broke at a message");
    }

    /// The message arrived.
    pub(super) fn clear(&self, at: &At, uid: Uid) {
        if let Some(here) = self.known().places.get_mut(&place(at)) {
            here.remove(&uid);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(at: &At) -> (MailboxName, UidValidity) {
    (at.mailbox.clone(), at.uid_validity)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How message 4 is asked for among 3, 4 and 5.
    fn of_four(suspects: &Suspects, at: &At) -> &'static str {
        let uid = |number| Uid::new(number).unwrap();
        let Sorted { plain, last, spared } = suspects.sort(at, [3, 4, 5].map(uid));
        assert_eq!(plain.len() + last.len() + spared.len(), 3);
        match (plain.contains(uid(4)), last.contains(uid(4))) {
            (true, _) => "plain",
            (_, true) => "last",
            _ => "spared",
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_breaks_again_is_spared_for_longer_each_time() {
        let at = At { mailbox: MailboxName::inbox(), uid_validity: UidValidity::new(7).unwrap() };
        let other = At { uid_validity: UidValidity::new(8).unwrap(), ..at.clone() };
        let suspects = Suspects::default();
        assert_eq!(of_four(&suspects, &at), "plain");
        suspects.clone().blame(&at, Uid::new(4));
        assert_eq!((of_four(&suspects, &at), of_four(&suspects, &other)), ("last", "plain"));
        for spared in [60, 120, 240] {
            suspects.blame(&at, Uid::new(4));
            tokio::time::advance(Duration::from_secs(spared - 1)).await;
            assert_eq!(of_four(&suspects, &at), "spared");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!(of_four(&suspects, &at), "last");
        }
        suspects.blame(&at, Uid::new(4));
        assert_eq!(of_four(&suspects, &at), "spared");
        suspects.try_again();
        assert_eq!((of_four(&suspects, &at), suspects.breaks()), ("last", 5));
        suspects.clear(&at, Uid::new(4).unwrap());
        assert_eq!(
            (of_four(&suspects, &at), suspects.breaks()),
            ("plain", 5),
            "a message that came brings no break back"
        );
    }
}
