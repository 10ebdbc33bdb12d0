//! The beginning and the end of a visit to a POP3 maildrop: what is there under which UID, and what may be deleted.
//!
//! Invariant: a message is deleted on the server only when its pair is durable since that long and beyond doubt, its
//! file stands in its place or was deleted by the user, and the header that the server shows is that of the message.

use super::board::Complaint;
use super::inbound::Inbound;
use super::session::tokenless;
use crate::config::Pop;
use crate::error::{Class, Classified};
use crate::ledger;
use crate::mail::{MailboxName, Uid};
use crate::net::Endpoint;
use crate::pop::{self, Remote, Session};
use crate::status::State;
use crate::sync::guard::{Ground, ground};
use crate::sync::maildrop::{Census, Note};
use crate::sync::{Ledger as _, Likeness, Local as _, Outcome, Scope, Trouble};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// The UIDs of a maildrop are used up: four thousand million messages.
#[derive(Debug, thiserror::Error)]
#[error("no more messages can be told apart in this account")]
struct NoUids;

impl Classified for NoUids {
    fn class(&self) -> Class {
        Class::GiveUp
    }
}

impl Inbound {
    /// Opens the maildrop and gives every message in it a UID, durably unless nothing may be changed.
    pub(super) async fn arrive(&mut self, pop: &Pop, is_dry_run: bool) -> Result<Remote, Complaint> {
        self.shared.board.state(State::Connecting, "");
        let session = self.log_in(&pop.server).await?;
        self.stores.claim(&self.shared.account, is_dry_run).await?;
        let remote = self.enrol(session, is_dry_run).await;
        remote.map_err(|trouble| Complaint::of_trouble(&trouble))
    }

    /// Logs in, with one more attempt after a refused token.
    async fn log_in(&self, server: &Endpoint) -> Result<Session, Complaint> {
        let shared = &self.shared;
        let proof = shared.login.proof(server).await;
        let mut proof = proof.map_err(|error| tokenless(shared, &error))?;
        let mut outcome = pop::connect(server, &shared.login.to_mailbox(&proof)).await;
        if let Err(error) = &outcome
            && error.class() == Class::NeedsLogin
        {
            let another = shared.login.another(&proof).await.map_err(|error| tokenless(shared, &error))?;
            if let Some(another) = another {
                proof = another;
                outcome = pop::connect(server, &shared.login.to_mailbox(&proof)).await;
            }
        }
        let session = outcome.map_err(|error| Complaint::new(&error))?.without(&shared.account.disable);
        shared.board.logged_in(session.mechanism(), proof.expires());
        Ok(session)
    }

    async fn enrol(&mut self, mut session: Session, is_dry_run: bool) -> Outcome<Remote> {
        let failed = |error| Trouble::new(Scope::Pass, error);
        let ledger = &mut self.stores.ledger;
        let delay = session.offers().login_delay().unwrap_or_default();
        let spares_suspects = ledger.begin_visit(SystemTime::now(), delay).await?;
        let listed = session.survey().await.map_err(failed)?;
        let maildrop = ledger.maildrop().await?;
        let census = Census::new(&maildrop, listed);
        let unsure = census.unsure(spares_suspects);
        let seen = session.identify(&unsure).await;
        if let Some(number) = session.broken_at()
            && !is_dry_run
        {
            ledger.note(census.accuse(number, maildrop.next)).await?;
        }
        let seen = seen.map_err(failed)?;
        let hidden = unsure.len() - seen.len();
        if hidden > 0 {
            let account = &self.shared.account.name;
            tracing::warn!(%account, hidden, "the server does not show what some messages are");
        }
        let settled = census.settle(maildrop.next, &seen);
        let (messages, notes) = settled.ok_or_else(|| Trouble::new(Scope::Pass, NoUids))?;
        if !is_dry_run && !notes.is_empty() {
            ledger.note(notes).await?;
        }
        let suspects = maildrop.enrolled.iter().filter(|known| known.is_suspect).map(|known| known.uid);
        Ok(Remote::new(session, messages, suspects.collect(), spares_suspects))
    }

    /// Keeps in mind what the session sent, and the message at which it broke, if it did so at one.
    pub(super) async fn remember(&mut self, remote: &mut Remote) {
        let notes = remote.notes();
        if notes.is_empty() {
            return;
        }
        if let Err(trouble) = self.stores.ledger.note(notes).await {
            tracing::warn!(account = %self.shared.account.name, error = %trouble, "cannot note what a visit saw");
        }
    }

    /// Deletes what has been here for long enough and ends the session.
    pub(super) async fn depart(&mut self, mut remote: Remote, delete_after: Option<Duration>) -> Outcome<()> {
        let short = self.stores.ledger.note_durable().await?;
        let due = match delete_after {
            Some(after) => self.due(after).await?,
            None => BTreeMap::new(),
        };
        let account = &self.shared.account.name;
        if short > 0 && delete_after.is_some() {
            tracing::warn!(%account, short, "messages came shorter than the server lists them: they stay there");
        }
        if due.is_empty() || !remote.is_usable() {
            remote.leave().await;
            return Ok(());
        }
        let verified = remote.verify(&due).await;
        if verified.is_err() {
            self.remember(&mut remote).await;
        }
        let (same, others) = verified?;
        if !others.is_empty() {
            let forget = others.into_iter().map(Note::Forget).collect();
            self.stores.ledger.note(forget).await?;
        }
        self.delete(remote, &same).await
    }

    /// Deletes messages on the server and ends the session. That they are gone is noted before they are: else what comes
    /// next with the same Message-ID would be taken for one of them under another unique-id. One that stays after all is
    /// found again at the next listing.
    async fn delete(&mut self, mut remote: Remote, uids: &[Uid]) -> Outcome<()> {
        let marked = remote.mark_deleted(uids).await?;
        let deleted = marked.len();
        self.stores.ledger.note(marked.into_iter().map(Note::Miss).collect()).await?;
        remote.quit().await?;
        tracing::info!(account = %self.shared.account.name, deleted, "deleted on the server after their time");
        Ok(())
    }

    /// Messages durable for so long whose file stands in its place, or whose file the user deleted. None where the
    /// directory is not the one we know: its emptiness proves nothing.
    async fn due(&mut self, after: Duration) -> Outcome<BTreeMap<Uid, Likeness>> {
        let due = self.stores.ledger.due(after).await?;
        if due.is_empty() {
            return Ok(BTreeMap::new());
        }
        let inbox = MailboxName::inbox();
        let records = self.stores.ledger.mailboxes().await?;
        let known = records.iter().find(|record| record.name == inbox).and_then(|record| record.directory);
        let view = self.stores.maildir.scan(&inbox).await?;
        let (Some(known), Some(view)) = (known, view) else { return Ok(BTreeMap::new()) };
        if ground(known, Some(view.seen())) != Ground::Firm {
            return Ok(BTreeMap::new());
        }
        let is_safe = |due: &ledger::Due| due.name.as_ref().is_none_or(|name| view.files.contains_key(name));
        Ok(due.into_iter().filter(is_safe).map(|due| (due.uid, due.likeness)).collect())
    }
}
