//! How an account logs in: by OAuth2 with the provider's endpoints or its own, or by a password command.
//!
//! Invariant: secrets and tokens travel by `https`, or by `http` to loopback. Keys that would have no effect are
//! refused: a scope list beside a provider, an `[oauth]` table beside a password.

use super::account::{Auth, Incoming, OAuth2, Secret};
use super::app;
use super::logins::Ways;
use super::meaning::{Refusal, Written};
use super::servers::Servers;
use super::typed::{self, AuthKind};
use crate::provider::{self, Flow, Passwords, Protocol, SecretRule, is_loopback, is_redirect};
use std::collections::BTreeMap;
use url::Url;

/// RFC 8252 §7.3: the address, not the name, unless a provider wants it otherwise.
const REDIRECT: &str = "http://127.0.0.1";

/// The way to log in.
pub(super) fn auth(written: &Written<'_>, servers: &Servers) -> Result<Auth, Refusal> {
    let account = written.account;
    let kind = account.auth.unwrap_or(AuthKind::OAuth2);
    if kind == AuthKind::OAuth2 {
        let keys = [
            ("password_command", account.password_command.is_some()),
            ("password_credential", account.password_credential.is_some()),
        ];
        return match keys.iter().find(|(_, is_written)| *is_written) {
            Some((key, _)) => {
                Err(written.refuse(&[key], format!("`{key}` has no meaning without auth = \"password\"")))
            }
            None => oauth2(written, servers).map(|oauth| Auth::OAuth2(Box::new(oauth))),
        };
    }
    if account.oauth.is_some() {
        return Err(written.refuse(&["oauth"], "`oauth` has no meaning with auth = \"password\""));
    }
    check_passwords(written, servers)?;
    let ways = Ways {
        tables: &[],
        key: "password",
        value: None,
        command: account.password_command.as_ref(),
        credential: account.password_credential.as_ref(),
    };
    match ways.secret(written)? {
        Some(secret) => Ok(Auth::Password { secret }),
        None => Err(written.refuse(
            &["auth"],
            "auth = \"password\" needs `password_command`, a command that prints the password, or `password_credential`",
        )),
    }
}

/// A provider that takes no passwords says so here, not at each refused login.
fn check_passwords(written: &Written<'_>, servers: &Servers) -> Result<(), Refusal> {
    let provider = servers.provider.as_deref().and_then(|name| written.providers.by_name(name));
    let Some((provider, Passwords::Refused { why })) = provider.map(|it| (it, &it.passwords)) else {
        return Ok(());
    };
    let message = format!(
        "{} cannot be used with a password: {why}; leave `auth` out to log in by OAuth2",
        provider.title
    );
    Err(written.refuse(&["auth"], message))
}

fn oauth2(written: &Written<'_>, servers: &Servers) -> Result<OAuth2, Refusal> {
    let none = typed::OAuth::default();
    let oauth = written.account.oauth.as_ref().unwrap_or(&none);
    let mut meant = match &servers.provider {
        Some(name) => of_provider(written, oauth, name, servers)?,
        None => of_account(written, oauth, servers)?,
    };
    if oauth.client_id.as_deref().is_some_and(|id| id.trim().is_empty()) {
        return Err(written.refuse(&["oauth", "client_id"], "expected the id of a registered client"));
    }
    meant.client_id = oauth.client_id.clone();
    meant.client_secret = client_secret(written, oauth)?;
    meant.app = app::app(written, oauth, meant.client_secret.as_ref(), &meant.refused)?;
    if meant.app.is_some() {
        meant.scopes.clone_from(&meant.app_scopes);
    }
    Ok(meant)
}

/// The provider's endpoints; the account may choose only the tenant.
fn of_provider(
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
    let named = [
        ("authorize_url", oauth.authorize_url.is_some()),
        ("token_url", oauth.token_url.is_some()),
        ("device_url", oauth.device_url.is_some()),
        ("revoke_url", oauth.revoke_url.is_some()),
        ("redirect", oauth.redirect.is_some()),
        ("scopes", oauth.scopes.is_some()),
    ];
    if let Some((key, _)) = named.iter().find(|(_, is_named)| *is_named) {
        return Err(written.refuse(
            &["oauth", key],
            format!("`{key}` is known from provider `{name}`; leave one of both out"),
        ));
    }
    let tenant = tenant(written, oauth, known.tenant.as_deref(), name)?;
    app::check_tenant(written, oauth, &tenant)?;
    if known.client_secret == SecretRule::Forbidden {
        refuse_secret(written, oauth, name)?;
    }
    let at = |key: &str, template: &str| url(written, key, &template.replace("{tenant}", &tenant));
    let maybe =
        |key: &str, template: &Option<String>| template.as_deref().map(|url| at(key, url)).transpose();
    Ok(OAuth2 {
        client_id: None,
        client_secret: None,
        app: None,
        token_url: at("token_url", &known.token_url)?,
        authorize_url: Some(at("authorize_url", &known.authorize_url)?),
        device_url: maybe("device_url", &known.device_url)?,
        revoke_url: maybe("revoke_url", &known.revoke_url)?,
        consent_url: maybe("consent_url", &known.consent_url)?,
        register_url: known.register_url.clone(),
        redirect: known.redirect.clone(),
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

/// What a token must be good for.
fn protocols(servers: &Servers) -> Vec<Protocol> {
    let submission = servers.smtp.as_ref().map(|_| Protocol::Smtp);
    std::iter::once(servers.incoming.protocol()).chain(submission).collect()
}

fn refuse_secret(written: &Written<'_>, oauth: &typed::OAuth, name: &str) -> Result<(), Refusal> {
    let ways = [
        ("client_secret", oauth.client_secret.is_some()),
        ("client_secret_command", oauth.client_secret_command.is_some()),
        ("client_secret_credential", oauth.client_secret_credential.is_some()),
    ];
    let Some((key, _)) = ways.iter().find(|(_, is_named)| *is_named) else { return Ok(()) };
    let message = format!("clients of provider `{name}` are public and have no secret; leave it out");
    Err(written.refuse(&["oauth", key], message))
}

fn refused(known: &provider::OAuth) -> BTreeMap<Flow, String> {
    let all = [Flow::Code, Flow::Device, Flow::Client, Flow::ServiceAccount];
    all.iter().filter_map(|&flow| Some((flow, known.why_not(flow)?.to_owned()))).collect()
}

/// The endpoints that are written down.
fn of_account(written: &Written<'_>, oauth: &typed::OAuth, servers: &Servers) -> Result<OAuth2, Refusal> {
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
    let token_url = url(written, "token_url", token_url)?;
    refuse_strangers(written, servers, &token_url)?;
    let at =
        |key: &str, text: &Option<String>| text.as_deref().map(|text| url(written, key, text)).transpose();
    Ok(OAuth2 {
        client_id: None,
        client_secret: None,
        app: None,
        token_url,
        authorize_url: at("authorize_url", &oauth.authorize_url)?,
        device_url: at("device_url", &oauth.device_url)?,
        revoke_url: at("revoke_url", &oauth.revoke_url)?,
        consent_url: None,
        register_url: None,
        redirect: redirect(written, oauth)?,
        scopes: oauth.scopes.clone().unwrap_or_default(),
        app_scopes: oauth.scopes.clone().unwrap_or_default(),
        parameters: BTreeMap::new(),
        refused: BTreeMap::new(),
        needs_secret: false,
        token_hosts: servers.token_hosts.clone(),
        token_of: written.name.to_owned(),
        token_store: written.file.token_store.unwrap_or_default(),
    })
}

/// A slip in a host name must not carry a token of a known issuer to a stranger.
fn refuse_strangers(written: &Written<'_>, servers: &Servers, token_url: &Url) -> Result<(), Refusal> {
    let incoming = match servers.incoming {
        Incoming::Imap(_) => "imap",
        Incoming::Pop(_) => "pop",
    };
    let may_receive = |host: &str| written.providers.may_receive(token_url, host);
    for (key, server) in [(incoming, Some(servers.incoming.server())), ("smtp", servers.smtp.as_ref())] {
        let Some(server) = server.filter(|server| !may_receive(&server.host)) else { continue };
        let issuer = token_url.host_str().unwrap_or_default();
        let message =
            format!("tokens of {issuer} are not for {}: it is no host of that provider", server.host);
        return Err(written.refuse(&[key, "host"], message));
    }
    Ok(())
}

fn client_secret(written: &Written<'_>, oauth: &typed::OAuth) -> Result<Option<Secret>, Refusal> {
    let ways = Ways {
        tables: &["oauth"],
        key: "client_secret",
        value: oauth.client_secret.as_ref(),
        command: oauth.client_secret_command.as_ref(),
        credential: oauth.client_secret_credential.as_ref(),
    };
    ways.secret(written)
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
