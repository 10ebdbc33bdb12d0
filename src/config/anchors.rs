//! Whether the trust anchors that a configuration names can be used: each `ca` exists and holds certificates.
//!
//! The one question to the disk beside the file itself, asked only by a check.

use super::account::Account;
use super::meaning::Refusal;
use crate::error::chain;
use crate::net;

/// Refuses the first that cannot be used.
pub(super) fn check(accounts: &[Account]) -> Result<(), Refusal> {
    for account in accounts {
        for (key, endpoint) in
            [(account.incoming.table(), Some(account.incoming.server())), ("smtp", account.smtp.as_ref())]
        {
            let Some(ca) = endpoint.and_then(|endpoint| endpoint.ca.as_deref()) else { continue };
            net::check_anchor(ca).map_err(|error| Refusal {
                path: ["accounts", &account.name, key, "ca"].map(str::to_owned).to_vec(),
                message: chain(&error),
            })?;
        }
    }
    Ok(())
}
