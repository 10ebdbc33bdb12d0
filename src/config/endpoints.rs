//! Where an account's tokens come from: the endpoints of its provider, or those that are written down.
//!
//! Invariant: codes, secrets and tokens travel by `https`, or by `http` to loopback, and of a known issuer to nobody else.
//! A key that the provider's row has, or that would have no effect, is refused.

use super::account::OAuth2;
use super::meaning::{Refusal, Written};
use super::servers::Servers;
use super::{app, typed};
use crate::provider::{
    self, Flow, GLOBAL, Protocol, Route, SecretRule, Stray, is_loopback, is_redirect, is_set_by_login,
};
use std::collections::BTreeMap;
use url::Url;

/// RFC 8252 §7.3: the address, not the name, unless a provider wants it otherwise.
const REDIRECT: &str = "http://127.0.0.1";

/// The provider's endpoints; the account may choose only the tenant.
pub(super) fn of_provider(
    written: &Written<'_>,
    oauth: &typed::OAuth,
    name: &str,
    servers: &Servers,
) -> Result<OAuth2, Refusal> {
    let Some(known) = &servers.oauth else {
        let message = format!(
            "provider `{name}` has no OAuth2 for mail programs; set auth = \"password\" and `password_command` with an app password"
        );
        return Err(written.refuse(&["auth"], message));
    };
    refuse_known(written, oauth, name)?;
    let tenant = tenant(written, oauth, known.tenant.as_deref(), name)?;
    app::check_tenant(written, oauth, &tenant)?;
    let at = |key: &str, template: &str| url(written, key, &template.replace("{tenant}", &tenant));
    let maybe =
        |key: &str, template: &Option<String>| template.as_deref().map(|url| at(key, url)).transpose();
    Ok(OAuth2 {
        client_id: None,
        client_secret: None,
        app: None,
        tenant: known.tenant.as_ref().map(|_| tenant.clone()),
        cloud: oauth.cloud.clone().filter(|cloud| cloud != GLOBAL),
        token_url: at("token_url", &known.token_url)?,
        authorize_url: Some(at("authorize_url", &known.authorize_url)?),
        device_url: maybe("device_url", &known.device_url)?,
        revoke_url: maybe("revoke_url", &known.revoke_url)?,
        consent_url: maybe("consent_url", &known.consent_url)?,
        register_url: known.register_url.clone(),
        redirect: known.redirect.clone(),
        any_path: known.any_path,
        scopes: known.scopes.for_person(&protocols(servers)),
        app_scopes: known.scopes.app.clone(),
        parameters: known.parameters.clone(),
        refused: refused(known),
        needs_secret: known.client_secret == SecretRule::Required,
        token_hosts: servers.token_hosts.clone(),
        token_of: written.name.to_owned(),
        token_store: written.file.token_store.unwrap_or_default(),
    })
}

/// Refuses what the provider's row has.
fn refuse_known(written: &Written<'_>, oauth: &typed::OAuth, name: &str) -> Result<(), Refusal> {
    let named = [
        ("authorize_url", oauth.authorize_url.is_some()),
        ("token_url", oauth.token_url.is_some()),
        ("device_url", oauth.device_url.is_some()),
        ("revoke_url", oauth.revoke_url.is_some()),
        ("redirect", oauth.redirect.is_some()),
        ("scopes", oauth.scopes.is_some()),
        ("parameters", oauth.parameters.is_some()),
    ];
    let Some((key, _)) = named.iter().find(|(_, is_named)| *is_named) else { return Ok(()) };
    let message = format!("`{key}` is known from provider `{name}`; leave one of both out");
    Err(written.refuse(&["oauth", key], message))
}

/// What a token must be good for.
fn protocols(servers: &Servers) -> Vec<Protocol> {
    let submission = servers.smtp.as_ref().map(|_| Protocol::Smtp);
    std::iter::once(servers.incoming.protocol()).chain(submission).collect()
}

fn refused(known: &provider::OAuth) -> BTreeMap<Flow, String> {
    let all = [Flow::Code, Flow::Device, Flow::Client, Flow::ServiceAccount];
    all.iter().filter_map(|&flow| Some((flow, known.why_not(flow)?.to_owned()))).collect()
}

/// The endpoints that are written down.
pub(super) fn of_account(
    written: &Written<'_>,
    oauth: &typed::OAuth,
    servers: &Servers,
) -> Result<OAuth2, Refusal> {
    for (key, is_named) in [("tenant", oauth.tenant.is_some()), ("cloud", oauth.cloud.is_some())] {
        if is_named {
            return Err(written.refuse(&["oauth", key], format!("`{key}` has no meaning without a provider")));
        }
    }
    let Some(token_url) = &oauth.token_url else {
        let message = format!(
            "OAuth2 without a provider needs `token_url` in [accounts.{}.oauth]; or set auth = \"password\"",
            written.name
        );
        return Err(written.refuse(&["oauth"], message));
    };
    let at =
        |key: &str, text: &Option<String>| text.as_deref().map(|text| url(written, key, text)).transpose();
    let own = OAuth2 {
        client_id: None,
        client_secret: None,
        app: None,
        tenant: None,
        cloud: None,
        token_url: url(written, "token_url", token_url)?,
        authorize_url: at("authorize_url", &oauth.authorize_url)?,
        device_url: at("device_url", &oauth.device_url)?,
        revoke_url: at("revoke_url", &oauth.revoke_url)?,
        consent_url: None,
        register_url: None,
        redirect: redirect(written, oauth)?,
        any_path: false,
        scopes: oauth.scopes.clone().unwrap_or_default(),
        app_scopes: oauth.scopes.clone().unwrap_or_default(),
        parameters: parameters(written, oauth)?,
        refused: BTreeMap::new(),
        needs_secret: false,
        token_hosts: servers.token_hosts.clone(),
        token_of: written.name.to_owned(),
        token_store: written.file.token_store.unwrap_or_default(),
    };
    refuse_strangers(written, servers, &own)?;
    Ok(own)
}

/// A slip in a name must not carry a code, a secret or a token of a known issuer to a stranger.
fn refuse_strangers(written: &Written<'_>, servers: &Servers, own: &OAuth2) -> Result<(), Refusal> {
    let endpoints = [
        ("token_url", Some(&own.token_url)),
        ("authorize_url", own.authorize_url.as_ref()),
        ("device_url", own.device_url.as_ref()),
        ("revoke_url", own.revoke_url.as_ref()),
    ];
    let hosts =
        [(servers.incoming.table(), Some(servers.incoming.server())), ("smtp", servers.smtp.as_ref())];
    let route = Route {
        endpoints: endpoints.into_iter().filter_map(|(key, url)| Some((key, url?.as_str()))).collect(),
        scopes: own.scopes.iter().map(String::as_str).collect(),
        servers: hosts.into_iter().filter_map(|(key, it)| Some((key, it?.host.as_str()))).collect(),
    };
    match written.providers.stray(&route) {
        Some(Stray { keys, message }) => Err(written.refuse(&keys, message)),
        None => Ok(()),
    }
}

/// The tenant becomes a part of a URL's path, so it is a name or an id and nothing else.
fn tenant(
    written: &Written<'_>,
    oauth: &typed::OAuth,
    default: Option<&str>,
    provider: &str,
) -> Result<String, Refusal> {
    match (&oauth.tenant, default) {
        (Some(_), None) => {
            Err(written.refuse(&["oauth", "tenant"], format!("provider `{provider}` has no tenants")))
        }
        (Some(tenant), Some(_)) => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
            match tenant.starts_with(|first: char| first.is_ascii_alphanumeric()) && tenant.bytes().all(plain)
            {
                true => Ok(tenant.clone()),
                false => Err(written.refuse(
                    &["oauth", "tenant"],
                    "expected `common`, `organizations`, `consumers`, a domain or a tenant id",
                )),
            }
        }
        (None, default) => Ok(default.unwrap_or_default().to_owned()),
    }
}

fn url(written: &Written<'_>, key: &str, text: &str) -> Result<Url, Refusal> {
    let refuse = |message: String| written.refuse(&["oauth", key], message);
    let url = Url::parse(text).map_err(|wrong| refuse(format!("`{text}` is no URL: {wrong}")))?;
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(host) => Ok(url),
        "http" => Err(refuse(format!(
            "`http` is possible only to a loopback address, not to {host}; expected `https`"
        ))),
        scheme => Err(refuse(format!("`{scheme}` is no scheme for this, expected `https`"))),
    }
}

/// What the server of one's own wants beside the standard, like `prompt` (OpenID Connect Core §3.1.2.1).
fn parameters(written: &Written<'_>, oauth: &typed::OAuth) -> Result<BTreeMap<String, String>, Refusal> {
    let parameters = oauth.parameters.clone().unwrap_or_default();
    match parameters.keys().find(|name| is_set_by_login(name)) {
        Some(name) => Err(written.refuse(
            &["oauth", "parameters", name],
            format!("`{name}` is set by each login itself; leave it out"),
        )),
        None => Ok(parameters),
    }
}

/// The redirect ends at this machine and carries no port: each login listens on a free one.
fn redirect(written: &Written<'_>, oauth: &typed::OAuth) -> Result<String, Refusal> {
    let text = oauth.redirect.as_deref().unwrap_or(REDIRECT);
    match is_redirect(text) {
        true => Ok(text.to_owned()),
        false => Err(written.refuse(
            &["oauth", "redirect"],
            "expected `http://` and a loopback address without a port, like \"http://127.0.0.1\"",
        )),
    }
}
