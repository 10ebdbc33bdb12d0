//! The uploads of a plan: a part of [`super::apply`].
//!
//! An upload cannot be repeated, so its intent is committed first. One file that is refused does not stop the others; a
//! mailbox that is full takes none of them, and is not offered the rest. Only where the answer is not known the intent
//! stays.

use super::apply::Apply;
use super::pass::Refusal;
use super::plan::{Steps, Upload};
use super::{Entry, Ledger, Local, Loose, Outcome, Remote, Row, RowState, Scope, Trouble};
use crate::error::chain;
use crate::mail::{MailboxName, UniqueName};
use std::collections::btree_map;

/// Uploads between two commits of their pairs: a crash makes at most this many be searched for on the server.
const UPLOADS_PER_COMMIT: usize = 50;

impl<R: Remote, L: Local, D: Ledger> Apply<'_, R, L, D> {
    pub(super) async fn upload(&mut self, mailbox: &MailboxName, steps: &Steps) -> Outcome<()> {
        if let Some(words) = steps.resting.values().next() {
            let refusal = Refusal::Resting { count: steps.resting.len(), words: words.clone() };
            self.tolerate(mailbox, Err(Trouble::new(Scope::Message, refusal)))?;
        }
        if steps.upload.is_empty() {
            return Ok(());
        }
        for (name, upload) in &steps.upload {
            self.later(mailbox, Entry::Loosen(name.clone(), Loose::Uploading, upload.likeness));
        }
        self.flush().await?;
        let mut files = steps.upload.iter();
        let full = self.offer(mailbox, steps, &mut files).await;
        // The server has none of those that it was not offered. They would meet the same answer, one at each look.
        for (name, _) in files {
            self.later(mailbox, Entry::Unloosen(name.clone()));
            if let Ok(Some(why)) = &full {
                self.report.mailbox(mailbox).refused.push((name.clone(), why.clone()));
            }
        }
        full?;
        self.flush().await
    }

    /// Offers file after file, until one is refused in a way that concerns the others too: the words of that.
    async fn offer(
        &mut self,
        mailbox: &MailboxName,
        steps: &Steps,
        files: &mut btree_map::Iter<'_, UniqueName, Upload>,
    ) -> Outcome<Option<String>> {
        for (name, upload) in files {
            if let Err(trouble) = self.append(mailbox, name, upload, steps).await {
                let why = chain(&trouble);
                self.report.mailbox(mailbox).refused.push((name.clone(), why.clone()));
                // What is wrong with the whole mailbox (its quota) is wrong with the next file too.
                let is_single = trouble.scope == Scope::Message;
                self.tolerate(mailbox, Err(trouble))?;
                // Refused is not there: another text under its Message-ID is another message.
                self.later(mailbox, Entry::Unloosen(name.clone()));
                if !is_single {
                    return Ok(Some(why));
                }
            }
            if self.pending.len() >= UPLOADS_PER_COMMIT {
                self.flush().await?;
            }
        }
        Ok(None)
    }

    async fn append(
        &mut self,
        mailbox: &MailboxName,
        name: &UniqueName,
        upload: &Upload,
        steps: &Steps,
    ) -> Outcome<()> {
        // Emptied meanwhile is as good as gone: a message has a header.
        let message = match self.local.read(mailbox, name).await {
            // The others may be readable.
            Err(trouble) if trouble.scope == Scope::Mailbox => {
                return Err(Trouble { scope: Scope::Message, ..trouble });
            }
            Err(trouble) => return Err(trouble),
            Ok(message) => message.filter(|message| message.size > 0),
        };
        let Some(message) = message else {
            self.later(mailbox, Entry::Unloosen(name.clone()));
            return Ok(());
        };
        if message.size != upload.likeness.size {
            // It was written to since it was looked at.
            self.later(mailbox, Entry::Unloosen(name.clone()));
            self.report.mailbox(mailbox).unfinished = true;
            return Ok(());
        }
        let flags = message.flags;
        let appended = self.remote.append(mailbox, message).await?;
        self.report.mailbox(mailbox).uploaded += 1;
        match appended {
            Some((uid_validity, uid)) if uid_validity == steps.uid_validity => {
                let likeness = upload.likeness;
                let row = Row { uid, name: name.clone(), flags, likeness, state: RowState::Settled };
                self.later(mailbox, Entry::Pair(row));
            }
            _ => {
                self.later(mailbox, Entry::Loosen(name.clone(), Loose::Uploaded, upload.likeness));
                self.report.follow_up(mailbox);
            }
        }
        Ok(())
    }
}
