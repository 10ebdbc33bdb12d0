//! The authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636, RFC 8252).
//!
//! Invariants: S256 and never `plain`; verifier and state are new for each login, from 256 random bits each; the verifier
//! leaves this file only in the request to the token endpoint. No client secret is in the address that is shown.
//! The address goes to a browser of the person's own and is never opened in here.

use super::callback::{Callback, Expected};
use super::{Error, Granted, complete};
use crate::oauth::endpoint;
use crate::oauth::keeper::KeeperConfig;
use oauth2::basic::BasicClient;
use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// RFC 7636 §7.1 recommends 256 bits, as oauth2 gives the verifier.
const STATE_BYTES: u32 = 32;

/// Where the browser goes, and what it takes along.
#[derive(Clone, Debug)]
pub struct Authorize {
    /// The authorization endpoint.
    pub url: Url,
    /// The address of the person, so that the right account is offered (OpenID Connect Core §3.1.2.1).
    pub login_hint: String,
    /// What this provider wants beside the standard, like `access_type=offline`.
    pub extra: Vec<(String, String)>,
}

/// One login under way.
#[derive(Debug)]
pub struct Attempt {
    url: Url,
    expected: Expected,
    verifier: PkceCodeVerifier,
    redirect: RedirectUrl,
}

impl Attempt {
    /// A login that ends at `redirect`, exactly as spelled.
    pub fn new(config: &KeeperConfig, authorize: &Authorize, redirect: &str) -> Result<Attempt, Error> {
        if !endpoint::is_safe(&authorize.url) {
            return Err(Error::Token(endpoint::insecure(&authorize.url)));
        }
        let no_redirect = |_| Error::Redirect { redirect: redirect.to_owned() };
        let redirect = RedirectUrl::new(redirect.to_owned()).map_err(no_redirect)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let client = BasicClient::new(ClientId::new(config.client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(authorize.url.clone()))
            .set_redirect_uri(redirect.clone());
        let mut request = client
            .authorize_url(|| CsrfToken::new_random_len(STATE_BYTES))
            .add_scopes(config.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(challenge)
            .add_extra_param("login_hint", authorize.login_hint.clone());
        for (name, value) in &authorize.extra {
            request = request.add_extra_param(name, value);
        }
        let (url, state) = request.url();
        let state = SecretString::from(state.into_secret());
        Ok(Attempt {
            url,
            expected: Expected { state, authorize_url: authorize.url.clone() },
            verifier,
            redirect,
        })
    }

    /// The address for the browser. It is good for one login and holds no secret that could redeem one.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// What the redirect must prove.
    pub fn expected(&self) -> &Expected {
        &self.expected
    }

    /// Redeems the code of the redirect.
    pub async fn redeem(self, config: &KeeperConfig, callback: Callback) -> Result<Granted, Error> {
        let code = match callback {
            Callback::Code(code) => code,
            Callback::Denied { error, description } => return Err(Error::Denied { error, description }),
            Callback::OtherIssuer { issuer } => return Err(Error::OtherIssuer { issuer }),
        };
        endpoint::check_safe(&config.token_url)?;
        let client = endpoint::client(config);
        let request = client
            .exchange_code(oauth2::AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_pkce_verifier(self.verifier)
            .set_redirect_uri(std::borrow::Cow::Owned(self.redirect));
        let carrier = endpoint::Carrier::to(&config.token_url, endpoint::DEADLINE);
        complete(endpoint::answer_of(request.request_async(&carrier).await), config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::Keeper;
    use crate::oauth::flow::scripted::Script;
    use std::collections::HashMap;

    fn config() -> KeeperConfig {
        KeeperConfig {
            client_id: "the app".into(),
            client_secret: Some("CANARY".into()),
            scopes: vec!["https://mail.test/imap".into(), "offline_access".into()],
            ..crate::oauth::flow::scripted::config(&"https://login.test/token".parse().unwrap())
        }
    }

    fn attempt(url: &str) -> Result<Attempt, Error> {
        let authorize = Authorize {
            url: url.parse().unwrap(),
            login_hint: "alice@mail.test".into(),
            extra: vec![("prompt".into(), "consent".into()), ("access_type".into(), "offline".into())],
        };
        Attempt::new(&config(), &authorize, "http://localhost:4711")
    }

    fn query(attempt: &Attempt) -> HashMap<String, String> {
        attempt.url().query_pairs().into_owned().collect()
    }

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let verifier = PkceCodeVerifier::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into());
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        assert_eq!(challenge.as_str(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn the_address_asks_for_what_is_needed_and_holds_no_secret() {
        let attempt = attempt("https://login.test/authorize?tenant=x").unwrap();
        let query = query(&attempt);
        for (name, value) in [
            ("tenant", "x"),
            ("response_type", "code"),
            ("client_id", "the app"),
            ("redirect_uri", "http://localhost:4711"),
            ("scope", "https://mail.test/imap offline_access"),
            ("code_challenge_method", "S256"),
            ("login_hint", "alice@mail.test"),
            ("prompt", "consent"),
            ("access_type", "offline"),
        ] {
            assert_eq!(query.get(name).map(String::as_str), Some(value), "{name}");
        }
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&attempt.verifier);
        assert_eq!(query["code_challenge"], challenge.as_str());
        assert_eq!(query["state"], attempt.expected().state.expose_secret());
        let shown = attempt.url().as_str();
        assert!(!shown.contains("CANARY") && !shown.contains(attempt.verifier.secret().as_str()));
    }

    #[test]
    fn every_login_has_its_own_state_and_verifier_of_256_bits() {
        let (one, other) =
            (attempt("https://login.test/a").unwrap(), attempt("https://login.test/a").unwrap());
        let (first, second) = (query(&one), query(&other));
        for name in ["state", "code_challenge"] {
            assert_ne!(first[name], second[name]);
            assert_eq!(first[name].len(), 43, "256 bits in base64");
        }
    }

    #[test]
    fn a_browser_is_not_sent_off_in_the_clear() {
        let error = attempt("http://login.test/authorize").unwrap_err();
        assert!(matches!(error, Error::Token(crate::oauth::Error::Insecure { .. })), "{error}");
    }

    #[tokio::test]
    async fn the_code_is_redeemed_with_its_verifier_and_the_keeper_takes_over() {
        let tokens = r#"{"access_token":"a1","token_type":"Bearer","expires_in":3600,"refresh_token":"r1"}"#;
        let script = Script::start([(200, tokens), (200, r#"{"access_token":"a2"}"#)]).await;
        let home = tempfile::tempdir().unwrap();
        let store = home.path().join("lab/token.json");
        let config = KeeperConfig { token_url: script.url.clone(), store: store.clone(), ..config() };
        let keeper = Keeper::new(config.clone());
        let attempt = attempt("https://login.test/a").unwrap();
        let challenge = query(&attempt)["code_challenge"].clone();

        let granted = attempt.redeem(keeper.config(), Callback::Code("c1".into())).await.unwrap();
        let form = script.form(0);
        let verifier = PkceCodeVerifier::new(form["code_verifier"].clone());
        assert_eq!(PkceCodeChallenge::from_code_verifier_sha256(&verifier).as_str(), challenge);
        for (name, value) in [
            ("grant_type", "authorization_code"),
            ("code", "c1"),
            ("redirect_uri", "http://localhost:4711"),
            ("client_id", "the app"),
            ("client_secret", "CANARY"),
        ] {
            assert_eq!(form[name], value);
        }

        assert_eq!(keeper.adopt(granted).await.unwrap().secret.expose_secret(), "a1");
        assert_eq!(keeper.token().await.unwrap().secret.expose_secret(), "a1", "no refresh is needed yet");
        assert_eq!(script.count(), 1);
        Keeper::new(config).token().await.unwrap();
        assert_eq!(script.form(1)["refresh_token"], "r1", "another process goes on with the saved login");
    }

    #[tokio::test]
    async fn a_refusal_in_the_redirect_costs_no_request() {
        let script = Script::start([]).await;
        let config = KeeperConfig { token_url: script.url.clone(), ..config() };
        let denied = Callback::Denied { error: "access_denied".into(), description: "no".into() };
        let other = Callback::OtherIssuer { issuer: "https://evil.test".into() };
        for (callback, said) in [(denied, "refused (access_denied): no"), (other, "https://evil.test")] {
            let attempt = attempt("https://login.test/a").unwrap();
            let error = attempt.redeem(&config, callback).await.unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
        assert_eq!(script.count(), 0);
    }
}
