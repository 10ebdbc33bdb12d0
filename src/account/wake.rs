//! Wake-ups: edges, merged.
//!
//! Any number of pokes while the loop is busy become one look at everything they named. A poke never carries what
//! changed, only where to look: the loop reads the world itself, so that a lost or doubled poke is harmless.

use crate::mail::MailboxName;
use crate::maildir::UNTOUCHED;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

/// Where to look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Looks {
    /// Everything, on both sides, with fresh lists.
    pub(super) everything: bool,
    /// All mailboxes as the server lists them now.
    pub(super) sweep: bool,
    /// Mailboxes whose server side changed.
    pub(super) remote: BTreeSet<MailboxName>,
    /// Mailboxes whose directory changed.
    pub(super) local: BTreeSet<MailboxName>,
}

impl Looks {
    /// Whether there is nothing to look at.
    pub(super) fn is_empty(&self) -> bool {
        *self == Looks::default()
    }
}

/// The merged wake-ups of one account.
#[derive(Debug, Default)]
pub(super) struct Wake {
    looks: Mutex<Looks>,
    notify: Notify,
}

impl Wake {
    /// Adds to where to look, and wakes the loop.
    pub(super) fn poke(&self, add: impl FnOnce(&mut Looks)) {
        add(&mut self.looks.lock().unwrap_or_else(PoisonError::into_inner));
        self.notify.notify_one();
    }

    /// Waits for a poke. Cancel-safe: what was poked stays until [`Wake::take`].
    pub(super) async fn poked(&self) {
        self.notify.notified().await;
    }

    /// All that was poked since the last call.
    pub(super) fn take(&self) -> Looks {
        std::mem::take(&mut *self.looks.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// News that the token on disk is another one. Each loop has its own copy and misses none, however busy it is.
#[derive(Clone, Debug)]
pub(super) struct LoginNews(watch::Receiver<()>);

impl LoginNews {
    /// A new source of news, and the first copy.
    pub(super) fn channel() -> (watch::Sender<()>, LoginNews) {
        let (sender, receiver) = watch::channel(());
        (sender, LoginNews(receiver))
    }

    /// Waits for news; for ever where no more can come.
    pub(super) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The mailboxes to look at again, when their time has come. Cancel-safe.
pub(super) async fn due(again: &mut Option<(Instant, BTreeSet<MailboxName>)>) -> BTreeSet<MailboxName> {
    match again {
        Some((when, _)) => sleep_until(*when).await,
        None => std::future::pending().await,
    }
    again.take().map(|(_, mailboxes)| mailboxes).unwrap_or_default()
}

/// Adds mailboxes to look at again, in a while, to those that wait for it already.
pub(super) fn look_again(
    again: &mut Option<(Instant, BTreeSet<MailboxName>)>,
    mut mailboxes: BTreeSet<MailboxName>,
) {
    if mailboxes.is_empty() {
        return;
    }
    mailboxes.extend(again.take().map(|(_, waiting)| waiting).unwrap_or_default());
    *again = Some((Instant::now() + UNTOUCHED, mailboxes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn mailboxes_that_wait_are_not_forgotten_for_others() {
        let mut again = None;
        for name in ["a", "b"] {
            look_again(&mut again, [MailboxName::new(name)].into());
            look_again(&mut again, BTreeSet::new());
        }
        assert_eq!(due(&mut again).await, ["a", "b"].map(MailboxName::new).into());
        assert!(again.is_none());
    }

    #[tokio::test]
    async fn pokes_merge_and_are_not_lost_while_nobody_waits() {
        let wake = Wake::default();
        for name in ["a", "b", "a"] {
            wake.poke(|looks| {
                looks.remote.insert(MailboxName::new(name));
            });
        }
        wake.poked().await;
        assert_eq!(wake.take().remote.len(), 2);
        assert!(wake.take().is_empty());
    }
}
