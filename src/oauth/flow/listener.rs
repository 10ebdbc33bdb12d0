//! The loopback end of a login in the browser (RFC 8252 §7.3, §8.3).
//!
//! Listens before the browser is sent off. Only a GET of the exact path, addressed to the exact host (a web page that
//! rebinds a name to this machine sends another), with the state of this login ends the wait; everything else is
//! answered without a word of what was asked, and waited past, so that nobody on this machine can spoil a login.
//! Bounded: 16 KiB and 5 s for a request, 32 at once. The browser is answered only once the tokens are there, so that its
//! page tells the truth. Rejected: an HTTP server crate, for a single line of a single request; and a bound on requests in
//! all, by which any user of this machine could end the login.

use super::callback::{self, Callback, Expected};
use super::error::Error;
use super::page::{self, Page};
use crate::net::{Loopback, Stream};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use oauth2::CsrfToken;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

/// Codes of Microsoft have 2 KiB, and browsers send the cookies of everything that ever ran on `localhost`.
const LONGEST_HEAD: usize = 16 * 1024;
/// To send a request, and again to take the answer.
const ONE_REQUEST: Duration = Duration::from_secs(5);
/// More connections wait in the kernel. A browser opens a few ahead of need and says nothing on them.
const AT_ONCE: usize = 32;
/// After a connection that cannot be taken: the cause (no descriptors left) may last.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits for a browser.
#[derive(Debug)]
pub struct Listener {
    sockets: Loopback,
    redirect: String,
    place: Place,
}

/// What a request must be addressed to.
#[derive(Debug)]
struct Place {
    /// Host and port as the browser sends them.
    host: String,
    path: String,
}

/// The redirect of this login, and the browser that waits for an answer.
#[derive(Debug)]
pub struct Caught {
    /// What the authorization server said.
    pub callback: Callback,
    /// Who brought it.
    pub browser: Browser,
}

/// A browser that waits for its page.
#[derive(Debug)]
pub struct Browser(Stream);

/// The redirect with a path of this login only, for a provider that takes any: no other program on this machine knows
/// where to ask.
pub fn with_random_path(redirect: &str) -> String {
    format!("{}/{}", redirect.trim_end_matches('/'), CsrfToken::new_random().secret())
}

impl Browser {
    /// Shows how the login ended. A browser that is gone misses it, and that is all.
    pub async fn tell(self, page: Page) {
        respond(self.0, &page.response()).await;
    }
}

impl Listener {
    /// Listens on a free port of the redirect's host. `redirect` has no port; its spelling is kept, since providers
    /// compare it letter by letter.
    pub async fn bind(redirect: &str) -> Result<Listener, Error> {
        let (host, path) = redirect
            .strip_prefix("http://")
            .map(|rest| rest.split_at(rest.find('/').unwrap_or(rest.len())))
            .ok_or_else(|| Error::Redirect { redirect: redirect.to_owned() })?;
        let sockets = Loopback::bind(host).await.map_err(|source| Error::Listen { source })?;
        let host = format!("{host}:{}", sockets.port());
        let redirect = format!("http://{host}{path}");
        let path = if path.is_empty() { "/" } else { path }.to_owned();
        Ok(Listener { sockets, redirect, place: Place { host, path } })
    }

    /// The redirect with its port: what the authorization server is told.
    pub fn redirect(&self) -> &str {
        &self.redirect
    }

    /// The port, for `ssh -L`.
    pub fn port(&self) -> u16 {
        self.sockets.port()
    }

    /// Waits for the redirect of this login, at most `patience`. Nothing listens afterwards.
    pub async fn wait(self, expected: &Expected, patience: Duration) -> Result<Caught, Error> {
        timeout(patience, self.catch(expected)).await.map_err(|_| Error::TimedOut { patience })
    }

    async fn catch(&self, expected: &Expected) -> Caught {
        let mut requests = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(caught) = requests.next(), if !requests.is_empty() => {
                    if let Some(caught) = caught {
                        return caught;
                    }
                }
                accepted = self.sockets.accept(), if requests.len() < AT_ONCE => match accepted {
                    Ok(stream) => requests.push(serve(stream, &self.place, expected)),
                    Err(_) => sleep(PAUSE).await,
                },
            }
        }
    }
}

/// One request: its redirect if it is that of this login, else it is answered here.
async fn serve(mut stream: Stream, place: &Place, expected: &Expected) -> Option<Caught> {
    let head = timeout(ONE_REQUEST, read_head(&mut stream)).await.ok()??;
    match judge(&head, place, expected) {
        Judgement::Ours(callback) => Some(Caught { callback, browser: Browser(stream) }),
        Judgement::Other(response) => {
            respond(stream, &response).await;
            None
        }
    }
}

/// The request up to its empty line; `None` where that is too far or never comes.
async fn read_head(stream: &mut Stream) -> Option<String> {
    let mut head = Vec::new();
    loop {
        let mut chunk = [0; 2048];
        let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        head.extend_from_slice(chunk.get(..count)?);
        if let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") {
            head.truncate(end);
            return String::from_utf8(head).ok();
        }
        if head.len() > LONGEST_HEAD {
            return None;
        }
    }
}

/// What a request is worth.
#[derive(Debug)]
enum Judgement {
    Ours(Callback),
    Other(String),
}

fn judge(head: &str, place: &Place, expected: &Expected) -> Judgement {
    let bare = |status| Judgement::Other(page::bare(status));
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target, version) = (words.next(), words.next().unwrap_or_default(), words.next());
    if words.next().is_some() || !version.is_some_and(|version| version.starts_with("HTTP/1.")) {
        return bare("400 Bad Request");
    }
    let hosts: Vec<&str> =
        lines.filter_map(|line| line.split_once(':')).filter(is_host).map(|(_, host)| host.trim()).collect();
    if !matches!(hosts.as_slice(), [host] if host.eq_ignore_ascii_case(&place.host)) {
        return bare("421 Misdirected Request");
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path != place.path {
        return bare("404 Not Found");
    }
    if method != Some("GET") {
        return bare("405 Method Not Allowed");
    }
    match callback::read(query, expected) {
        Some(callback) => Judgement::Ours(callback),
        None => Judgement::Other(Page::Stray.response()),
    }
}

fn is_host((name, _): &(&str, &str)) -> bool {
    name.eq_ignore_ascii_case("host")
}

/// Whoever does not take the answer goes without.
async fn respond(mut stream: Stream, response: &str) {
    let sent = async {
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await
    };
    let _ = timeout(ONE_REQUEST, sent).await;
}

#[cfg(test)]
mod tests;
