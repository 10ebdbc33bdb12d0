//! Submitting what is due: one connection, one message after the other, each from `queued` to its verdict.
//!
//! An error here is the connection's, the login's or the disk's, or a limit of the account: then the queue waits. What is
//! one message's own goes into its record, and the next message follows.

use super::board::Complaint;
use super::desk::Desk;
use super::login::Proof;
use super::outbound::Outbound;
use super::session::tokenless;
use crate::error::{Class, Classified, chain};
use crate::net::Endpoint;
use crate::queue::{Entry, State};
use crate::smtp::{self, Session, Verdict};
use jiff::Timestamp;

impl Outbound {
    /// One connection for all that is due.
    pub(super) async fn send_all(&mut self, due: Vec<Entry>) -> Result<(), Complaint> {
        let Some(endpoint) = self.shared.account.smtp.clone() else { return Ok(()) };
        if due.is_empty() {
            return Ok(());
        }
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
            self.tell().await;
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
            Verdict::Throttled { pause, .. } => {
                let text = format!("the submission server takes nothing more for now: {words}");
                self.step(&id, State::Deferred, Some(words)).await?;
                Err(Complaint::passing(text, Some(pause)))
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
}

/// The server's words, or what else decided.
fn words(verdict: &Verdict) -> String {
    let refused = |cause: &smtp::Cause, recipients: &[smtp::Refusal]| {
        let each = recipients.iter().map(|refusal| format!("\n{}: {}", refusal.address, refusal.reply));
        format!("{cause}{}", each.collect::<String>())
    };
    match verdict {
        Verdict::Sent { reply } | Verdict::Throttled { reply, .. } => reply.to_string(),
        Verdict::Uncertain { cause } => cause.clone(),
        Verdict::Temporary { cause, recipients, .. } | Verdict::Permanent { cause, recipients, .. } => {
            refused(cause, recipients)
        }
    }
}
