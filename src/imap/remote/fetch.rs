//! Messages on their way down: whole ones as a stream, or just what identifies them.
//!
//! Invariant: content is bound to the UID of its own response; a message that was not asked for, came twice or has no
//! UID never gets an [`Arrival::End`]. The channel gives back-pressure: while it is full nothing is read, and no
//! deadline runs.

use super::{Session, commands};
use crate::error::{Class, Classified};
use crate::imap::batch::Batch;
use crate::imap::parse::{Body, Fetch, Response};
use crate::imap::select::contradiction;
use crate::imap::session::Event;
use crate::imap::{Error, date};
use crate::mail::{Flags, IDENTITY_FIELDS, Identity, Uid, UidSet};
use crate::sync::{Arrival, At, Fetched, Likeness};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;

/// Who gets the messages.
struct Sink<'a> {
    into: mpsc::Sender<Arrival>,
    wanted: &'a UidSet,
    done: BTreeSet<Uid>,
    /// Asked for, answered, and without a body.
    bodiless: BTreeSet<Uid>,
}

/// Messages for each command. A server may refuse a whole command for one poisonous message (Gmail: "Some messages could
/// not be FETCHed"): what is missing then is asked for in smaller portions, at last alone.
const PORTIONS: [usize; 3] = [super::CHUNK, 25, 1];

pub(super) async fn fetch(
    session: &mut Session,
    at: &At,
    uids: &UidSet,
    into: mpsc::Sender<Arrival>,
) -> Result<(), Error> {
    session.ensure(at).await?;
    let mut sink = Sink { into, wanted: uids, done: BTreeSet::new(), bodiless: BTreeSet::new() };
    let mut refusal = None;
    for portion in PORTIONS {
        let (before, asked) = (sink.done.len(), sink.missing());
        refusal = ask(session, portion, &mut sink).await?;
        let missing = sink.missing();
        if missing.is_empty() {
            break;
        }
        if portion == 1 || asked.len() == 1 {
            // Refused alone: these messages it is, and nothing else.
            let is_poison = refusal.as_ref().is_some_and(|error| error.class() == Class::RETRY);
            sink.bodiless.extend(missing.iter().filter(|_| is_poison));
            refusal = refusal.filter(|_| !is_poison);
            break;
        }
        // Where nothing at all came in the second attempt, the server means every message.
        let is_hopeless = portion < super::CHUNK && sink.done.len() == before;
        if refusal.is_none() || is_hopeless || missing.len() > super::CHUNK as u64 {
            break;
        }
    }
    match (refusal, sink.bodiless.first()) {
        (Some(refusal), _) => Err(refusal),
        (None, Some(first)) => Err(Error::NoBody { count: sink.bodiless.len(), first: first.value() }),
        (None, None) => Ok(()),
    }
}

/// Asks for all that is missing; a refusal is returned, and what came beside it is good. When nobody wants the messages
/// any more, what is under way is read to its end and dropped, so that the session stays good.
async fn ask(session: &mut Session, portion: usize, sink: &mut Sink<'_>) -> Result<Option<Error>, Error> {
    let line = |set: &UidSet| format!("UID FETCH {set} (UID FLAGS INTERNALDATE BODY.PEEK[])");
    let mut batch = Batch::new(sink.missing().chunks(portion).iter().map(line));
    let (mut refusal, mut is_abandoned) = (None, false);
    while let Some(event) = session.advance(&mut batch).await? {
        let taken = match event {
            Event::Done(_, completion) => {
                refusal = refusal.or(completion.ok("UID FETCH").err());
                Ok(())
            }
            _ if is_abandoned => Ok(()),
            Event::Body(size) => sink.send(Arrival::Start { size: Some(size) }).await,
            Event::Chunk(chunk) => sink.send(Arrival::Chunk(chunk)).await,
            Event::Data(Response::Fetch(fetch)) => sink.end(fetch).await,
            Event::Data(_) | Event::Continue => Ok(()),
        };
        if taken.is_err() {
            is_abandoned = true;
            batch.cut_short();
        }
    }
    if is_abandoned { Err(Error::Abandoned) } else { Ok(refusal) }
}

impl Sink<'_> {
    /// Wanted and not yet answered.
    fn missing(&self) -> UidSet {
        self.wanted.iter().filter(|uid| !self.done.contains(uid) && !self.bodiless.contains(uid)).collect()
    }

    async fn send(&self, arrival: Arrival) -> Result<(), Error> {
        self.into.send(arrival).await.map_err(|_| Error::Abandoned)
    }

    /// Ends the message that this response carried, if it is one that is wanted and complete.
    async fn end(&mut self, fetch: Fetch) -> Result<(), Error> {
        let Some(uid) = fetch.uid.and_then(Uid::new) else { return Ok(()) };
        if !self.wanted.contains(uid) || self.done.contains(&uid) {
            return Ok(());
        }
        let (Some(body), Some(flags)) = (fetch.body.as_ref(), fetch.flags) else {
            // Flags alone are an unsolicited change; a body without flags would lose them.
            if fetch.body.is_some() {
                self.bodiless.insert(uid);
            }
            return Ok(());
        };
        match body {
            Body::Streamed => {}
            Body::Inline(text) => {
                self.send(Arrival::Start { size: Some(text.len() as u64) }).await?;
                self.send(Arrival::Chunk(Bytes::copy_from_slice(text))).await?;
            }
            Body::Nil => {
                self.bodiless.insert(uid);
                return Ok(());
            }
        }
        self.done.insert(uid);
        self.bodiless.remove(&uid);
        self.send(Arrival::End(fetched(uid, flags, &fetch))).await
    }
}

fn fetched(uid: Uid, flags: Flags, fetch: &Fetch) -> Fetched {
    Fetched { uid, flags, internal_date: fetch.internal_date.as_deref().and_then(date::parse) }
}

pub(super) async fn identify(
    session: &mut Session,
    at: &At,
    uids: &UidSet,
) -> Result<BTreeMap<Uid, Likeness>, Error> {
    session.ensure(at).await?;
    let fields = IDENTITY_FIELDS.join(" ").to_ascii_uppercase();
    let line =
        |set: &UidSet| format!("UID FETCH {set} (UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS ({fields})])");
    let mut likenesses = BTreeMap::new();
    let on = |data| {
        let Response::Fetch(Fetch { uid: Some(uid), size: Some(size), header: Some(header), .. }) = data
        else {
            return;
        };
        if let Some(uid) = Uid::new(uid).filter(|&uid| uids.contains(uid)) {
            likenesses.insert(uid, Likeness { identity: Identity::from_header(&header), size });
        }
    };
    session.run_all("UID FETCH", commands(uids, line), on).await?;
    let silent: UidSet = uids.iter().filter(|uid| !likenesses.contains_key(uid)).collect();
    check_vanished(session, at, &silent).await?;
    Ok(likenesses)
}

/// Messages that a listing passed over must be gone: else their other half would be taken for new and uploaded.
async fn check_vanished(session: &mut Session, at: &At, silent: &UidSet) -> Result<(), Error> {
    let mut present = 0;
    let on = |data| {
        if let Response::Search(found) = data {
            present += silent.iter().filter(|&uid| found.contains(uid)).count();
        }
    };
    if !silent.is_empty() {
        let lines = commands(silent, |set| format!("UID SEARCH UID {set}"));
        session.run_all("UID SEARCH", lines, on).await?;
    }
    match present {
        0 => Ok(()),
        count => Err(contradiction(&at.mailbox, format!("{count} messages are there and were not shown"))),
    }
}
