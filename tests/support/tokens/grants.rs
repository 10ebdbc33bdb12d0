//! The token endpoint: which grant is asked for (RFC 6749 §4, §6), and the refresh with its rotation.

use super::http::{Answer, Request};
use super::state::{Grant, State};

/// RFC 8628 §3.4.
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// RFC 7523 §2.1.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

impl State {
    /// `POST /token`.
    pub(super) fn token(&mut self, request: &Request) -> Answer {
        if let Some(answer) = self.failure("/token") {
            return answer;
        }
        let answer = match request.posted("grant_type") {
            "refresh_token" => self.renew(request),
            JWT_BEARER => self.service_account(request),
            "client_credentials" => {
                let scope = request.posted("scope").to_owned();
                self.client(request).and_then(|client| self.app_token(&client, &scope))
            }
            "authorization_code" => self.client(request).and_then(|client| self.redeem(request, &client)),
            DEVICE => self.client(request).and_then(|client| self.poll(request, &client)),
            _ => Err(Answer::error(400, "unsupported_grant_type", "AADSTS70003: no such grant here")),
        };
        answer.unwrap_or_else(|refused| refused)
    }

    /// `grant_type=refresh_token`. A token that was rotated away is refused and noticed, and with reuse detection on
    /// it takes its whole family with it (RFC 9700 §4.14.2).
    fn renew(&mut self, request: &Request) -> Result<Answer, Answer> {
        let token = request.posted("refresh_token").to_owned();
        let known = self.refresh.get(&token).or_else(|| self.retired.get(&token)).cloned();
        let Some(grant) = known else { return Err(Answer::refused()) };
        self.count(&grant.user)?;
        if self.client(request)? != grant.client {
            return Err(Answer::error(400, "invalid_grant", "the token belongs to another client"));
        }
        let scope = narrowed(request.posted("scope"), &grant.scope)?;
        if !self.refresh.contains_key(&token) {
            if self.retired.contains_key(&token) {
                self.reuses.insert(grant.user.clone());
                if self.detects_reuse {
                    self.end_family(grant.family);
                }
            }
            return Err(Answer::refused());
        }
        if self.rotates && !self.overlaps {
            self.refresh.remove(&token);
            self.retired.insert(token, grant.clone());
        }
        let renewed = self.rotates.then(|| grant.clone());
        Ok(self.issued(Grant { scope, ..grant }, renewed))
    }
}

/// What is asked for of what was granted; a refresh may only give up something (RFC 6749 §6).
fn narrowed(asked: &str, granted: &[String]) -> Result<Vec<String>, Answer> {
    let asked: Vec<String> = asked.split_whitespace().map(str::to_owned).collect();
    match asked.iter().find(|scope| !granted.contains(scope)) {
        Some(scope) => {
            Err(Answer::error(400, "invalid_scope", &format!("AADSTS70011: {scope} was not granted")))
        }
        None if asked.is_empty() => Ok(granted.to_vec()),
        None => Ok(asked),
    }
}
