//! What a pass says: events while it runs, a report at its end.

use super::{Held, Outcome, Scope, Staged, Trouble};
use crate::mail::{MailboxName, UniqueName};
use std::collections::{BTreeMap, BTreeSet};

/// Something worth showing while a pass runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// A mailbox is being looked at.
    Looking {
        /// The mailbox.
        mailbox: &'a MailboxName,
    },
    /// A download begins.
    Fetching {
        /// The mailbox.
        mailbox: &'a MailboxName,
        /// Messages to come.
        messages: u64,
        /// Octets to come, as far as the server told.
        octets: u64,
    },
    /// A batch is in place, visible to readers and durable.
    Arrived {
        /// The mailbox.
        mailbox: &'a MailboxName,
        /// The messages.
        batch: &'a [Staged],
        /// Their octets.
        octets: u64,
    },
}

/// Who wants to know of events.
pub trait Observer: Send + Sync {
    /// Called from inside the pass: must return at once.
    fn event(&self, event: Event<'_>);
}

/// Nobody wants to know.
#[derive(Clone, Copy, Debug)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn event(&self, _: Event<'_>) {}
}

/// What a pass did.
#[derive(Debug, Default)]
pub struct Report {
    /// By mailbox; only those that were looked at.
    pub mailboxes: BTreeMap<MailboxName, MailboxReport>,
    /// Whether all mailboxes of both sides were listed for it.
    pub listed: bool,
    /// Mailboxes in which our own actions left something to pick up (the Trash after a deletion).
    pub follow_up: BTreeSet<MailboxName>,
    /// Mailboxes that the server does not have any more since this pass; their local copies are left alone.
    pub absent: BTreeSet<MailboxName>,
    /// Mailboxes made on the server.
    pub created_remote: BTreeSet<MailboxName>,
    /// Mailboxes made in the Maildir.
    pub created_local: BTreeSet<MailboxName>,
    /// With a dry run: the plan, and nothing was done.
    pub plan: Option<super::plan::Plan>,
    /// Why the pass ended early, if it did.
    pub trouble: Option<Trouble>,
}

/// What is wrong with a mailbox in which [`MailboxReport::incomplete`] is all that is known.
pub const INCOMPLETE: &str = "the server did not deliver every message asked for";

/// What a pass did in one mailbox.
#[derive(Debug, Default)]
pub struct MailboxReport {
    /// Messages fetched.
    pub arrived: u64,
    /// Messages that were there on both sides already.
    pub adopted: u64,
    /// Files uploaded.
    pub uploaded: u64,
    /// Messages moved out to another mailbox of the server.
    pub moved: u64,
    /// Messages whose flags changed on either side.
    pub reflagged: u64,
    /// Local copies moved to quarantine.
    pub quarantined: u64,
    /// Messages removed from the server's mailbox.
    pub removed: u64,
    /// Messages deleted here of which the server keeps its copy, for now or for good.
    pub kept: u64,
    /// Files that were on the server, are not recognised there, and are kept here only.
    pub orphans: u64,
    /// Files whose upload failed, or that a full mailbox was not offered, and why.
    pub refused: Vec<(UniqueName, String)>,
    /// Deletions held back.
    pub held: Vec<Held>,
    /// Whether its directory is another one now, or was marked again.
    pub resettled: bool,
    /// Whether a new file may still be being written, and was not looked at: worth another pass soon.
    pub unfinished: bool,
    /// Whether something asked for did not arrive.
    pub incomplete: bool,
    /// Messages that stay on the server for good, being too large: all else is complete.
    pub left: Option<Trouble>,
    /// Whether both sides were compared, and the end of it was reached.
    pub compared: bool,
    /// What went wrong here.
    pub trouble: Option<Trouble>,
}

impl Report {
    /// A mailbox in trouble must not keep the others waiting; trouble with everything ends the pass.
    ///
    /// # Errors
    /// The trouble itself, where its scope is the pass.
    pub(super) fn leave_out(&mut self, mailbox: &MailboxName, trouble: Trouble) -> Outcome<()> {
        if trouble.scope == Scope::Pass {
            return Err(trouble);
        }
        self.mailbox(mailbox).trouble = Some(trouble);
        Ok(())
    }

    /// The part of one mailbox.
    pub(super) fn mailbox(&mut self, mailbox: &MailboxName) -> &mut MailboxReport {
        self.mailboxes.entry(mailbox.clone()).or_default()
    }

    pub(super) fn follow_up(&mut self, mailbox: &MailboxName) {
        self.follow_up.insert(mailbox.clone());
    }

    /// The mailboxes that are made, in words: a line each.
    pub fn new_mailboxes(&self) -> String {
        let here = self.created_local.iter().map(|name| format!("{name}: make the mailbox in the Maildir\n"));
        let there =
            self.created_remote.iter().map(|name| format!("{name}: make the mailbox on the server\n"));
        here.chain(there).collect()
    }

    /// Whether anything was changed on either side.
    pub fn changed_anything(&self) -> bool {
        !self.created_local.is_empty()
            || !self.created_remote.is_empty()
            || self.mailboxes.values().any(|mailbox| mailbox.actions() > 0)
    }

    /// Mailboxes in which a file waits to be complete.
    pub fn unfinished(&self) -> BTreeSet<MailboxName> {
        let unfinished = self.mailboxes.iter().filter(|(_, mailbox)| mailbox.unfinished);
        unfinished.map(|(name, _)| name.clone()).collect()
    }

    /// Whether all went well.
    pub fn is_clean(&self) -> bool {
        self.trouble.is_none()
            && self.mailboxes.values().all(|mailbox| mailbox.trouble.is_none() && !mailbox.incomplete)
    }
}

impl MailboxReport {
    /// How many messages were acted on.
    pub fn actions(&self) -> u64 {
        self.arrived
            + self.adopted
            + self.uploaded
            + self.moved
            + self.reflagged
            + self.quarantined
            + self.removed
    }
}
