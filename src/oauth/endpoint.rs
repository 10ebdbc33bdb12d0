//! One request to a token endpoint: the refresh grant (RFC 6749 §6), sent and its answer classified.
//!
//! The oauth2 crate composes the request and reqwest carries it; the answer is read by [`classify`] inside the closure
//! between them and leaves as that closure's error, because oauth2 loses the status and prints bodies in its errors.
//! Invariants: no redirect is followed (it would carry the token elsewhere), https except to loopback, 30 s in all,
//! 1 MiB of answer. A client per request: requests are an hour apart, and a pooled connection would be dead by then.

use super::answer::{Answer, classify};
use super::keeper::KeeperConfig;
use crate::error::chain;
use crate::net::plain;
use jiff::Timestamp;
use oauth2::basic::BasicClient;
use oauth2::{
    AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, RefreshToken, RequestTokenError, Scope,
    TokenUrl,
};
use reqwest::header::RETRY_AFTER;
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;
use url::{Host, Url};

/// Request and answer together; slower than this is as good as down.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// A token answer has a few KiB; more is another thing, and not to be held in memory.
const LONGEST_BODY: usize = 1024 * 1024;

/// The answer on its way through oauth2.
#[derive(Debug, thiserror::Error)]
#[error("the token endpoint has answered")]
struct Answered(Answer);

/// Whether a token may be sent there: in TLS, or within this machine.
pub(super) fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Asks for an access token; every failure on the way is an [`Answer::Retry`].
pub(super) async fn refresh(
    config: &KeeperConfig,
    refresh_token: &SecretString,
    deadline: Duration,
) -> Answer {
    let mut client = BasicClient::new(ClientId::new(config.client_id.clone()))
        .set_auth_type(AuthType::RequestBody)
        .set_token_uri(TokenUrl::from_url(config.token_url.clone()));
    if let Some(secret) = &config.client_secret {
        client = client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()));
    }
    let token = RefreshToken::new(refresh_token.expose_secret().to_owned());
    let request =
        client.exchange_refresh_token(&token).add_scopes(config.scopes.iter().cloned().map(Scope::new));
    let is_local = is_loopback(&config.token_url);
    let carry = |request: HttpRequest| async move {
        let answer = tokio::time::timeout(deadline, send(request, is_local))
            .await
            .unwrap_or_else(|_| retry("the token endpoint does not answer"));
        Err::<HttpResponse, _>(Answered(answer))
    };
    match request.request_async(&carry).await {
        Err(RequestTokenError::Request(Answered(answer))) => answer,
        // The request could not be composed; said without the details, which may hold the token.
        _ => retry("the token request could not be made"),
    }
}

async fn send(request: HttpRequest, is_local: bool) -> Answer {
    match exchange(request, is_local).await {
        Ok(answer) => answer,
        // Names hosts and TLS reasons, and holds neither request nor body.
        Err(error) => {
            retry(&format!("the token endpoint cannot be reached: {}", plain(&chain(&error.without_url()))))
        }
    }
}

async fn exchange(request: HttpRequest, is_local: bool) -> reqwest::Result<Answer> {
    let client = tokio::task::spawn_blocking(move || client(is_local));
    let Ok(client) = client.await else { return Ok(retry("the program is ending")) };
    let mut response = client?.execute(request.try_into()?).await?;
    let status = response.status().as_u16();
    let retry_after =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LONGEST_BODY {
            return Ok(retry("the token endpoint's answer does not end"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(classify(status, retry_after.as_deref(), &body, Timestamp::now()))
}

/// Blocks while it reads the system's certificates. Plain text never goes through a proxy: it is for this machine.
pub(super) fn client(is_local: bool) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .https_only(!is_local)
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .user_agent(concat!("posthaste/", env!("CARGO_PKG_VERSION")));
    if is_local { builder.no_proxy() } else { builder }.build()
}

fn retry(cause: &str) -> Answer {
    Answer::Retry { after: None, cause: cause.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_only_into_tls_or_to_this_machine() {
        let is_safe = |text: &str| is_safe(&text.parse().unwrap());
        for safe in
            ["https://login.test/token", "http://127.0.0.1:8080/t", "http://[::1]/t", "http://localhost/t"]
        {
            assert!(is_safe(safe), "{safe}");
        }
        for unsafe_url in [
            "http://login.test/token",
            "http://127.0.0.1.evil.test/",
            "http://10.0.0.1/",
            "ftp://localhost/",
            "file:///t",
        ] {
            assert!(!is_safe(unsafe_url), "{unsafe_url}");
        }
    }
}
