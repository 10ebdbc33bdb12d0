//! The receiving half of a download: from the stream to files that the base knows.
//!
//! Keeps the durability law: a batch is durable in `tmp`, then recorded as arriving, then published; at no time is there a
//! visible file that the base does not know.

use super::report::{Event, Observer};
use super::{Arrival, Entry, Ledger, Local, LocalChange, Outcome, Row, RowState, Staged};
use crate::mail::{MailboxName, UniqueName};
use tokio::sync::mpsc;

/// The receiving half of a download.
pub(super) struct Inbound<'a, L, D> {
    pub(super) local: &'a mut L,
    pub(super) ledger: &'a mut D,
    pub(super) observer: &'a dyn Observer,
    pub(super) arrived: u64,
}

impl<L: Local, D: Ledger> Inbound<'_, L, D> {
    /// Batch after batch: durable in `tmp`, recorded as arriving, published. The settling of a batch rides on the next
    /// commit. Owns the receiver, so that a failure here ends the fetch.
    pub(super) async fn store(
        &mut self,
        mailbox: &MailboxName,
        mut receiver: mpsc::Receiver<Arrival>,
        pending: &mut Vec<(MailboxName, Entry)>,
    ) -> Outcome<()> {
        loop {
            let batch = self.local.stage(mailbox, &mut receiver).await?;
            if batch.is_empty() {
                return Ok(());
            }
            pending.extend(batch.iter().map(|staged| (mailbox.clone(), Entry::Pair(arriving(staged)))));
            if let Err(trouble) = self.ledger.commit(std::mem::take(pending)).await {
                self.abandon(mailbox, batch).await;
                return Err(trouble);
            }
            let missing = self.local.publish(mailbox, &batch).await?;
            pending.extend(settled(mailbox, &batch, &missing));
            self.arrived += (batch.len() - missing.len()) as u64;
            let octets = batch.iter().map(|staged| staged.likeness.size).sum();
            self.observer.event(Event::Arrived { mailbox, batch: &batch, octets });
        }
    }

    /// Removes a batch that the ledger did not take: the next pass fetches it anew, and a full disk would fill further. Had
    /// the ledger taken it all the same, its rows are found without their files, and forgotten.
    async fn abandon(&mut self, mailbox: &MailboxName, batch: Vec<Staged>) {
        let unstage: Vec<_> =
            batch.into_iter().map(|staged| LocalChange::Unstage { name: staged.name }).collect();
        // What stays is swept some day.
        let _ = self.local.change(mailbox, &unstage).await;
    }
}

fn arriving(staged: &Staged) -> Row {
    let Staged { uid, name, flags, likeness } = staged.clone();
    Row { uid, name, flags, likeness, state: RowState::Arriving }
}

/// What a published batch means for the base: what is in place is settled, what was found nowhere is forgotten and will
/// be fetched again.
pub(super) fn settled(
    mailbox: &MailboxName,
    batch: &[Staged],
    missing: &[UniqueName],
) -> Vec<(MailboxName, Entry)> {
    let (lost, there): (Vec<&Staged>, Vec<&Staged>) =
        batch.iter().partition(|staged| missing.contains(&staged.name));
    let mut entries = vec![Entry::Settle(there.iter().map(|staged| staged.uid).collect())];
    entries.extend(lost.iter().map(|staged| Entry::Forget(staged.uid)));
    entries.extend((!lost.is_empty()).then_some(Entry::Marks(None)));
    entries.into_iter().map(|entry| (mailbox.clone(), entry)).collect()
}
