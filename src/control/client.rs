//! The command's side of the control socket: one request, its responses.
//!
//! A daemon that does not run is its own error, so that commands can work without it or exit with 69. Every wait has
//! a deadline: a daemon at work sends an empty line now and then ([`super::server`]), so silence means that it hangs.
//! This module does not know where the socket is; the caller passes the path.

use super::line::{self, Line};
use super::{Refusal, Request, Response};
use crate::error::{Class, Classified};
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Longest silence: four times the pace at which a daemon at work shows that it lives.
const SILENCE: Duration = Duration::from_secs(60);
/// Longest response line: the status of an account has some 150 octets for each mailbox, a plan 100 for each message.
const LONGEST: u64 = 64 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing listens on the socket.
    #[error("no daemon is running")]
    Absent,
    /// The daemon refused or failed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The daemon went away or hangs before the end of the answer.
    #[error("lost the daemon before the end of its answer: {0}")]
    Lost(&'static str),
    /// The socket failed.
    #[error("cannot talk to the daemon")]
    Io(#[from] io::Error),
    /// The daemon said what no daemon says.
    #[error("the daemon's answer makes no sense")]
    Malformed(#[from] serde_json::Error),
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Error::Refused(refusal) => refusal.class(),
            Error::Absent | Error::Lost(_) | Error::Io(_) => Class::RETRY,
            Error::Malformed(_) => Class::GiveUp,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Absent => Some("start it: systemctl --user start posthaste, or posthaste run".to_owned()),
            Error::Refused(refusal) => refusal.hint(),
            Error::Lost(_) => Some("look at its log: journalctl --user -u posthaste".to_owned()),
            Error::Io(_) => None,
            Error::Malformed(_) => {
                Some("command and daemon may be of different releases: restart the daemon".to_owned())
            }
        }
    }
}

/// The answer as it comes in.
#[derive(Debug)]
pub struct Responses {
    reader: BufReader<UnixStream>,
    is_over: bool,
}

/// Sends a request to the daemon behind the socket at `path`.
pub async fn request(path: &Path, request: &Request) -> Result<Responses, Error> {
    let mut stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Err(Error::Absent);
        }
        Err(error) => return Err(error.into()),
    };
    let line = request.to_line()?;
    match timeout(SILENCE, stream.write_all(line.as_bytes())).await {
        Ok(Ok(())) => {}
        // The server may refuse and hang up before it read all: what it said is still there to be read.
        Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => return Err(Error::Lost("it does not read")),
    }
    Ok(Responses { reader: BufReader::new(stream), is_over: false })
}

impl Responses {
    /// The next response; `None` after the daemon said that it is done. A refusal is an error.
    pub async fn next(&mut self) -> Result<Option<Response>, Error> {
        while !self.is_over {
            match timeout(SILENCE, line::read(&mut self.reader, LONGEST)).await {
                Err(_) => return Err(Error::Lost("it is silent")),
                Ok(Ok(Line::Text(text))) if text.is_empty() => {}
                Ok(Ok(Line::Text(text))) => return self.accept(serde_json::from_str(&text)?),
                Ok(Ok(Line::Unusable(why))) => return Err(Error::Lost(why)),
                Ok(Ok(Line::End)) => return Err(Error::Lost("it hung up")),
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(Error::Lost("it hung up"));
                }
                Ok(Err(error)) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    fn accept(&mut self, response: Response) -> Result<Option<Response>, Error> {
        self.is_over = response.is_last();
        match response {
            Response::Done => Ok(None),
            Response::Error(refusal) => Err(refusal.into()),
            response => Ok(Some(response)),
        }
    }
}
