//! The way out for requests that may rotate a refresh token.
//!
//! From the moment on when such a request is on the wire, its answer may hold the only token that is still good: whoever
//! ends the process has to wait until that is saved. One that still looks for a connection can be given up. So the gate
//! stands at the last possible place, where the body of the request is handed to its connection.
//! Rejected: waiting for every request at the end; without a network each of them takes its whole deadline.

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// The gate of one keeper; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_out: bool,
    is_closed: bool,
}

impl Gate {
    /// Nothing leaves from now on. Whether something is out.
    pub(super) fn close(&self) -> bool {
        let mut state = self.state();
        state.is_closed = true;
        state.is_out
    }

    /// Whether a request has left whose answer is not dealt with yet.
    pub(super) fn is_out(&self) -> bool {
        self.state().is_out
    }

    /// For one request, from before it leaves until its answer is dealt with.
    pub(super) fn trip(&self) -> Trip {
        Trip(self.clone())
    }

    fn pass(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.is_closed {
            return Err(io::Error::other("the program is ending"));
        }
        state.is_out = true;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request and what comes of it; over when dropped.
#[derive(Debug)]
pub(super) struct Trip(Gate);

impl Trip {
    /// The body of the request, which passes the gate when it is sent.
    pub(super) fn parcel(&self, content: Vec<u8>) -> Parcel {
        Parcel { content: content.into(), gate: self.0.clone() }
    }
}

impl Drop for Trip {
    fn drop(&mut self) {
        self.0.state().is_out = false;
    }
}

/// The body of a request.
pub(super) struct Parcel {
    content: Bytes,
    gate: Gate,
}

impl http_body::Body for Parcel {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.content.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(self.gate.pass().map(|()| Frame::data(std::mem::take(&mut self.content)))))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.content.len()).unwrap_or(u64::MAX))
    }
}
