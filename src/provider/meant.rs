//! From rows as written to providers as meant: what is incomplete or would send a secret in the clear is refused.
//!
//! Pure. A refusal points at the value that is to blame, or at the row's name where something is missing.

use super::place::{is_host, is_loopback, is_redirect};
use super::written::{Cloud, OAuth as WrittenOAuth, Row, Server, Wire};
use super::{Error, OAuth, Passwords, Provider, Registration, Rotation, SecretRule, Site};
use crate::mail::SpecialUse;
use crate::net::{Endpoint, Tls};
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use url::Url;

/// RFC 8252 §7.3: the address, not the name, unless a provider wants it otherwise.
const REDIRECT: &str = "http://127.0.0.1";

/// See [`is_set_by_login`].
const SET_BY_LOGIN: &[&str] = &[
    "response_type",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "login_hint",
];

/// The provider that a row describes; `at` is where its name stands.
pub(super) fn provider(name: &str, row: &Row, at: Range<usize>) -> Result<Provider, Error> {
    let whole = Refuser { name, at };
    whole.name()?;
    let site = whole.site(row.site())?;
    let clouds = row.clouds.iter().map(|(name, cloud)| Ok((name.clone(), whole.site(cloud.clone())?)));
    let passwords = match &site.oauth {
        Some(_) => Passwords::Allowed { at: None },
        None => Passwords::Only { at: None },
    };
    let Some(sent) = row.sent else {
        return Err(whole.lacks("`sent`, expected \"server\" or \"append\""));
    };
    Ok(Provider {
        name: name.to_owned(),
        title: row.title.clone().unwrap_or_else(|| name.to_owned()),
        domains: row.domains.clone().unwrap_or_default(),
        clouds: clouds.collect::<Result<_, Error>>()?,
        site,
        sent,
        passwords: row.password.clone().unwrap_or(passwords),
        disable: row.disable.iter().flatten().map(|capability| capability.to_ascii_uppercase()).collect(),
        special_use: special_use(row),
        mailboxes: row.mailboxes.clone().unwrap_or_default(),
        limits: row.limits.unwrap_or_default(),
        unverified: row.unverified.clone().unwrap_or_default(),
    })
}

fn special_use(row: &Row) -> BTreeMap<String, SpecialUse> {
    let uses = row.special_use.iter().flatten();
    uses.flat_map(|(&of, names)| names.iter().map(move |name| (name.to_lowercase(), of.into()))).collect()
}

/// A refusal of one value.
pub(super) fn refuse<T>(value: &Spanned<T>, message: impl Into<String>) -> Error {
    Error::Written { span: value.span(), message: message.into() }
}

struct Refuser<'a> {
    name: &'a str,
    at: Range<usize>,
}

impl Refuser<'_> {
    fn lacks(&self, what: &str) -> Error {
        Error::Written { span: self.at.clone(), message: format!("provider `{}` has no {what}", self.name) }
    }

    /// The name is a word in the configuration and in hints.
    fn name(&self) -> Result<(), Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        match !self.name.is_empty() && self.name.bytes().all(plain) {
            true => Ok(()),
            false => Err(Error::Written {
                span: self.at.clone(),
                message: "this is no provider name, expected letters, digits, `-` and `_`".to_owned(),
            }),
        }
    }

    fn site(&self, written: Cloud) -> Result<Site, Error> {
        let site = Site {
            mx: written.mx.unwrap_or_default(),
            imap: written.imap.as_ref().map(endpoint).transpose()?,
            pop: written.pop.as_ref().map(endpoint).transpose()?,
            smtp: written.smtp.as_ref().map(endpoint).transpose()?,
            oauth: written.oauth.map(|oauth| self.oauth(oauth)).transpose()?,
        };
        match (&site.imap, &site.pop) {
            (None, None) => Err(self
                .lacks("`imap`, expected { host = \"imap.example.org\", port = 993, tls = \"implicit\" }")),
            _ => Ok(site),
        }
    }

    fn oauth(&self, written: WrittenOAuth) -> Result<OAuth, Error> {
        let (Some(authorize_url), Some(token_url)) = (&written.authorize_url, &written.token_url) else {
            return Err(self.lacks("`authorize_url` and `token_url` in its `oauth`"));
        };
        let Some(scopes) = written.scopes else { return Err(self.lacks("`scopes` in its `oauth`")) };
        let Some(flows) = written.flows else { return Err(self.lacks("`flows` in its `oauth`")) };
        if written.tenant.is_none()
            && [authorize_url, token_url].iter().any(|url| url.get_ref().contains("{tenant}"))
        {
            return Err(self.lacks("`tenant` in its `oauth`, and a URL has a place for one"));
        }
        let optional = |url: &Option<Spanned<String>>| url.as_ref().map(secure).transpose();
        Ok(OAuth {
            authorize_url: secure(authorize_url)?,
            token_url: secure(token_url)?,
            device_url: optional(&written.device_url)?,
            revoke_url: optional(&written.revoke_url)?,
            aliases: written.aliases.map(Spanned::into_inner).unwrap_or_default(),
            consent_url: optional(&written.consent_url)?,
            register_url: optional(&written.register_url)?,
            tenant: written.tenant,
            redirect: written.redirect.as_ref().map_or_else(|| Ok(REDIRECT.to_owned()), redirect)?,
            any_path: written.any_path.unwrap_or(false),
            registration: written.registration.unwrap_or(Registration::Open),
            scopes,
            flows,
            refused: written.refused.unwrap_or_default(),
            client_secret: written.client_secret.unwrap_or(SecretRule::Optional),
            parameters: parameters(written.parameters.unwrap_or_default())?,
            rotation: written.rotation.unwrap_or(Rotation::Revoked),
        })
    }
}

fn endpoint(written: &Server) -> Result<Endpoint, Error> {
    let host = written.host.get_ref();
    if !is_host(host) {
        return Err(refuse(&written.host, "expected a host name or an address, without a port"));
    }
    if *written.port.get_ref() == 0 {
        return Err(refuse(&written.port, "0 is no port, expected 1 to 65535"));
    }
    let tls = match written.tls.get_ref() {
        Wire::Implicit => Tls::Implicit,
        Wire::StartTls => Tls::StartTls,
        Wire::None if is_loopback(host) => Tls::None,
        Wire::None => {
            let message = format!(
                "`none` is possible only to a loopback address, not to {host}; expected `implicit` or `starttls`"
            );
            return Err(refuse(&written.tls, message));
        }
    };
    Ok(Endpoint { host: host.clone(), port: *written.port.get_ref(), tls, ca: None })
}

/// A URL that secrets may travel to, as it was written: it may hold `{tenant}`.
fn secure(written: &Spanned<String>) -> Result<String, Error> {
    let text = written.get_ref();
    let wrong = |message: String| refuse(written, message);
    let url = Url::parse(text).map_err(|error| wrong(format!("`{text}` is no URL: {error}")))?;
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        _ if host.contains(['{', '}', '%']) => Err(wrong("a host has no variable part".to_owned())),
        "https" => Ok(text.clone()),
        "http" if is_loopback(host) => Ok(text.clone()),
        "http" => Err(wrong(format!(
            "`http` is possible only to a loopback address, not to {host}; expected `https`"
        ))),
        scheme => Err(wrong(format!("`{scheme}` is no scheme for this, expected `https`"))),
    }
}

fn parameters(written: BTreeMap<Spanned<String>, String>) -> Result<BTreeMap<String, String>, Error> {
    match written.keys().find(|name| is_set_by_login(name.get_ref())) {
        Some(name) => Err(refuse(name, "this is set by each login itself; leave it out")),
        None => Ok(written.into_iter().map(|(name, value)| (name.into_inner(), value)).collect()),
    }
}

/// Whether the authorization request has this parameter anyway (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core
/// §3.1.2.1), or must never have it: what is shown in a browser holds no secret.
pub fn is_set_by_login(parameter: &str) -> bool {
    SET_BY_LOGIN.contains(&parameter)
}

/// As spelled: providers compare it letter by letter.
fn redirect(written: &Spanned<String>) -> Result<String, Error> {
    match is_redirect(written.get_ref()) {
        true => Ok(written.get_ref().clone()),
        false => Err(refuse(
            written,
            "expected `http://` and a loopback address without a port, like \"http://127.0.0.1\"",
        )),
    }
}
