//! Filing the copy of a sent message: into the local Sent mailbox, from where the inbound loop uploads it.
//!
//! That way there is one path by which messages reach the server, with its intents and its pairing after a crash. An
//! APPEND of our own was rejected: it would need both again. The file's name is made of the submission's, so that
//! filing twice after a crash makes one copy.
//!
//! A directory that the ledger knows is never made again: where the disk is not mounted the copy waits. A new one in its
//! place would hide the user's.

use super::stores::maildir;
use crate::config::Account;
use crate::mail::{Flags, MailboxName, SpecialUse, UniqueName};
use crate::maildir::Maildir;
use crate::queue::Id;
use crate::sync::guard::{Ground, ground};
use crate::sync::{DirectoryId, Local as _, MailboxRecord, Outcome, directory_lost};
use std::fs::File;
use std::time::SystemTime;

/// Where copies of sent messages go, as the ledger knows it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    mailbox: MailboxName,
    /// Whether the ledger knows its directory; otherwise it is made.
    is_known: bool,
    /// Directories of which one must stand where it was: its own, or, where that is not known, any of the account's.
    witnesses: Vec<(MailboxName, DirectoryId)>,
}

impl Target {
    /// The mailbox that the server marks, else the one called Sent.
    pub(super) fn of(records: &[MailboxRecord]) -> Target {
        let is_marked =
            |record: &&MailboxRecord| record.special_use == Some(SpecialUse::Sent) && !record.absent;
        let marked = records.iter().find(is_marked).map(|record| record.name.clone());
        let mailbox = marked.unwrap_or_else(|| MailboxName::new("Sent"));
        let known = |record: &MailboxRecord| Some((record.name.clone(), record.directory?));
        let mut witnesses: Vec<_> = records.iter().filter_map(known).collect();
        let is_known = witnesses.iter().any(|(name, _)| *name == mailbox);
        witnesses.retain(|(name, _)| !is_known || *name == mailbox);
        witnesses.sort_by_key(|(name, _)| !name.is_inbox());
        Target { mailbox, is_known, witnesses }
    }

    /// Refuses where the Maildir is not the one that the ledger knows.
    async fn check(&self, account: &str, maildir: &Maildir) -> Outcome<()> {
        for (mailbox, known) in &self.witnesses {
            if ground(*known, maildir.seen(mailbox).await?) != Ground::Lost {
                return Ok(());
            }
        }
        self.witnesses.first().map_or(Ok(()), |(mailbox, _)| Err(directory_lost(account, mailbox)))
    }
}

/// Puts the copy of `id` into its mailbox; done already is done.
pub(super) async fn file(account: &Account, id: &Id, message: File, target: &Target) -> Outcome<()> {
    let mut maildir = maildir(account, Maildir::at);
    target.check(&account.name, &maildir).await?;
    if !target.is_known {
        maildir.create(&target.mailbox).await?;
    }
    let name = UniqueName::new(format!("{id}.sent"));
    maildir.deliver(&target.mailbox, &name, message, Flags::SEEN, SystemTime::now()).await
}
