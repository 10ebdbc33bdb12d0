//! From an open stream to a session that is logged in.
//!
//! Greeting, STARTTLS, AUTHENTICATE on async-imap's connection, above a [`Guard`]; then the stream goes over to our own
//! session, and capabilities and ID are asked there. Invariants: no credential leaves before TLS is up where it was
//! asked for; nothing that the server said in the clear is kept or shown; PREAUTH is refused, because the session would
//! be somebody else's; NO to AUTHENTICATE means refused credentials unless the server says that it is passing trouble.
//! RFC 3501 §6.2, RFC 4959 (SASL-IR), RFC 7628, the XOAUTH2 protocol of Google and Microsoft. async-imap's own `authenticate` was
//! rejected: it loses the reason of a refusal and cannot give up a challenge with `*`.

use super::guard::Guard;
use super::session::Session;
use super::{Error, Options};
use crate::mail::sasl::Credentials;
use crate::net::patience::{BRING_UP, GOODBYE, GREETING};
use crate::net::words::{is_denied, printable, suggested_delay};
use crate::net::{self, Endpoint, Stream, Tls};
use async_imap::Client;
use async_imap::imap_proto::{Capability, Response, Status};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use secrecy::{ExposeSecret, SecretString};
use std::io;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

/// A connection that is not yet logged in.
struct Greeted {
    client: Client<Guard<Stream>>,
    tag: u32,
    capabilities: Vec<String>,
}

/// The end of a command during bring-up.
struct Answer {
    outcome: Outcome,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Ok,
    No,
    Bad,
}

/// One step of a dialogue.
enum Step {
    Challenge,
    Done(Answer),
}

/// Dials and brings up a session, all within [`BRING_UP`].
pub(super) async fn bring_up(
    dialling: impl Future<Output = Result<Stream, net::Error>>,
    options: &Options,
    credentials: &Credentials,
) -> Result<Session, Error> {
    let all = async { establish(dialling.await?, options, credentials).await };
    timeout(BRING_UP, all).await.unwrap_or(Err(Error::TimedOut))
}

/// The capabilities before login; then the session ends.
pub(super) async fn preview(stream: Stream, endpoint: &Endpoint) -> Result<Vec<String>, Error> {
    let all = async {
        let mut greeted = Greeted::protected(stream, endpoint).await?;
        // A courtesy: whatever comes, the connection is closed.
        let _ = timeout(GOODBYE, greeted.run("LOGOUT")).await;
        Ok(greeted.capabilities)
    };
    timeout(BRING_UP, all).await.unwrap_or(Err(Error::TimedOut))
}

/// Brings up a session on a stream just dialled.
async fn establish(stream: Stream, options: &Options, credentials: &Credentials) -> Result<Session, Error> {
    let mut greeted = Greeted::protected(stream, &options.endpoint).await?;
    let mechanism = greeted.authenticate(credentials, &options.endpoint).await?;
    let asks_id = greeted.capabilities.iter().any(|name| name == "ID");
    let (stream, rest) = greeted.into_parts();
    let mut session = Session::new(stream, rest, mechanism);
    session.names.expect(options.special_use.clone());
    session.introduce(asks_id, &options.disable).await?;
    Ok(session)
}

impl Greeted {
    fn new(stream: Stream) -> Greeted {
        Greeted { client: Client::new(Guard::new(stream)), tag: 0, capabilities: Vec::new() }
    }

    /// Greeted and inside TLS where that was asked for; the capabilities are known.
    async fn protected(stream: Stream, endpoint: &Endpoint) -> Result<Greeted, Error> {
        let mut greeted = Greeted::new(stream);
        if endpoint.tls == Tls::StartTls {
            let stream = greeted.ask_for_tls().await.map_err(muted)?;
            // What was said in the clear is forgotten together with the parser that read it.
            greeted = Greeted::new(net::start_tls(stream, endpoint).await?);
        } else {
            greeted.greeting().await?;
        }
        greeted.ask_capabilities().await?;
        Ok(greeted)
    }

    fn into_parts(self) -> (Stream, BytesMut) {
        self.client.into_inner().into_parts()
    }

    async fn greeting(&mut self) -> Result<(), Error> {
        let reply = timeout(GREETING, self.client.read_response()).await.map_err(|_| Error::NoGreeting)?;
        let reply = match reply {
            Err(error) if error.kind() == io::ErrorKind::Other => {
                return Err(Error::NotImap(self.client.get_mut().first_line()));
            }
            reply => reply.map_err(unreadable)?.ok_or(Error::Closed)?,
        };
        match reply.parsed() {
            Response::Data { status: Status::Ok, .. } => Ok(()),
            Response::Data { status: Status::PreAuth, .. } => {
                Err(Error::Protocol("it claims that we are logged in already (PREAUTH)"))
            }
            Response::Data { status: Status::Bye, outcome } => {
                Err(Error::Bye(printable(outcome.information.as_deref().unwrap_or_default())))
            }
            _ => Err(Error::Protocol("it did not greet")),
        }
    }

    async fn ask_for_tls(mut self) -> Result<Stream, Error> {
        self.greeting().await?;
        let answer = self.run("STARTTLS").await?;
        if answer.outcome != Outcome::Ok {
            return Err(Error::StartTls("the server refused STARTTLS"));
        }
        let (stream, rest) = self.into_parts();
        match rest.is_empty() {
            true => Ok(stream),
            false => Err(Error::StartTls("somebody put bytes behind the answer to STARTTLS")),
        }
    }

    async fn ask_capabilities(&mut self) -> Result<(), Error> {
        let answer = self.run("CAPABILITY").await?;
        match answer.outcome {
            Outcome::Ok if self.capabilities.is_empty() => Err(Error::Protocol("it lists no capability")),
            Outcome::Ok => Ok(()),
            _ => Err(refused("CAPABILITY", answer.text)),
        }
    }

    /// Logs in; the name of the mechanism.
    async fn authenticate(
        &mut self,
        credentials: &Credentials,
        Endpoint { host, port, .. }: &Endpoint,
    ) -> Result<&'static str, Error> {
        let chosen = credentials.choose(|name| self.has(&format!("AUTH={name}")));
        let chosen = chosen.map_err(Error::NoMechanism)?;
        let mechanism = chosen.name();
        let message = credentials.message(chosen, host, *port);
        let response = SecretString::from(STANDARD.encode(message.expose_secret()));
        if self.has("SASL-IR") {
            self.send(&format!("AUTHENTICATE {mechanism} {}", response.expose_secret())).await?;
        } else {
            self.send(&format!("AUTHENTICATE {mechanism}")).await?;
            match self.step().await? {
                Step::Challenge => self.write(response.expose_secret()).await?,
                Step::Done(answer) => return Err(login_error(answer)),
            }
        }
        // A challenge now carries the reason of a refusal: it is acknowledged, a second one given up.
        for reply in [chosen.acknowledgement(), "*"] {
            match self.step().await? {
                Step::Challenge => self.write(reply).await?,
                Step::Done(answer) if answer.outcome == Outcome::Ok => return Ok(mechanism),
                Step::Done(answer) => return Err(login_error(answer)),
            }
        }
        match self.step().await? {
            Step::Done(answer) if answer.outcome != Outcome::Ok => Err(login_error(answer)),
            _ => Err(Error::Protocol("the login has no end")),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.capabilities.iter().any(|it| it == name)
    }

    /// Runs a command that has no dialogue.
    async fn run(&mut self, command: &str) -> Result<Answer, Error> {
        self.send(command).await?;
        match self.step().await? {
            Step::Done(answer) => Ok(answer),
            Step::Challenge => Err(Error::Protocol("a challenge out of place")),
        }
    }

    async fn send(&mut self, command: &str) -> Result<(), Error> {
        self.tag += 1;
        let line = format!("B{} {command}", self.tag);
        self.write(&line).await
    }

    /// Writes past async-imap, which would trace the line.
    async fn write(&mut self, line: &str) -> Result<(), Error> {
        let line = format!("{line}\r\n");
        let stream = self.client.get_mut();
        stream.write_all(line.as_bytes()).await?;
        Ok(stream.flush().await?)
    }

    /// Reads on to a challenge or to the end of the command; notes capabilities on the way.
    async fn step(&mut self) -> Result<Step, Error> {
        loop {
            let reply = self.client.read_response().await.map_err(unreadable)?.ok_or(Error::Closed)?;
            match reply.parsed() {
                Response::Continue(_) => return Ok(Step::Challenge),
                Response::Capabilities(names) => {
                    self.capabilities = names.iter().map(capability).collect();
                }
                Response::Data { status: Status::Bye, outcome } => {
                    return Err(Error::Bye(printable(outcome.information.as_deref().unwrap_or_default())));
                }
                Response::Done { tag, status, outcome } => {
                    if tag.as_bytes() != format!("B{}", self.tag).as_bytes() {
                        return Err(Error::Protocol("an answer to no command"));
                    }
                    // Codes that imap-proto does not know, those of RFC 5530 among them, stay in the words.
                    let text = printable(outcome.information.as_deref().unwrap_or_default());
                    return Ok(Step::Done(Answer { outcome: status.into(), text }));
                }
                _ => {}
            }
        }
    }
}

impl From<&Status> for Outcome {
    fn from(status: &Status) -> Outcome {
        match status {
            Status::Ok => Outcome::Ok,
            Status::No => Outcome::No,
            Status::Bad | Status::PreAuth | Status::Bye => Outcome::Bad,
        }
    }
}

fn capability(capability: &Capability<'_>) -> String {
    match capability {
        Capability::Imap4rev1 => "IMAP4REV1".to_owned(),
        Capability::Auth(mechanism) => format!("AUTH={}", mechanism.to_ascii_uppercase()),
        Capability::Atom(name) => name.to_ascii_uppercase(),
    }
}

/// What an answer other than OK to AUTHENTICATE means (RFC 5530, and the texts of Exchange, Gmail and Dovecot).
fn login_error(answer: Answer) -> Error {
    let text = answer.text;
    let passing = [
        "[UNAVAILABLE]",
        "[INUSE]",
        "[LIMIT]",
        "[SERVERBUG]",
        "[OVERQUOTA]",
        "[TEMPFAIL]",
        "Too many simultaneous connections",
        "Maximum number of connections",
        "Server Unavailable",
        "Temporary",
    ];
    let passes = passing.iter().any(|words| text.contains(words)) || suggested_delay(&text).is_some();
    match answer.outcome {
        Outcome::No if !passes && !is_denied(&text) => Error::Login(text),
        _ => refused("AUTHENTICATE", text),
    }
}

/// Words from before TLS may be anybody's: they are neither shown nor obeyed.
fn muted(error: Error) -> Error {
    match error {
        Error::Bye(_) | Error::Refused { .. } => Error::StartTls("the server ended the session before TLS"),
        Error::NotImap(_) => Error::NotImap(None),
        other => other,
    }
}

fn refused(command: &'static str, text: String) -> Error {
    Error::Refused { command, code: None, text, is_bad: false }
}

/// async-imap reports both a broken connection and an unreadable reply as an I/O error; its texts quote the server.
fn unreadable(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Closed,
        io::ErrorKind::InvalidData => Error::BringUp(Box::new(error)),
        io::ErrorKind::Other => Error::Protocol("a reply during login makes no sense"),
        _ => Error::Io(error),
    }
}

#[cfg(test)]
mod tests;
