//! The daemon's side of the control socket: accept, check the peer, hand the request to the [`Handler`].
//!
//! Invariants: only the user's own processes are served (directory 0700, socket 0600, and the peer's uid is checked);
//! what a client can make the daemon hold is bounded in size, time and number; every connection is a task of its own,
//! so that a slow client waits for nobody but itself. This module knows no daemon: what a request means is the
//! handler's business.
//!
//! While a handler works, an empty line goes out every `PACE`, so that the client can tell work from a hang and the
//! server learns that a client is gone.

use super::line::{self, Line};
use super::socket::Socket;
use super::{Code, Refusal, Request, Response};
use crate::task::off_reactor;
use futures_util::future::BoxFuture;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub use super::socket::Error;

/// Largest request: names of accounts and a glob; a thousand times what a real one has.
const LARGEST: u64 = 64 * 1024;
/// Longest time from connecting to the end of the request line: commands send it at once.
const REQUEST: Duration = Duration::from_secs(5);
/// Longest time that a client may take to read one response.
const RESPONSE: Duration = Duration::from_secs(10);
/// How often a working handler shows that it lives.
const PACE: Duration = Duration::from_secs(15);
/// Connections at once; a `status --watch` or two is what happens in life.
const CONNECTIONS: usize = 64;
/// Responses that a handler can be ahead of its client.
const AHEAD: usize = 16;
/// Pause after a failed accept: without file descriptors it fails again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Time for open connections to say that the daemon stops.
const FAREWELL: Duration = Duration::from_millis(500);

/// Carries requests out.
pub trait Handler: Send + Sync + 'static {
    /// Answers `request` through `replies`; the end of the answer is said by the server. The future is dropped when
    /// the client goes away and rests while it is slow: work that must go on belongs elsewhere.
    fn handle(&self, request: Request, replies: Replies) -> BoxFuture<'_, Result<(), Refusal>>;
}

/// Where a handler puts its responses.
#[derive(Clone, Debug)]
pub struct Replies(mpsc::Sender<Response>);

impl Replies {
    /// Sends one response, waiting for a slow client. One that is gone is no error: the handler is dropped soon.
    pub async fn send(&self, response: Response) {
        let _gone = self.0.send(response).await;
    }
}

/// A bound control socket; dropping it removes the socket.
#[derive(Debug)]
pub struct Server {
    socket: Socket,
    owner: u32,
}

impl Server {
    /// Binds the socket at `path`. That of a dead daemon is replaced, that of a living one is not.
    pub async fn bind(path: &Path) -> Result<Server, Error> {
        let owned = path.to_path_buf();
        let socket = off_reactor(move || Socket::bind(&owned)).await?;
        Ok(Server { socket, owner: rustix::process::geteuid().as_raw() })
    }

    /// Where the socket is.
    pub fn path(&self) -> PathBuf {
        self.socket.path().to_path_buf()
    }

    /// Serves until `stop`; then open connections are told so, and the socket is removed.
    pub async fn run(self, handler: Arc<dyn Handler>, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok(stream) => self.admit(stream, &handler, &stop, &mut connections),
                    Err(error) => {
                        warn!("cannot accept on the control socket: {error}");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        warn!("a control request was cut short: {error}");
                    }
                }
                () = stop.cancelled() => break,
            }
        }
        let farewell = async { while connections.join_next().await.is_some() {} };
        let _late = timeout(FAREWELL, farewell).await;
        connections.shutdown().await;
    }

    /// Starts the conversation with an admissible peer; tells another one why not, without waiting for it.
    fn admit(
        &self,
        stream: UnixStream,
        handler: &Arc<dyn Handler>,
        stop: &CancellationToken,
        connections: &mut JoinSet<()>,
    ) {
        let refusal = if !stream.peer_cred().is_ok_and(|peer| peer.uid() == self.owner) {
            Refusal::new(Code::Denied, "the daemon belongs to another user")
        } else if connections.len() >= CONNECTIONS {
            Refusal::new(Code::Retry, "the daemon has too many control connections")
        } else {
            let (handler, stop) = (Arc::clone(handler), stop.clone());
            connections.spawn(async move {
                if let Err(error) = converse(stream, handler.as_ref(), &stop).await {
                    debug!("a control connection ended early: {error}");
                }
            });
            return;
        };
        warn!("control connection refused: {refusal}");
        if let Ok(line) = Response::Error(refusal).to_line() {
            let _gone = stream.try_write(line.as_bytes());
        }
    }
}

/// One connection: a request, its answer.
async fn converse(stream: UnixStream, handler: &dyn Handler, stop: &CancellationToken) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let request = tokio::select! {
        arrived = timeout(REQUEST, line::read(&mut read, LARGEST)) => match arrived {
            Ok(Ok(Line::Text(text))) => Request::from_line(&text),
            Ok(Ok(Line::Unusable(why))) => Err(Refusal::new(Code::BadRequest, format!("bad request: {why}"))),
            Ok(Ok(Line::End)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => Err(Refusal::new(Code::BadRequest, "bad request: it did not arrive in time")),
        },
        () = stop.cancelled() => Err(stopping()),
    };
    let last = match request {
        Ok(request) => answer(handler, request, &mut write, stop).await?,
        Err(refusal) => Response::Error(refusal),
    };
    say(&mut write, &last).await
}

/// Lets the handler work and passes its responses on; returns the last one.
async fn answer(
    handler: &dyn Handler,
    request: Request,
    write: &mut (impl AsyncWrite + Unpin),
    stop: &CancellationToken,
) -> io::Result<Response> {
    let (sender, mut responses) = mpsc::channel(AHEAD);
    let mut work = handler.handle(request, Replies(sender));
    let mut pace = interval_at(Instant::now() + PACE, PACE);
    let outcome = loop {
        tokio::select! {
            Some(response) = responses.recv() => say(write, &response).await?,
            outcome = &mut work => break outcome,
            _ = pace.tick() => put(write, b"\n").await?,
            () = stop.cancelled() => break Err(stopping()),
        }
    };
    while let Ok(response) = responses.try_recv() {
        say(write, &response).await?;
    }
    Ok(outcome.map_or_else(Response::Error, |()| Response::Done))
}

fn stopping() -> Refusal {
    Refusal::new(Code::Retry, "the daemon is stopping")
}

async fn say(write: &mut (impl AsyncWrite + Unpin), response: &Response) -> io::Result<()> {
    put(write, response.to_line()?.as_bytes()).await
}

async fn put(write: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    timeout(RESPONSE, write.write_all(bytes)).await?
}

#[cfg(test)]
mod tests;
