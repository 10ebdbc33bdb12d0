//! What is known about mail providers: servers, OAuth2 endpoints, limits, who files sent mail, and what answers mean.
//!
//! The facts are data in `provider.toml`, embedded in the binary, and in the user's own rows; this module gives them
//! types. Invariant: every URL is `https` and every server is reached by TLS unless it is this machine, and a token may
//! be sent to the servers of its row only. It knows nothing of accounts and reads no file. A match over providers in code
//! was rejected: a new provider is a row.

pub mod answers;
mod autoconfig;
mod issuers;
mod meant;
mod place;
mod table;
mod written;

pub use autoconfig::{Autoconfig, Issuer};
pub use issuers::{Route, Stray};
pub use meant::is_set_by_login;
pub use place::{is_host, is_loopback, is_redirect};
pub use table::{Hosted, Table};

use crate::mail::SpecialUse;
use crate::net::Endpoint;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What the provider's own installation is called, beside its clouds.
pub const GLOBAL: &str = "global";

/// A mail provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name in the configuration.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// The mail domains that are its own.
    pub domains: Vec<String>,
    /// Where its mail is, unless a cloud is chosen.
    pub site: Site,
    /// Separate installations with hosts of their own, by name: `us-gov`, `dod`, `china`.
    pub clouds: BTreeMap<String, Site>,
    /// Who files the copy of a sent message.
    pub sent: Filing,
    /// Whether it takes app passwords.
    pub passwords: Passwords,
    /// Capabilities of its IMAP and POP3 servers that are not to be used, in capitals.
    pub disable: BTreeSet<String>,
    /// Special uses by names of mailboxes in lower case, where its servers tell none.
    pub special_use: BTreeMap<String, SpecialUse>,
    /// The globs that a new account begins with, where not all mailboxes are wanted.
    pub mailboxes: Vec<String>,
    /// What it allows in a day, a minute, a message: for the page about providers. Nothing is refused by them.
    pub limits: Limits,
    /// Keys of the row whose values nobody verified, dotted: `smtp.port`.
    pub unverified: Vec<String>,
}

/// One installation of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Names of mail exchangers that serve hosted domains; names below them do too.
    pub mx: Vec<String>,
    /// IMAP.
    pub imap: Option<Endpoint>,
    /// POP3.
    pub pop: Option<Endpoint>,
    /// Submission.
    pub smtp: Option<Endpoint>,
    /// How tokens are obtained; `None` where only a password works.
    pub oauth: Option<OAuth>,
}

/// The OAuth2 side of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth {
    /// Where the browser goes (RFC 6749 §3.1); may contain `{tenant}`.
    pub authorize_url: String,
    /// Where tokens come from (RFC 6749 §3.2); may contain `{tenant}`.
    pub token_url: String,
    /// Where the device flow begins (RFC 8628 §3.1), where mail may be had that way.
    pub device_url: Option<String>,
    /// Where a refresh token is revoked (RFC 7009), where the provider has such an endpoint.
    pub revoke_url: Option<String>,
    /// Other names of its login servers: domains, with what is below them. Known of built-in rows only.
    pub aliases: Vec<String>,
    /// Where an administrator lets an application in; may contain `{tenant}`.
    pub consent_url: Option<String>,
    /// Where a client is registered, for a person to open.
    pub register_url: Option<String>,
    /// What stands for `{tenant}` unless the account says otherwise.
    pub tenant: Option<String>,
    /// The loopback redirect without its port, in the spelling that the provider accepts (RFC 8252 §7.3).
    pub redirect: String,
    /// Whether the provider takes it with any path behind it.
    pub any_path: bool,
    /// Whether anybody can register a client for mail.
    pub registration: Registration,
    /// The scopes, by protocol.
    pub scopes: Scopes,
    /// The ways to a token that work for mail.
    pub flows: BTreeSet<Flow>,
    /// Why another way cannot work, as a clause without a full stop.
    pub refused: BTreeMap<Flow, String>,
    /// Whether its clients have a secret.
    pub client_secret: SecretRule,
    /// What is added to the authorization request.
    pub parameters: BTreeMap<String, String>,
    /// What a refresh does to the refresh token: a note for people.
    pub rotation: Rotation,
}

/// The scopes of a provider, by what they are good for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scopes {
    /// Reading by IMAP.
    pub imap: Vec<String>,
    /// Reading by POP3.
    pub pop: Vec<String>,
    /// Submission.
    pub smtp: Vec<String>,
    /// Added whatever the protocol, when a person logs in: `offline_access`.
    pub always: Vec<String>,
    /// For an application that acts without a person; empty where there is no such thing.
    pub app: Vec<String>,
}

/// A mail protocol that a token can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// IMAP4.
    Imap,
    /// POP3.
    Pop,
    /// Submission.
    Smtp,
}

/// A way to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    /// A browser and a loopback redirect (RFC 6749 §4.1, RFC 7636, RFC 8252).
    Code,
    /// A code that is typed elsewhere (RFC 8628).
    Device,
    /// The application for itself, with a secret or a certificate (RFC 6749 §4.4, RFC 7523 §2.2).
    Client,
    /// A signed statement in the name of a user (RFC 7523 §2.1), as Google's service accounts make it.
    ServiceAccount,
}

/// Whether a client has a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretRule {
    /// The token endpoint wants one.
    Required,
    /// Depends on how the client was registered.
    Optional,
    /// Clients are public; the token endpoint refuses one.
    Forbidden,
}

/// Whether anybody can register a client for mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Registration {
    /// On a page of the provider.
    Open,
    /// Not any more, or only by hand: a password is the way for whoever has no client.
    Closed,
}

/// What a refresh does to the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rotation {
    /// It stays the same, as a rule.
    Kept,
    /// A new one comes, and the old one stays good.
    Replaced,
    /// A new one comes, and use of the old one may revoke both (RFC 9700 §4.14).
    Revoked,
}

/// Whether a provider takes passwords that are made for one program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "use", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Passwords {
    /// Beside OAuth2.
    Allowed {
        /// The page where one is made.
        at: Option<String>,
    },
    /// There is no other way.
    Only {
        /// The page where one is made.
        at: Option<String>,
    },
    /// They do not work.
    Refused {
        /// Why, as a clause without a full stop.
        why: String,
    },
}

/// What a provider allows; `None` where nothing is documented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// IMAP connections at a time.
    pub connections: Option<u32>,
    /// Submission connections at a time.
    pub submission_connections: Option<u32>,
    /// Messages submitted in a minute.
    pub messages_per_minute: Option<u32>,
    /// Messages submitted in 24 hours.
    pub messages_per_day: Option<u32>,
    /// Recipients of one message.
    pub recipients_per_message: Option<u32>,
    /// Recipients in 24 hours.
    pub recipients_per_day: Option<u32>,
    /// Bytes of one message.
    pub message_bytes: Option<u64>,
    /// Bytes fetched by IMAP in a day.
    pub downloaded_bytes_per_day: Option<u64>,
    /// Bytes appended by IMAP in a day.
    pub uploaded_bytes_per_day: Option<u64>,
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

/// Why a table cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The embedded table: only possible in a build whose table is broken.
    #[error("the built-in table of providers is broken: {0}")]
    BuiltIn(String),
    /// The user's rows.
    #[error("{message}")]
    Written {
        /// Where in the text, in bytes.
        span: Range<usize>,
        /// What, and what was expected.
        message: String,
    },
}

impl Provider {
    /// The installation of that name; [`GLOBAL`] is the provider itself.
    pub fn in_cloud(&self, cloud: &str) -> Option<&Site> {
        if cloud == GLOBAL { Some(&self.site) } else { self.clouds.get(cloud) }
    }

    /// Every installation.
    pub fn sites(&self) -> impl Iterator<Item = &Site> {
        std::iter::once(&self.site).chain(self.clouds.values())
    }
}

impl Site {
    /// The hosts of its servers; one may come twice.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        [&self.imap, &self.pop, &self.smtp].into_iter().flatten().map(|server| server.host.as_str())
    }

    /// The hosts that an access token may be sent to: the servers of this installation, where there are tokens at all.
    pub fn token_hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> = Vec::new();
        for host in self.hosts().filter(|_| self.oauth.is_some()) {
            if !hosts.iter().any(|known| known == host) {
                hosts.push(host.to_owned());
            }
        }
        hosts
    }
}

impl OAuth {
    /// Why a flow cannot be used, as a clause; `None` where it can.
    pub fn why_not(&self, flow: Flow) -> Option<&str> {
        let reason = || self.refused.get(&flow).map_or("this provider does not offer it", String::as_str);
        (!self.flows.contains(&flow)).then(reason)
    }
}

impl Scopes {
    /// Every scope that tells a mail server's.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        [&self.imap, &self.pop, &self.smtp, &self.app].into_iter().flatten()
    }

    /// What to ask for when a person logs in for these protocols.
    pub fn for_person(&self, protocols: &[Protocol]) -> Vec<String> {
        let mut wanted: Vec<String> = Vec::new();
        let of = |protocol: &Protocol| match protocol {
            Protocol::Imap => &self.imap,
            Protocol::Pop => &self.pop,
            Protocol::Smtp => &self.smtp,
        };
        for scope in protocols.iter().flat_map(of).chain(&self.always) {
            if !wanted.contains(scope) {
                wanted.push(scope.clone());
            }
        }
        wanted
    }
}

#[cfg(test)]
mod tests;
