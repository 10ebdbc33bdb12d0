//! The table of mail providers: hosts, OAuth2 endpoints and who files sent mail.
//!
//! The facts are data in `provider.toml`, embedded in the binary; this file gives them types. Invariant, kept by the
//! tests of the table: every row is complete, every URL is `https`, and the hosts a token may be sent to are those of
//! the row. It knows nothing of accounts. A match over providers in code was rejected: a new provider is a row.

use crate::net::{Endpoint, Tls};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The embedded table.
const TABLE: &str = include_str!("provider.toml");

/// A mail provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name in the configuration.
    pub name: String,
    /// Where its mail is, unless a cloud is chosen.
    pub site: Site,
    /// Separate installations with hosts of their own, by name: `us-gov`, `dod`, `china`.
    pub clouds: BTreeMap<String, Site>,
    /// Who files the copy of a sent message.
    pub sent: Filing,
}

/// One installation of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// IMAP.
    imap: Host,
    /// Submission.
    smtp: Host,
    /// The hosts that an access token may be sent to.
    pub token_hosts: Vec<String>,
    /// How tokens are obtained; `None` where only a password works.
    pub oauth: Option<OAuth>,
}

/// The OAuth2 side of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth {
    /// Where the browser goes (RFC 6749 §3.1); may contain `{tenant}`.
    pub authorize_url: String,
    /// Where tokens come from (RFC 6749 §3.2); may contain `{tenant}`.
    pub token_url: String,
    /// Where the device flow begins (RFC 8628 §3.1), where mail may be had that way.
    pub device_url: Option<String>,
    /// What stands for `{tenant}` unless the account says otherwise.
    pub tenant: Option<String>,
    /// The loopback redirect without its port, in the spelling that the provider accepts (RFC 8252 §7.3).
    pub redirect: String,
    /// The scopes for IMAP and SMTP together.
    pub scopes: Vec<String>,
}

/// Who files the copy of a sent message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filing {
    /// The submission server does it; a second copy would be a duplicate.
    Server,
    /// We do.
    Append,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Host {
    host: String,
    port: u16,
    tls: Wire,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wire {
    Implicit,
    StartTls,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    domains: Vec<String>,
    imap: Host,
    smtp: Host,
    token_hosts: Vec<String>,
    sent: Filing,
    oauth: Option<OAuth>,
    #[serde(default)]
    clouds: BTreeMap<String, Site>,
}

/// Why the table cannot be used: only possible in a build whose table is broken.
#[derive(Debug, thiserror::Error)]
#[error("the built-in table of providers is broken")]
pub struct Error(#[from] toml::de::Error);

impl Provider {
    /// The provider of that name.
    pub fn by_name(name: &str) -> Result<Option<Provider>, Error> {
        Ok(rows()?.remove(name).map(|row| row.into_provider(name)))
    }

    /// The provider that serves a mail domain (any case).
    pub fn for_domain(domain: &str) -> Result<Option<Provider>, Error> {
        let serves = |row: &Row| row.domains.iter().any(|known| known.eq_ignore_ascii_case(domain));
        let found = rows()?.into_iter().find(|(_, row)| serves(row));
        Ok(found.map(|(name, row)| row.into_provider(&name)))
    }

    /// The names of all providers, in order.
    pub fn names() -> Result<Vec<String>, Error> {
        Ok(rows()?.into_keys().collect())
    }
}

impl Site {
    /// The IMAP server.
    pub fn imap(&self) -> Endpoint {
        self.imap.endpoint()
    }

    /// The submission server.
    pub fn smtp(&self) -> Endpoint {
        self.smtp.endpoint()
    }
}

impl Host {
    fn endpoint(&self) -> Endpoint {
        let tls = match self.tls {
            Wire::Implicit => Tls::Implicit,
            Wire::StartTls => Tls::StartTls,
        };
        Endpoint { host: self.host.clone(), port: self.port, tls, ca: None }
    }
}

impl Row {
    fn into_provider(self, name: &str) -> Provider {
        let site =
            Site { imap: self.imap, smtp: self.smtp, token_hosts: self.token_hosts, oauth: self.oauth };
        Provider { name: name.to_owned(), site, clouds: self.clouds, sent: self.sent }
    }
}

fn rows() -> Result<BTreeMap<String, Row>, Error> {
    Ok(toml::from_str(TABLE)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_provider() -> Vec<Provider> {
        let names = Provider::names().unwrap();
        names.iter().map(|name| Provider::by_name(name).unwrap().unwrap()).collect()
    }

    fn every_site() -> Vec<(String, Site)> {
        every_provider()
            .into_iter()
            .flat_map(|provider| {
                let clouds = provider.clouds.into_iter();
                let clouds = clouds.map(|(cloud, site)| (format!("{} {cloud}", provider.name), site));
                std::iter::once((provider.name.clone(), provider.site)).chain(clouds.collect::<Vec<_>>())
            })
            .collect()
    }

    #[test]
    fn the_table_has_the_promised_rows() {
        assert_eq!(
            Provider::names().unwrap(),
            ["fastmail", "gmail", "icloud", "microsoft", "outlook", "yahoo"]
        );
    }

    #[test]
    fn every_row_is_complete() {
        for (name, site) in every_site() {
            for endpoint in [site.imap(), site.smtp()] {
                assert!(endpoint.host.contains('.') && endpoint.port > 0, "{name}");
                let may_see_token = site.token_hosts.contains(&endpoint.host);
                assert_eq!(may_see_token, site.oauth.is_some(), "{name}: {}", endpoint.host);
            }
            let Some(oauth) = site.oauth else { continue };
            assert!(!oauth.scopes.is_empty(), "{name}");
            assert!(oauth.redirect.starts_with("http://localhost") || oauth.redirect == "http://127.0.0.1");
            for url in [Some(&oauth.authorize_url), Some(&oauth.token_url), oauth.device_url.as_ref()] {
                let Some(url) = url else { continue };
                assert!(url.starts_with("https://"), "{name}: {url}");
                assert_eq!(url.contains("{tenant}"), oauth.tenant.is_some(), "{name}: {url}");
            }
        }
    }

    #[test]
    fn no_scope_is_one_of_graph() {
        for (name, site) in every_site() {
            let scopes = site.oauth.map(|oauth| oauth.scopes).unwrap_or_default();
            assert!(scopes.iter().all(|scope| !scope.contains("graph.microsoft.com")), "{name}");
        }
    }

    #[test]
    fn a_domain_belongs_to_one_provider() {
        let mut domains: Vec<String> = rows().unwrap().into_values().flat_map(|row| row.domains).collect();
        let all = domains.len();
        domains.sort();
        domains.dedup();
        assert_eq!(domains.len(), all);
    }

    #[test]
    fn providers_are_found_by_name_and_by_domain() {
        assert_eq!(Provider::for_domain("GMail.com").unwrap().unwrap().name, "gmail");
        assert_eq!(Provider::for_domain("hotmail.com").unwrap().unwrap().name, "outlook");
        assert_eq!(Provider::for_domain("example.org").unwrap(), None);
        assert_eq!(Provider::by_name("gmial").unwrap(), None);
    }
}
