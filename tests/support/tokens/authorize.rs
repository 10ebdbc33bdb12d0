//! The authorization endpoint and its consent page: RFC 6749 §4.1, PKCE (RFC 7636), `iss` (RFC 9207), loopback
//! redirects (RFC 8252 §7.3).
//!
//! What is wrong with the client or its redirect is told to the person and never redirected; anything else goes back
//! to the client. Nobody types a password here: the user is who `login_hint` names.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use url::Url;

use super::http::{Answer, Request};
use super::state::{Grant, State};

/// RFC 6749 §4.1.2: ten minutes at most.
const CODE_LIFE: Duration = Duration::from_secs(600);

/// What the redirect says about its issuer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Issuer {
    /// Its own name.
    #[default]
    Right,
    /// Nothing, as servers do that know no RFC 9207.
    Absent,
    /// Another server's name: a mix-up attack.
    Wrong,
}

/// A request that waits for the person.
pub(super) struct Pending {
    client: String,
    redirect: String,
    challenge: String,
    scope: Vec<String>,
    state: Option<String>,
}

/// An authorization code.
pub(super) struct Code {
    grant: Grant,
    redirect: String,
    challenge: String,
    issued: Instant,
    is_used: bool,
}

impl State {
    /// `GET /authorize`: the consent page, or why there is none.
    pub(super) fn authorize(&mut self, request: &Request) -> Answer {
        let (client, redirect) = (request.asked("client_id"), request.asked("redirect_uri"));
        let Some(registered) = self.clients.get(client) else {
            return Answer::page(400, "Unknown application", "<p>AADSTS700016: no such client.</p>");
        };
        if !registered.redirects.iter().any(|known| *known == without_port(redirect)) {
            return Answer::page(400, "Wrong redirect", "<p>AADSTS50011: redirect_uri_mismatch</p>");
        }
        let state = request.query.get("state").cloned();
        let back = |error: &str, words: &str| {
            Answer::found(redirect_with(
                redirect,
                state.as_deref(),
                &[("error", error), ("error_description", words)],
            ))
        };
        if request.asked("response_type") != "code" {
            return back("unsupported_response_type", "only code");
        }
        let challenge = request.asked("code_challenge");
        if challenge.len() != 43 || request.asked("code_challenge_method") != "S256" {
            return back("invalid_request", "code_challenge with S256 is required");
        }
        let scope: Vec<String> = request.asked("scope").split_whitespace().map(str::to_owned).collect();
        if scope.is_empty() {
            return back("invalid_scope", "no scope");
        }
        let user = request.asked("login_hint").split('@').next().unwrap_or_default().to_owned();
        let (client, redirect) = (client.to_owned(), redirect.to_owned());
        let page = consent_page(&self.secret("request"), &client, &user, &scope);
        let key = page.0;
        let pending = Pending { client, redirect, challenge: challenge.to_owned(), scope, state };
        self.pending.insert(key, pending);
        page.1
    }

    /// `POST /consent`: what the person decided goes to the client.
    pub(super) fn consent(&mut self, request: &Request) -> Answer {
        let Some(pending) = self.pending.remove(request.posted("request")) else {
            return Answer::page(400, "Too late", "<p>This page was answered before.</p>");
        };
        let issuer = match self.issuer {
            Issuer::Right => Some(self.base.clone()),
            Issuer::Wrong => Some("https://login.elsewhere.test".to_owned()),
            Issuer::Absent => None,
        };
        let mut pairs: Vec<(&str, &str)> = issuer.iter().map(|issuer| ("iss", issuer.as_str())).collect();
        let state = pending.state.as_deref();
        if request.posted("decision") != "allow" {
            pairs.extend([("error", "access_denied"), ("error_description", "The user said no.")]);
            return Answer::found(redirect_with(&pending.redirect, state, &pairs));
        }
        let scope = pending.scope.iter().filter(|scope| request.ticked.contains(scope)).cloned().collect();
        let grant = self.grant(request.posted("user"), &pending.client, scope);
        let code = self.secret("code");
        pairs.push(("code", &code));
        let location = redirect_with(&pending.redirect, state, &pairs);
        let Pending { redirect, challenge, .. } = pending;
        self.codes.insert(code, Code { grant, redirect, challenge, issued: Instant::now(), is_used: false });
        Answer::found(location)
    }

    /// `grant_type=authorization_code` of an authenticated client.
    pub(super) fn redeem(&mut self, request: &Request, client: &str) -> Result<Answer, Answer> {
        let wrong = |words: &str| Err(Answer::error(400, "invalid_grant", words));
        let verifier = request.posted("code_verifier");
        self.secrets.insert(verifier.to_owned());
        let Some(code) = self.codes.get_mut(request.posted("code")) else { return wrong("no such code") };
        let (grant, is_reused) = (code.grant.clone(), std::mem::replace(&mut code.is_used, true));
        if is_reused {
            // RFC 6749 §4.1.2: somebody else has it.
            self.end_family(grant.family);
            return wrong("the code was used before");
        }
        if code.issued.elapsed() > CODE_LIFE || grant.client != client {
            return wrong("the code is not for this client");
        }
        if code.redirect != request.posted("redirect_uri") {
            return wrong("AADSTS50011: the redirect is another one than before");
        }
        if !is_verifier(verifier) || challenge_of(verifier) != code.challenge {
            return wrong("AADSTS501481: the code_verifier does not match the code_challenge");
        }
        self.count(&grant.user)?;
        Ok(self.issued(grant.clone(), Some(grant)))
    }
}

fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// RFC 7636 §4.2.
pub(super) fn challenge_of(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// A loopback redirect compares without its port and else letter by letter: `http://localhost/` is not
/// `http://localhost`.
fn without_port(redirect: &str) -> String {
    match Url::parse(redirect).ok().and_then(|url| url.port()) {
        Some(port) if redirect.starts_with("http://") => redirect.replacen(&format!(":{port}"), "", 1),
        _ => redirect.to_owned(),
    }
}

fn redirect_with(redirect: &str, state: Option<&str>, pairs: &[(&str, &str)]) -> String {
    let mut url = Url::parse(redirect).expect("a registered redirect");
    url.query_pairs_mut().extend_pairs(pairs).extend_pairs(state.map(|state| ("state", state)));
    url.into()
}

fn consent_page(key: &str, client: &str, user: &str, scope: &[String]) -> (String, Answer) {
    let boxes: String = scope
        .iter()
        .map(|scope| {
            format!("<p><label><input type=checkbox name=scope value=\"{scope}\" checked> {scope}</label>")
        })
        .collect();
    let body = format!(
        "<p>The application <b>{client}</b> asks for access to this account.\
         <form method=post action=/consent><input type=hidden name=request value={key}>\
         <p><label>Account <input name=user value=\"{user}\"></label>{boxes}\
         <p><button name=decision value=allow>Allow</button> <button name=decision value=deny>Deny</button></form>"
    );
    (key.to_owned(), Answer::page(200, "Allow access?", &body))
}
