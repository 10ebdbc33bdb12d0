//! Commands out, replies in, each with its deadline; the only file here that reads and writes the stream.
//!
//! Invariants: a reply is read within bounds of memory and time whatever the peer does, and the end of the stream is an
//! error, always. The deadline runs over the whole reply, so a peer that drips bytes gains nothing. Commands are never
//! logged: some of them are secrets.

use super::error::{Error, Stage};
use super::reply::{MAX_LINE, Malformed, Parser, Reply};
use crate::net::Stream;
use std::future::ready;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// How long to wait for the server (RFC 5321 §4.5.3.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    /// The greeting; less than the RFC says, because a port for TLS says nothing, ever, to one who does not begin it.
    pub(super) greeting: Duration,
    /// Every command but the next three.
    pub(super) command: Duration,
    /// The reply to DATA.
    pub(super) data: Duration,
    /// One block of the message to be taken.
    pub(super) block: Duration,
    /// The reply to the final dot: servers scan the message meanwhile, and giving up early makes duplicates.
    pub(super) dot: Duration,
    /// QUIT is a courtesy.
    pub(super) quit: Duration,
}

impl Deadlines {
    pub(super) const RFC5321: Deadlines = Deadlines {
        greeting: Duration::from_secs(30),
        command: Duration::from_secs(300),
        data: Duration::from_secs(120),
        block: Duration::from_secs(180),
        dot: Duration::from_secs(600),
        quit: Duration::from_secs(5),
    };

    fn of(&self, stage: Stage) -> Duration {
        match stage {
            Stage::Greeting => self.greeting,
            Stage::Data => self.data,
            Stage::Body => self.block,
            Stage::Dot => self.dot,
            Stage::Quit => self.quit,
            _ => self.command,
        }
    }
}

/// A connection and the bytes read ahead on it.
pub(super) struct Wire {
    stream: Stream,
    ahead: Vec<u8>,
    deadlines: Deadlines,
}

impl Wire {
    pub(super) fn new(stream: Stream, deadlines: Deadlines) -> Wire {
        Wire { stream, ahead: Vec::new(), deadlines }
    }

    /// Sends a command, without its line end, and reads the reply.
    pub(super) async fn command(&mut self, stage: Stage, command: &str) -> Result<Reply, Error> {
        self.send(stage, format!("{command}\r\n").as_bytes()).await?;
        self.reply(stage).await
    }

    /// Writes bytes as they are.
    pub(super) async fn send(&mut self, stage: Stage, bytes: &[u8]) -> Result<(), Error> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let written = timeout(self.deadlines.of(stage), write).await.unwrap_or_else(|_| Err(silent()));
        written.map_err(|source| Error::Lost { stage, source })
    }

    /// Reads one reply.
    pub(super) async fn reply(&mut self, stage: Stage) -> Result<Reply, Error> {
        let deadline = self.deadlines.of(stage);
        let lost = || Error::Lost { stage, source: silent() };
        timeout(deadline, self.read_reply(stage)).await.unwrap_or_else(|_| Err(lost()))
    }

    /// Whether the server said something, or hung up, without being asked.
    pub(super) async fn has_spoken(&mut self) -> bool {
        if !self.ahead.is_empty() {
            return true;
        }
        tokio::select! {
            biased;
            _ = self.stream.read_buf(&mut self.ahead) => true,
            () = ready(()) => false,
        }
    }

    /// Gives the bare stream back for TLS; bytes read ahead would pass from the clear into it.
    pub(super) fn into_stream(self) -> Result<Stream, Error> {
        if self.ahead.is_empty() { Ok(self.stream) } else { Err(Error::Injected) }
    }

    async fn read_reply(&mut self, stage: Stage) -> Result<Reply, Error> {
        let mut parser = Parser::default();
        loop {
            let line = self.read_line(stage).await?;
            match parser.line(&line) {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(source) => return Err(Error::Malformed { stage, source }),
            }
        }
    }

    /// One line without its end; a bare LF ends it as well.
    async fn read_line(&mut self, stage: Stage) -> Result<Vec<u8>, Error> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.ahead) {
                let mut line: Vec<u8> = self.ahead.drain(..=end).collect();
                line.pop();
                line.pop_if(|last| *last == b'\r');
                return Ok(line);
            }
            if self.ahead.len() > MAX_LINE {
                return Err(Error::Malformed { stage, source: Malformed::LongLine });
            }
            let read = self.stream.read_buf(&mut self.ahead).await;
            match read {
                Ok(0) => return Err(Error::Lost { stage, source: io::ErrorKind::UnexpectedEof.into() }),
                Ok(_) => {}
                Err(source) => return Err(Error::Lost { stage, source }),
            }
        }
    }
}

/// What was read ahead may echo a secret.
impl std::fmt::Debug for Wire {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Wire").field("stream", &self.stream).finish_non_exhaustive()
    }
}

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}
