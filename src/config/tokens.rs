//! How an account logs in: by OAuth2, as a person or as a program, or by a password.
//!
//! Invariant: a provider is asked only for what it takes. Keys that would have no effect are refused, like an `[oauth]`
//! table beside a password. Where tokens come from is decided in `endpoints`.

use super::account::{Auth, OAuth2, Secret};
use super::logins::Ways;
use super::meaning::{Refusal, Written};
use super::servers::Servers;
use super::typed::{self, AuthKind};
use super::{app, endpoints};
use crate::provider::{Passwords, SecretRule};

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

/// A provider that takes no passwords says so here, not at each refused login; it is known by its name or its server.
/// Submission to it from another server's account is left to it: it may allow what reading does not (Exchange does).
fn check_passwords(written: &Written<'_>, servers: &Servers) -> Result<(), Refusal> {
    let provider = match &servers.provider {
        Some(name) => written.providers.by_name(name),
        None => written.providers.by_host(&servers.incoming.server().host),
    };
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
        Some(name) => endpoints::of_provider(written, oauth, name, servers)?,
        None => endpoints::of_account(written, oauth, servers)?,
    };
    if oauth.client_id.as_deref().is_some_and(|id| id.trim().is_empty()) {
        return Err(written.refuse(&["oauth", "client_id"], "expected the id of a registered client"));
    }
    meant.client_id = oauth.client_id.clone();
    meant.client_secret = client_secret(written, oauth, servers)?;
    meant.app = app::app(written, oauth, meant.client_secret.as_ref(), &meant.refused)?;
    if meant.app.is_some() {
        meant.scopes.clone_from(&meant.app_scopes);
    }
    Ok(meant)
}

fn client_secret(
    written: &Written<'_>,
    oauth: &typed::OAuth,
    servers: &Servers,
) -> Result<Option<Secret>, Refusal> {
    let rule = servers.oauth.as_ref().map(|known| known.client_secret);
    if rule == Some(SecretRule::Forbidden) {
        refuse_secret(written, oauth, servers)?;
    }
    let ways = Ways {
        tables: &["oauth"],
        key: "client_secret",
        value: oauth.client_secret.as_ref(),
        command: oauth.client_secret_command.as_ref(),
        credential: oauth.client_secret_credential.as_ref(),
    };
    ways.secret(written)
}

fn refuse_secret(written: &Written<'_>, oauth: &typed::OAuth, servers: &Servers) -> Result<(), Refusal> {
    let ways = [
        ("client_secret", oauth.client_secret.is_some()),
        ("client_secret_command", oauth.client_secret_command.is_some()),
        ("client_secret_credential", oauth.client_secret_credential.is_some()),
    ];
    let Some((key, _)) = ways.iter().find(|(_, is_named)| *is_named) else { return Ok(()) };
    let provider = servers.provider.as_deref().unwrap_or_default();
    let message = format!("clients of provider `{provider}` are public and have no secret; leave it out");
    Err(written.refuse(&["oauth", key], message))
}
