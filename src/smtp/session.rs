//! A session with a submission server, from the greeting to QUIT.
//!
//! Invariant: a [`Session`] stands inside TLS, or on a connection that `net` has checked to be loopback. STARTTLS is
//! demanded where configured, never opportunistic; whatever the server said before TLS is forgotten (USENIX 2021,
//! "NO STARTTLS"). After an error or a cancelled call the session says so by [`Session::is_usable`].

use super::auth;
use super::capabilities::Capabilities;
use super::error::{Error, Stage};
use super::wire::{Deadlines, Wire};
use crate::mail::sasl::Credentials;
use crate::net::{self, Endpoint, Stream, Tls};

/// The name given in EHLO: an address literal, because a host name is nobody's business and often no valid name.
const EHLO: &str = "EHLO [127.0.0.1]";

/// An open session.
#[derive(Debug)]
pub struct Session {
    /// In a box: of everything here it is the largest and the least used.
    endpoint: Box<Endpoint>,
    pub(super) wire: Wire,
    pub(super) offers: Capabilities,
    /// False while a transaction runs and after an error: the two sides may disagree on where they are.
    pub(super) usable: bool,
}

impl Session {
    /// Dials, greets and, where the endpoint says so, starts TLS. Not yet logged in.
    pub async fn connect(endpoint: &Endpoint) -> Result<Session, Error> {
        Session::open(net::dial(endpoint).await?, endpoint).await
    }

    /// The same over a stream that [`net::dial`] gave for this endpoint.
    pub async fn open(stream: Stream, endpoint: &Endpoint) -> Result<Session, Error> {
        Session::open_within(stream, endpoint, Deadlines::RFC5321).await
    }

    pub(super) async fn open_within(
        stream: Stream,
        endpoint: &Endpoint,
        deadlines: Deadlines,
    ) -> Result<Session, Error> {
        let mut wire = Wire::new(stream, deadlines);
        if endpoint.tls == Tls::StartTls {
            let stream = ask_for_tls(wire).await.map_err(Error::muted)?;
            wire = Wire::new(net::start_tls(stream, endpoint).await?, deadlines);
        } else {
            greeting(&mut wire).await?;
        }
        let offers = ehlo(&mut wire).await?;
        Ok(Session { endpoint: Box::new(endpoint.clone()), wire, offers, usable: true })
    }

    /// Logs in. A refusal is [`Error::Refused`]; its class tells a wrong token from a passing trouble.
    pub async fn log_in(&mut self, credentials: &Credentials) -> Result<(), Error> {
        self.claim()?;
        auth::log_in(&mut self.wire, &self.offers, credentials, &self.endpoint).await?;
        self.usable = true;
        Ok(())
    }

    /// What the server offers now.
    pub fn offers(&self) -> &Capabilities {
        &self.offers
    }

    /// Whether another message can be sent in this session.
    pub fn is_usable(&self) -> bool {
        self.usable
    }

    /// Says good-bye and closes; the server gets a few seconds to answer.
    pub async fn quit(mut self) {
        if self.usable {
            // A courtesy: whatever comes, the connection is closed.
            let _ = self.wire.command(Stage::Quit, "QUIT").await;
        }
    }

    /// Takes the right to talk; given back only by a dialogue that came to its end.
    pub(super) fn claim(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.usable, false) { Ok(()) } else { Err(Error::Ended) }
    }
}

async fn greeting(wire: &mut Wire) -> Result<(), Error> {
    let stage = Stage::Greeting;
    let reply = wire.reply(stage).await?;
    match reply.code() {
        220 => Ok(()),
        400.. => Err(Error::Refused { stage, reply }),
        _ => Err(Error::Unexpected { stage, reply }),
    }
}

async fn ehlo(wire: &mut Wire) -> Result<Capabilities, Error> {
    let stage = Stage::Ehlo;
    let reply = wire.command(stage, EHLO).await?;
    match reply.code() {
        250 => Ok(Capabilities::from_reply(&reply)),
        400.. => Err(Error::Refused { stage, reply }),
        _ => Err(Error::Unexpected { stage, reply }),
    }
}

/// From the greeting to the server's go for TLS, all in the clear.
async fn ask_for_tls(mut wire: Wire) -> Result<Stream, Error> {
    greeting(&mut wire).await?;
    if !ehlo(&mut wire).await?.starttls {
        return Err(Error::NoStartTls);
    }
    let stage = Stage::StartTls;
    let reply = wire.command(stage, "STARTTLS").await?;
    match reply.code() {
        220 => wire.into_stream(),
        400.. => Err(Error::Refused { stage, reply }),
        _ => Err(Error::Unexpected { stage, reply }),
    }
}
