//! An account that logs in without a person: `flow = "client"` in its `oauth` table.
//!
//! Invariant: exactly one proof is named (a secret, a certificate with its key, or a service account), and one that the
//! provider takes. Whether the files can be read is seen when they are used: a start asks the disk for nothing.

use super::account::Secret;
use super::meaning::{Refusal, Written};
use super::paths;
use super::typed::{self, FlowKind};
use crate::application::App;
use crate::provider::Flow;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Tenants that stand for many; a program belongs to one.
const NO_TENANT: &[&str] = &["common", "organizations", "consumers"];

/// How the program proves who it is; `None` where a person logs in. `refused` says which ways cannot work.
pub(super) fn app(
    written: &Written<'_>,
    oauth: &typed::OAuth,
    secret: Option<&Secret>,
    refused: &BTreeMap<Flow, String>,
) -> Result<Option<App>, Refusal> {
    if oauth.flow != Some(FlowKind::Client) {
        return match named(oauth) {
            Some(key) => {
                Err(written
                    .refuse(&["oauth", key], format!("`{key}` has no meaning without flow = \"client\"")))
            }
            None => Ok(None),
        };
    }
    let app = proof(written, oauth, secret)?;
    let flow = if matches!(app, App::ServiceAccount { .. }) { Flow::ServiceAccount } else { Flow::Client };
    if let Some(why) = refused.get(&flow) {
        let message = format!("this is not possible with flow = \"client\": {why}");
        return Err(written.refuse(&["oauth", named(oauth).unwrap_or("flow")], message));
    }
    Ok(Some(app))
}

/// Refuses a tenant that is none: only a registered one can let a program in. `tenant` is the one that is meant.
pub(super) fn check_tenant(written: &Written<'_>, oauth: &typed::OAuth, tenant: &str) -> Result<(), Refusal> {
    if oauth.flow != Some(FlowKind::Client) || !NO_TENANT.contains(&tenant) {
        return Ok(());
    }
    let key: &[&str] = if oauth.tenant.is_some() { &["oauth", "tenant"] } else { &["oauth", "flow"] };
    Err(written.refuse(key, "flow = \"client\" needs `tenant`: the domain or id of your organisation"))
}

fn proof(written: &Written<'_>, oauth: &typed::OAuth, secret: Option<&Secret>) -> Result<App, Refusal> {
    let path = |key: &str, text: &str| -> Result<PathBuf, Refusal> {
        paths::absolute(text, written.home).map_err(|wrong| written.refuse(&["oauth", key], wrong))
    };
    match (&oauth.certificate, &oauth.key, &oauth.service_account, secret) {
        (None, None, None, Some(_)) => Ok(App::Secret),
        (Some(certificate), Some(key), None, None) => {
            Ok(App::Certificate { certificate: path("certificate", certificate)?, key: path("key", key)? })
        }
        (None, None, Some(key), None) => {
            let account = written.account;
            let subject = account.user.as_ref().or(account.address.as_ref()).cloned().unwrap_or_default();
            Ok(App::ServiceAccount { key: path("service_account", key)?, subject })
        }
        _ => Err(written.refuse(
            &["oauth", "flow"],
            "flow = \"client\" needs exactly one of: a client secret, `certificate` and `key`, or `service_account`",
        )),
    }
}

/// The first of the keys that only make sense here.
fn named(oauth: &typed::OAuth) -> Option<&'static str> {
    let keys = [
        ("certificate", oauth.certificate.is_some()),
        ("key", oauth.key.is_some()),
        ("service_account", oauth.service_account.is_some()),
    ];
    keys.into_iter().find_map(|(key, is_named)| is_named.then_some(key))
}
