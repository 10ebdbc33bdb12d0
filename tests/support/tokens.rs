//! A small OAuth2 token server: the refresh grant with rotation (RFC 6749 §6) and introspection (RFC 7662).
//!
//! posthaste asks `/token`, Dovecot asks `/introspect`, tests script failures per user and revoke tokens at once.
//! A refresh token that was rotated away is refused as real servers do, and counted: a reuse is a lost rotation.
//! Users are named as Dovecot names them, without a domain.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::listener::Listening;

/// How the token endpoint fails for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 400 `invalid_grant`: the user must log in again.
    InvalidGrant,
    /// 500 with an empty body.
    Internal,
    /// 503 with `Retry-After` in seconds.
    Unavailable(u32),
    /// 429 with `Retry-After` in seconds.
    TooMany(u32),
    /// 200 with a web page, as a captive portal answers.
    Html,
    /// 200 with half a JSON object.
    BrokenJson,
    /// No answer; the connection stays open until the client gives up.
    Stall,
    /// The connection is closed without an answer.
    Close,
}

#[derive(Default)]
struct State {
    serial: u64,
    rotates: bool,
    lifetime: Duration,
    refresh: HashMap<String, String>,
    retired: HashMap<String, String>,
    access: HashMap<String, (String, Instant)>,
    failures: HashMap<String, (Failure, usize)>,
    requests: HashMap<String, usize>,
    reuses: HashSet<String>,
    introspections: usize,
}

/// The server; clones share it, and the last one ends it.
#[derive(Clone)]
pub struct TokenServer {
    state: Arc<Mutex<State>>,
    listening: Arc<Listening>,
    /// What Dovecot adds to its questions.
    lens: String,
}

impl TokenServer {
    /// Starts with rotation on and access tokens of an hour.
    pub fn start() -> TokenServer {
        let state = Arc::new(Mutex::new(State {
            rotates: true,
            lifetime: Duration::from_secs(3600),
            ..State::default()
        }));
        let served = state.clone();
        // A client that hangs up half way is no failure of the server.
        let listening = Listening::start(move |stream| drop(serve(stream, &served)));
        TokenServer { state, listening: Arc::new(listening), lens: String::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// For `token_url = "…"`.
    pub fn token_url(&self) -> String {
        format!("http://127.0.0.1:{}/token", self.listening.port())
    }

    /// For Dovecot.
    pub fn introspection_url(&self) -> String {
        format!("http://127.0.0.1:{}/introspect{}", self.listening.port(), self.lens)
    }

    /// The same server as a host of shared mailboxes asks it: there a token of `delegate` opens `mailbox`, and only it.
    pub fn delegating(&self, delegate: &str, mailbox: &str) -> TokenServer {
        TokenServer { lens: format!("/{delegate}/{mailbox}"), ..self.clone() }
    }

    /// A refresh token for `user`, as a login would give.
    pub fn refresh_token(&self, user: &str) -> String {
        self.state().new_refresh(user)
    }

    /// An access token for `user`, for tests without posthaste.
    pub fn access_token(&self, user: &str) -> String {
        self.state().new_access(user)
    }

    /// Whether every refresh gives a new refresh token and ends the old one.
    pub fn set_rotation(&self, rotates: bool) {
        self.state().rotates = rotates;
    }

    /// `expires_in` of access tokens issued from now on; whole seconds.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.state().lifetime = lifetime;
    }

    /// The next `times` token requests of `user` fail so.
    pub fn fail(&self, user: &str, failure: Failure, times: usize) {
        self.state().failures.insert(user.to_owned(), (failure, times));
    }

    /// Ends a scripted failure.
    pub fn heal(&self, user: &str) {
        self.state().failures.remove(user);
    }

    /// Every refresh token of `user` is refused from now on.
    pub fn revoke_refresh(&self, user: &str) {
        self.state().refresh.retain(|_, owner| owner != user);
    }

    /// Every access token of `user` is refused from now on.
    pub fn revoke_access(&self, user: &str) {
        self.state().access.retain(|_, (owner, _)| owner != user);
    }

    /// How many token requests came for `user`.
    pub fn requests(&self, user: &str) -> usize {
        self.state().requests.get(user).copied().unwrap_or_default()
    }

    /// Whether `user`'s client presented a refresh token that had been rotated away.
    pub fn was_reused(&self, user: &str) -> bool {
        self.state().reuses.contains(user)
    }

    /// How often Dovecot asked.
    pub fn introspections(&self) -> usize {
        self.state().introspections
    }

    /// Every token ever issued, for canary searches in logs and files.
    pub fn secrets(&self) -> Vec<String> {
        let state = self.state();
        state.refresh.keys().chain(state.retired.keys()).chain(state.access.keys()).cloned().collect()
    }
}

impl State {
    fn new_refresh(&mut self, user: &str) -> String {
        self.serial += 1;
        let token = format!("refresh-{}-{:016x}", self.serial, fastrand::u64(..));
        self.refresh.insert(token.clone(), user.to_owned());
        token
    }

    fn new_access(&mut self, user: &str) -> String {
        self.serial += 1;
        let token = format!("access-{}-{:016x}", self.serial, fastrand::u64(..));
        self.access.insert(token.clone(), (user.to_owned(), Instant::now() + self.lifetime));
        token
    }

    fn failure(&mut self, user: &str) -> Option<Failure> {
        let (failure, left) = self.failures.get_mut(user)?;
        *left = left.checked_sub(1)?;
        Some(*failure)
    }

    fn refresh(&mut self, form: &HashMap<String, String>) -> Answer {
        let token = form.get("refresh_token").cloned().unwrap_or_default();
        let known = self.refresh.get(&token).or_else(|| self.retired.get(&token)).cloned();
        let Some(user) = known else { return Answer::refused() };
        *self.requests.entry(user.clone()).or_default() += 1;
        if let Some(failure) = self.failure(&user) {
            return failure.answer();
        }
        if !self.refresh.contains_key(&token) {
            if self.retired.contains_key(&token) {
                self.reuses.insert(user);
            }
            return Answer::refused();
        }
        let mut body = serde_json::json!({
            "token_type": "Bearer",
            "access_token": self.new_access(&user),
            "expires_in": self.lifetime.as_secs(),
        });
        if self.rotates {
            self.refresh.remove(&token);
            self.retired.insert(token, user.clone());
            body["refresh_token"] = self.new_refresh(&user).into();
        }
        Answer::json(200, &body)
    }

    fn introspect(&mut self, form: &HashMap<String, String>, lens: &str) -> Answer {
        self.introspections += 1;
        let token = form.get("token").map(String::as_str).unwrap_or_default();
        let now = Instant::now();
        Answer::json(
            200,
            &match self.access.get(token) {
                Some((user, expires)) if *expires > now => {
                    let opened = match lens.trim_start_matches('/').split_once('/') {
                        Some((delegate, mailbox)) if delegate == user => mailbox,
                        Some(_) => "nobody",
                        None => user,
                    };
                    serde_json::json!({"active": true, "user": opened})
                }
                _ => serde_json::json!({"active": false}),
            },
        )
    }
}

/// What goes back over the wire.
enum Answer {
    Http(u16, Option<u32>, &'static str, String),
    Stall,
    Close,
}

impl Answer {
    fn json(status: u16, body: &serde_json::Value) -> Answer {
        Answer::Http(status, None, "application/json", body.to_string())
    }

    fn refused() -> Answer {
        let body = serde_json::json!({"error": "invalid_grant", "error_description": "token was revoked"});
        Answer::json(400, &body)
    }
}

impl Failure {
    fn answer(self) -> Answer {
        match self {
            Failure::InvalidGrant => Answer::refused(),
            Failure::Internal => Answer::Http(500, None, "text/plain", String::new()),
            Failure::Unavailable(after) => Answer::Http(503, Some(after), "text/plain", String::new()),
            Failure::TooMany(after) => Answer::Http(429, Some(after), "text/plain", String::new()),
            Failure::Html => Answer::Http(200, None, "text/html", "<html>Welcome, guest</html>".to_owned()),
            Failure::BrokenJson => Answer::Http(200, None, "application/json", r#"{"access_to"#.to_owned()),
            Failure::Stall => Answer::Stall,
            Failure::Close => Answer::Close,
        }
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream);
    let (path, form) = read_request(&mut reader)?;
    let answer = match (path.as_str(), path.strip_prefix("/introspect")) {
        ("/token", _) => state.lock().unwrap().refresh(&form),
        (_, Some(lens)) => state.lock().unwrap().introspect(&form, lens),
        _ => Answer::Http(404, None, "text/plain", String::new()),
    };
    match answer {
        Answer::Http(status, after, kind, body) => {
            let after = after.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
            let length = body.len();
            write!(
                reader.get_mut(),
                "HTTP/1.1 {status} Scripted\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
                 {after}Connection: close\r\n\r\n{body}"
            )
        }
        Answer::Stall => std::io::copy(&mut reader, &mut std::io::sink()).map(drop),
        Answer::Close => Ok(()),
    }
}

fn read_request(reader: &mut impl BufRead) -> std::io::Result<(String, HashMap<String, String>)> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    Ok((path, url::form_urlencoded::parse(&body).into_owned().collect()))
}
