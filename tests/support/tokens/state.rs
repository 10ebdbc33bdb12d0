//! What the authorization server remembers: tokens and their families, logins under way, scripted failures.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use super::authorize::{Code, Issuer, Pending};
use super::client::Client;
use super::device::Device;
use super::failure::Failure;
use super::http::{Answer, Request};

/// What a person has allowed a client.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) user: String,
    pub(super) client: String,
    pub(super) scope: Vec<String>,
    /// The login that all tokens of a rotation come from (RFC 9700 §4.14.2).
    pub(super) family: u64,
}

/// An access token.
pub(super) struct Access {
    grant: Grant,
    expires: Instant,
    /// Made for another resource: no mail server takes it.
    is_foreign: bool,
}

#[derive(Default)]
pub(super) struct State {
    /// `http://127.0.0.1:PORT`
    pub(super) base: String,
    pub(super) rotates: bool,
    /// Whether rotation leaves the old token good.
    pub(super) overlaps: bool,
    /// Whether a reuse ends the whole family.
    pub(super) detects_reuse: bool,
    pub(super) lifetime: Duration,
    pub(super) refresh: HashMap<String, Grant>,
    pub(super) retired: HashMap<String, Grant>,
    pub(super) access: HashMap<String, Access>,
    pub(super) clients: HashMap<String, Client>,
    pub(super) pending: HashMap<String, Pending>,
    pub(super) codes: HashMap<String, Code>,
    pub(super) devices: HashMap<String, Device>,
    pub(super) device_interval: u64,
    pub(super) device_lifetime: Duration,
    pub(super) polls: Vec<Instant>,
    pub(super) assertions: HashSet<String>,
    pub(super) issuer: Issuer,
    /// Users who get no refresh token.
    pub(super) withheld: HashSet<String>,
    /// Users whose access tokens are for another resource.
    pub(super) misdirected: HashSet<String>,
    pub(super) failures: HashMap<String, (Failure, usize)>,
    /// How long the answer that is being made waits.
    pub(super) delay: Option<Duration>,
    pub(super) requests: HashMap<String, usize>,
    pub(super) reuses: HashSet<String>,
    pub(super) introspections: usize,
    /// Every request, as path and parameters.
    pub(super) heard: Vec<(String, HashMap<String, String>)>,
    /// Everything secret that was ever issued or received.
    pub(super) secrets: BTreeSet<String>,
    pub(super) serial: u64,
}

impl State {
    /// A new secret, its kind in front so that a failing search tells what leaked.
    pub(super) fn secret(&mut self, kind: &str) -> String {
        self.serial += 1;
        let secret = format!("{kind}-{}-{:016x}{:016x}", self.serial, fastrand::u64(..), fastrand::u64(..));
        self.secrets.insert(secret.clone());
        secret
    }

    /// A grant of a family of its own.
    pub(super) fn grant(&mut self, user: &str, client: &str, scope: Vec<String>) -> Grant {
        self.serial += 1;
        Grant { user: user.to_owned(), client: client.to_owned(), scope, family: self.serial }
    }

    pub(super) fn new_refresh(&mut self, grant: Grant) -> String {
        let token = self.secret("refresh");
        self.refresh.insert(token.clone(), grant);
        token
    }

    pub(super) fn new_access(&mut self, grant: Grant) -> String {
        let token = self.secret("access");
        let is_foreign = self.misdirected.contains(&grant.user);
        self.access
            .insert(token.clone(), Access { grant, expires: Instant::now() + self.lifetime, is_foreign });
        token
    }

    /// A successful answer of the token endpoint (RFC 6749 §5.1): an access token, and a refresh token for `renewed`.
    pub(super) fn issued(&mut self, grant: Grant, renewed: Option<Grant>) -> Answer {
        let mut body = serde_json::json!({
            "token_type": "Bearer",
            "scope": grant.scope.join(" "),
            "access_token": self.new_access(grant),
            "expires_in": self.lifetime.as_secs(),
        });
        if let Some(grant) = renewed.filter(|grant| !self.withheld.contains(&grant.user)) {
            body["refresh_token"] = self.new_refresh(grant).into();
        }
        Answer::json(200, &body)
    }

    /// The failure that is scripted for a user, a client or a path; [`Failure::Slow`] only marks the answer.
    pub(super) fn failure(&mut self, whom: &str) -> Option<Answer> {
        let (failure, left) = self.failures.get_mut(whom)?;
        *left = left.checked_sub(1)?;
        match *failure {
            Failure::Slow(delay) => {
                self.delay = Some(delay);
                None
            }
            failure => Some(failure.answer()),
        }
    }

    /// Counts a request for `user`; its scripted failure is the error.
    pub(super) fn count(&mut self, user: &str) -> Result<(), Answer> {
        *self.requests.entry(user.to_owned()).or_default() += 1;
        self.failure(user).map_or(Ok(()), Err)
    }

    /// Ends every token that comes from one login.
    pub(super) fn end_family(&mut self, family: u64) {
        self.refresh.retain(|_, grant| grant.family != family);
        self.access.retain(|_, access| access.grant.family != family);
    }

    pub(super) fn end_access(&mut self, user: &str) {
        self.access.retain(|_, access| access.grant.user != user);
    }

    /// RFC 7662, for Dovecot. A path below it names a delegate and the shared mailbox that the delegate's token opens.
    pub(super) fn introspect(&mut self, request: &Request) -> Answer {
        self.introspections += 1;
        let body = match self.access.get(request.posted("token")) {
            Some(access) if access.expires > Instant::now() && !access.is_foreign => {
                let user = access.grant.user.as_str();
                let lens = request.path.trim_start_matches("/introspect").trim_start_matches('/');
                let opened = match lens.split_once('/') {
                    Some((delegate, mailbox)) if delegate == user => mailbox,
                    Some(_) => "nobody",
                    None => user,
                };
                serde_json::json!({"active": true, "user": opened})
            }
            _ => serde_json::json!({"active": false}),
        };
        Answer::json(200, &body)
    }

    /// RFC 7009: the client's token and all of its family; an unknown token is no error.
    pub(super) fn revoke(&mut self, request: &Request) -> Answer {
        if let Some(answer) = self.failure("/revoke") {
            return answer;
        }
        let client = match self.client(request) {
            Ok(client) => client,
            Err(answer) => return answer,
        };
        let token = request.posted("token");
        let grant = self.refresh.get(token).or_else(|| self.access.get(token).map(|access| &access.grant));
        let Some(grant) = grant.cloned() else { return Answer::Http(200, None, "text/plain", String::new()) };
        if grant.client != client {
            return Answer::error(400, "unauthorized_client", "the token belongs to another client");
        }
        self.end_family(grant.family);
        Answer::Http(200, None, "text/plain", String::new())
    }
}
