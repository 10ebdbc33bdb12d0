//! An OAuth2 authorization server on loopback, with a consent page for browsers and knobs for tests.
//!
//! Code with PKCE, device flow, refresh with rotation and reuse detection, client credentials by secret and by
//! certificate, service accounts, revocation, and introspection (RFC 7662) for Dovecot. Tests script failures per
//! user, client or path, and look at every request that came. Users are named as Dovecot names them, without a domain.

mod authorize;
mod client;
mod device;
mod failure;
mod grants;
mod http;
mod state;

use std::collections::HashMap;
use std::io::BufReader;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::listener::Listening;
pub use authorize::Issuer;
pub use client::{Client, Proof};
pub use failure::{Failure, REFUSALS, Refusal};
use http::{Answer, Request};
use state::State;

/// The server; clones share it, and the last one ends it.
#[derive(Clone)]
pub struct TokenServer {
    state: Arc<Mutex<State>>,
    listening: Arc<Listening>,
    /// What Dovecot adds to its questions.
    lens: String,
}

impl TokenServer {
    /// Starts with rotation on, access tokens of an hour, and one public client called `test`.
    pub fn start() -> TokenServer {
        let state = Arc::new(Mutex::new(State {
            rotates: true,
            lifetime: Duration::from_secs(3600),
            device_interval: 1,
            device_lifetime: Duration::from_secs(900),
            clients: HashMap::from([("test".to_owned(), Client::public())]),
            ..State::default()
        }));
        let served = state.clone();
        // A client that hangs up half way is no failure of the server.
        let listening = Listening::start(move |stream| drop(serve(stream, &served)));
        state.lock().unwrap().base = format!("http://127.0.0.1:{}", listening.port());
        TokenServer { state, listening: Arc::new(listening), lens: String::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.listening.port())
    }

    /// For `token_url = "…"`.
    pub fn token_url(&self) -> String {
        self.at("/token")
    }

    /// For `authorize_url = "…"`.
    pub fn authorize_url(&self) -> String {
        self.at("/authorize")
    }

    /// For `device_url = "…"`.
    pub fn device_url(&self) -> String {
        self.at("/device")
    }

    /// For `revoke_url = "…"`.
    pub fn revoke_url(&self) -> String {
        self.at("/revoke")
    }

    /// For Dovecot.
    pub fn introspection_url(&self) -> String {
        self.at(&format!("/introspect{}", self.lens))
    }

    /// The same server as a host of shared mailboxes asks it: there a token of `delegate` opens `mailbox`, and only it.
    pub fn delegating(&self, delegate: &str, mailbox: &str) -> TokenServer {
        TokenServer { lens: format!("/{delegate}/{mailbox}"), ..self.clone() }
    }

    /// A refresh token for `user`, as a login by the client `test` would give.
    pub fn refresh_token(&self, user: &str) -> String {
        let mut state = self.state();
        let grant = state.grant(user, "test", vec!["mail".to_owned()]);
        state.new_refresh(grant)
    }

    /// An access token for `user`, for tests without posthaste.
    pub fn access_token(&self, user: &str) -> String {
        let mut state = self.state();
        let grant = state.grant(user, "test", vec!["mail".to_owned()]);
        state.new_access(grant)
    }

    /// Registers a client, or changes it.
    pub fn register(&self, id: &str, client: Client) {
        let mut state = self.state();
        if let Proof::Secret(secret) = &client.proof {
            state.secrets.insert(secret.clone());
        }
        state.clients.insert(id.to_owned(), client);
    }

    /// Whether every refresh gives a new refresh token and ends the old one.
    pub fn set_rotation(&self, rotates: bool) {
        self.state().rotates = rotates;
    }

    /// Whether the old refresh token stays good beside the new one, as Microsoft's do.
    pub fn set_overlap(&self, overlaps: bool) {
        self.state().overlaps = overlaps;
    }

    /// Whether a refresh token that was rotated away ends the whole login when it comes again.
    pub fn set_reuse_detection(&self, detects: bool) {
        self.state().detects_reuse = detects;
    }

    /// `expires_in` of access tokens issued from now on; whole seconds.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.state().lifetime = lifetime;
    }

    /// The polling interval and the life of device codes given out from now on, in seconds.
    pub fn set_device(&self, interval: u64, lifetime: u64) {
        let mut state = self.state();
        (state.device_interval, state.device_lifetime) = (interval, Duration::from_secs(lifetime));
    }

    /// What redirects say about the issuer from now on.
    pub fn set_issuer(&self, issuer: Issuer) {
        self.state().issuer = issuer;
    }

    /// Whether `user` gets no refresh token, as without `offline_access`.
    pub fn withhold_refresh(&self, user: &str, withholds: bool) {
        set(&mut self.state().withheld, user, withholds);
    }

    /// Whether `user`'s access tokens are for another resource, as with a scope of Graph.
    pub fn misdirect(&self, user: &str, misdirects: bool) {
        set(&mut self.state().misdirected, user, misdirects);
    }

    /// The next `times` requests of a user at the token endpoint fail so. Instead of a user: a client id (device
    /// polls), or a path (`/token`, `/device`, `/revoke`).
    pub fn fail(&self, whom: &str, failure: Failure, times: usize) {
        self.state().failures.insert(whom.to_owned(), (failure, times));
    }

    /// Ends a scripted failure.
    pub fn heal(&self, whom: &str) {
        self.state().failures.remove(whom);
    }

    /// Every refresh token of `user` is refused from now on.
    pub fn revoke_refresh(&self, user: &str) {
        self.state().refresh.retain(|_, grant| grant.user != user);
    }

    /// Every access token of `user` is refused from now on.
    pub fn revoke_access(&self, user: &str) {
        self.state().end_access(user);
    }

    /// How many token requests came for `user`.
    pub fn requests(&self, user: &str) -> usize {
        self.state().requests.get(user).copied().unwrap_or_default()
    }

    /// How many refresh tokens of `user` are good.
    pub fn logins(&self, user: &str) -> usize {
        self.state().refresh.values().filter(|grant| grant.user == user).count()
    }

    /// When device polls came.
    pub fn polls(&self) -> Vec<Instant> {
        self.state().polls.clone()
    }

    /// The parameters of every request to `path` so far.
    pub fn heard(&self, path: &str) -> Vec<HashMap<String, String>> {
        let state = self.state();
        state.heard.iter().filter(|(heard, _)| heard == path).map(|(_, form)| form.clone()).collect()
    }

    /// Whether `user`'s client presented a refresh token that had been rotated away.
    pub fn was_reused(&self, user: &str) -> bool {
        self.state().reuses.contains(user)
    }

    /// How often Dovecot asked.
    pub fn introspections(&self) -> usize {
        self.state().introspections
    }

    /// Every secret ever issued or received (tokens, codes, verifiers, client secrets, assertions), for canary searches
    /// in logs and files.
    pub fn secrets(&self) -> Vec<String> {
        self.state().secrets.iter().filter(|secret| !secret.is_empty()).cloned().collect()
    }
}

fn set(users: &mut std::collections::HashSet<String>, user: &str, is_in: bool) {
    match is_in {
        true => users.insert(user.to_owned()),
        false => users.remove(user),
    };
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream);
    let request = Request::read(&mut reader)?;
    let (answer, delay) = {
        let mut state = state.lock().unwrap();
        let parameters = if request.method == "GET" { &request.query } else { &request.form };
        state.heard.push((request.path.clone(), parameters.clone()));
        let answer = state.route(&request);
        (answer, state.delay.take())
    };
    // What a test asked for, not a wait for anything.
    delay.into_iter().for_each(std::thread::sleep);
    answer.write(&mut reader)
}

impl State {
    fn route(&mut self, request: &Request) -> Answer {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/token") => self.token(request),
            ("POST", path) if path.starts_with("/introspect") => self.introspect(request),
            ("POST", "/revoke") => self.revoke(request),
            ("GET", "/authorize") => self.authorize(request),
            ("POST", "/consent") => self.consent(request),
            ("POST", "/device") => {
                let begun = self.client(request).and_then(|client| self.begin_device(request, &client));
                begun.unwrap_or_else(|refused| refused)
            }
            ("GET", "/activate") => self.activation_page(request),
            ("POST", "/activate") => self.activate(request),
            _ => Answer::Http(404, None, "text/plain", String::new()),
        }
    }
}
