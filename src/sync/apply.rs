//! Carries a plan out: the only part of the core that acts, and it decides nothing.
//!
//! Order: second halves of moves that were cut off, then bookkeeping, downloads, uploads, moves and flags of every mailbox,
//! then deletions of every mailbox, then the marks. What cannot be repeated (an upload) has its intent committed first; what can be derived again (settled
//! arrivals, agreed flags, forgotten pairs, marks) waits in `pending` for the next commit, so that one fsync carries
//! many steps. A crash anywhere leaves a base from which the next pass finds the same end.

use super::arrive::Inbound;
use super::merge::Merge;
use super::plan::{Move, Plan, Reflag, Steps};
use super::report::{Event, Observer, Report};
use super::{
    At, Entry, Fate, LARGEST, Ledger, Local, LocalChange, Loose, Outcome, Remote, Row, RowState, Scope,
};
use crate::mail::{Flags, MailboxName, Uid, UniqueName};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// Pieces of messages between the network and the disk. Chunks are at most 64 KiB, so this bounds the memory in flight
/// at 4 MiB while a batch is being pushed to disk.
const IN_FLIGHT: usize = 64;

/// The two sides, the base, and what a pass has to say so far.
pub(super) struct Apply<'a, R, L, D> {
    pub(super) remote: &'a mut R,
    pub(super) local: &'a mut L,
    pub(super) ledger: &'a mut D,
    pub(super) observer: &'a dyn Observer,
    pub(super) report: &'a mut Report,
    pub(super) pending: Vec<(MailboxName, Entry)>,
}

impl<R: Remote, L: Local, D: Ledger> Apply<'_, R, L, D> {
    /// Carries out all of it; an error means that the pass ended early.
    pub(super) async fn run(&mut self, plan: Plan) -> Outcome<()> {
        let outcome = self.steps(&plan).await;
        let flushed = self.flush().await;
        outcome.and(flushed)
    }

    async fn steps(&mut self, plan: &Plan) -> Outcome<()> {
        let mut order: Vec<_> = plan.mailboxes.iter().collect();
        order.sort_by_key(|(mailbox, _)| !mailbox.is_inbox());
        for &(mailbox, steps) in &order {
            let discarded = self.discard(mailbox, steps).await;
            self.tolerate(mailbox, discarded)?;
        }
        for &(mailbox, steps) in &order {
            let kept = self.bookkeep(mailbox, steps).await;
            self.tolerate(mailbox, kept)?;
            let arrived = self.download(mailbox, steps).await;
            self.tolerate(mailbox, arrived)?;
            let uploaded = self.upload(mailbox, steps).await;
            self.tolerate(mailbox, uploaded)?;
            let moved = self.moves(mailbox, steps, plan).await;
            self.tolerate(mailbox, moved)?;
            let reflagged = self.reflag(mailbox, steps).await;
            self.tolerate(mailbox, reflagged)?;
        }
        for &(mailbox, steps) in &order {
            let deleted = self.delete(mailbox, steps).await;
            self.tolerate(mailbox, deleted)?;
        }
        for &(mailbox, steps) in &order {
            self.close(mailbox, steps);
        }
        Ok(())
    }

    /// Notes an error that leaves the rest of the pass possible; passes on one that does not.
    pub(super) fn tolerate(&mut self, mailbox: &MailboxName, outcome: Outcome<()>) -> Outcome<()> {
        match outcome {
            Err(trouble) if trouble.scope != Scope::Pass => {
                self.report.mailbox(mailbox).trouble.get_or_insert(trouble);
                Ok(())
            }
            other => other,
        }
    }

    pub(super) async fn flush(&mut self) -> Outcome<()> {
        match self.pending.is_empty() {
            true => Ok(()),
            false => self.ledger.commit(std::mem::take(&mut self.pending)).await,
        }
    }

    pub(super) fn later(&mut self, mailbox: &MailboxName, entry: Entry) {
        self.pending.push((mailbox.clone(), entry));
    }

    /// What changes the base alone.
    async fn bookkeep(&mut self, mailbox: &MailboxName, steps: &Steps) -> Outcome<()> {
        let before = self.pending.len();
        for &uid in &steps.forget {
            self.later(mailbox, Entry::Forget(uid));
        }
        if let Some((special_use, directory)) = steps.resettle {
            self.later(mailbox, Entry::Marks(None));
            self.later(mailbox, Entry::Known { special_use, directory: Some(directory) });
        }
        for name in &steps.unloosen {
            self.later(mailbox, Entry::Unloosen(name.clone()));
        }
        for (name, likeness) in &steps.estrange {
            self.later(mailbox, Entry::Loosen(name.clone(), Loose::Stranger, *likeness));
        }
        for row in &steps.adopt {
            self.later(mailbox, Entry::Pair(row.clone()));
        }
        for (uid, name) in &steps.rename {
            self.later(mailbox, Entry::Rename(*uid, name.clone()));
        }
        for row in &steps.keep {
            self.later(mailbox, Entry::Pair(Row { state: RowState::Kept, ..row.clone() }));
        }
        let report = self.report.mailbox(mailbox);
        report.adopted += steps.adopt.len() as u64;
        report.kept += steps.keep.len() as u64;
        if self.pending.len() > before {
            self.flush().await?;
        }
        if steps.resettle.is_some() {
            // Only now: a marked directory makes missing files deletions again.
            self.local.create(mailbox).await?;
            self.report.mailbox(mailbox).resettled = true;
        }
        Ok(())
    }

    /// The second half of a move that was cut off. It comes before its copy is noted in the base: after that nothing would
    /// tell it from a deletion.
    async fn discard(&mut self, mailbox: &MailboxName, steps: &Steps) -> Outcome<()> {
        if steps.discard.is_empty() {
            return Ok(());
        }
        let uids = steps.discard.iter().copied().collect();
        self.remote.remove(&steps.at(mailbox), &uids, &Fate::Expunge).await?;
        for &uid in &steps.discard {
            self.later(mailbox, Entry::Forget(uid));
        }
        self.report.mailbox(mailbox).moved += steps.discard.len() as u64;
        Ok(())
    }

    async fn download(&mut self, mailbox: &MailboxName, steps: &Steps) -> Outcome<()> {
        if steps.download.is_empty() {
            return Ok(());
        }
        let wanted = steps.download.len() as u64;
        let sizes = steps.download.values().filter_map(|listed| listed.size);
        self.observer.event(Event::Fetching { mailbox, messages: wanted, octets: sizes.sum() });
        let (sender, receiver) = mpsc::channel(IN_FLIGHT);
        let at = steps.at(mailbox);
        let mut inbound =
            Inbound { local: self.local, ledger: self.ledger, observer: self.observer, arrived: 0 };
        let fetch = async { Ok(self.remote.fetch(&at, &steps.download, sender).await) };
        // A disk that takes nothing ends the pass: what the server is still sending is not waited for.
        let store = async {
            match inbound.store(mailbox, receiver, &mut self.pending).await {
                Err(trouble) if trouble.scope == Scope::Pass => Err(trouble),
                stored => Ok(stored),
            }
        };
        let outcome = tokio::try_join!(fetch, store);
        let arrived = inbound.arrived;
        let report = self.report.mailbox(mailbox);
        report.arrived += arrived;
        let large = steps.download.values().filter(|listed| listed.size.is_some_and(|size| size > LARGEST));
        let large = large.count() as u64;
        report.incomplete |= arrived + large < wanted;
        match outcome.and_then(|(fetched, stored)| stored.and(fetched)) {
            // Listed anew each time they would only be named anew each time.
            Err(trouble) if trouble.scope == Scope::Message && large > 0 && arrived + large == wanted => {
                report.left = Some(trouble);
                Ok(())
            }
            outcome => outcome,
        }
    }

    async fn moves(&mut self, mailbox: &MailboxName, steps: &Steps, plan: &Plan) -> Outcome<()> {
        let mut by_target: BTreeMap<&MailboxName, Vec<&Move>> = BTreeMap::new();
        for step in &steps.moves {
            by_target.entry(&step.to).or_default().push(step);
        }
        for (to, moves) in by_target {
            let generation = plan.mailboxes.get(to).map(|target| target.uid_validity);
            let at = steps.at(mailbox);
            let changes: Vec<_> =
                moves.iter().filter_map(|step| step.merge.remote_change(step.row.uid)).collect();
            if !changes.is_empty() {
                self.remote.store(&at, &changes).await?;
            }
            for step in &moves {
                self.later(to, Entry::Loosen(step.name.clone(), Loose::Uploading, step.row.likeness));
            }
            self.flush().await?;
            let uids = moves.iter().map(|step| step.row.uid).collect();
            let landed = self.remote.remove(&at, &uids, &Fate::MoveTo(to.clone())).await?;
            let known = landed.uid_validity.is_some() && landed.uid_validity == generation;
            for step in &moves {
                self.later(mailbox, Entry::Forget(step.row.uid));
                match landed.uids.get(&step.row.uid).filter(|_| known) {
                    Some(&uid) => self.note_move(step, uid, step.merge.agreed),
                    None => {
                        self.later(to, Entry::Loosen(step.name.clone(), Loose::Uploaded, step.row.likeness));
                        self.report.follow_up(to);
                    }
                }
            }
            self.flush().await?;
            let undone = self.change_files(to, moves.iter().map(|step| (&step.name, &step.merge))).await?;
            for step in moves.iter().filter(|step| known && undone.contains(&step.name)) {
                if let Some(&uid) = landed.uids.get(&step.row.uid) {
                    self.note_move(step, uid, step.merge.local());
                }
            }
            self.report.mailbox(mailbox).moved += moves.len() as u64;
        }
        Ok(())
    }

    fn note_move(&mut self, step: &Move, uid: Uid, flags: Flags) {
        let Move { name, likeness, .. } = step.clone();
        self.later(&step.to, Entry::Pair(Row { uid, name, flags, likeness, ..step.row.clone() }));
    }

    /// What the server alone changed comes first: a change of ours that it refuses must not hold that back.
    async fn reflag(&mut self, mailbox: &MailboxName, steps: &Steps) -> Outcome<()> {
        let (ours, theirs): (Vec<&Reflag>, Vec<&Reflag>) =
            steps.reflag.iter().partition(|reflag| reflag.merge.remote_change(reflag.uid).is_some());
        self.agree(mailbox, &theirs).await?;
        let changes: Vec<_> =
            ours.iter().filter_map(|reflag| reflag.merge.remote_change(reflag.uid)).collect();
        if !changes.is_empty() {
            self.remote.store(&steps.at(mailbox), &changes).await?;
        }
        self.agree(mailbox, &ours).await
    }

    /// Changes the files, and notes what both sides agree on from then on.
    async fn agree(&mut self, mailbox: &MailboxName, reflags: &[&Reflag]) -> Outcome<()> {
        let undone =
            self.change_files(mailbox, reflags.iter().map(|reflag| (&reflag.name, &reflag.merge))).await?;
        for reflag in reflags.iter().filter(|reflag| !undone.contains(&reflag.name)) {
            self.later(mailbox, Entry::Agree(reflag.uid, reflag.merge.agreed));
            self.report.mailbox(mailbox).reflagged += 1;
        }
        Ok(())
    }

    /// Returns the names of files that could not be changed.
    async fn change_files<'s>(
        &mut self,
        mailbox: &MailboxName,
        merges: impl Iterator<Item = (&'s UniqueName, &'s Merge)>,
    ) -> Outcome<Vec<UniqueName>> {
        let changes: Vec<_> = merges
            .filter(|(_, merge)| merge.changes_file())
            .map(|(name, merge)| LocalChange::Reflag {
                name: name.clone(),
                add: merge.local_add,
                remove: merge.local_remove,
            })
            .collect();
        if changes.is_empty() { Ok(Vec::new()) } else { self.local.change(mailbox, &changes).await }
    }

    async fn delete(&mut self, mailbox: &MailboxName, steps: &Steps) -> Outcome<()> {
        if !steps.quarantine.is_empty() {
            let quarantine = |row: &Row| LocalChange::Quarantine { name: row.name.clone() };
            self.local.change(mailbox, &steps.quarantine.iter().map(quarantine).collect::<Vec<_>>()).await?;
            for row in &steps.quarantine {
                self.later(mailbox, Entry::Forget(row.uid));
            }
            self.report.mailbox(mailbox).quarantined += steps.quarantine.len() as u64;
        }
        if !steps.remove.is_empty() {
            let uids = steps.remove.iter().copied().collect();
            self.remote.remove(&steps.at(mailbox), &uids, &steps.fate).await?;
            for &uid in &steps.remove {
                self.later(mailbox, Entry::Forget(uid));
            }
            self.report.mailbox(mailbox).removed += steps.remove.len() as u64;
            if let Fate::MoveTo(trash) = &steps.fate {
                self.report.follow_up(trash);
            }
        }
        Ok(())
    }

    /// Marks move only when the mailbox is complete: no trouble, nothing missing, nothing held back.
    fn close(&mut self, mailbox: &MailboxName, steps: &Steps) {
        if steps.held != steps.held_before {
            self.later(mailbox, Entry::Held(steps.held.clone()));
        }
        let report = self.report.mailbox(mailbox);
        report.held = steps.held.clone();
        report.compared = true;
        report.unfinished |= steps.waits;
        let complete = report.trouble.is_none() && !report.incomplete && steps.held.is_empty();
        if let (Some(marks), true) = (steps.marks, complete) {
            self.later(mailbox, Entry::Marks(Some(marks)));
        }
    }
}

impl Steps {
    pub(super) fn at(&self, mailbox: &MailboxName) -> At {
        At { mailbox: mailbox.clone(), uid_validity: self.uid_validity }
    }
}
