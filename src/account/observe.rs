//! What a pass shows while it runs, and the sum of what it did.

use super::Told;
use super::board::Board;
use crate::error::chain;
use crate::mail::MailboxName;
use crate::status::{Progress, State, Summary};
use crate::sync::merge::Merge;
use crate::sync::plan::{Plan, Steps};
use crate::sync::report::{Event, INCOMPLETE, Observer, Report};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;

/// Counts what a pass fetches and tells the status and whoever ordered it.
pub(super) struct Counter {
    board: Board,
    to: Option<mpsc::UnboundedSender<Told>>,
    progress: Mutex<Progress>,
}

impl Counter {
    pub(super) fn new(board: Board, to: Option<mpsc::UnboundedSender<Told>>) -> Counter {
        Counter { board, to, progress: Mutex::default() }
    }

    fn tell(&self, progress: &Progress) {
        let Progress { mailbox, messages_done, messages_total, .. } = progress;
        self.board.state(State::Syncing, &format!("{mailbox}: {messages_done} of {messages_total} messages"));
        if let Some(to) = &self.to {
            // Nobody listens any more: the pass goes on.
            let _ = to.send(Told::Progress(progress.clone()));
        }
    }
}

impl Observer for Counter {
    fn event(&self, event: Event<'_>) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Looking { .. } => return,
            Event::Fetching { mailbox, messages, octets } => {
                progress.mailbox = mailbox.to_string();
                progress.messages_total += messages;
                progress.bytes_total += octets;
            }
            Event::Arrived { mailbox, batch, octets } => {
                progress.mailbox = mailbox.to_string();
                progress.messages_done += batch.len() as u64;
                progress.bytes_done += octets;
            }
        }
        self.tell(&progress);
    }
}

/// What a pass did, a line for each mailbox that changed; nothing when idle.
pub(super) fn log(account: &str, report: &Report) {
    for mailbox in &report.absent {
        tracing::warn!(
            account, %mailbox,
            "the server does not have this mailbox any more: its copy here is left alone, and what is put there stays"
        );
    }
    for (mailbox, done) in
        report.mailboxes.iter().filter(|(_, done)| done.actions() > 0 || !done.held.is_empty())
    {
        let held: u32 = done.held.iter().map(|held| held.count).sum();
        tracing::info!(
            account, %mailbox, arrived = done.arrived, uploaded = done.uploaded,
            moved = done.moved, reflagged = done.reflagged, removed = done.removed,
            quarantined = done.quarantined, held, "synced"
        );
    }
}

/// Adds what one pass did.
pub(super) fn add(summary: &mut Summary, report: &Report) {
    summary.held = 0;
    for (name, mailbox) in &report.mailboxes {
        summary.paired += mailbox.adopted;
        summary.downloaded += mailbox.arrived;
        summary.uploaded += mailbox.uploaded;
        summary.moved += mailbox.moved;
        summary.reflagged += mailbox.reflagged;
        summary.quarantined += mailbox.quarantined;
        summary.removed += mailbox.removed;
        summary.held += mailbox.held.iter().map(|held| u64::from(held.count)).sum::<u64>();
        match &mailbox.trouble {
            Some(trouble) => {
                let hint = trouble.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
                summary.errors.push(format!("{name}: {}{hint}", chain(trouble)));
            }
            None if mailbox.incomplete => {
                summary.errors.push(format!("{name}: {INCOMPLETE}"));
            }
            None => {}
        }
        summary.errors.extend(mailbox.left.as_ref().map(|left| format!("{name}: {}", chain(left))));
    }
    summary.errors.extend(report.trouble.as_ref().map(|trouble| chain(trouble)));
}

/// Adds where a new file was left out to the end.
pub(super) fn left_out(summary: &mut Summary, unfinished: &BTreeSet<MailboxName>) {
    let line = |name| format!("{name}: a new file is still being written; it is taken when it is complete");
    summary.errors.extend(unfinished.iter().map(line));
}

/// What carrying a plan out would come to.
pub(super) fn planned(plan: &Plan, errors: Vec<String>) -> Summary {
    let count = |of: fn(&Steps) -> usize| plan.mailboxes.values().map(of).sum::<usize>() as u64;
    Summary {
        paired: count(|steps| steps.adopt.len()),
        downloaded: count(|steps| steps.download.len()),
        uploaded: count(|steps| steps.upload.len()),
        moved: count(|steps| steps.moves.len()),
        reflagged: count(|steps| steps.reflag.iter().filter(|reflag| !is_idle(&reflag.merge)).count()),
        quarantined: count(|steps| steps.quarantine.len()),
        removed: count(|steps| steps.remove.len() + steps.discard.len()),
        held: plan.mailboxes.values().flat_map(|steps| &steps.held).map(|held| u64::from(held.count)).sum(),
        errors,
        unmatched: None,
    }
}

/// Whether a merge of flags changes neither side.
fn is_idle(merge: &Merge) -> bool {
    let Merge { remote_add, remote_remove, local_add, local_remove, agreed: _ } = merge;
    [remote_add, remote_remove, local_add, local_remove].iter().all(|flags| flags.is_empty())
}
