//! Accounts that fetch by POP3: `protocol`, `[accounts.NAME.pop]`, and the keys that have no meaning with it.
//!
//! A maildrop is one mailbox without flags, and it is polled: what speaks of mailboxes, of pushing, or of deleting in both
//! directions would have no effect and is refused, as is a server's table of the other protocol.

use super::account::{Incoming, Pop};
use super::duration;
use super::meaning::{Refusal, Written};
use super::servers::{anchor, endpoint};
use super::typed::{self, Protocol};
use crate::provider::Site;
use std::time::Duration;

impl Written<'_> {
    /// Whether mail comes by POP3.
    pub(super) fn is_pop(&self) -> bool {
        self.account.protocol == Some(Protocol::Pop3)
    }
}

impl typed::Pop {
    /// The server in the table, without what to do there.
    pub(super) fn server(&self) -> typed::Server {
        let typed::Pop { host, port, tls, ca, .. } = self;
        typed::Server { host: host.clone(), port: *port, tls: *tls, ca: ca.clone() }
    }
}

/// Refuses keys that have no meaning with the protocol chosen.
pub(super) fn check(written: &Written<'_>) -> Result<(), Refusal> {
    let account = written.account;
    if !written.is_pop() {
        return match account.pop {
            Some(_) => Err(written.refuse(&["pop"], "`pop` has no meaning without protocol = \"pop3\"")),
            None => Ok(()),
        };
    }
    let named = [
        ("imap", account.imap.is_some(), "write the server in `pop`"),
        ("mailboxes", account.mailboxes.is_some(), "a maildrop is one mailbox, fetched into INBOX"),
        ("idle", account.idle.is_some(), "POP3 has no push; `sweep` says how often it is polled"),
        ("poll_only", account.poll_only.is_some(), "POP3 has no push; `sweep` says how often it is polled"),
        ("on_delete", account.on_delete.is_some(), "see `delete_after` in `pop`"),
    ];
    match named.into_iter().find(|(_, is_named, _)| *is_named) {
        Some((key, _, instead)) => {
            let message = format!("`{key}` has no meaning with protocol = \"pop3\": {instead}");
            Err(written.refuse(&[key], message))
        }
        None => Ok(()),
    }
}

/// The server that the provider's row names for the protocol chosen.
pub(super) fn of_provider(written: &Written<'_>, provider: &str, site: &Site) -> Result<Incoming, Refusal> {
    if !written.is_pop() {
        let missing = || written.refuse(&["provider"], format!("provider `{provider}` has no IMAP server"));
        return site.imap.clone().map(Incoming::Imap).ok_or_else(missing);
    }
    let missing = || {
        let message = format!("provider `{provider}` has no POP3 server, expected `imap`");
        written.refuse(&["protocol"], message)
    };
    let mut server = site.pop.clone().ok_or_else(missing)?;
    let own = written.account.pop.as_ref().map(typed::Pop::server);
    server.ca = anchor(written, "pop", own.as_ref())?;
    Ok(Incoming::Pop(Pop { server, delete_after: delete_after(written)? }))
}

/// The server that is written down.
pub(super) fn of_account(written: &Written<'_>) -> Result<Incoming, Refusal> {
    let account = written.account;
    if !written.is_pop() {
        let imap = account.imap.as_ref();
        let imap =
            imap.ok_or_else(|| written.refuse(&[], "neither a provider nor an IMAP server is known"))?;
        return Ok(Incoming::Imap(endpoint(written, "imap", imap)?));
    }
    let pop = account.pop.as_ref();
    let pop = pop.ok_or_else(|| written.refuse(&[], "neither a provider nor a POP3 server is known"))?;
    let server = endpoint(written, "pop", &pop.server())?;
    Ok(Incoming::Pop(Pop { server, delete_after: delete_after(written)? }))
}

fn delete_after(written: &Written<'_>) -> Result<Option<Duration>, Refusal> {
    let text = written.account.pop.as_ref().and_then(|pop| pop.delete_after.as_deref());
    let Some(text) = text else { return Ok(None) };
    let after = duration::parse(text).map_err(|wrong| written.refuse(&["pop", "delete_after"], wrong))?;
    match after.is_zero() {
        // Zero would delete what the pass before has only just written.
        true => Err(written.refuse(&["pop", "delete_after"], "expected at least 1s; leave it out for never")),
        false => Ok(Some(after)),
    }
}
