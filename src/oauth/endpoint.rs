//! One request to a token endpoint (RFC 6749 §4–6), sent and its answer classified.
//!
//! The oauth2 crate composes the request and reqwest carries it; the answer is read by [`classify`] inside the closure
//! between them and leaves as that closure's error, because oauth2 loses the status and prints bodies in its errors.
//! Invariants: no redirect is followed (it would carry the token elsewhere), https except to loopback, 30 s in all,
//! 1 MiB of answer. A client per request: requests are an hour apart, and a pooled connection would be dead by then.

use super::answer::{Answer, classify};
use super::error::Error;
use super::gate::Trip;
use super::keeper::KeeperConfig;
use crate::error::chain;
use crate::net::plain;
use crate::task::off_reactor;
use jiff::Timestamp;
use oauth2::basic::BasicClient;
use oauth2::{
    AsyncHttpClient, AuthType, ClientId, ClientSecret, EndpointNotSet, EndpointSet, ErrorResponse,
    HttpRequest, HttpResponse, RefreshToken, RequestTokenError, Scope, TokenUrl,
};
use reqwest::Body;
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use std::pin::Pin;
use std::time::Duration;
use url::{Host, Url};

/// Request and answer together; slower than this is as good as down.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// A token answer has a few KiB; more is another thing, and not to be held in memory.
const LONGEST_BODY: usize = 1024 * 1024;

/// The answer on its way through oauth2.
#[derive(Debug, thiserror::Error)]
#[error("the token endpoint has answered")]
pub(super) struct Answered(Answer);

/// The client of oauth2, with nothing but a token endpoint.
type Client = BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

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

/// [`is_safe`], as a refusal.
pub(super) fn check_safe(url: &Url) -> Result<(), Error> {
    if is_safe(url) { Ok(()) } else { Err(insecure(url)) }
}

/// Something secret would go there in the clear.
pub(super) fn insecure(url: &Url) -> Error {
    Error::Insecure { url: url.origin().ascii_serialization() }
}

/// Asks for an access token; every failure on the way is an [`Answer::Retry`].
pub(super) async fn refresh(
    config: &KeeperConfig,
    refresh_token: &SecretString,
    deadline: Duration,
    trip: &Trip,
) -> Answer {
    let client = client(config);
    let token = RefreshToken::new(refresh_token.expose_secret().to_owned());
    let request =
        client.exchange_refresh_token(&token).add_scopes(config.scopes.iter().cloned().map(Scope::new));
    let carrier = Carrier { trip: Some(trip), ..Carrier::to(&config.token_url, deadline) };
    answer_of(request.request_async(&carrier).await)
}

/// The account's client as oauth2 composes its requests: with its secret in the body, where it has one.
pub(super) fn client(config: &KeeperConfig) -> Client {
    let client = BasicClient::new(ClientId::new(config.client_id.clone()))
        .set_auth_type(AuthType::RequestBody)
        .set_token_uri(TokenUrl::from_url(config.token_url.clone()));
    match &config.client_secret {
        Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned())),
        None => client,
    }
}

/// What [`Carrier`] brought back. A request that could not be composed is told without the details, which may hold the
/// token.
pub(super) fn answer_of<T, E: ErrorResponse>(outcome: Result<T, RequestTokenError<Answered, E>>) -> Answer {
    match outcome {
        Err(RequestTokenError::Request(Answered(answer))) => answer,
        _ => retry("the token request could not be made"),
    }
}

/// Carries the requests of oauth2.
pub(super) struct Carrier<'t> {
    is_local: bool,
    deadline: Duration,
    /// For a request whose answer must not be lost.
    trip: Option<&'t Trip>,
}

impl Carrier<'_> {
    /// For requests to `url`, which is safe.
    pub(super) fn to(url: &Url, deadline: Duration) -> Carrier<'static> {
        Carrier { is_local: is_loopback(url), deadline, trip: None }
    }
}

impl<'c> AsyncHttpClient<'c> for Carrier<'_> {
    type Error = Answered;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Answered>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let request = match self.trip {
                Some(trip) => request.map(|body| Body::wrap(trip.parcel(body))),
                None => request.map(Body::from),
            };
            let answer = match send(request, self.is_local, self.deadline).await {
                Ok(raw) => raw.classified(),
                Err(cause) => retry(&cause),
            };
            Err(Answered(answer))
        })
    }
}

/// An answer as it came.
pub(super) struct Raw {
    pub(super) status: u16,
    retry_after: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Raw {
    /// The code of a refusal, RFC 6749 §5.2.
    pub(super) fn error(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        body.get("error")?.as_str().map(str::to_owned)
    }

    /// What it means for a token request.
    pub(super) fn classified(&self) -> Answer {
        classify(self.status, self.retry_after.as_deref(), &self.body, Timestamp::now())
    }
}

/// Posts a form that oauth2 does not compose; the error says why there is no answer.
pub(super) async fn post(url: &Url, form: &[(&str, &str)], deadline: Duration) -> Result<Raw, String> {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = http::Request::post(url.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body.into_bytes())
        .map_err(|_| "the token request could not be made".to_owned())?;
    send(request.map(Body::from), is_loopback(url), deadline).await
}

async fn send(request: http::Request<Body>, is_local: bool, deadline: Duration) -> Result<Raw, String> {
    match tokio::time::timeout(deadline, exchange(request, is_local)).await {
        Ok(Ok(answer)) => answer.map_err(str::to_owned),
        // Names hosts and TLS reasons, and holds neither request nor body.
        Ok(Err(error)) => {
            Err(format!("the token endpoint cannot be reached: {}", plain(&chain(&error.without_url()))))
        }
        Err(_) => Err("the token endpoint does not answer".to_owned()),
    }
}

async fn exchange(
    request: http::Request<Body>,
    is_local: bool,
) -> reqwest::Result<Result<Raw, &'static str>> {
    let http = off_reactor(move || http_client(is_local)).await?;
    let mut response = http.execute(request.try_into()?).await?;
    let status = response.status().as_u16();
    let retry_after =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LONGEST_BODY {
            return Ok(Err("the token endpoint's answer does not end"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Ok(Raw { status, retry_after, body }))
}

/// Blocks while it reads the system's certificates. What is for this machine never goes through a proxy.
pub(super) fn http_client(is_local: bool) -> reqwest::Result<reqwest::Client> {
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
