//! One pass: observe, plan, apply.
//!
//! All mailboxes are looked at before any is acted upon: only then a move from one to another can be told from a deletion
//! and a new message. Trouble with one mailbox leaves out that mailbox; trouble with everything ends the pass.

use super::apply::Apply;
use super::plan::{Observed, Policy, plan};
use super::report::{Observer, Report};
use super::{Ledger, Likeness, Local, MailboxRecord, Outcome, Remote, Scope, Trouble};
use crate::error::{Class, Classified};
use crate::keeping::OnDelete;
use crate::mail::{MailboxName, SpecialUse};
use std::collections::{BTreeMap, BTreeSet};

/// Where deleted messages go on a server that has no Trash; made with the first one.
const DEFAULT_TRASH: &str = "Trash";

/// What a pass looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Only these mailboxes, all known already; `None` for all, with a fresh list from both sides.
    pub only: Option<BTreeSet<MailboxName>>,
    /// Mailboxes whose directory is known not to have changed since the last complete pass.
    pub local_clean: BTreeSet<MailboxName>,
    /// Mailboxes of which the server told nothing new: opened only if their directory changed.
    pub remote_quiet: BTreeSet<MailboxName>,
    /// Whether changes of flags may be seen later, where all would have to be listed for them.
    pub flags_may_wait: bool,
    /// Plan, but do nothing.
    pub dry_run: bool,
}

/// One pass over an account.
pub struct Pass<'a, R, L, D> {
    /// Its name, for hints.
    pub account: &'a str,
    /// The server.
    pub remote: &'a mut R,
    /// The Maildir.
    pub local: &'a mut L,
    /// The base.
    pub ledger: &'a mut D,
    /// What the user wants of deletions.
    pub policy: &'a Policy,
    /// Which mailboxes take part.
    pub wanted: &'a (dyn Fn(&MailboxName) -> bool + Send + Sync),
    /// Who wants to know of events.
    pub observer: &'a dyn Observer,
}

/// What the mailboxes looked at so far show.
#[derive(Default)]
pub(super) struct Looked {
    /// Those with something to do.
    pub(super) observed: Vec<Observed>,
    /// What the directories of those miss that could not be looked at.
    pub(super) missing: BTreeSet<Likeness>,
}

/// Why a mailbox was left alone.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "the directory of mailbox {mailbox} is missing or was replaced by another one: nothing is synced there"
    )]
    DirectoryLost { account: String, mailbox: MailboxName },
    #[error("mailbox {mailbox} would share its directory with mailbox {other}: it is not synced")]
    DirectoryShared { mailbox: MailboxName, other: MailboxName },
    #[error("messages moved here wait until the mailbox they come from can be looked at")]
    Waiting,
    #[error("the server does not show what {count} new message(s) are, first UID {first}: they wait")]
    Silent { count: usize, first: u32 },
    #[error(
        "the server has only mailboxes under this name, and none of it: the mail in this directory stays here"
    )]
    Unselectable,
    #[error("{count} message(s) are not uploaded and wait for the next try: {words}")]
    Resting { count: usize, words: String },
}

/// The directory of a mailbox is not the one that the ledger knows: nothing may be written there.
pub fn directory_lost(account: &str, mailbox: &MailboxName) -> Trouble {
    let (account, mailbox) = (account.to_owned(), mailbox.clone());
    Trouble::new(Scope::Mailbox, Refusal::DirectoryLost { account, mailbox })
}

/// A directory holds the mail of one mailbox only.
pub(super) fn directory_shared(mailbox: &MailboxName, other: &MailboxName) -> Trouble {
    let (mailbox, other) = (mailbox.clone(), other.clone());
    Trouble::new(Scope::Mailbox, Refusal::DirectoryShared { mailbox, other })
}

impl Classified for Refusal {
    fn class(&self) -> Class {
        Class::RETRY
    }

    fn hint(&self) -> Option<String> {
        match self {
            Refusal::DirectoryLost { account, mailbox } => Some(format!(
                "mount or put back the directory; to fetch everything again: posthaste held restore {account}/{mailbox}; to leave the mailbox out: mailboxes = [\"*\", \"!{mailbox}\"] in the configuration"
            )),
            Refusal::DirectoryShared { mailbox, other } => Some(format!(
                "the file system does not tell {mailbox} from {other}: rename one on the server, or keep the Maildir on another file system"
            )),
            Refusal::Waiting | Refusal::Silent { .. } | Refusal::Unselectable | Refusal::Resting { .. } => {
                None
            }
        }
    }
}

impl<R: Remote, L: Local, D: Ledger> Pass<'_, R, L, D> {
    /// Runs the pass. What went wrong is in the report, with all that was done before.
    pub async fn run(mut self, extent: &Extent) -> Report {
        let mut report = Report::default();
        if let Err(trouble) = self.look_and_act(extent, &mut report).await {
            report.trouble = Some(trouble);
        }
        report
    }

    async fn look_and_act(&mut self, extent: &Extent, report: &mut Report) -> Outcome<()> {
        let known = match &extent.only {
            Some(_) => BTreeMap::new(),
            None => self.discover(extent.dry_run, report).await?,
        };
        report.listed = extent.only.is_none();
        let mut records = self.ledger.mailboxes().await?;
        let trash = trash(&records);
        let all = records.clone();
        match &extent.only {
            Some(only) => records.retain(|record| {
                only.contains(&record.name) && (self.wanted)(&record.name) && !record.absent
            }),
            None if extent.dry_run => records = super::discover::pretended(records, &known),
            None => records.retain(|record| known.contains_key(&record.name) && !record.absent),
        }
        records.sort_by_key(|record| !record.name.is_inbox());
        let mut looked = Looked::default();
        for record in &records {
            let marks = known.get(&record.name).copied().flatten();
            self.look(record, marks, extent, &mut looked, report).await?;
        }
        self.look_for_targets(&all, &mut looked, extent, report).await?;
        self.look_for_sources(&all, &mut looked, extent, report).await?;
        if self.policy.on_delete == OnDelete::Trash {
            self.look_for_copies(&all, &trash, &mut looked, extent, report).await?;
        }
        looked.let_wait(report);
        let plan = plan(looked.observed, self.policy, &trash);
        if extent.dry_run {
            report.plan = Some(plan);
            return Ok(());
        }
        let Pass { remote, local, ledger, observer, .. } = self;
        Apply {
            remote: *remote,
            local: *local,
            ledger: *ledger,
            observer: *observer,
            report,
            pending: Vec::new(),
        }
        .run(plan)
        .await
    }
}

/// The Trash that the server has or had, else the one that the first deletion makes.
fn trash(records: &[MailboxRecord]) -> MailboxName {
    let is_trash = |record: &&MailboxRecord| record.special_use == Some(SpecialUse::Trash) && !record.absent;
    let known = records.iter().find(is_trash).map(|record| record.name.clone());
    known.unwrap_or_else(|| MailboxName::new(DEFAULT_TRASH))
}
