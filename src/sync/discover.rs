//! Which mailboxes there are: those of the server, those of the Maildir, and those the ledger remembers.
//!
//! A mailbox on one side only is made on the other. One that the ledger knows and the server no longer lists is *not*
//! made again and its local copy is left alone: an incomplete LIST must not look like a deletion, nor a deletion like
//! a new mailbox.

use super::pass::{Pass, Refusal, directory_shared};
use super::report::Report;
use super::{
    DirectoryId, Entry, Ledger, Local, LocalView, MailboxRecord, Marks, Outcome, Remote, RemoteMailbox,
    Scope, Trouble,
};
use crate::mail::MailboxName;
use std::collections::{BTreeMap, BTreeSet};

/// The mailboxes to look at, with their marks where the list gave them.
pub(super) type Known = BTreeMap<MailboxName, Option<Marks>>;

impl<R: Remote, L: Local, D: Ledger> Pass<'_, R, L, D> {
    pub(super) async fn discover(&mut self, dry_run: bool, report: &mut Report) -> Outcome<Known> {
        let listed = self.remote.list().await?;
        let records: BTreeMap<_, _> =
            self.ledger.mailboxes().await?.into_iter().map(|record| (record.name.clone(), record)).collect();
        let mut known = Known::new();
        let mut entries = Vec::new();
        for mailbox in listed.iter().filter(|mailbox| mailbox.selectable) {
            let record = records.get(&mailbox.name);
            if !(self.wanted)(&mailbox.name) {
                entries.extend(remember_use(mailbox, record));
                continue;
            }
            let has_none = record.is_none_or(|record| record.directory.is_none());
            if has_none && let Err(trouble) = self.has_own_directory(&mailbox.name, &records, &entries).await
            {
                report.leave_out(&mailbox.name, trouble)?;
                continue;
            }
            match self.welcome(mailbox, record, dry_run, report).await {
                Ok(entry) => entries.extend(entry),
                Err(trouble) => {
                    report.leave_out(&mailbox.name, trouble)?;
                    continue;
                }
            }
            known.insert(mailbox.name.clone(), mailbox.marks);
        }
        entries.extend(absences(&listed, &records, report));
        report.absent.retain(|name| (self.wanted)(name));
        for mailbox in self.local_only(&listed, &records, report).await? {
            if !dry_run {
                match self.introduce(&mailbox).await {
                    Ok(entry) => entries.push((mailbox.clone(), entry)),
                    Err(trouble) => {
                        report.leave_out(&mailbox, trouble)?;
                        continue;
                    }
                }
            }
            report.created_remote.insert(mailbox.clone());
            known.insert(mailbox, None);
        }
        if !entries.is_empty() && !dry_run {
            self.ledger.commit(entries).await?;
        }
        Ok(known)
    }

    /// Makes a mailbox of the user's on the server.
    async fn introduce(&mut self, mailbox: &MailboxName) -> Outcome<Entry> {
        self.remote.create(mailbox).await?;
        let directory = self.local.create(mailbox).await?;
        Ok(Entry::Known { special_use: None, directory: Some(directory) })
    }

    /// Refuses a mailbox whose directory is that of another one: where a file system does not tell case apart, each would be
    /// sent the mail of the other.
    async fn has_own_directory(
        &mut self,
        mailbox: &MailboxName,
        records: &BTreeMap<MailboxName, MailboxRecord>,
        made: &[(MailboxName, Entry)],
    ) -> Outcome<()> {
        let Some(view) = self.local.scan(mailbox).await? else { return Ok(()) };
        let present = records.values().filter(|record| !record.absent);
        let known = present.filter_map(|record| Some((&record.name, record.directory?)));
        let made = made.iter().filter_map(|(name, entry)| match entry {
            Entry::Known { directory, .. } => Some((name, (*directory)?)),
            _ => None,
        });
        let is_same = |directory: DirectoryId| directory == view.directory;
        match known.chain(made).find(|&(name, directory)| name != mailbox && is_same(directory)) {
            Some((other, _)) => Err(directory_shared(mailbox, other)),
            None => Ok(()),
        }
    }

    /// A mailbox that the server lists: it gets a directory, once.
    async fn welcome(
        &mut self,
        mailbox: &RemoteMailbox,
        record: Option<&MailboxRecord>,
        dry_run: bool,
        report: &mut Report,
    ) -> Outcome<Option<(MailboxName, Entry)>> {
        let directory = match record.and_then(|record| record.directory) {
            Some(_) if record.is_some_and(|record| record.special_use == mailbox.special_use) => {
                return Ok(None);
            }
            Some(directory) => directory,
            None => {
                report.created_local.insert(mailbox.name.clone());
                if dry_run {
                    return Ok(None);
                }
                self.local.create(&mailbox.name).await?
            }
        };
        Ok(Some((
            mailbox.name.clone(),
            Entry::Known { special_use: mailbox.special_use, directory: Some(directory) },
        )))
    }

    /// Directories of the user's that neither the server nor the ledger knows.
    async fn local_only(
        &mut self,
        listed: &[RemoteMailbox],
        records: &BTreeMap<MailboxName, MailboxRecord>,
        report: &mut Report,
    ) -> Outcome<Vec<MailboxName>> {
        let mut found = self.local.list().await?;
        let on_server = selectable(listed);
        found.retain(|name| !on_server.contains(name) && !records.contains_key(name) && (self.wanted)(name));
        let is_bare = |name: &MailboxName| listed.iter().any(|mailbox| mailbox.name == *name);
        let (bare, found): (Vec<_>, Vec<_>) = found.into_iter().partition(is_bare);
        for name in &bare {
            self.tell_unselectable(name, report).await?;
        }
        Ok(found)
    }

    /// Mail in a directory whose name on the server is only a part of other names cannot be synced.
    async fn tell_unselectable(&mut self, mailbox: &MailboxName, report: &mut Report) -> Outcome<()> {
        let holds_mail = |view: &LocalView| !view.files.is_empty();
        match self.local.scan(mailbox).await {
            Ok(view) if view.as_ref().is_some_and(holds_mail) => {
                report.leave_out(mailbox, Trouble::new(Scope::Mailbox, Refusal::Unselectable))
            }
            Ok(_) => Ok(()),
            Err(trouble) => report.leave_out(mailbox, trouble),
        }
    }
}

/// The Trash is needed also where it takes no part in the sync.
fn remember_use(mailbox: &RemoteMailbox, record: Option<&MailboxRecord>) -> Option<(MailboxName, Entry)> {
    let special_use = mailbox.special_use;
    let is_news = record.map_or(special_use.is_some(), |record| record.special_use != special_use);
    is_news.then(|| (mailbox.name.clone(), Entry::Known { special_use, directory: None }))
}

/// Mailboxes that vanished from the server's list or hold no messages any more (`\Noselect`: deleted, with others under
/// them), and those that came back.
fn absences(
    listed: &[RemoteMailbox],
    records: &BTreeMap<MailboxName, MailboxRecord>,
    report: &mut Report,
) -> Vec<(MailboxName, Entry)> {
    let on_server = selectable(listed);
    let mut entries = Vec::new();
    for (name, record) in records {
        let absent = !on_server.contains(name);
        if absent && !record.absent {
            report.absent.insert(name.clone());
        }
        if absent != record.absent {
            entries.push((name.clone(), Entry::Absent(absent)));
        }
    }
    entries
}

fn selectable(listed: &[RemoteMailbox]) -> BTreeSet<&MailboxName> {
    listed.iter().filter(|mailbox| mailbox.selectable).map(|mailbox| &mailbox.name).collect()
}

/// For a dry run: the records as they would be after a real discovery. Mailboxes still to be made have no directory.
pub(super) fn pretended(records: Vec<MailboxRecord>, known: &Known) -> Vec<MailboxRecord> {
    let mut records: BTreeMap<_, _> =
        records.into_iter().map(|record| (record.name.clone(), record)).collect();
    records.retain(|name, record| known.contains_key(name) && !record.absent);
    for (name, marks) in known {
        if marks.is_some() || records.contains_key(name) {
            records.entry(name.clone()).or_insert_with(|| MailboxRecord::unknown(name.clone()));
        }
    }
    records.into_values().collect()
}

impl MailboxRecord {
    /// A mailbox of which nothing is known.
    pub fn unknown(name: MailboxName) -> MailboxRecord {
        MailboxRecord {
            name,
            special_use: None,
            directory: None,
            uid_validity: None,
            marks: None,
            absent: false,
            held: Vec::new(),
            messages: 0,
        }
    }
}
