//! The outbound loop: what is dropped into the outbox is accepted into the queue, and what is due is sent.
//!
//! Trouble with the network or the login is no message's fault: the queue waits. Every step of a submission is durable
//! before the next; `dot-sent` is written by the hook that the SMTP session calls right before the last octets leave.

use super::board::Complaint;
use super::desk::{Desk, NextLook};
use super::rest::delay;
use super::sent::{self, Target};
use super::stranded::QUEUE;
use super::{Hold, Shared};
use crate::config::Sent;
use crate::error::{Class, Classified};
use crate::queue::watch::{Hints, OutboxWatch};
use crate::queue::{self, Entry, Id, Sender, State};
use crate::status;
use crate::task::off_reactor;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// How often the outbox is scanned without a hint, as the interface promises.
const SCAN: Duration = Duration::from_secs(60);
/// The shortest time between two rounds.
const BREATH: Duration = Duration::from_millis(20);
/// The longest pause after passing trouble with the way to the server: somebody waits for a message to go.
const LONGEST: Duration = Duration::from_secs(60);

pub(super) struct Outbound {
    pub(super) shared: Shared,
    desk: Arc<Mutex<Desk>>,
    sent: watch::Receiver<Option<Target>>,
    send_now: Arc<Notify>,
    failures: u32,
    pause: Option<Pause>,
    troubles: Troubles,
    /// Whether the inbound loop was logged in when last looked at.
    is_served: bool,
    /// Messages that were under way when a connection or the disk failed. They go last: one at which a server breaks off
    /// each time must not keep the others waiting for ever.
    pub(super) suspects: BTreeSet<Id>,
}

/// No connection before its end: the server or the login was in trouble.
#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Instant,
    /// Whether any sign that the trouble may be over ends it, because nobody asked for it.
    is_patience: bool,
}

impl Pause {
    fn after(class: Class, failures: u32) -> Pause {
        let is_patience = class == Class::RETRY;
        let wait = delay(class, failures).min(if is_patience { LONGEST } else { Duration::MAX });
        Pause { until: Instant::now() + wait, is_patience }
    }
}

/// What stands in the way of submission, each until its own next round. The first is shown.
#[derive(Default)]
struct Troubles {
    /// A file stays in the outbox, or a message in the queue, because of the disk.
    disk: Option<Complaint>,
    /// No connection, no login, or a limit of the account.
    sending: Option<Complaint>,
    /// The copy of a sent message.
    filing: Option<Complaint>,
}

/// Runs until the account stops.
pub(super) async fn run(
    shared: Shared,
    sent: watch::Receiver<Option<Target>>,
    send_now: Arc<Notify>,
    hold: Hold,
) {
    shared.board.outbox_at(&shared.account.outbox);
    let mut failures = 0;
    while !shared.stop.is_cancelled() {
        let (root, directory) = (shared.account.outbox.clone(), shared.state_dir.join(QUEUE));
        let sender = Sender { address: shared.account.address.clone() };
        let hold = Arc::clone(&hold);
        let opened = off_reactor(move || Desk::open(root, directory, sender, hold)).await;
        let error = match opened {
            Ok(desk) => return Outbound::new(shared.clone(), desk, sent, send_now).serve().await,
            Err(error) => error,
        };
        shared.board.outbox_trouble(Some(Complaint::new(&error)));
        let pause = Pause::after(error.class(), failures);
        failures = failures.saturating_add(1);
        tokio::select! {
            () = sleep_until(pause.until) => {}
            () = shared.stop.cancelled() => {}
        }
    }
}

impl Outbound {
    fn new(
        shared: Shared,
        desk: Desk,
        sent: watch::Receiver<Option<Target>>,
        send_now: Arc<Notify>,
    ) -> Outbound {
        Outbound {
            shared,
            desk: Arc::new(Mutex::new(desk)),
            sent,
            send_now,
            failures: 0,
            pause: None,
            troubles: Troubles::default(),
            is_served: false,
            suspects: BTreeSet::new(),
        }
    }

    async fn serve(mut self) {
        let root = self.shared.account.outbox.clone();
        let mut watch = OutboxWatch::start(&root).ok();
        let mut hints = Hints::default();
        while !self.shared.stop.is_cancelled() {
            if hints.is_stale || watch.is_none() {
                // Watched as soon as it is there: what nobody saw closed has to wait. Why it cannot be made the round tells.
                let _ = self.on_disk(|desk| desk.spool.make_outbox()).await;
                watch = OutboxWatch::start(&root).ok();
            }
            let again_at = self.round(std::mem::take(&mut hints.closed)).await;
            let rest = self.rest(again_at).await;
            tokio::select! {
                found = changed(watch.as_ref()) => hints = found,
                () = sleep(rest) => {}
                () = self.shared.login_changed.changed() => self.pause = None,
                () = self.send_now.notified() => self.end_patience(),
                () = self.shared.board.served(!self.is_served) => self.turned(),
                Ok(()) = self.sent.changed() => {}
                () = self.shared.stop.cancelled() => {}
            }
        }
    }

    /// The inbound loop was logged in, or was thrown out.
    fn turned(&mut self) {
        self.is_served = !self.is_served;
        if self.is_served {
            self.end_patience();
        }
    }

    fn end_patience(&mut self) {
        self.pause.take_if(|pause| pause.is_patience);
    }

    /// Accepts, sends, files; says when to look at the outbox again.
    async fn round(&mut self, closed: BTreeSet<PathBuf>) -> NextLook {
        let (account, stop) = (self.shared.account.name.clone(), self.shared.stop.clone());
        let look = self.on_disk(move |desk| desk.accept(&account, &closed, &stop)).await;
        if look.has_taken {
            self.end_patience();
        }
        self.troubles.disk = look.refused;
        self.shared.board.passed_over(look.passed_over);
        self.tell().await;
        self.pause.take_if(|pause| pause.until <= Instant::now());
        if self.pause.is_none() {
            self.send_due().await;
        }
        self.troubles.filing = self.file_sent().await;
        self.tell().await;
        look.again_at
    }

    /// How long until there is something to do without a hint.
    async fn rest(&self, again_at: NextLook) -> Duration {
        let now = Timestamp::now();
        let until = |at: Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or_default();
        let due = self.until_due(now).await;
        again_at.map(until).into_iter().chain(due).fold(SCAN, Duration::min).max(BREATH)
    }

    /// How long until the next message may be sent, where one waits.
    async fn until_due(&self, now: Timestamp) -> Option<Duration> {
        let due = self.on_disk(move |desk| desk.spool.next_due(now)).await?;
        let due = Duration::try_from(due.duration_since(now)).unwrap_or_default();
        let paused = self.pause.map(|pause| pause.until.saturating_duration_since(Instant::now()));
        Some(due.max(paused.unwrap_or_default()))
    }

    async fn send_due(&mut self) {
        let now = Timestamp::now();
        let mut due = self.on_disk(move |desk| desk.spool.due(now)).await;
        self.suspects.retain(|id| due.iter().any(|entry| entry.id == *id));
        due.sort_by_key(|entry| self.suspects.contains(&entry.id));
        match self.send_all(due).await {
            Ok(()) => {
                self.failures = 0;
                self.troubles.sending = None;
            }
            Err(complaint) => {
                self.pause = Some(Pause::after(complaint.class, self.failures));
                self.failures = self.failures.saturating_add(1);
                self.troubles.sending = Some(complaint);
            }
        }
    }

    /// Settles what the server has taken: files the copy where that is ours to do. Tells what is in the way.
    async fn file_sent(&self) -> Option<Complaint> {
        let is_sent = |entry: &&Entry| entry.state == State::Sent;
        let owed =
            self.on_disk(move |desk| desk.spool.entries().filter(is_sent).cloned().collect::<Vec<_>>());
        let mut trouble = None;
        for entry in owed.await {
            trouble = self.file(&entry.id).await.err().or(trouble);
        }
        trouble
    }

    async fn file(&self, id: &Id) -> Result<(), Complaint> {
        if self.shared.account.sent == Sent::Append {
            // Not known before the first pass; then this loop is woken.
            let Some(target) = self.sent.borrow().clone() else { return Ok(()) };
            let message = self.message(id).await?;
            let filed = sent::file(&self.shared.account, id, message, &target).await;
            filed.map_err(|trouble| Complaint::of_trouble(&trouble))?;
            self.shared.wake.poke(|looks| looks.sweep = true);
        }
        self.step(id, State::Filed, None).await
    }

    pub(super) async fn message(&self, id: &Id) -> Result<std::fs::File, Complaint> {
        let id = id.clone();
        let opened = self.on_disk(move |desk| desk.spool.message(&id)).await;
        opened.map_err(|error| Complaint::new(&error))
    }

    pub(super) async fn step(&self, id: &Id, to: State, words: Option<String>) -> Result<(), Complaint> {
        self.note(id, to, words).await.map_err(|error| Complaint::new(&error))
    }

    pub(super) async fn note(&self, id: &Id, to: State, words: Option<String>) -> Result<(), queue::Error> {
        let id = id.clone();
        self.on_disk(move |desk| desk.spool.transition(&id, to, words.as_deref())).await
    }

    pub(super) async fn attempt(
        &self,
        work: impl FnOnce(&mut Desk) -> Result<(), queue::Error> + Send + 'static,
    ) -> Result<(), Complaint> {
        self.on_disk(work).await.map_err(|error| Complaint::new(&error))
    }

    /// Shows what waits, until when, and what stands in its way.
    pub(super) async fn tell(&self) {
        let (counts, plight) = self.on_disk(|desk| (desk.spool.counts(), desk.spool.plight())).await;
        let now = Timestamp::now();
        let wait = self.until_due(now).await.filter(|wait| !wait.is_zero());
        let next_try = wait.and_then(|wait| now.checked_add(wait).ok());
        self.shared.board.outbox(status::Outbox { next_try, ..counts });
        let Troubles { disk, sending, filing } = &self.troubles;
        let trouble = [disk, sending, filing].into_iter().find_map(Clone::clone);
        self.shared.board.outbox_trouble(trouble.or(plight.map(|text| Complaint::passing(text, None))));
    }

    /// Runs disk work off the reactor.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Desk) -> T + Send + 'static,
    ) -> T {
        let desk = Arc::clone(&self.desk);
        off_reactor(move || work(&mut desk.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

async fn changed(watch: Option<&OutboxWatch>) -> Hints {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
