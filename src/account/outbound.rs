//! The outbound loop: what is dropped into the outbox is accepted into the queue, and what is due is sent.
//!
//! Trouble with the network or the login is no message's fault: the queue waits. Every step of a submission is durable
//! before the next; `dot-sent` is written by the hook that the SMTP session calls right before the last octets leave.

use super::Shared;
use super::board::Complaint;
use super::desk::{Desk, NextLook};
use super::login::Proof;
use super::rest::delay;
use super::sent::{self, Target};
use super::session::tokenless;
use super::stranded::QUEUE;
use crate::config::Sent;
use crate::error::{Class, Classified, chain};
use crate::net::Endpoint;
use crate::queue::watch::{Hints, OutboxWatch};
use crate::queue::{self, Entry, Id, Sender, State};
use crate::smtp::{self, Session, Verdict};
use crate::status;
use crate::task::off_reactor;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// How often the outbox is scanned without a hint, as the interface promises.
const SCAN: Duration = Duration::from_secs(60);
/// The shortest pause between two rounds.
const PAUSE: Duration = Duration::from_millis(20);
/// After trouble that only the user can mend.
const SELDOM: Duration = Duration::from_secs(300);

struct Outbound {
    shared: Shared,
    desk: Arc<Mutex<Desk>>,
    sent: watch::Receiver<Option<Target>>,
    failures: u32,
    /// No connection before this: the server or the login was in trouble.
    not_before: Option<Timestamp>,
    /// Whether the last round left a file in the outbox that it could not take.
    is_refusing: bool,
    /// Whether the last round could not file the copy of a sent message.
    is_unfiled: bool,
    /// Messages that were under way when a connection or the disk failed. They go last: one at which a server breaks off
    /// each time must not keep the others waiting for ever.
    suspects: BTreeSet<Id>,
}

/// Runs until the account stops.
pub(super) async fn run(shared: Shared, sent: watch::Receiver<Option<Target>>) {
    shared.board.outbox_at(&shared.account.outbox);
    while !shared.stop.is_cancelled() {
        let (root, directory) = (shared.account.outbox.clone(), shared.state_dir.join(QUEUE));
        let sender = Sender { address: shared.account.address.clone() };
        let opened = off_reactor(move || Desk::open(root, directory, sender)).await;
        match opened {
            Ok(desk) => {
                let desk = Arc::new(Mutex::new(desk));
                let shared = shared.clone();
                let outbound = Outbound {
                    shared,
                    desk,
                    sent,
                    failures: 0,
                    not_before: None,
                    is_refusing: false,
                    is_unfiled: false,
                    suspects: BTreeSet::new(),
                };
                return outbound.serve().await;
            }
            Err(error) => shared.board.outbox_trouble(Some(Complaint::new(&error))),
        }
        tokio::select! {
            () = sleep(SELDOM) => {}
            () = shared.stop.cancelled() => {}
        }
    }
}

impl Outbound {
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
            let next = self.round(std::mem::take(&mut hints.closed)).await;
            let until_next = next.map_or(SCAN, |at| {
                Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default().clamp(PAUSE, SCAN)
            });
            tokio::select! {
                found = changed(watch.as_ref()) => hints = found,
                () = sleep(until_next) => {}
                () = self.shared.login_changed.changed() => self.not_before = None,
                Ok(()) = self.sent.changed() => {}
                () = self.shared.stop.cancelled() => {}
            }
        }
    }

    /// Accepts, sends, files; says when to look again.
    async fn round(&mut self, closed: BTreeSet<PathBuf>) -> NextLook {
        let account = self.shared.account.name.clone();
        let look = self.on_disk(move |desk| desk.accept(&account, &closed)).await;
        self.tell_acceptance(look.refused);
        self.shared.board.passed_over(look.passed_over);
        self.tell_counts().await;
        let now = Timestamp::now();
        if self.not_before.is_none_or(|at| at <= now) {
            self.send_due(now).await;
        }
        self.file_sent().await;
        self.tell_counts().await;
        let due = self.next_send().await;
        look.again_at.into_iter().chain(due).min()
    }

    /// Shows why files stay in the outbox, until none does.
    fn tell_acceptance(&mut self, refused: Option<Complaint>) {
        let is_refusing = refused.is_some();
        if is_refusing || self.is_refusing {
            self.shared.board.outbox_trouble(refused);
        }
        self.is_refusing = is_refusing;
    }

    async fn send_due(&mut self, now: Timestamp) {
        let mut due = self.on_disk(move |desk| desk.spool.due(now)).await;
        if due.is_empty() {
            return;
        }
        self.suspects.retain(|id| due.iter().any(|entry| entry.id == *id));
        due.sort_by_key(|entry| self.suspects.contains(&entry.id));
        match self.send_all(due).await {
            Ok(()) => {
                self.failures = 0;
                self.not_before = None;
                if !self.is_refusing {
                    self.shared.board.outbox_trouble(None);
                }
            }
            Err(complaint) => {
                let wait = delay(complaint.class, self.failures);
                self.failures = self.failures.saturating_add(1);
                self.not_before = Timestamp::now().checked_add(wait).ok();
                self.shared.board.outbox_trouble(Some(complaint));
            }
        }
    }

    /// One connection for all that is due.
    async fn send_all(&mut self, due: Vec<Entry>) -> Result<(), Complaint> {
        let Some(endpoint) = self.shared.account.smtp.clone() else { return Ok(()) };
        let mut session = Some(self.connect(&endpoint).await?);
        for entry in due {
            if self.shared.stop.is_cancelled() {
                break;
            }
            let mut open = match session.take() {
                Some(open) if open.is_usable() => open,
                _ => self.connect(&endpoint).await?,
            };
            self.suspects.insert(entry.id.clone());
            self.send(&mut open, &entry).await?;
            self.suspects.remove(&entry.id);
            self.tell_counts().await;
            session = Some(open);
        }
        if let Some(session) = session {
            session.quit().await;
        }
        Ok(())
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Session, Complaint> {
        let login = &self.shared.login;
        let complain = |error: &super::LoginError| tokenless(&self.shared, error);
        let proof = login.proof(endpoint).await.map_err(|error| complain(&error))?;
        let session = match self.log_in(endpoint, &proof).await {
            Err(error) if error.class() == Class::NeedsLogin => {
                let another = login.another(&proof).await.map_err(|error| complain(&error))?;
                let Some(proof) = another else { return Err(Complaint::new(&error)) };
                self.log_in(endpoint, &proof).await
            }
            outcome => outcome,
        };
        session.map_err(|error| Complaint::new(&error))
    }

    async fn log_in(&self, endpoint: &Endpoint, proof: &Proof) -> Result<Session, smtp::Error> {
        let mut session = Session::connect(endpoint).await?;
        session.log_in(&self.shared.login.to_submission(proof)).await?;
        Ok(session)
    }

    /// One message from `queued` to its verdict. An error is the connection's or the disk's, not the message's.
    async fn send(&mut self, session: &mut Session, entry: &Entry) -> Result<(), Complaint> {
        let id = entry.id.clone();
        let message = self.message(&id).await?;
        self.step(&id, State::Sending, None).await?;
        let envelope = smtp::Envelope {
            sender: entry.envelope.sender.clone(),
            recipients: entry.envelope.recipients.clone(),
            size: entry.size,
            eight_bit: entry.eight_bit,
        };
        // From the dot on, whoever stops waits for the answer: cut off, the message would be uncertain.
        let mut uncut = None;
        let before_dot = async {
            uncut = Some(self.shared.uncut.token());
            let noted = self.note(&id, State::DotSent, None).await;
            noted.map_err(|error| Box::new(error) as Box<dyn std::error::Error + Send + Sync>)
        };
        let sent = session.send(&envelope, tokio::fs::File::from_std(message), before_dot).await;
        let concluded = match sent {
            Ok(verdict) => self.conclude(entry, verdict).await,
            Err(error) if error.is_amid_message() => self.broken_off(entry, &error).await,
            Err(error) => {
                self.step(&id, State::Queued, None).await?;
                Err(Complaint::new(&error))
            }
        };
        drop(uncut);
        concluded
    }

    /// The connection ended amid a message: its own trouble only when that goes on for days.
    async fn broken_off(&self, entry: &Entry, error: &smtp::Error) -> Result<(), Complaint> {
        let (id, words) = (entry.id.clone(), chain(error));
        let told = words.clone();
        let done = self.on_disk(move |desk| desk.spool.break_off(&id, &told, Timestamp::now())).await;
        match done {
            Ok(true) => {
                let account = &self.shared.account.name;
                tracing::warn!(account, message_id = %entry.message_id, %words, "given up");
                Ok(())
            }
            Ok(false) => Err(Complaint::new(error)),
            Err(error) => Err(Complaint::new(&error)),
        }
    }

    async fn conclude(&self, entry: &Entry, verdict: Verdict) -> Result<(), Complaint> {
        let (id, account) = (entry.id.clone(), &self.shared.account.name);
        let words = words(&verdict);
        match verdict {
            Verdict::Sent { .. } => {
                tracing::info!(account, message_id = %entry.message_id, answer = %words, "sent");
                self.step(&id, State::Sent, Some(words)).await
            }
            Verdict::Uncertain { .. } => {
                tracing::warn!(account, message_id = %entry.message_id, %words, "perhaps sent");
                self.step(&id, State::Uncertain, Some(words)).await
            }
            Verdict::Temporary { .. } => {
                tracing::info!(account, message_id = %entry.message_id, answer = %words, "not taken for now");
                let defer = move |desk: &mut Desk| {
                    desk.spool.defer(&id, &words, Timestamp::now(), fastrand::f64()).map(drop)
                };
                self.attempt(defer).await
            }
            Verdict::Permanent { .. } => {
                tracing::warn!(account, message_id = %entry.message_id, answer = %words, "refused");
                self.attempt(move |desk| desk.spool.fail(&id, &words).map(drop)).await
            }
        }
    }

    /// Settles what the server has taken: files the copy where that is ours to do.
    async fn file_sent(&mut self) {
        let is_sent = |entry: &&Entry| entry.state == State::Sent;
        let owed =
            self.on_disk(move |desk| desk.spool.entries().filter(is_sent).cloned().collect::<Vec<_>>());
        let mut trouble = None;
        for entry in owed.await {
            trouble = self.file(&entry.id).await.err().or(trouble);
        }
        let is_unfiled = trouble.is_some();
        // What stands in the way of sending is taken back by a round that sends.
        let is_over = self.is_unfiled && self.not_before.is_none() && !self.is_refusing;
        if is_unfiled || is_over {
            self.shared.board.outbox_trouble(trouble);
        }
        self.is_unfiled = is_unfiled;
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

    async fn message(&self, id: &Id) -> Result<std::fs::File, Complaint> {
        let id = id.clone();
        let opened = self.on_disk(move |desk| desk.spool.message(&id)).await;
        opened.map_err(|error| Complaint::new(&error))
    }

    async fn step(&self, id: &Id, to: State, words: Option<String>) -> Result<(), Complaint> {
        self.note(id, to, words).await.map_err(|error| Complaint::new(&error))
    }

    async fn note(&self, id: &Id, to: State, words: Option<String>) -> Result<(), queue::Error> {
        let id = id.clone();
        self.on_disk(move |desk| desk.spool.transition(&id, to, words.as_deref())).await
    }

    async fn attempt(
        &self,
        work: impl FnOnce(&mut Desk) -> Result<(), queue::Error> + Send + 'static,
    ) -> Result<(), Complaint> {
        self.on_disk(work).await.map_err(|error| Complaint::new(&error))
    }

    /// When the next message is sent, at the earliest.
    async fn next_send(&self) -> Option<Timestamp> {
        let due = self.on_disk(|desk| desk.spool.next_due()).await?;
        Some(self.not_before.map_or(due, |wait| wait.max(due)))
    }

    async fn tell_counts(&self) {
        let next_try = self.next_send().await.filter(|at| *at > Timestamp::now());
        let counts = self.on_disk(|desk| desk.spool.counts()).await;
        self.shared.board.outbox(status::Outbox { next_try, ..counts });
    }

    /// Runs disk work off the reactor.
    async fn on_disk<T: Send + 'static>(&self, work: impl FnOnce(&mut Desk) -> T + Send + 'static) -> T {
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

/// The server's words, or what else decided.
fn words(verdict: &Verdict) -> String {
    let refused = |cause: &smtp::Cause, recipients: &[smtp::Refusal]| {
        let each = recipients.iter().map(|refusal| format!("\n{}: {}", refusal.address, refusal.reply));
        format!("{cause}{}", each.collect::<String>())
    };
    match verdict {
        Verdict::Sent { reply } => reply.to_string(),
        Verdict::Uncertain { cause } => cause.clone(),
        Verdict::Temporary { cause, recipients, .. } | Verdict::Permanent { cause, recipients, .. } => {
            refused(cause, recipients)
        }
    }
}
