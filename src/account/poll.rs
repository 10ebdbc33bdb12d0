//! Visits to a POP3 maildrop: the inbound loop of an account that has only that.
//!
//! A visit is one session: list, give every unique-id its UID, make a pass over INBOX, delete on the server what has
//! been here for long enough, QUIT. Between visits there is no connection, and by itself the loop never makes it shorter
//! than the server wants (LOGIN-DELAY), whatever happened in between; an order of the user's is carried out at once.
//! Local changes need no visit: POP3 keeps no flags.

use super::board::Complaint;
use super::inbound::{Inbound, next_hint};
use super::{Order, Wish};
use crate::config::Pop;
use crate::status::Summary;
use crate::sync::Extent;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

impl Inbound {
    /// A visit, as soon as the server allows it, and the wait for the next one; orders are carried out meanwhile.
    pub(super) async fn polled(
        &mut self,
        pop: &Pop,
        orders: &mut mpsc::Receiver<Order>,
        was_well: &mut bool,
    ) -> Result<(), Complaint> {
        let left = self.left_alone().await?;
        if !left.is_zero() {
            self.shared.board.left_alone(left);
            self.wait(left, pop, orders).await?;
        }
        self.visit(pop, None).await?;
        let pause = self.pause().await?;
        self.wait(pause, pop, orders).await?;
        *was_well = true;
        Ok(())
    }

    async fn wait(
        &mut self,
        pause: Duration,
        pop: &Pop,
        orders: &mut mpsc::Receiver<Order>,
    ) -> Result<(), Complaint> {
        let mut until = Instant::now() + pause;
        loop {
            tokio::select! {
                () = sleep_until(until) => return Ok(()),
                Some(order) = orders.recv() => match order.wish {
                    Wish::ListHeld => self.tell_held(&order.to).await,
                    _ => {
                        self.visit(pop, Some(order)).await?;
                        until = Instant::now() + self.pause().await?;
                    }
                },
                // What changes in the Maildir is seen at the next visit.
                _ = next_hint(&mut self.watched) => {}
                () = self.shared.wake.poked() => drop(self.shared.wake.take()),
                () = self.shared.login_changed.changed() => {
                    self.shared.login.look_again().await;
                    until = Instant::now() + self.left_alone().await?;
                }
            }
        }
    }

    /// How long to wait after a visit.
    async fn pause(&mut self) -> Result<Duration, Complaint> {
        Ok(self.shared.account.sweep.max(self.left_alone().await?))
    }

    /// How long the server still wants to be left alone.
    async fn left_alone(&mut self) -> Result<Duration, Complaint> {
        let left = self.stores.ledger.left_alone(SystemTime::now()).await;
        left.map_err(|trouble| Complaint::of_trouble(&trouble))
    }

    /// One session. An order that cannot be carried out is refused.
    pub(super) async fn visit(&mut self, pop: &Pop, order: Option<Order>) -> Result<(), Complaint> {
        let to = order.as_ref().map(|order| order.to.clone());
        let is_dry_run = order.as_ref().is_some_and(Order::is_dry_run);
        let arrived = self.arrive(pop, is_dry_run).await;
        let mut remote = arrived.inspect_err(|complaint| {
            if let Some(to) = &to {
                self.refuse(to, complaint);
            }
        })?;
        let passed = match order {
            Some(order) => self.obey_or_refuse(&mut remote, order).await,
            None => self.turn(&mut remote, Extent::default(), None, &mut Summary::default()).await,
        };
        if !is_dry_run {
            self.remember(&mut remote).await;
        }
        passed?;
        if is_dry_run {
            remote.leave().await;
            return Ok(());
        }
        let left = self.depart(remote, pop.delete_after).await;
        left.map_err(|trouble| Complaint::of_trouble(&trouble)).inspect_err(|complaint| {
            if to.is_some() {
                // Who ordered the pass has its answer already.
                let account = &self.shared.account.name;
                tracing::warn!(%account, error = %complaint.text, "could not delete on the server");
            }
        })
    }
}
