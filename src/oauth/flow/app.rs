//! Programs that log in as themselves, where an administrator allowed it: no person, and no refresh token.
//!
//! Client credentials (RFC 6749 §4.4) with a secret or an assertion signed by the key of a certificate (RFC 7523 §2.2,
//! as Microsoft wants it), and a Google service account that acts for a person of its domain (RFC 7523 §2.1). Each new
//! access token is the same request again. Invariants: an assertion is for one token endpoint and at most 10 minutes;
//! the key is read for each request, from a file that only its owner can read, and kept nowhere.
//! Rejected: a JWT crate, because signing is one call of the OpenSSL that is linked anyway.

use crate::application::App;
use crate::oauth::answer::Answer;
use crate::oauth::endpoint;
use crate::oauth::error::Error;
use crate::oauth::keeper::KeeperConfig;
use crate::oauth::store;
use crate::task::off_reactor;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use oauth2::Scope;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Padding;
use openssl::sign::{RsaPssSaltlen, Signer};
use openssl::x509::X509;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Seconds that an assertion is good for; Microsoft recommends at most 10 minutes.
const LIFE: i64 = 300;
/// Keys and certificates have a few KiB.
const LONGEST: u64 = 64 * 1024;
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The parts of Google's key file that matter.
#[derive(Deserialize)]
struct ServiceKey {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
}

/// Asks for an access token; what is wrong with a key file is an error, what the network does an [`Answer::Retry`].
pub(in crate::oauth) async fn request(
    config: &KeeperConfig,
    app: &App,
    deadline: Duration,
) -> Result<Answer, Error> {
    endpoint::check_safe(&config.token_url)?;
    let carrier = endpoint::Carrier::to(&config.token_url, deadline);
    let client = endpoint::client(config);
    let request =
        client.exchange_client_credentials().add_scopes(config.scopes.iter().cloned().map(Scope::new));
    Ok(match app {
        App::Secret => endpoint::answer_of(request.request_async(&carrier).await),
        App::Certificate { certificate, key } => {
            let assertion = assertion(config, certificate, key).await?;
            let request = request
                .add_extra_param("client_assertion_type", ASSERTION_TYPE)
                .add_extra_param("client_assertion", assertion.expose_secret());
            endpoint::answer_of(request.request_async(&carrier).await)
        }
        App::ServiceAccount { key, subject } => {
            let grant = delegation(config, key, subject).await?;
            let form = [("grant_type", JWT_BEARER), ("assertion", grant.expose_secret())];
            match endpoint::post(&config.token_url, &form, deadline).await {
                Ok(raw) => raw.classified(),
                Err(cause) => Answer::Retry { after: None, cause },
            }
        }
    })
}

/// The assertion of a client with a certificate.
async fn assertion(config: &KeeperConfig, certificate: &Path, key: &Path) -> Result<SecretString, Error> {
    let (client_id, audience) = (config.client_id.clone(), config.token_url.to_string());
    let (certificate, key) = (certificate.to_owned(), key.to_owned());
    off_reactor(move || {
        let pem = store::read_limited(&certificate, LONGEST)?;
        let thumbprint = X509::from_pem(&pem)
            .and_then(|certificate| certificate.digest(MessageDigest::sha256()))
            .map_err(|_| unusable(&certificate, "it holds no certificate in PEM form"))?;
        let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": BASE64_URL_SAFE_NO_PAD.encode(thumbprint)});
        let pem = store::read_private(&key, LONGEST)?;
        let private = rsa(&pem).ok_or_else(|| unusable(&key, "it holds no RSA key in PEM form"))?;
        let now = Timestamp::now().as_second();
        let claims = json!({
            "aud": audience, "iss": client_id, "sub": client_id, "jti": serial().map_err(|_| unusable(&key, "no random numbers"))?,
            "nbf": now, "iat": now, "exp": now + LIFE,
        });
        signed(&header, &claims, &private, Padding::PKCS1_PSS).map_err(|_| unusable(&key, "it cannot sign"))
    })
    .await
}

/// The grant of a service account for one person; Google takes RS256 only.
async fn delegation(config: &KeeperConfig, key: &Path, subject: &str) -> Result<SecretString, Error> {
    let (audience, scope) = (config.token_url.to_string(), config.scopes.join(" "));
    let (key, subject) = (key.to_owned(), subject.to_owned());
    off_reactor(move || {
        let text = store::read_private(&key, LONGEST)?;
        let parts: ServiceKey = serde_json::from_slice(&text)
            .map_err(|_| unusable(&key, "it is no key file of a service account"))?;
        let private = rsa(parts.private_key.as_bytes()).ok_or_else(|| unusable(&key, "it holds no RSA key"))?;
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": parts.private_key_id});
        let now = Timestamp::now().as_second();
        let claims = json!({
            "iss": parts.client_email, "sub": subject, "scope": scope, "aud": audience, "iat": now, "exp": now + LIFE,
        });
        signed(&header, &claims, &private, Padding::PKCS1).map_err(|_| unusable(&key, "it cannot sign"))
    })
    .await
}

/// A compact JWS over RSA and SHA-256 (RFC 7515 §3.1, RFC 7518 §3.3 and §3.5).
fn signed(
    header: &Value,
    claims: &Value,
    key: &PKey<Private>,
    padding: Padding,
) -> Result<SecretString, ErrorStack> {
    let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let text = format!("{}.{}", encode(header), encode(claims));
    let mut signer = Signer::new(MessageDigest::sha256(), key)?;
    signer.set_rsa_padding(padding)?;
    if padding == Padding::PKCS1_PSS {
        signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
    }
    let signature = signer.sign_oneshot_to_vec(text.as_bytes())?;
    Ok(format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)).into())
}

fn rsa(pem: &[u8]) -> Option<PKey<Private>> {
    // The callback keeps OpenSSL from asking for a passphrase on the terminal.
    let key = PKey::private_key_from_pem_callback(pem, |_| Ok(0)).ok()?;
    key.rsa().is_ok().then_some(key)
}

/// An identifier that no other assertion has.
fn serial() -> Result<String, ErrorStack> {
    let mut bytes = [0; 16];
    openssl::rand::rand_bytes(&mut bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

fn unusable(path: &Path, complaint: &str) -> Error {
    Error::Key { path: path.to_owned(), complaint: complaint.to_owned() }
}

#[cfg(test)]
mod tests;
