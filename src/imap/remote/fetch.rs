//! Messages on their way down, as a stream.
//!
//! Invariant: content is bound to the UID of its own response; a message that was not asked for, came twice, came empty or
//! has no UID never gets an [`Arrival::End`]. The channel gives back-pressure: while it is full nothing is read, and no
//! deadline runs.

use super::{CHUNK, Session};
use crate::error::{Class, Classified};
use crate::imap::batch::Batch;
use crate::imap::parse::{Body, Fetch, Response};
use crate::imap::session::Event;
use crate::imap::suspects::{Sorted, Suspects};
use crate::imap::wire::MESSAGE;
use crate::imap::{Error, date};
use crate::mail::{Flags, Uid, UidSet};
use crate::sync::{Arrival, At, Fetched, Listed};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;

/// Why messages do not arrive, although the session is well.
const BODILESS: &str = "the mail server does not send it";
const LARGE: &str = "it is larger than 256 MiB";
const SPARED: &str = "the connection broke at it, again; it is tried once more later";

/// Who gets the messages.
struct Sink<'a> {
    into: mpsc::Sender<Arrival>,
    at: &'a At,
    suspects: &'a Suspects,
    wanted: &'a BTreeMap<Uid, Listed>,
    done: BTreeSet<Uid>,
    /// Asked for, answered, and without a body.
    bodiless: BTreeSet<Uid>,
    /// Octets of the body that came last.
    octets: u64,
}

/// Messages for each command. A server may refuse a whole command for one poisonous message (Gmail: "Some messages could
/// not be FETCHed"): what is missing then is asked for in smaller portions, at last alone.
pub(super) const PORTIONS: [usize; 3] = [CHUNK, 25, 1];

/// What of the missing messages is asked for in such portions: small ones are for the first only, or there would be no
/// end of commands.
pub(super) fn share(portion: usize, missing: UidSet) -> UidSet {
    if portion < CHUNK { missing.iter().take(CHUNK).collect() } else { missing }
}

/// Where nothing at all came of several commands, the server means every message.
pub(super) fn is_hopeless(portion: usize, asked: &UidSet, came: bool) -> bool {
    (2..CHUNK).contains(&portion) && asked.len() > portion as u64 && !came
}

pub(super) async fn fetch(
    session: &mut Session,
    at: &At,
    wanted: &BTreeMap<Uid, Listed>,
    into: mpsc::Sender<Arrival>,
    suspects: &Suspects,
) -> Result<(), Error> {
    session.ensure(at).await?;
    let is_large = |listed: &Listed| listed.size.is_some_and(|size| size > MESSAGE);
    let large: UidSet = wanted.iter().filter(|(_, listed)| is_large(listed)).map(|(&uid, _)| uid).collect();
    let Sorted { plain, last, spared } =
        suspects.sort(at, wanted.keys().copied().filter(|&uid| !large.contains(uid)));
    let (done, bodiless) = (BTreeSet::new(), BTreeSet::new());
    let mut sink = Sink { into, at, suspects, wanted, done, bodiless, octets: 0 };
    sink.narrow(session, &plain, &PORTIONS).await?;
    sink.narrow(session, &last, &[1]).await?;
    let bodiless: UidSet = sink.bodiless.into_iter().collect();
    let missing = [(bodiless, BODILESS), (spared, SPARED), (large, LARGE)];
    let count = missing.iter().map(|(uids, _)| uids.len()).sum();
    let first = missing.iter().find_map(|(uids, why)| Some((uids.iter().next()?.value(), *why)));
    first.map_or(Ok(()), |(first, why)| Err(Error::Undelivered { count, first, why }))
}

impl Sink<'_> {
    /// Asks for all of these, then for what was refused in smaller portions. An error where a refusal is not about
    /// messages.
    async fn narrow(
        &mut self,
        session: &mut Session,
        uids: &UidSet,
        portions: &[usize],
    ) -> Result<(), Error> {
        let mut asked = uids.clone();
        for &portion in portions {
            let before = self.done.len();
            asked = share(portion, self.missing(&asked));
            let Some(refusal) = self.ask(session, portion, &asked).await? else { return Ok(()) };
            let (missing, came) = (self.missing(&asked), self.done.len() > before);
            if missing.is_empty() || refusal.class() != Class::RETRY || is_hopeless(portion, &asked, came) {
                return Err(refusal);
            }
            if portion == 1 || asked.len() == 1 {
                // Refused alone: these messages it is, and nothing else.
                self.bodiless.extend(missing.iter());
                return Ok(());
            }
        }
        Ok(())
    }

    /// Asks once; a refusal is returned, and what came beside it is good. When nobody wants the messages any more, what is
    /// under way is read to its end and dropped, so that the session stays good.
    async fn ask(
        &mut self,
        session: &mut Session,
        portion: usize,
        asked: &UidSet,
    ) -> Result<Option<Error>, Error> {
        // The size comes first: an empty body is believed only of a message that is said to be empty.
        let line = |set: &UidSet| format!("UID FETCH {set} (UID RFC822.SIZE FLAGS INTERNALDATE BODY.PEEK[])");
        let mut batch = Batch::new(asked.chunks(portion).iter().map(line));
        let (mut refusal, mut is_abandoned) = (None, false);
        loop {
            let event = session.advance(&mut batch).await;
            let event = event.inspect_err(|_| {
                let broken_at = self.missing(asked).iter().next();
                self.suspects.blame(self.at, broken_at.filter(|_| !is_abandoned));
            })?;
            let taken = match event {
                None if is_abandoned => return Err(Error::Abandoned),
                None => return Ok(refusal),
                Some(Event::Done(_, completion)) => {
                    refusal = refusal.or(completion.ok("UID FETCH").err());
                    Ok(())
                }
                Some(_) if is_abandoned => Ok(()),
                Some(event) => self.take(event).await,
            };
            if taken.is_err() {
                is_abandoned = true;
                batch.cut_short();
            }
        }
    }

    async fn take(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Body(size) => {
                self.octets = size;
                self.send(Arrival::Start { size: Some(size) }).await
            }
            Event::Chunk(chunk) => self.send(Arrival::Chunk(chunk)).await,
            Event::Data(Response::Fetch(fetch)) => self.end(fetch).await,
            Event::Data(_) | Event::Continue | Event::Done(..) => Ok(()),
        }
    }

    /// Those not yet answered.
    fn missing(&self, of: &UidSet) -> UidSet {
        of.iter().filter(|uid| !self.done.contains(uid) && !self.bodiless.contains(uid)).collect()
    }

    async fn send(&self, arrival: Arrival) -> Result<(), Error> {
        self.into.send(arrival).await.map_err(|_| Error::Abandoned)
    }

    /// Ends the message that this response carried, if it is one that is wanted and complete.
    async fn end(&mut self, fetch: Fetch) -> Result<(), Error> {
        let Some(uid) = fetch.uid.and_then(Uid::new) else { return Ok(()) };
        if !self.wanted.contains_key(&uid) || self.done.contains(&uid) {
            return Ok(());
        }
        let Some(body) = &fetch.body else {
            // Flags alone are an unsolicited change.
            return Ok(());
        };
        let octets = match body {
            Body::Streamed => self.octets,
            Body::Inline(text) => text.len() as u64,
            Body::Nil => 0,
        };
        // A body without flags would lose them. Sizes are not compared any closer: Exchange estimates them.
        let is_empty = octets == 0 && (*body == Body::Nil || fetch.size != Some(0));
        let Some(flags) = fetch.flags.filter(|_| !is_empty) else {
            self.bodiless.insert(uid);
            return Ok(());
        };
        if let Body::Inline(text) = body {
            self.send(Arrival::Start { size: Some(octets) }).await?;
            self.send(Arrival::Chunk(Bytes::copy_from_slice(text))).await?;
        }
        self.done.insert(uid);
        self.bodiless.remove(&uid);
        self.suspects.clear(self.at, uid);
        self.send(Arrival::End(fetched(uid, flags, &fetch))).await
    }
}

fn fetched(uid: Uid, flags: Flags, fetch: &Fetch) -> Fetched {
    Fetched { uid, flags, internal_date: fetch.internal_date.as_deref().and_then(date::parse) }
}
