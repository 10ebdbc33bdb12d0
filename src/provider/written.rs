//! A provider's row as written: every key optional, so that a user's row may change one key of a built-in one.
//!
//! What can be refused for its value carries its place in the text. Nothing is interpreted here; see `meant`.

use super::{Filing, Flow, Limits, Passwords, Registration, Rotation, Scopes, SecretRule};
use crate::mail::SpecialUse;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use toml::Spanned;

/// A file: rows by name.
pub(super) type Rows = BTreeMap<Spanned<String>, Row>;

/// `[NAME]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Row {
    pub(super) title: Option<String>,
    pub(super) domains: Option<Vec<String>>,
    pub(super) mx: Option<Vec<String>>,
    pub(super) imap: Option<Server>,
    pub(super) pop: Option<Server>,
    pub(super) smtp: Option<Server>,
    pub(super) sent: Option<Filing>,
    pub(super) password: Option<Passwords>,
    pub(super) disable: Option<BTreeSet<String>>,
    pub(super) special_use: Option<BTreeMap<Use, Vec<String>>>,
    pub(super) mailboxes: Option<Vec<String>>,
    pub(super) limits: Option<Limits>,
    pub(super) unverified: Option<Vec<String>>,
    pub(super) oauth: Option<OAuth>,
    pub(super) clouds: BTreeMap<String, Cloud>,
}

/// `[NAME.clouds.CLOUD]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Cloud {
    pub(super) mx: Option<Vec<String>>,
    pub(super) imap: Option<Server>,
    pub(super) pop: Option<Server>,
    pub(super) smtp: Option<Server>,
    pub(super) oauth: Option<OAuth>,
}

/// `imap`, `pop`, `smtp`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) host: Spanned<String>,
    pub(super) port: Spanned<u16>,
    pub(super) tls: Spanned<Wire>,
}

/// `tls`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Wire {
    Implicit,
    StartTls,
    None,
}

/// A key of `special_use`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Use {
    Archive,
    Drafts,
    Junk,
    Sent,
    Trash,
}

impl From<Use> for SpecialUse {
    fn from(of: Use) -> SpecialUse {
        match of {
            Use::Archive => SpecialUse::Archive,
            Use::Drafts => SpecialUse::Drafts,
            Use::Junk => SpecialUse::Junk,
            Use::Sent => SpecialUse::Sent,
            Use::Trash => SpecialUse::Trash,
        }
    }
}

/// `[NAME.oauth]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OAuth {
    pub(super) authorize_url: Option<Spanned<String>>,
    pub(super) token_url: Option<Spanned<String>>,
    pub(super) device_url: Option<Spanned<String>>,
    pub(super) revoke_url: Option<Spanned<String>>,
    pub(super) aliases: Option<Spanned<Vec<String>>>,
    pub(super) consent_url: Option<Spanned<String>>,
    pub(super) register_url: Option<Spanned<String>>,
    pub(super) tenant: Option<String>,
    pub(super) redirect: Option<Spanned<String>>,
    pub(super) any_path: Option<bool>,
    pub(super) registration: Option<Registration>,
    pub(super) scopes: Option<Scopes>,
    pub(super) flows: Option<BTreeSet<Flow>>,
    pub(super) refused: Option<BTreeMap<Flow, String>>,
    pub(super) client_secret: Option<SecretRule>,
    pub(super) parameters: Option<BTreeMap<Spanned<String>, String>>,
    pub(super) rotation: Option<Rotation>,
}

impl Row {
    /// This row above another: what is written here wins, key by key.
    pub(super) fn over(self, base: Row) -> Row {
        let mut clouds = base.clouds;
        for (name, cloud) in self.clouds {
            let below = clouds.remove(&name).unwrap_or_default();
            clouds.insert(name, cloud.over(below));
        }
        Row {
            title: self.title.or(base.title),
            domains: self.domains.or(base.domains),
            mx: self.mx.or(base.mx),
            imap: self.imap.or(base.imap),
            pop: self.pop.or(base.pop),
            smtp: self.smtp.or(base.smtp),
            sent: self.sent.or(base.sent),
            password: self.password.or(base.password),
            disable: self.disable.or(base.disable),
            special_use: self.special_use.or(base.special_use),
            mailboxes: self.mailboxes.or(base.mailboxes),
            limits: self.limits.or(base.limits),
            unverified: self.unverified.or(base.unverified),
            oauth: over(self.oauth, base.oauth),
            clouds,
        }
    }

    /// The installation that the row itself describes.
    pub(super) fn site(&self) -> Cloud {
        let Row { mx, imap, pop, smtp, oauth, .. } = self.clone();
        Cloud { mx, imap, pop, smtp, oauth }
    }
}

impl Cloud {
    fn over(self, base: Cloud) -> Cloud {
        Cloud {
            mx: self.mx.or(base.mx),
            imap: self.imap.or(base.imap),
            pop: self.pop.or(base.pop),
            smtp: self.smtp.or(base.smtp),
            oauth: over(self.oauth, base.oauth),
        }
    }

    /// The value under a table and its key; where that stands in the row below, the first that changed a login here.
    pub(super) fn blamed(&self, keys: [&str; 2]) -> Option<&Spanned<String>> {
        let oauth = self.oauth.as_ref();
        let values = [
            (["oauth", "token_url"], oauth.and_then(|oauth| oauth.token_url.as_ref())),
            (["oauth", "authorize_url"], oauth.and_then(|oauth| oauth.authorize_url.as_ref())),
            (["oauth", "device_url"], oauth.and_then(|oauth| oauth.device_url.as_ref())),
            (["oauth", "revoke_url"], oauth.and_then(|oauth| oauth.revoke_url.as_ref())),
            (["imap", "host"], self.imap.as_ref().map(|server| &server.host)),
            (["pop", "host"], self.pop.as_ref().map(|server| &server.host)),
            (["smtp", "host"], self.smtp.as_ref().map(|server| &server.host)),
        ];
        let written = || values.iter().filter_map(|(at, value)| Some((at, (*value)?)));
        let found = written().find(|(at, _)| **at == keys).or_else(|| written().next());
        found.map(|(_, value)| value)
    }
}

fn over(written: Option<OAuth>, base: Option<OAuth>) -> Option<OAuth> {
    let Some(base) = base else { return written };
    let Some(written) = written else { return Some(base) };
    Some(OAuth {
        authorize_url: written.authorize_url.or(base.authorize_url),
        token_url: written.token_url.or(base.token_url),
        device_url: written.device_url.or(base.device_url),
        revoke_url: written.revoke_url.or(base.revoke_url),
        aliases: written.aliases.or(base.aliases),
        consent_url: written.consent_url.or(base.consent_url),
        register_url: written.register_url.or(base.register_url),
        tenant: written.tenant.or(base.tenant),
        redirect: written.redirect.or(base.redirect),
        any_path: written.any_path.or(base.any_path),
        registration: written.registration.or(base.registration),
        scopes: written.scopes.or(base.scopes),
        flows: written.flows.or(base.flows),
        refused: written.refused.or(base.refused),
        client_secret: written.client_secret.or(base.client_secret),
        parameters: written.parameters.or(base.parameters),
        rotation: written.rotation.or(base.rotation),
    })
}
