//! Deletions that the guard holds back, and copies in quarantine: list, approve, restore.

use super::HeldList;
use super::inbound::Inbound;
use crate::error::{Class, Classified};
use crate::keeping::Side;
use crate::mail::MailboxName;
use crate::sync::guard::{Ground, ground};
use crate::sync::{
    Base, Entry, Held, Ledger as _, Local as _, MailboxRecord, Outcome, Remote, Row, Scope, Trouble, delta,
};
use std::collections::BTreeMap;

/// There is nothing to approve.
#[derive(Debug, thiserror::Error)]
#[error("nothing is held back in mailbox {0}")]
struct NothingHeld(MailboxName);

impl Classified for NothingHeld {
    fn class(&self) -> Class {
        Class::GiveUp
    }

    fn hint(&self) -> Option<String> {
        Some("posthaste held list shows what is, and in which mailboxes".to_owned())
    }
}

impl Inbound {
    /// What is held back and what lies in quarantine.
    pub(super) async fn held_list(&mut self) -> Outcome<HeldList> {
        let records = self.stores.ledger.mailboxes().await?;
        let deletions = records
            .iter()
            .flat_map(|record| record.held.iter().map(|held| (record.name.clone(), *held)))
            .collect();
        let mut quarantined: BTreeMap<MailboxName, u64> = BTreeMap::new();
        for copy in self.stores.maildir.quarantined().await? {
            *quarantined.entry(copy.mailbox).or_default() += 1;
        }
        Ok(HeldList { deletions, quarantined: quarantined.into_iter().collect() })
    }

    /// Lets the next pass carry out what is held back now.
    pub(super) async fn approve(&mut self, mailbox: &MailboxName) -> Outcome<()> {
        let record = self.record(mailbox).await?.filter(|record| !record.held.is_empty());
        let record = record.ok_or_else(|| Trouble::new(Scope::Mailbox, NothingHeld(mailbox.clone())))?;
        let held = record.held.iter().map(|held| Held { approved: true, ..*held }).collect();
        self.stores.ledger.commit(vec![(mailbox.clone(), Entry::Held(held))]).await
    }

    /// Brings messages back. What disappeared on one side is forgotten by the base, so that the next pass finds it new
    /// on the other side and copies it; copies in quarantine return to their mailbox; a directory that is lost begins
    /// anew.
    pub(super) async fn restore(&mut self, remote: &mut impl Remote, mailbox: &MailboxName) -> Outcome<()> {
        let copies = self.stores.maildir.quarantined().await?;
        let copies: Vec<_> = copies.into_iter().filter(|copy| copy.mailbox == *mailbox).collect();
        for copy in &copies {
            self.stores.maildir.restore(copy).await?;
        }
        let Some(record) = self.record(mailbox).await? else {
            let unknown = || Trouble::new(Scope::Mailbox, NothingHeld(mailbox.clone()));
            return if copies.is_empty() { Err(unknown()) } else { Ok(()) };
        };
        let base = self.stores.ledger.base(mailbox).await?;
        let view = self.stores.maildir.scan(mailbox).await?;
        let known = record.directory;
        let is_lost =
            known.is_some_and(|known| ground(known, view.as_ref().map(|view| view.seen())) == Ground::Lost);
        let mut entries = Vec::new();
        if is_lost {
            let directory = self.stores.maildir.create(mailbox).await?;
            entries.push(Entry::Known { special_use: record.special_use, directory: Some(directory) });
            entries.extend(base.rows.iter().map(|row| Entry::Forget(row.uid)));
        } else if let Some(view) = view {
            let local = delta::local(&base, &view);
            entries.extend(local.gone.into_keys().map(Entry::Forget));
            let gone = self.gone_from_server(remote, &record, &base).await?;
            entries.extend(gone.into_iter().map(|row| Entry::Forget(row.uid)));
        }
        entries.push(Entry::Marks(None));
        entries.push(Entry::Held(Vec::new()));
        let entries = entries.into_iter().map(|entry| (mailbox.clone(), entry)).collect();
        self.stores.ledger.commit(entries).await
    }

    /// Pairs whose deletion on the server is held back: their files will be uploaded again.
    async fn gone_from_server(
        &mut self,
        remote: &mut impl Remote,
        record: &MailboxRecord,
        base: &Base,
    ) -> Outcome<Vec<Row>> {
        if !record.held.iter().any(|held| held.side == Side::Remote) {
            return Ok(Vec::new());
        }
        let view = remote.open(&record.name, None).await?;
        let is_same = record.uid_validity == Some(view.marks.uid_validity);
        let gone = delta::remote(base, &view, None).gone.into_values();
        Ok(if is_same { gone.collect() } else { Vec::new() })
    }

    async fn record(&mut self, mailbox: &MailboxName) -> Outcome<Option<MailboxRecord>> {
        let records = self.stores.ledger.mailboxes().await?;
        Ok(records.into_iter().find(|record| record.name == *mailbox))
    }
}
