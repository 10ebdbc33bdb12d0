//! Filing the copy of a sent message: into the local Sent mailbox, from where the inbound loop uploads it.
//!
//! That way there is one path by which messages reach the server, with its intents and its pairing after a crash. An
//! APPEND of our own was rejected: it would need both again. The file's name is made of the submission's, so that
//! filing twice after a crash makes one copy.

use super::stores::maildir;
use crate::config::Account;
use crate::mail::{Flags, MailboxName, UniqueName};
use crate::queue::Id;
use crate::sync::{Local as _, Outcome, Scope, Trouble};
use std::fs::File;
use std::time::SystemTime;

/// Puts the copy of `id` into `mailbox`; done already is done.
pub(super) async fn file(account: &Account, id: &Id, message: File, mailbox: &MailboxName) -> Outcome<()> {
    let account = account.clone();
    let opened = tokio::task::spawn_blocking(move || maildir(&account)).await;
    let mut maildir = match opened {
        Ok(outcome) => outcome.map_err(|error| Trouble::new(Scope::Mailbox, error))?,
        Err(_) => return Ok(()),
    };
    maildir.create(mailbox).await?;
    let name = UniqueName::new(format!("{id}.sent"));
    maildir.deliver(mailbox, &name, message, Flags::SEEN, SystemTime::now()).await
}
