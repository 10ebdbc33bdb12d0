//! Commands out, lines and bodies in; the only file here that reads and writes the stream.
//!
//! Invariants: whatever the peer does, a line, a listing and a message stay within bounds of memory and time; the end of
//! the stream is an error, always; after an error nothing more is read. Commands are never logged: some of them are
//! secrets.

use super::body::{Progress, Unstuffer};
use super::error::Error;
use super::reply::Reply;
use crate::net::Stream;
use crate::net::patience::{Pace, SILENCE};
use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

/// Longest line of a reply or a listing; RFC 1939 says 512 octets.
const LINE: usize = 8 * 1024;
/// All of a listing: a million messages with long unique-ids.
const LISTING: usize = 64 * 1024 * 1024;
/// A message; the largest that providers accept is 150 MB.
pub(super) const MESSAGE: u64 = crate::sync::LARGEST;
/// One read.
const CHUNK: usize = 32 * 1024;

/// A connection and the bytes read ahead on it.
pub(super) struct Wire {
    stream: Stream,
    ahead: BytesMut,
    pace: Pace,
    usable: bool,
}

/// A body on its way.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    unstuffer: Unstuffer,
    received: u64,
    is_complete: bool,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Wire {
        Wire { stream, ahead: BytesMut::new(), pace: Pace::default(), usable: true }
    }

    /// Whether both sides still agree on where they are.
    pub(super) fn is_usable(&self) -> bool {
        self.usable
    }

    /// Notes that the connection is gone or out of step.
    pub(super) fn lost(&mut self, error: Error) -> Error {
        self.usable = false;
        error
    }

    /// Sends a command and reads the first line of its answer.
    pub(super) async fn command(&mut self, line: &str) -> Result<Reply, Error> {
        self.send(&format!("{line}\r\n")).await?;
        self.reply().await
    }

    /// Writes text as it is.
    pub(super) async fn send(&mut self, text: &str) -> Result<(), Error> {
        if !self.usable {
            return Err(Error::Unusable);
        }
        // Until all is written a caller that goes away leaves half a command behind.
        self.usable = false;
        let write = async {
            self.stream.write_all(text.as_bytes()).await?;
            self.stream.flush().await
        };
        timeout(SILENCE, write).await.map_err(|_| Error::TimedOut)??;
        self.usable = true;
        Ok(())
    }

    /// Reads the first line of an answer.
    pub(super) async fn reply(&mut self) -> Result<Reply, Error> {
        let line = self.line().await?;
        self.pace.ended();
        match Reply::parse(&line) {
            Some(reply) => Ok(reply),
            None => Err(self.lost(Error::Protocol("its line is no POP3 reply"))),
        }
    }

    /// Reads the lines of a listing to its end, without their line ends.
    pub(super) async fn listing(&mut self) -> Result<Vec<Vec<u8>>, Error> {
        let (mut lines, mut size) = (Vec::new(), 0);
        loop {
            let mut line = self.line().await?;
            match line.strip_prefix(b".") {
                Some(b"") => break,
                Some(_) => line = line.split_off(1),
                None => {}
            }
            size += line.len() + size_of::<Vec<u8>>();
            if size > LISTING {
                return Err(self.lost(Error::Protocol("it lists without end")));
            }
            lines.push(line.to_vec());
        }
        self.pace.ended();
        Ok(lines)
    }

    /// The next part of a body; `None` at its end.
    pub(super) async fn chunk(&mut self, incoming: &mut Incoming) -> Result<Option<Bytes>, Error> {
        while !incoming.is_complete {
            if self.ahead.is_empty() {
                self.fill().await?;
            }
            let mut text = Vec::with_capacity(self.ahead.len());
            let used = match incoming.unstuffer.push(&self.ahead, &mut text) {
                Progress::More => self.ahead.len(),
                Progress::End(length) => {
                    incoming.is_complete = true;
                    self.pace.ended();
                    length
                }
            };
            self.ahead.advance(used);
            incoming.received += text.len() as u64;
            if incoming.received > MESSAGE {
                return Err(self.lost(Error::Protocol("a message is too large")));
            }
            if !text.is_empty() {
                return Ok(Some(text.into()));
            }
        }
        Ok(None)
    }

    /// Gives the bare stream back for TLS; bytes read ahead would pass from the clear into it.
    pub(super) fn into_stream(self) -> Result<Stream, Error> {
        match self.ahead.is_empty() {
            true => Ok(self.stream),
            false => Err(Error::StartTls("somebody put bytes behind the answer to STLS")),
        }
    }

    /// One line without its end; a bare LF ends it as well.
    async fn line(&mut self) -> Result<BytesMut, Error> {
        let mut scanned = 0;
        loop {
            let end = memchr(b'\n', self.ahead.get(scanned..).unwrap_or_default());
            let length = end.map_or(self.ahead.len(), |end| scanned + end);
            if length > LINE {
                return Err(self.lost(Error::Protocol("a line is too long")));
            }
            if end.is_some() {
                let mut line = self.ahead.split_to(length);
                self.ahead.advance(1);
                if line.last() == Some(&b'\r') {
                    line.truncate(line.len() - 1);
                }
                return Ok(line);
            }
            scanned = length;
            self.fill().await?;
        }
    }

    /// Waits for more from the server, as long as patience lasts.
    async fn fill(&mut self) -> Result<(), Error> {
        if !self.usable {
            return Err(Error::Unusable);
        }
        self.ahead.reserve(CHUNK);
        let begun = Instant::now();
        let read = timeout(SILENCE, self.stream.read_buf(&mut self.ahead)).await;
        let waited: Duration = begun.elapsed();
        let outcome = match read {
            Err(_) => Err(Error::TimedOut),
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(0)) => Err(Error::Closed),
            Ok(Ok(read)) if self.pace.waited(waited, read as u64) => Ok(()),
            Ok(Ok(_)) => Err(Error::TooSlow),
        };
        outcome.map_err(|error| self.lost(error))
    }
}

/// What was read ahead may be mail.
impl std::fmt::Debug for Wire {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Wire").field("stream", &self.stream).finish_non_exhaustive()
    }
}
