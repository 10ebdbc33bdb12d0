//! Where a new file may have come from: a move must be seen whole, or the message would go to the Trash and be uploaded
//! once more.
//!
//! Mailboxes are looked at one after the other, and some not at all. So a file that appeared in one is held against the
//! other mailboxes known to hold a message like it: their directories are looked at once more, now that the file was
//! seen; and where one of them cannot be looked at, the file waits. A file that is gone is looked for in the same way.

use super::pass::{Extent, Looked, Pass, Refusal};
use super::plan::Observed;
use super::report::Report;
use super::{At, Ledger, Likeness, Local, MailboxRecord, Outcome, Remote, Scope, Trouble};
use crate::mail::{Identity, MailboxName, UniqueName};
use std::collections::BTreeSet;

impl<R: Remote, L: Local, D: Ledger> Pass<'_, R, L, D> {
    /// A file that is gone may just have come to another mailbox, which this pass does not look at or looked at a moment
    /// too early: directories that hold its name are looked at now, after it was missed.
    pub(super) async fn look_for_targets(
        &mut self,
        records: &[MailboxRecord],
        looked: &mut Looked,
        extent: &Extent,
        report: &mut Report,
    ) -> Outcome<()> {
        let gone = looked.observed.iter().flat_map(|seen| seen.local.gone.values());
        let gone: BTreeSet<UniqueName> = gone.map(|row| row.name.clone()).collect();
        if gone.is_empty() {
            return Ok(());
        }
        for record in records {
            if !self.may_look(record, report) {
                continue;
            }
            let Ok(Some(view)) = self.local.scan(&record.name).await else { continue };
            if view.files.keys().any(|name| gone.contains(name)) {
                let again = Extent { dry_run: extent.dry_run, ..Extent::default() };
                self.look(record, None, &again, looked, report).await?;
            }
        }
        Ok(())
    }

    /// A file that is new in one mailbox may just have left another, which this pass does not look at or looked at a moment
    /// too early: mailboxes that hold a message like it are looked at now, after the file was seen.
    pub(super) async fn look_for_sources(
        &mut self,
        records: &[MailboxRecord],
        looked: &mut Looked,
        extent: &Extent,
        report: &mut Report,
    ) -> Outcome<()> {
        let identities: Vec<Identity> = looked
            .observed
            .iter()
            .flat_map(|seen| seen.local.new.keys().filter_map(|name| seen.candidates.get(name)))
            .map(|candidate| candidate.likeness.identity)
            .filter(Identity::is_strong)
            .collect();
        if identities.is_empty() {
            return Ok(());
        }
        let holders: BTreeSet<MailboxName> = self.ledger.holders(&identities).await?.into_iter().collect();
        // Only a directory that lost something is a source: the others are not opened on the server for this.
        let again = Extent { remote_quiet: holders, dry_run: extent.dry_run, ..Extent::default() };
        for record in records.iter().filter(|record| again.remote_quiet.contains(&record.name)) {
            if !self.may_look(record, report) {
                continue;
            }
            self.look(record, None, &again, looked, report).await?;
        }
        Ok(())
    }

    /// Whether a mailbox takes part and was well so far: what could not be looked at before is not looked at better now.
    fn may_look(&self, record: &MailboxRecord, report: &Report) -> bool {
        let is_troubled = report.mailboxes.get(&record.name).is_some_and(|seen| seen.trouble.is_some());
        !is_troubled && !record.absent && record.directory.is_some() && (self.wanted)(&record.name)
    }

    /// A deletion on a server without MOVE is a copy to the Trash and an expunge. Where it was cut off between the two, the
    /// copy is new in the Trash: what is new there is recognised, so that it is not copied again. A pass that was not to look
    /// at the Trash looks at it now.
    pub(super) async fn look_for_copies(
        &mut self,
        records: &[MailboxRecord],
        trash: &MailboxName,
        looked: &mut Looked,
        extent: &Extent,
        report: &mut Report,
    ) -> Outcome<()> {
        let deletes =
            looked.observed.iter().any(|seen| seen.mailbox != *trash && !seen.local.gone.is_empty());
        let is_passed_over = extent.only.as_ref().is_some_and(|only| !only.contains(trash));
        let record = records.iter().find(|record| record.name == *trash && self.may_look(record, report));
        if let Some(record) = record.filter(|_| deletes && is_passed_over) {
            let also = Extent { flags_may_wait: true, dry_run: extent.dry_run, ..Extent::default() };
            self.look(record, None, &also, looked, report).await?;
        }
        let Some(index) = looked.observed.iter().position(|seen| seen.mailbox == *trash) else {
            return Ok(());
        };
        let Some(seen) = looked.observed.get_mut(index).filter(|_| deletes) else { return Ok(()) };
        if seen.remote.new.is_empty() || !seen.remote_likeness.is_empty() {
            return Ok(());
        }
        let at = At { mailbox: trash.clone(), uid_validity: seen.uid_validity };
        match self.remote.identify(&at, &seen.remote.new.keys().copied().collect()).await {
            Ok(found) => {
                let shown = found.into_iter().filter_map(|(uid, likeness)| Some((uid, likeness?)));
                seen.remote_likeness = shown.collect();
            }
            Err(trouble) => {
                report.leave_out(trash, trouble)?;
                looked.observed.remove(index);
            }
        }
        Ok(())
    }
}

impl Looked {
    /// Takes files out of the pass that are missing in a mailbox that cannot be looked at: uploaded instead of moved they
    /// would be on the server twice.
    pub(super) fn let_wait(&mut self, report: &mut Report) {
        for seen in &mut self.observed {
            let_wait(seen, &self.missing, report);
        }
    }
}

fn let_wait(observed: &mut Observed, missing: &BTreeSet<Likeness>, report: &mut Report) {
    let Observed { local, candidates, remote_likeness, .. } = observed;
    let must_wait = |likeness: &Likeness| {
        missing.contains(likeness) && !remote_likeness.values().any(|there| there == likeness)
    };
    let waiting: Vec<UniqueName> = candidates
        .iter()
        .filter(|(name, candidate)| local.new.contains_key(*name) && must_wait(&candidate.likeness))
        .map(|(name, _)| name.clone())
        .collect();
    for name in &waiting {
        local.new.remove(name);
        candidates.remove(name);
    }
    if !waiting.is_empty() {
        let wait = || Trouble::new(Scope::Mailbox, Refusal::Waiting);
        report.mailbox(&observed.mailbox).trouble.get_or_insert_with(wait);
    }
}
