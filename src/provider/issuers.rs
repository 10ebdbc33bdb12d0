//! Who issues tokens, as far as the built-in rows tell, and who may see them.
//!
//! Invariant: where an address or a scope of a login names a known issuer, every address is that issuer's, and its tokens
//! go to that issuer's mail hosts or neighbours of theirs (below the same domain). A refresh token is revoked where it
//! was issued. This machine may take part in any login, as a proxy does. So a slip in a name carries no code, secret or
//! token to a stranger; of an issuer that no row knows nothing more can be told. Pure. Rows of the user are
//! judged here and never believed.

use super::place::{host_of, is_below, is_loopback, neighbourhood};
use super::{OAuth, Provider, Site};
use std::collections::BTreeMap;

/// Where a login leads: who sees its codes, secrets and tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route<'a> {
    /// The URLs of its endpoints by their keys, the one for tokens first.
    pub endpoints: Vec<(&'static str, &'a str)>,
    /// What is asked for.
    pub scopes: Vec<&'a str>,
    /// The mail hosts that get tokens, by their tables.
    pub servers: Vec<(&'static str, &'a str)>,
}

/// What of a login would lead to a stranger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// The table and the key of its name.
    pub keys: [&'static str; 2],
    /// Who the stranger is, and to whom.
    pub message: String,
}

/// Every known issuer, by the host of its token endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Issuers(BTreeMap<String, Issuer>);

/// Domains of one issuer; what is below them is its own as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Issuer {
    /// Of its login servers.
    logins: Vec<String>,
    /// In URLs that are scopes. Plain words are scopes of many.
    scopes: Vec<String>,
    /// Of the mail hosts that take its tokens.
    mail: Vec<String>,
}

impl Route<'_> {
    /// The way of the tokens of one installation.
    pub(super) fn of_site<'a>(site: &'a Site, oauth: &'a OAuth) -> Route<'a> {
        let servers = [("imap", &site.imap), ("pop", &site.pop), ("smtp", &site.smtp)];
        let servers = servers.into_iter().filter_map(|(key, it)| Some((key, it.as_ref()?.host.as_str())));
        Route {
            endpoints: endpoints(oauth),
            scopes: oauth.scopes.all().map(String::as_str).collect(),
            servers: servers.collect(),
        }
    }

    /// Of an issuer that is not known: a refresh token that is revoked elsewhere than it was issued.
    fn strange_revocation(&self) -> Option<Stray> {
        let host = |wanted: &str| {
            let (_, url) = self.endpoints.iter().find(|(key, _)| *key == wanted)?;
            Some(host_of(url))
        };
        let (issuer, revoke) = (host("token_url")?, host("revoke_url")?);
        let message =
            format!("tokens of {issuer} are not for {revoke}: they are revoked where they were issued");
        let is_strange = revoke != issuer && !is_loopback(&revoke);
        is_strange.then_some(Stray { keys: ["oauth", "revoke_url"], message })
    }
}

impl Issuers {
    /// What these rows know.
    pub(super) fn new(providers: &[Provider]) -> Issuers {
        let mut issuers = Issuers::default();
        for provider in providers {
            issuers.learn(&provider.site, &provider.domains);
            provider.clouds.values().for_each(|cloud| issuers.learn(cloud, &[]));
        }
        issuers
    }

    fn learn(&mut self, site: &Site, domains: &[String]) {
        let Some(oauth) = &site.oauth else { return };
        let issuer = self.0.entry(host_of(&oauth.token_url)).or_default();
        issuer.logins.extend(endpoints(oauth).into_iter().map(|(_, url)| host_of(url)));
        issuer.logins.extend(oauth.aliases.iter().cloned());
        issuer.scopes.extend(oauth.scopes.all().map(|scope| host_of(scope)).filter(|host| !host.is_empty()));
        issuer
            .mail
            .extend(site.token_hosts().iter().filter_map(|host| neighbourhood(host)).map(str::to_owned));
        issuer.mail.extend(domains.iter().cloned());
    }

    /// The first stranger on the way of a login.
    pub(super) fn stray(&self, route: &Route<'_>) -> Option<Stray> {
        let Some((name, issuer, clue)) = self.named(route) else { return route.strange_revocation() };
        let is_stranger = |host: &str, known: &[String]| !is_loopback(host) && !is_any(host, known);
        let server = route.servers.iter().find(|(_, host)| is_stranger(host, &issuer.mail));
        if let Some((table, host)) = server {
            let message = format!("tokens of {name} are not for {host}: it is no host of that provider");
            return Some(Stray { keys: [table, "host"], message });
        }
        let hosts = route.endpoints.iter().map(|(key, url)| (key, host_of(url)));
        let (key, host) = hosts.into_iter().find(|(_, host)| is_stranger(host, &issuer.logins))?;
        let message = format!(
            "{host} does not belong to {name}, which `{clue}` points to: a code, a secret or a token would go to a stranger"
        );
        Some(Stray { keys: ["oauth", key], message })
    }

    /// The issuer that an address names, or else a scope; and the key of what does.
    fn named(&self, route: &Route<'_>) -> Option<(&str, &Issuer, &'static str)> {
        let by = |host: &str, known: fn(&Issuer) -> &[String]| {
            self.0.iter().find(|(_, issuer)| is_any(host, known(issuer)))
        };
        let mut endpoints =
            route.endpoints.iter().map(|(key, url)| (*key, by(&host_of(url), |it| &it.logins)));
        let mut scopes = route.scopes.iter().map(|scope| ("scopes", by(&host_of(scope), |it| &it.scopes)));
        let found = endpoints.find(|(_, found)| found.is_some());
        let (clue, found) = found.or_else(|| scopes.find(|(_, found)| found.is_some()))?;
        found.map(|(name, issuer)| (name.as_str(), issuer, clue))
    }
}

fn endpoints(oauth: &OAuth) -> Vec<(&'static str, &str)> {
    let all = [
        ("token_url", Some(&oauth.token_url)),
        ("authorize_url", Some(&oauth.authorize_url)),
        ("device_url", oauth.device_url.as_ref()),
        ("revoke_url", oauth.revoke_url.as_ref()),
    ];
    all.into_iter().filter_map(|(key, url)| Some((key, url?.as_str()))).collect()
}

fn is_any(host: &str, domains: &[String]) -> bool {
    domains.iter().any(|domain| is_below(host, domain))
}
