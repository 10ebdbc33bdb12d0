//! Whether the trust anchors that a configuration names can be used: each `ca` exists and holds certificates.
//!
//! The one question to the disk beside the file itself, asked only by a check.

use super::account::Account;
use super::meaning::Refusal;
use crate::error::chain;
use crate::net;

/// Refuses those that cannot be used, at the place of the first; the others are named with it.
pub(super) fn check(accounts: &[Account]) -> Result<(), Refusal> {
    let mut refusals = accounts.iter().flat_map(refusals);
    let Some(mut first) = refusals.next() else { return Ok(()) };
    for other in refusals {
        if !first.message.contains(&other.message) {
            first.message = format!("{}; {}", first.message, other.message);
        }
    }
    Err(first)
}

fn refusals(account: &Account) -> impl Iterator<Item = Refusal> {
    let servers =
        [(account.incoming.table(), Some(account.incoming.server())), ("smtp", account.smtp.as_ref())];
    servers.into_iter().filter_map(|(key, endpoint)| {
        let error = net::check_anchor(endpoint?.ca.as_deref()?).err()?;
        Some(Refusal {
            path: ["accounts", &account.name, key, "ca"].map(str::to_owned).to_vec(),
            message: chain(&error),
        })
    })
}
