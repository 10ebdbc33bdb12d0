//! Visits to a POP3 maildrop: the inbound loop of an account that has only that.
//!
//! A visit is one session: list, give every unique-id its UID, make a pass over INBOX, delete on the server what has
//! been here for long enough, QUIT. Between visits there is no connection. A message is deleted on the server only when
//! its pair is durable since that long, its file stands in its place or was deleted by the user, and the header that the
//! server shows is that of the message. Local changes need no visit: POP3 keeps no flags.

use super::Order;
use super::board::Complaint;
use super::inbound::{Inbound, next_hint};
use super::session::tokenless;
use crate::config::Pop;
use crate::error::{Class, Classified};
use crate::ledger;
use crate::mail::{MailboxName, Uid};
use crate::net::Endpoint;
use crate::pop::{self, Remote, Session};
use crate::status::{State, Summary};
use crate::sync::guard::{Ground, ground};
use crate::sync::maildrop::{Census, Message, Note};
use crate::sync::{Extent, Ledger as _, Likeness, Local as _, Outcome, Scope, Trouble};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

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
    /// A visit and the wait for the next one; orders are carried out meanwhile.
    pub(super) async fn polled(
        &mut self,
        pop: &Pop,
        orders: &mut mpsc::Receiver<Order>,
        was_well: &mut bool,
    ) -> Result<(), Complaint> {
        let mut pause = self.visit(pop, None).await?;
        let mut visited = Instant::now();
        loop {
            tokio::select! {
                () = sleep_until(visited + pause) => break,
                Some(order) = orders.recv() => {
                    pause = self.visit(pop, Some(order)).await?;
                    visited = Instant::now();
                }
                // What changes in the Maildir is seen at the next visit.
                _ = next_hint(&mut self.watched) => {}
                () = self.shared.wake.poked() => drop(self.shared.wake.take()),
                () = self.shared.login_changed.changed() => {
                    self.shared.login.look_again().await;
                    break;
                }
            }
        }
        *was_well = true;
        Ok(())
    }

    /// One session; how long to leave the server alone after it. An order that cannot be carried out is refused.
    pub(super) async fn visit(&mut self, pop: &Pop, order: Option<Order>) -> Result<Duration, Complaint> {
        let to = order.as_ref().map(|order| order.to.clone());
        let is_dry_run = order.as_ref().is_some_and(Order::is_dry_run);
        let arrived = self.arrive(pop, is_dry_run).await;
        let (mut remote, pause) = arrived.inspect_err(|complaint| {
            if let Some(to) = &to {
                self.refuse(to, complaint);
            }
        })?;
        match order {
            Some(order) => self.obey_or_refuse(&mut remote, order).await?,
            None => self.turn(&mut remote, Extent::default(), None, &mut Summary::default()).await?,
        }
        if is_dry_run {
            remote.leave().await;
            return Ok(pause);
        }
        let left = self.depart(remote, pop.delete_after).await;
        left.map_err(|trouble| Complaint::of_trouble(&trouble)).inspect_err(|complaint| {
            if to.is_some() {
                // Who ordered the pass has its answer already.
                let account = &self.shared.account.name;
                tracing::warn!(%account, error = %complaint.text, "could not delete on the server");
            }
        })?;
        Ok(pause)
    }

    /// Opens the maildrop and gives every message in it a UID, durably unless nothing may be changed.
    async fn arrive(&mut self, pop: &Pop, is_dry_run: bool) -> Result<(Remote, Duration), Complaint> {
        self.shared.board.state(State::Connecting, "");
        let mut session = self.log_in(&pop.server).await?;
        self.stores.claim(&self.shared.account, is_dry_run).await?;
        let pause = self.shared.account.sweep.max(session.offers().login_delay().unwrap_or_default());
        let messages = self.enrol(&mut session, is_dry_run).await;
        let messages = messages.map_err(|trouble| Complaint::of_trouble(&trouble))?;
        Ok((Remote::new(session, messages), pause))
    }

    /// Logs in, with one more attempt after a refused token.
    async fn log_in(&self, server: &Endpoint) -> Result<Session, Complaint> {
        let shared = &self.shared;
        let proof = shared.login.proof(server, &shared.account.name).await;
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

    async fn enrol(&mut self, session: &mut Session, is_dry_run: bool) -> Outcome<BTreeMap<Uid, Message>> {
        let failed = |error| Trouble::new(Scope::Pass, error);
        let listed = session.survey().await.map_err(failed)?;
        let maildrop = self.stores.ledger.maildrop().await?;
        let census = Census::new(&maildrop, listed);
        let likeness = session.identify(census.doubtful()).await.map_err(failed)?;
        let settled = census.settle(maildrop.next, &likeness);
        let (messages, notes) = settled.ok_or_else(|| Trouble::new(Scope::Pass, NoUids))?;
        if !is_dry_run && !notes.is_empty() {
            self.stores.ledger.note(notes, SystemTime::now()).await?;
        }
        Ok(messages)
    }

    /// Deletes what has been here for long enough and ends the session.
    async fn depart(&mut self, mut remote: Remote, delete_after: Option<Duration>) -> Outcome<()> {
        let now = SystemTime::now();
        self.stores.ledger.note_durable(now).await?;
        let moment = delete_after.and_then(|after| now.checked_sub(after));
        let due = match moment {
            Some(moment) => self.due(moment).await?,
            None => BTreeMap::new(),
        };
        if due.is_empty() || !remote.is_usable() {
            remote.leave().await;
            return Ok(());
        }
        let (same, others) = remote.verify(&due).await?;
        if !others.is_empty() {
            let forget = others.into_iter().map(Note::Forget).collect();
            self.stores.ledger.note(forget, now).await?;
        }
        let deleted = remote.delete_and_quit(&same).await?;
        tracing::info!(account = %self.shared.account.name, deleted, "deleted on the server after their time");
        Ok(())
    }

    /// Messages durable since `moment` whose file stands in its place, or whose file the user deleted. None where the
    /// directory is not the one we know: its emptiness proves nothing.
    async fn due(&mut self, moment: SystemTime) -> Outcome<BTreeMap<Uid, Likeness>> {
        let inbox = MailboxName::inbox();
        let due = self.stores.ledger.due(moment).await?;
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
