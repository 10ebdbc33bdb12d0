//! What stands between the server and async-imap until login is done.
//!
//! imap-proto panics on some non-ASCII text and overflows the stack on deep nesting, and neither can be caught well. So
//! until login is done a reply may have one line, no literal, little nesting and little length. Non-ASCII bytes become
//! `?`: a localised greeting is no reason to refuse a login. Invariant: one line at a time is handed on, so that what
//! the server sent after it stays here, where it can be seen: behind STARTTLS it is an attack (RFC 3207 §6), behind
//! AUTHENTICATE it belongs to the session.

use crate::net::words::printable;
use bytes::{Buf, BytesMut};
use memchr::memchr;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// All that a server has to say before login is done.
const TOTAL: usize = 64 * 1024;
/// Parentheses and brackets in one line.
const DEPTH: u32 = 16;

/// A stream that hands on only lines fit for imap-proto.
#[derive(Debug)]
pub(super) struct Guard<S> {
    stream: S,
    /// Read from the server and not handed on.
    input: BytesMut,
    /// How much of `input` is checked and may be handed on.
    ready: usize,
    total: usize,
    /// The first line, as far as it may be shown.
    first: Option<String>,
}

impl<S> Guard<S> {
    pub(super) fn new(stream: S) -> Guard<S> {
        Guard { stream, input: BytesMut::new(), ready: 0, total: 0, first: None }
    }

    /// The stream, and what was read from it and not handed on.
    pub(super) fn into_parts(self) -> (S, BytesMut) {
        (self.stream, self.input)
    }

    /// The first line that the server said.
    pub(super) fn first_line(&mut self) -> Option<String> {
        self.first.take()
    }

    /// Checks the next line, if it is complete.
    fn check(&mut self) -> io::Result<()> {
        let Some(end) = memchr(b'\n', &self.input) else { return Ok(()) };
        let line = self.input.get_mut(..=end).unwrap_or_default();
        let mut depth = 0_u32;
        for byte in line.iter_mut() {
            match byte {
                b'(' | b'[' => depth += 1,
                b')' | b']' => depth = depth.saturating_sub(1),
                128.. => *byte = b'?',
                _ => {}
            }
            if depth > DEPTH {
                return Err(refuse("nested too deep"));
            }
        }
        if line.trim_ascii_end().ends_with(b"}") {
            return Err(refuse("a literal before login"));
        }
        if self.first.is_none() {
            self.first = Some(printable(&String::from_utf8_lossy(line)));
        }
        self.ready = end + 1;
        Ok(())
    }
}

fn refuse(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.ready == 0 {
            this.check()?;
            if this.ready > 0 {
                break;
            }
            let mut chunk = [0; 4096];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.total += chunk.filled().len();
            if this.total > TOTAL {
                return Poll::Ready(Err(refuse("too much before login")));
            }
            this.input.extend_from_slice(chunk.filled());
        }
        let count = this.ready.min(into.remaining());
        into.put_slice(this.input.get(..count).unwrap_or_default());
        this.input.advance(count);
        this.ready -= count;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    async fn read(bytes: &[u8]) -> (io::Result<Vec<u8>>, usize) {
        let mut guard = Guard::new(bytes);
        let mut out = vec![0; 8192];
        let result = guard.read(&mut out).await.map(|count| out[..count].to_vec());
        (result, guard.into_parts().1.len())
    }

    #[tokio::test]
    async fn one_line_at_a_time_and_the_rest_stays() {
        let (line, rest) = read(b"A1 OK \xc3\xa9\r\n* BAD injected\r\n").await;
        assert_eq!(line.unwrap(), b"A1 OK ??\r\n");
        assert_eq!(rest, 16);
    }

    #[tokio::test]
    async fn what_imap_proto_cannot_take_is_refused() {
        for bytes in [vec![b'('; 40], vec![b'x'; TOTAL + 1], b"* LIST {99999999999}".to_vec()] {
            let line = [bytes, b"\r\n".to_vec()].concat();
            assert!(read(&line).await.0.is_err());
        }
    }
}
