//! What a pass shows while it runs, and the sum of what it did.

use super::board::Board;
use super::{Summary, Told};
use crate::error::chain;
use crate::status::{Progress, State};
use crate::sync::report::{Event, Observer, Report};
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

impl Summary {
    /// Adds what one pass did.
    pub(super) fn add(&mut self, report: &Report) {
        self.held = 0;
        for (name, mailbox) in &report.mailboxes {
            self.downloaded += mailbox.arrived;
            self.uploaded += mailbox.uploaded;
            self.moved += mailbox.moved;
            self.reflagged += mailbox.reflagged;
            self.quarantined += mailbox.quarantined;
            self.removed += mailbox.removed;
            self.held += mailbox.held.iter().map(|held| u64::from(held.count)).sum::<u64>();
            match &mailbox.trouble {
                Some(trouble) => {
                    let hint = trouble.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
                    self.errors.push(format!("{name}: {}{hint}", chain(trouble)));
                }
                None if mailbox.incomplete => {
                    self.errors.push(format!("{name}: the server did not deliver every message asked for"));
                }
                None => {}
            }
        }
        self.errors.extend(report.trouble.as_ref().map(|trouble| chain(trouble)));
    }
}
