//! Which servers an account talks to: a provider's, or those that are written down, never a mixture.
//!
//! Invariant: plain text goes to loopback only. `net` checks the connected address again; here the mistake is shown
//! before anything is dialled. A mixture of a provider's row with own hosts is refused (but for a trust anchor), because it would send the
//! provider's token to a host that the provider does not list.

use super::account::Incoming;
use super::meaning::{Refusal, Written};
use super::typed::{self, TlsKind};
use super::{paths, pop};
use crate::mail::SpecialUse;
use crate::net::{Endpoint, Tls};
use crate::provider::{Filing, GLOBAL, OAuth, Provider, Site, is_host, is_loopback};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The servers of an account, and what its provider adds.
pub(super) struct Servers {
    pub(super) provider: Option<String>,
    pub(super) oauth: Option<OAuth>,
    pub(super) token_hosts: Vec<String>,
    pub(super) filing: Option<Filing>,
    pub(super) disable: BTreeSet<String>,
    pub(super) incoming: Incoming,
    pub(super) special_use: BTreeMap<String, SpecialUse>,
    pub(super) smtp: Option<Endpoint>,
}

/// Chooses the servers.
pub(super) fn choose(written: &Written<'_>, address: &str) -> Result<Servers, Refusal> {
    let account = written.account;
    let Some(provider) = provider(written, address)? else {
        return own(written);
    };
    let named = [
        ("imap", account.imap.as_ref().is_some_and(names_server)),
        ("pop", account.pop.as_ref().is_some_and(|pop| names_server(&pop.server()))),
        ("smtp", account.smtp.as_ref().is_some_and(names_server)),
    ];
    for (key, is_named) in named {
        if is_named {
            let message =
                format!("the {key} server is known from provider `{}`; leave one of both out", provider.name);
            return Err(written.refuse(&[key], message));
        }
    }
    let site = site(written, provider)?;
    let mut incoming = pop::of_provider(written, &provider.name, site)?;
    if let Incoming::Imap(imap) = &mut incoming {
        imap.ca = anchor(written, "imap", account.imap.as_ref())?;
    }
    let mut smtp = site.smtp.clone();
    if let Some(smtp) = &mut smtp {
        smtp.ca = anchor(written, "smtp", account.smtp.as_ref())?;
    }
    Ok(Servers {
        incoming,
        smtp,
        filing: Some(provider.sent),
        disable: provider.disable.clone(),
        special_use: provider.special_use.clone(),
        provider: Some(provider.name.clone()),
        token_hosts: site.token_hosts(),
        oauth: site.oauth.clone(),
    })
}

/// The provider that is named, or found from the domain of the address unless servers are written down.
fn provider<'a>(written: &Written<'a>, address: &str) -> Result<Option<&'a Provider>, Refusal> {
    let account = written.account;
    if let Some(name) = &account.provider {
        return match written.providers.by_name(name) {
            Some(provider) => Ok(Some(provider)),
            None => {
                let known = written.providers.names().join("`, `");
                let message = format!(
                    "unknown provider `{name}`, expected one of `{known}`; for another server leave it out and name the hosts"
                );
                Err(written.refuse(&["provider"], message))
            }
        };
    }
    if account.imap.as_ref().is_some_and(names_server)
        || account.pop.as_ref().is_some_and(|pop| names_server(&pop.server()))
    {
        return Ok(None);
    }
    let domain = address.rsplit_once('@').map_or(address, |(_, domain)| domain);
    match written.providers.by_domain(domain) {
        Some(provider) => Ok(Some(provider)),
        None => {
            let table = if written.is_pop() { "pop" } else { "imap" };
            let message = format!(
                "no provider is known for {domain}; set `provider`, or `host` in [accounts.{}.{table}]",
                written.name
            );
            Err(written.refuse(&["address"], message))
        }
    }
}

/// The provider's installation that the account names by `cloud`.
fn site<'a>(written: &Written<'_>, provider: &'a Provider) -> Result<&'a Site, Refusal> {
    let cloud = written.account.oauth.as_ref().and_then(|oauth| oauth.cloud.as_deref());
    let Some(cloud) = cloud else { return Ok(&provider.site) };
    provider.in_cloud(cloud).ok_or_else(|| {
        let known: Vec<&str> = provider.clouds.keys().map(String::as_str).collect();
        let expected = [GLOBAL].into_iter().chain(known).collect::<Vec<_>>().join("`, `");
        let message =
            format!("unknown cloud `{cloud}` of provider `{}`, expected one of `{expected}`", provider.name);
        written.refuse(&["oauth", "cloud"], message)
    })
}

/// The servers that are written down.
fn own(written: &Written<'_>) -> Result<Servers, Refusal> {
    let incoming = pop::of_account(written)?;
    let smtp = written.account.smtp.as_ref().map(|smtp| endpoint(written, "smtp", smtp)).transpose()?;
    let mut token_hosts: Vec<String> = [Some(incoming.server()), smtp.as_ref()]
        .into_iter()
        .flatten()
        .map(|server| server.host.clone())
        .collect();
    token_hosts.dedup();
    Ok(Servers {
        provider: None,
        oauth: None,
        token_hosts,
        filing: None,
        disable: BTreeSet::new(),
        incoming,
        special_use: BTreeMap::new(),
        smtp,
    })
}

pub(super) fn endpoint(
    written: &Written<'_>,
    table: &str,
    server: &typed::Server,
) -> Result<Endpoint, Refusal> {
    let host = match &server.host {
        Some(host) if is_host(host) => host.clone(),
        Some(_) => {
            return Err(
                written.refuse(&[table, "host"], "expected a host name or an address, without a port")
            );
        }
        None => return Err(written.refuse(&[table], format!("the {table} server has no `host`"))),
    };
    let tls = match server.tls.unwrap_or(TlsKind::Implicit) {
        TlsKind::Implicit => Tls::Implicit,
        TlsKind::StartTls => Tls::StartTls,
        TlsKind::None if is_loopback(&host) => Tls::None,
        TlsKind::None => {
            let message = format!(
                "`none` is possible only to a loopback address, not to {host}; expected `implicit` or `starttls`"
            );
            return Err(written.refuse(&[table, "tls"], message));
        }
    };
    let port = match server.port {
        Some(0) => return Err(written.refuse(&[table, "port"], "0 is no port, expected 1 to 65535")),
        Some(port) => port,
        None => default_port(table, tls),
    };
    Ok(Endpoint { host, port, tls, ca: anchor(written, table, Some(server))? })
}

/// Whether more is written down than a trust anchor, which may stand beside a provider: its certificate may be a private
/// one (Proton Mail Bridge), or a proxy of the organisation may stand in between.
fn names_server(server: &typed::Server) -> bool {
    server.host.is_some() || server.port.is_some() || server.tls.is_some()
}

pub(super) fn anchor(
    written: &Written<'_>,
    table: &str,
    server: Option<&typed::Server>,
) -> Result<Option<PathBuf>, Refusal> {
    let ca = server.and_then(|server| server.ca.as_deref());
    let ca = ca.map(|path| paths::absolute(path, written.home)).transpose();
    ca.map_err(|wrong| written.refuse(&[table, "ca"], wrong))
}

/// RFC 8314 §7 for implicit TLS, RFC 9051 §11.1, RFC 1939 §3 and RFC 6409 §3.1 else.
fn default_port(table: &str, tls: Tls) -> u16 {
    match (table, tls) {
        ("imap", Tls::Implicit) => 993,
        ("imap", _) => 143,
        ("pop", Tls::Implicit) => 995,
        ("pop", _) => 110,
        (_, Tls::Implicit) => 465,
        (_, _) => 587,
    }
}
