//! Orders of the user, carried out by the inbound loop between its turns.

use super::board::Complaint;
use super::inbound::Inbound;
use super::session::connect;
use super::{Order, Told, Wish};
use crate::config::{Incoming, Mailboxes};
use crate::imap;
use crate::mail::MailboxName;
use crate::status::Summary;
use crate::sync::{Extent, Remote, Scope};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;

/// The mailboxes that an order is about, and which of the account's the passes for it met.
pub(super) struct Chosen {
    glob: Mailboxes,
    met: Mutex<BTreeSet<MailboxName>>,
}

impl Chosen {
    pub(super) fn new(glob: &Mailboxes) -> Chosen {
        Chosen { glob: glob.clone(), met: Mutex::default() }
    }

    /// Whether a mailbox of the account is meant.
    pub(super) fn wants(&self, mailbox: &MailboxName) -> bool {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).insert(mailbox.clone());
        self.glob.wants(mailbox)
    }

    /// The mailboxes that there are, where none of them is meant.
    pub(super) fn unmatched(&self) -> Option<Vec<String>> {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let is_none = !met.iter().any(|mailbox| self.glob.wants(mailbox));
        is_none.then(|| met.iter().map(ToString::to_string).collect())
    }
}

impl Inbound {
    /// An order whose failure ends the connection is answered before that.
    pub(super) async fn obey_or_refuse(
        &mut self,
        remote: &mut impl Remote,
        order: Order,
    ) -> Result<(), Complaint> {
        let to = order.to.clone();
        self.try_again();
        let outcome = self.obey(remote, order).await;
        outcome.inspect_err(|complaint| self.refuse(&to, complaint))
    }

    async fn obey(&mut self, remote: &mut impl Remote, order: Order) -> Result<(), Complaint> {
        let Order { wish, to } = order;
        let prepared = match wish {
            Wish::Sync { mailbox, dry_run } => {
                return self.sync(remote, &to, mailbox.as_ref(), dry_run).await;
            }
            Wish::ListHeld => {
                self.tell_held(&to).await;
                return Ok(());
            }
            Wish::Approve(mailbox) => self.approve(&mailbox).await,
            Wish::Restore(mailbox) => {
                self.unclean.insert(mailbox.clone());
                self.watched.unfollow(&self.stores.maildir, &mailbox);
                self.restore(remote, &mailbox).await
            }
        };
        match prepared {
            Ok(()) => self.sync(remote, &to, None, false).await,
            Err(trouble) if trouble.scope == Scope::Pass => Err(Complaint::of_trouble(&trouble)),
            Err(trouble) => {
                self.refuse(&to, &Complaint::of_trouble(&trouble));
                Ok(())
            }
        }
    }

    async fn sync(
        &mut self,
        remote: &mut impl Remote,
        to: &mpsc::UnboundedSender<Told>,
        glob: Option<&Mailboxes>,
        dry_run: bool,
    ) -> Result<(), Complaint> {
        let extent = Extent { dry_run, ..Extent::default() };
        let mut summary = Summary::default();
        let chosen = glob.map(Chosen::new);
        self.turn(remote, extent, Some((to, chosen.as_ref())), &mut summary).await?;
        if !dry_run {
            summary.unmatched = chosen.and_then(|chosen| chosen.unmatched());
            // Whoever asked may be gone.
            let _ = to.send(Told::Summary(summary));
        }
        Ok(())
    }

    /// Tells what is held back and what lies in quarantine: that stands on this machine, whatever the server is like.
    pub(super) async fn tell_held(&mut self, to: &mpsc::UnboundedSender<Told>) {
        match self.held_list().await {
            // Whoever asked may be gone.
            Ok(list) => drop(to.send(Told::Held(list))),
            Err(trouble) => self.refuse(to, &Complaint::of_trouble(&trouble)),
        }
    }

    /// An order in times of trouble: one attempt, and more only where a message broke it. What its failure means for the account the next turn finds out.
    pub(super) async fn try_order(&mut self, order: Order) {
        if let Wish::ListHeld = order.wish {
            return self.tell_held(&order.to).await;
        }
        let account = self.shared.account.clone();
        if let Incoming::Pop(pop) = &account.incoming {
            // A visit refuses by itself an order that it cannot carry out.
            let _ = self.visit(pop, Some(order)).await;
            return;
        }
        self.try_again();
        for is_last in [false, false, true] {
            let breaks = self.suspects.breaks();
            let Err(complaint) = self.attempt(&order).await else { return };
            // A message at which connections break is asked for last, then spared: nobody else will try again.
            let is_worth_another = matches!(order.wish, Wish::Sync { .. }) && self.suspects.breaks() > breaks;
            if is_last || !is_worth_another {
                return self.refuse(&order.to, &complaint);
            }
        }
    }

    /// One connection for one order.
    async fn attempt(&mut self, order: &Order) -> Result<(), Complaint> {
        let connected = connect(&self.shared).await?;
        let mut remote = imap::Remote::new(connected.session, self.suspects.clone());
        let claimed = self.stores.claim(&self.shared.account, order.is_dry_run()).await;
        let outcome = match claimed {
            Ok(()) => self.obey(&mut remote, order.clone()).await,
            Err(complaint) => Err(complaint),
        };
        remote.into_session().logout().await;
        outcome
    }

    pub(super) fn refuse(&self, to: &mpsc::UnboundedSender<Told>, complaint: &Complaint) {
        let Complaint { class, text, hint, .. } = self.shared.board.advised(complaint);
        // Whoever asked may be gone.
        let _ = to.send(Told::Refused { class, text, hint });
    }
}
