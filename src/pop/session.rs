//! From a stream to a maildrop that is open: greeting, STLS, CAPA, login.
//!
//! Invariants: a [`Session`] stands inside TLS, or on a connection that `net` has checked to be loopback; STLS is
//! demanded where configured, never opportunistic; nothing that the server said in the clear is kept or shown. The same
//! bound of time holds from the look-up of the name to the end of login as for every mail server.

use super::auth;
use super::capabilities::Capabilities;
use super::error::Error;
use super::reply::Reply;
use super::wire::Wire;
use crate::mail::Uidl;
use crate::mail::sasl::Credentials;
use crate::net::patience::{BRING_UP, GOODBYE};
use crate::net::{self, Endpoint, Stream, Tls};
use crate::sync::maildrop::Message;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tokio::time::timeout;

/// A session that is logged in.
#[derive(Debug)]
pub struct Session {
    pub(super) wire: Wire,
    pub(super) offers: Capabilities,
    /// The number of the message that is awaited.
    pub(super) awaited: Option<u32>,
    mechanism: &'static str,
}

/// Dials and logs in.
pub async fn connect(endpoint: &Endpoint, credentials: &Credentials) -> Result<Session, Error> {
    Session::bring_up(net::dial(endpoint), endpoint, credentials).await
}

/// What the server offers before a login, on a stream just dialled; then the session ends. No maildrop is locked.
pub async fn preview(stream: Stream, endpoint: &Endpoint) -> Result<Capabilities, Error> {
    let all = async {
        let (mut wire, offers) = protected(stream, endpoint).await?;
        // A courtesy: whatever comes, the connection is closed.
        let _ = timeout(GOODBYE, wire.command("QUIT")).await;
        Ok(offers)
    };
    timeout(BRING_UP, all).await.unwrap_or(Err(Error::TimedOut))
}

impl Session {
    /// Everything until the maildrop is open, within [`BRING_UP`].
    pub(super) async fn bring_up(
        dialling: impl Future<Output = Result<Stream, net::Error>>,
        endpoint: &Endpoint,
        credentials: &Credentials,
    ) -> Result<Session, Error> {
        let all = async { Session::establish(dialling.await?, endpoint, credentials).await };
        timeout(BRING_UP, all).await.unwrap_or(Err(Error::TimedOut))
    }

    async fn establish(
        stream: Stream,
        endpoint: &Endpoint,
        credentials: &Credentials,
    ) -> Result<Session, Error> {
        let (mut wire, offers) = protected(stream, endpoint).await?;
        let mechanism = auth::log_in(&mut wire, &offers, credentials, endpoint).await?;
        // They may be others after login (RFC 2449 §5).
        let offers = capabilities(&mut wire).await?.unwrap_or(offers);
        Ok(Session { wire, offers, awaited: None, mechanism })
    }

    /// The same session, in which these capabilities are not used: the provider's are known to fail.
    pub fn without(mut self, disabled: &BTreeSet<String>) -> Session {
        self.offers = self.offers.without(disabled);
        self
    }

    /// The way that the login took.
    pub fn mechanism(&self) -> &'static str {
        self.mechanism
    }

    /// What the server offers.
    pub fn offers(&self) -> &Capabilities {
        &self.offers
    }

    /// The number of the message at which the session broke, if it did so at one.
    pub fn broken_at(&self) -> Option<u32> {
        self.awaited.filter(|_| !self.wire.is_usable())
    }

    /// Every message of the maildrop, as it stays until this session ends.
    ///
    /// # Errors
    /// When the server has no unique-ids, or when its two listings do not agree.
    pub async fn survey(&mut self) -> Result<Vec<Message>, Error> {
        let ids = match self.wire.command("UIDL").await? {
            Reply::Ok(_) => self.wire.listing().await?,
            Reply::Err(refusal) if refusal.code.is_none() && !self.offers.has("UIDL") => {
                tracing::debug!(text = refusal.text, "no UIDL");
                return Err(Error::NoUidl);
            }
            other => return Err(self.unexpected("UIDL", other)),
        };
        let sizes = match self.wire.command("LIST").await? {
            Reply::Ok(_) => self.wire.listing().await?,
            other => return Err(self.unexpected("LIST", other)),
        };
        match messages(&ids, &sizes) {
            Some(messages) => Ok(messages),
            None => Err(self.wire.lost(Error::Protocol("LIST and UIDL do not agree, or make no sense"))),
        }
    }

    /// Ends the session; only now messages marked as deleted are deleted (RFC 1939 §6).
    ///
    /// # Errors
    /// When the server did not say that all of them are: they may be gone or not, and the next visit will see.
    pub async fn quit(mut self) -> Result<(), Error> {
        match self.wire.command("QUIT").await? {
            Reply::Ok(_) => Ok(()),
            other => Err(self.unexpected("QUIT", other)),
        }
    }

    /// Ends a session in which nothing was marked: a courtesy.
    pub async fn leave(self) {
        if self.wire.is_usable() {
            // The server may have hung up already.
            let _ = timeout(GOODBYE, self.quit()).await;
        }
    }

    /// What an answer other than `+OK` means.
    pub(super) fn unexpected(&mut self, command: &'static str, reply: Reply) -> Error {
        match reply {
            Reply::Err(refusal) => Error::Refused { command, refusal },
            Reply::Ok(_) | Reply::Challenge => self.wire.lost(Error::Protocol("an answer out of place")),
        }
    }
}

/// Greeted and inside TLS where that was asked for; what the server offers before a login.
async fn protected(stream: Stream, endpoint: &Endpoint) -> Result<(Wire, Capabilities), Error> {
    let mut wire = Wire::new(stream);
    if endpoint.tls == Tls::StartTls {
        let stream = ask_for_tls(wire).await.map_err(muted)?;
        // What was said in the clear is forgotten together with the buffer that held it.
        wire = Wire::new(net::start_tls(stream, endpoint).await?);
    } else {
        greeting(&mut wire).await?;
    }
    let offers = capabilities(&mut wire).await?.unwrap_or_default();
    Ok((wire, offers))
}

async fn greeting(wire: &mut Wire) -> Result<(), Error> {
    match wire.reply().await? {
        Reply::Ok(_) => Ok(()),
        Reply::Err(refusal) => Err(Error::Refused { command: "the connection", refusal }),
        Reply::Challenge => Err(wire.lost(Error::Protocol("it did not greet"))),
    }
}

async fn ask_for_tls(mut wire: Wire) -> Result<Stream, Error> {
    greeting(&mut wire).await?;
    match wire.command("STLS").await? {
        Reply::Ok(_) => wire.into_stream(),
        _ => Err(Error::StartTls("the server refused STLS")),
    }
}

/// `None` where the server does not know the command.
async fn capabilities(wire: &mut Wire) -> Result<Option<Capabilities>, Error> {
    match wire.command("CAPA").await? {
        Reply::Ok(_) => Ok(Some(Capabilities::new(&wire.listing().await?))),
        Reply::Err(_) => Ok(None),
        Reply::Challenge => Err(wire.lost(Error::Protocol("a challenge out of place"))),
    }
}

/// Words from before TLS may be anybody's: they are neither shown nor obeyed.
fn muted(error: Error) -> Error {
    match error {
        Error::Refused { .. } => Error::StartTls("the server ended the session before TLS"),
        other => other,
    }
}

/// Both listings as one; `None` where they do not fit together.
fn messages(ids: &[Vec<u8>], sizes: &[Vec<u8>]) -> Option<Vec<Message>> {
    let mut by_number = BTreeMap::new();
    for line in sizes {
        let (number, size) = entry(line)?;
        let size: u64 = std::str::from_utf8(size).ok()?.parse().ok()?;
        if by_number.insert(number, size).is_some() {
            return None;
        }
    }
    let mut seen: HashMap<&[u8], usize> = HashMap::new();
    let mut found = Vec::with_capacity(ids.len());
    for line in ids {
        let (number, id) = entry(line)?;
        let size = by_number.remove(&number)?;
        let before = seen.entry(id).or_default();
        found.push(Message { number, uidl: Uidl::new(id, *before)?, size });
        *before += 1;
    }
    by_number.is_empty().then_some(found)
}

/// `NUMBER WORD` and whatever follows, which RFC 1939 §5 leaves to the server.
fn entry(line: &[u8]) -> Option<(u32, &[u8])> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let number = std::str::from_utf8(words.next()?).ok()?.parse().ok().filter(|&number| number > 0)?;
    Some((number, words.next()?))
}

#[cfg(test)]
mod unit {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<Vec<u8>> {
        lines.iter().map(|line| line.as_bytes().to_vec()).collect()
    }

    #[test]
    fn two_listings_make_one_and_equal_ids_are_told_apart() {
        let found = messages(&lines(&["1 a", "3 b", "4 a"]), &lines(&["1 10", "4 40 more", "3 30"])).unwrap();
        let found: Vec<_> = found.iter().map(|one| (one.number, one.uidl.as_str(), one.size)).collect();
        assert_eq!(found, [(1, "a", 10), (3, "b", 30), (4, "a 2", 40)]);
    }

    #[test]
    fn listings_that_do_not_agree_are_none() {
        for (ids, sizes) in [
            (&["1 a"][..], &[][..]),
            (&[], &["1 10"]),
            (&["1 a", "1 b"], &["1 10"]),
            (&["1 a"], &["1 10", "1 10"]),
            (&["1 "], &["1 10"]),
            (&["0 a"], &["0 10"]),
            (&["1 a"], &["1 -10"]),
            (&["x a"], &["x 10"]),
            (&["99999999999 a"], &["99999999999 10"]),
        ] {
            assert_eq!(messages(&lines(ids), &lines(sizes)), None, "{ids:?} {sizes:?}");
        }
    }
}
