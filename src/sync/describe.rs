//! A plan in words, as `sync --dry-run` prints it: one line per action but for pairs, in the order in which they would be done.

use super::Fate;
use super::plan::{Plan, Steps};
use crate::keeping::Side;
use crate::mail::{Flags, MailboxName};
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut order: Vec<_> = self.mailboxes.iter().collect();
        order.sort_by_key(|(mailbox, _)| !mailbox.is_inbox());
        for &(mailbox, steps) in &order {
            for uid in &steps.discard {
                writeln!(out, "{mailbox}: expunge message {uid} on the server, which was moved elsewhere")?;
            }
        }
        for &(mailbox, steps) in &order {
            changes(out, mailbox, steps)?;
        }
        for &(mailbox, steps) in &order {
            deletions(out, mailbox, steps)?;
        }
        Ok(())
    }
}

fn changes(out: &mut fmt::Formatter<'_>, mailbox: &MailboxName, steps: &Steps) -> fmt::Result {
    // Nothing is transferred, and after a lost ledger there are as many as messages.
    if !steps.adopt.is_empty() {
        writeln!(out, "{mailbox}: pair {} messages with the files that are here", steps.adopt.len())?;
    }
    for (uid, listed) in &steps.download {
        match listed.size {
            Some(size) => writeln!(out, "{mailbox}: fetch message {uid} ({size} octets)")?,
            None => writeln!(out, "{mailbox}: fetch message {uid}")?,
        }
    }
    for (name, upload) in &steps.upload {
        writeln!(out, "{mailbox}: upload {name} ({} octets)", upload.likeness.size)?;
    }
    for step in &steps.moves {
        writeln!(out, "{mailbox}: move message {} to {} on the server", step.row.uid, step.to)?;
    }
    for reflag in &steps.reflag {
        let merge = &reflag.merge;
        flags(out, mailbox, "on the server", reflag.uid, merge.remote_add, merge.remote_remove)?;
        flags(out, mailbox, "in the Maildir", reflag.uid, merge.local_add, merge.local_remove)?;
    }
    Ok(())
}

fn flags(
    out: &mut fmt::Formatter<'_>,
    mailbox: &MailboxName,
    side: &str,
    uid: crate::mail::Uid,
    add: Flags,
    remove: Flags,
) -> fmt::Result {
    if !add.is_empty() {
        writeln!(out, "{mailbox}: set {add} on message {uid} {side}")?;
    }
    if !remove.is_empty() {
        writeln!(out, "{mailbox}: clear {remove} on message {uid} {side}")?;
    }
    Ok(())
}

fn deletions(out: &mut fmt::Formatter<'_>, mailbox: &MailboxName, steps: &Steps) -> fmt::Result {
    for row in &steps.quarantine {
        writeln!(out, "{mailbox}: move the file {} to quarantine (message {} is gone)", row.name, row.uid)?;
    }
    for uid in &steps.remove {
        match &steps.fate {
            Fate::MoveTo(trash) => writeln!(out, "{mailbox}: move message {uid} to {trash} on the server")?,
            Fate::Expunge => writeln!(out, "{mailbox}: expunge message {uid} on the server")?,
        }
    }
    for held in &steps.held {
        let side = match held.side {
            Side::Remote => "gone from the server",
            Side::Local => "gone from the Maildir",
        };
        writeln!(out, "{mailbox}: hold back {} deletions of {} messages ({side})", held.count, held.of)?;
    }
    Ok(())
}
