//! Commands for many messages: RETR, TOP, DELE, sent ahead of their answers where the server allows it (PIPELINING).
//!
//! Invariant: answers are read in the order of the commands, each to its end; a transfer that nobody wants any more, or
//! that breaks off, leaves the session unusable, so that no later answer is taken for another command's.

use super::error::Error;
use super::reply::{Refusal, Reply};
use super::session::Session;
use super::wire::{Incoming, MESSAGE, Wire};
use crate::mail::{Fingerprint, Flags, Sight, Uid, Uidl};
use crate::sync::maildrop::{Message, Seen};
use crate::sync::{Arrival, Fetched, Likeness};
use std::collections::BTreeMap;
use std::vec;
use tokio::sync::mpsc;

/// Commands sent ahead: some hundred octets, which no server's buffer refuses while it is busy answering.
const AHEAD: usize = 32;

/// Commands of which up to [`AHEAD`] wait for their answers.
struct Pipeline {
    commands: vec::IntoIter<String>,
    ahead: usize,
    waiting: usize,
}

impl Session {
    fn pipeline(&self, commands: Vec<String>) -> Pipeline {
        let ahead = if self.offers.has("PIPELINING") { AHEAD } else { 1 };
        Pipeline { commands: commands.into_iter(), ahead, waiting: 0 }
    }

    /// Streams messages into `into`, in this order. A message that is refused or too large does not stop the others;
    /// what was sent with `End` is good, and its fingerprint is in `sent`.
    pub(super) async fn fetch(
        &mut self,
        messages: &[(Uid, Message)],
        into: mpsc::Sender<Arrival>,
        sent: &mut BTreeMap<Uid, Fingerprint>,
    ) -> Result<(), Error> {
        let (messages, large): (Vec<_>, Vec<_>) =
            messages.iter().partition(|(_, message)| message.size <= MESSAGE);
        let mut missing: Vec<String> = large.into_iter().map(|(_, message)| too_large(message)).collect();
        let mut pipeline = self.pipeline(lines("RETR", messages.iter().map(|(_, message)| message), ""));
        for (uid, message) in messages {
            self.awaited = Some(message.number);
            match pipeline.reply(&mut self.wire).await? {
                Reply::Ok(_) => {
                    sent.insert(*uid, self.stream(*uid, &into).await?);
                }
                Reply::Err(refusal) => missing.push(refusal.text),
                other => return Err(self.unexpected("RETR", other)),
            }
        }
        self.awaited = None;
        let count = missing.len();
        match missing.into_iter().next() {
            Some(text) => Err(Error::Undelivered { count, text }),
            None => Ok(()),
        }
    }

    async fn stream(&mut self, uid: Uid, into: &mpsc::Sender<Arrival>) -> Result<Fingerprint, Error> {
        let mut is_wanted = into.send(Arrival::Start { size: None }).await.is_ok();
        let (mut incoming, mut sight) = (Incoming::default(), Sight::default());
        while is_wanted {
            let Some(chunk) = self.wire.chunk(&mut incoming).await? else { break };
            sight.add(&chunk);
            is_wanted = into.send(Arrival::Chunk(chunk)).await.is_ok();
        }
        let end = Arrival::End(Fetched { uid, flags: Flags::NONE, internal_date: None });
        if is_wanted && into.send(end).await.is_ok() {
            return Ok(sight.finish().1);
        }
        // Not the message's fault.
        self.awaited = None;
        Err(self.wire.lost(Error::Abandoned))
    }

    /// What these messages are, by number. One of which the server shows nothing, or not enough, is left out.
    pub async fn identify(&mut self, messages: &[&Message]) -> Result<BTreeMap<u32, Seen>, Error> {
        let mut found = BTreeMap::new();
        // TOP is optional (RFC 1939 §7), and may be refused for one message; without a Message-ID a header is not enough.
        let rest = match self.offers.may_have("TOP") {
            true => self.look("TOP", " 0", messages, &mut found).await?,
            false => messages.to_vec(),
        };
        let rest: Vec<&Message> = rest.into_iter().filter(|message| message.size <= MESSAGE).collect();
        self.look("RETR", "", &rest, &mut found).await?;
        Ok(found)
    }

    /// Looks at messages, into `found`; those of which too little came.
    async fn look<'a>(
        &mut self,
        verb: &'static str,
        rest: &str,
        messages: &[&'a Message],
        found: &mut BTreeMap<u32, Seen>,
    ) -> Result<Vec<&'a Message>, Error> {
        let mut pipeline = self.pipeline(lines(verb, messages.iter().copied(), rest));
        let mut left = Vec::new();
        for &message in messages {
            self.awaited = Some(message.number);
            match pipeline.reply(&mut self.wire).await? {
                Reply::Ok(_) => {
                    let (identity, fingerprint) = self.sight().await?.finish();
                    if identity.is_strong() || verb == "RETR" {
                        let likeness = Likeness { identity, size: message.size };
                        found.insert(message.number, Seen { likeness, fingerprint });
                    } else {
                        left.push(message);
                    }
                }
                Reply::Err(Refusal { text, .. }) => {
                    tracing::debug!(verb, text, "refused");
                    left.push(message);
                }
                other => return Err(self.unexpected(verb, other)),
            }
        }
        self.awaited = None;
        Ok(left)
    }

    /// Reads a body to its end.
    async fn sight(&mut self) -> Result<Sight, Error> {
        let (mut sight, mut incoming) = (Sight::default(), Incoming::default());
        while let Some(chunk) = self.wire.chunk(&mut incoming).await? {
            sight.add(&chunk);
        }
        Ok(sight)
    }

    /// Marks messages as deleted; those that the server marked. They are gone only after [`Session::quit`].
    pub(super) async fn mark_deleted<'a>(
        &mut self,
        messages: impl Iterator<Item = &'a Message> + Clone,
    ) -> Result<Vec<Uidl>, Error> {
        let mut pipeline = self.pipeline(lines("DELE", messages.clone(), ""));
        let mut marked = Vec::new();
        for message in messages {
            match pipeline.reply(&mut self.wire).await? {
                Reply::Ok(_) => marked.push(message.uidl.clone()),
                Reply::Err(Refusal { text, .. }) => tracing::debug!(text, "not deleted on the server"),
                other => return Err(self.unexpected("DELE", other)),
            }
        }
        Ok(marked)
    }
}

impl Pipeline {
    /// The first line of the next answer; sends further commands before that where few are left.
    async fn reply(&mut self, wire: &mut Wire) -> Result<Reply, Error> {
        if self.waiting <= self.ahead / 2 {
            let batch: Vec<String> = self.commands.by_ref().take(self.ahead - self.waiting).collect();
            self.waiting += batch.len();
            if !batch.is_empty() {
                wire.send(&batch.concat()).await?;
            }
        }
        let reply = wire.reply().await?;
        self.waiting -= 1;
        Ok(reply)
    }
}

fn too_large(message: &Message) -> String {
    format!("{} MiB are more than the {} MiB of a message", message.size >> 20, MESSAGE >> 20)
}

/// A command for each message.
fn lines<'a>(verb: &str, messages: impl Iterator<Item = &'a Message>, rest: &str) -> Vec<String> {
    messages.map(|message| format!("{verb} {}{rest}\r\n", message.number)).collect()
}
