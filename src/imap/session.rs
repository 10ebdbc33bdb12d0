//! One connection after login: commands in a bounded window, typed outcomes, mailbox state.
//!
//! Reading and writing go on together, so that neither side can block the other with full buffers. Invariants: every
//! command ends with its tagged answer or with an error; end of stream is an error, always; untagged data is applied to
//! the mailbox state whatever command it arrives under; patience with the server is measured only while waiting for
//! the socket (`net::patience`). After an error, or when a future was dropped half way, the session refuses to go on.
//! RFC 9051 §5.5 (pipelining). What commands mean for a pass is not known here.

use super::batch::Batch;
use super::capabilities::Capabilities;
use super::error::Error;
use super::names::Names;
use super::parse::{self, Code, Condition, Response, Status};
use super::selected::Selected;
use super::wire::{Framer, Piece};
use crate::net::Stream;
use crate::net::patience::{GOODBYE, Pace, SILENCE};
use crate::net::words::printable;
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::{Instant, sleep_until, timeout};

/// Commands in flight: enough to hide a round trip behind the answers of the others.
const WINDOW: usize = 3;
/// Octets to be written that are kept before reading and writing must go on.
const UNSENT: usize = 64 * 1024;
/// Ends and invitations that may come while an upload is written; there is a use for two.
const BACKLOG: usize = 100;
/// Responses without meaning in one session: each moves the deadline, so that they must be bounded themselves.
const CHATTER: u64 = 1_000_000;
/// How we introduce ourselves (RFC 2971): NetEase demands it, Google asks for it.
const ID: &str = concat!("ID (\"name\" \"posthaste\" \"version\" \"", env!("CARGO_PKG_VERSION"), "\")");

/// A session that is logged in.
#[derive(Debug)]
pub struct Session {
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
    framer: Framer,
    unsent: BytesMut,
    unflushed: bool,
    /// Events that came while only writing was of interest.
    backlog: VecDeque<Event>,
    last_tag: u32,
    usable: bool,
    /// Whether commands are under way; still so at the next command, a future was dropped half way.
    busy: bool,
    /// Responses that told nothing: not understood, or words for people.
    skipped: u64,
    pace: Pace,
    mechanism: &'static str,
    capabilities: Capabilities,
    pub(super) names: Names,
    pub(super) selected: Option<Selected>,
}

/// The tag of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tag(u32);

/// What happens on the connection.
#[derive(Debug)]
pub(super) enum Event {
    /// A body of this many octets begins.
    Body(u64),
    /// The next octets of it.
    Chunk(Bytes),
    /// Untagged data; already applied to the mailbox state.
    Data(Response),
    /// The server waits for a literal or for the end of IDLE.
    Continue,
    /// A command ended.
    Done(Tag, Completion),
}

/// How a command ended.
#[derive(Debug)]
pub(super) struct Completion(Condition);

impl Completion {
    /// The code of an OK; a NO or BAD as an error.
    pub(super) fn ok(self, command: &'static str) -> Result<Option<Code>, Error> {
        let Condition { status, code, text } = self.0;
        match status {
            Status::Ok => Ok(code),
            _ => Err(Error::Refused {
                command,
                code: code.as_ref().and_then(Code::name).map(str::to_owned),
                text: printable(&text),
                is_bad: status == Status::Bad,
            }),
        }
    }
}

impl Session {
    /// A session on a stream where AUTHENTICATE has just succeeded; `rest` was read from it already.
    pub(super) fn new(stream: Stream, rest: BytesMut, mechanism: &'static str) -> Session {
        let (reader, writer) = split(stream);
        Session {
            reader,
            writer,
            framer: Framer::new(rest),
            unsent: BytesMut::new(),
            unflushed: false,
            backlog: VecDeque::new(),
            last_tag: 0,
            usable: true,
            busy: false,
            skipped: 0,
            pace: Pace::default(),
            mechanism,
            capabilities: Capabilities::default(),
            names: Names::default(),
            selected: None,
        }
    }

    /// The SASL mechanism that logged in.
    pub fn mechanism(&self) -> &'static str {
        self.mechanism
    }

    /// What the server offers after login, less what is switched off.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Ends the session politely, without waiting long for the server; one in the middle of an answer is just dropped.
    pub async fn logout(mut self) {
        if self.busy {
            return;
        }
        let Ok(_) = self.send("LOGOUT") else { return };
        let goodbye = async { while !matches!(self.event().await, Err(_) | Ok(Event::Done(..))) {} };
        let ended = timeout(GOODBYE, goodbye).await.is_ok();
        tracing::debug!(ended, skipped = self.skipped, "logged out");
    }

    /// Asks for the capabilities, which differ after login (Exchange: MOVE), and tells who we are.
    pub(super) async fn introduce(&mut self, asks_id: bool, disable: &BTreeSet<String>) -> Result<(), Error> {
        let commands = ["CAPABILITY"].into_iter().chain(asks_id.then_some(ID));
        let mut offered = Vec::new();
        let mut batch = Batch::new(commands.map(str::to_owned));
        let mut completions = BTreeMap::new();
        let ended = loop {
            match self.advance(&mut batch).await {
                Ok(Some(Event::Data(Response::Capability(names)))) => offered = names,
                Ok(Some(Event::Done(tag, completion))) => drop(completions.insert(tag, completion)),
                Ok(Some(_)) => {}
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // The two may be answered in either order (RFC 9051 §5.5); the first tag is that of CAPABILITY. Exchange refuses
        // it where the mailbox is closed to a good login, and hangs up: the refusal is the reason, not the end.
        if let Some((_, capability)) = completions.pop_first() {
            capability.ok("CAPABILITY")?;
        }
        ended?;
        self.capabilities = Capabilities::new(offered, disable);
        if self.capabilities.has("ID") && !asks_id {
            self.run("ID", ID.to_owned(), |_| {}).await?;
        }
        Ok(())
    }

    /// Goes on without a capability that the server offers and then refuses.
    pub(super) fn withdraw(&mut self, capability: &str) {
        self.capabilities.withdraw(capability);
    }

    /// Runs one command; its untagged data goes to `on`. NO and BAD are errors.
    pub(super) async fn run(
        &mut self,
        name: &'static str,
        command: String,
        on: impl FnMut(Response),
    ) -> Result<Option<Code>, Error> {
        let mut codes = self.run_all(name, [command], on).await?;
        codes.pop().ok_or(Error::Unusable)
    }

    /// Runs commands in the window; their codes in the order of the answers. The first NO or BAD is the error, after
    /// all have ended.
    pub(super) async fn run_all(
        &mut self,
        name: &'static str,
        commands: impl IntoIterator<Item = String>,
        mut on: impl FnMut(Response),
    ) -> Result<Vec<Option<Code>>, Error> {
        let mut batch = Batch::new(commands);
        let mut outcomes = Vec::new();
        while let Some(event) = self.advance(&mut batch).await? {
            match event {
                Event::Data(response) => on(response),
                Event::Done(_, completion) => outcomes.push(completion.ok(name)),
                Event::Body(_) | Event::Chunk(_) | Event::Continue => {}
            }
        }
        outcomes.into_iter().collect()
    }

    /// The next event while the commands of the batch are sent and answered; `None` when all are.
    pub(super) async fn advance(&mut self, batch: &mut Batch) -> Result<Option<Event>, Error> {
        if !std::mem::replace(&mut batch.begun, true) {
            self.claim()?;
        }
        let window = if self.capabilities.is_disabled("PIPELINING") { 1 } else { WINDOW };
        while batch.flying.len() < window {
            let Some(command) = batch.waiting.pop_front() else { break };
            batch.flying.push(self.send(&command)?);
        }
        if batch.flying.is_empty() {
            self.release();
            return Ok(None);
        }
        let event = self.event().await?;
        if let Event::Done(tag, _) = &event {
            let before = batch.flying.len();
            batch.flying.retain(|flying| flying != tag);
            if batch.flying.len() == before {
                return Err(self.lost(Error::Protocol("an answer to a command that has ended")));
            }
        }
        Ok(Some(event))
    }

    /// Queues a command; it is written by the next wait for events.
    pub(super) fn send(&mut self, command: &str) -> Result<Tag, Error> {
        if !self.usable {
            return Err(Error::Unusable);
        }
        self.last_tag += 1;
        self.unsent.extend_from_slice(format!("P{} {command}\r\n", self.last_tag).as_bytes());
        Ok(Tag(self.last_tag))
    }

    /// Queues octets that are no command: a literal, `DONE`.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
    }

    /// Begins a dialogue that must not be left half way.
    pub(super) fn claim(&mut self) -> Result<(), Error> {
        if self.busy || !self.usable {
            return Err(self.lost(Error::Unusable));
        }
        self.busy = true;
        Ok(())
    }

    /// Ends the dialogue: the server waits for the next command.
    pub(super) fn release(&mut self) {
        self.busy = false;
    }

    /// Writes until little is left, and keeps what comes meanwhile for the dialogue; data is in the mailbox state already.
    pub(super) async fn drain(&mut self) -> Result<(), Error> {
        while self.unsent.len() > UNSENT {
            match self.framed()? {
                Some(Event::Body(_) | Event::Chunk(_) | Event::Data(_)) => {}
                Some(event) if self.backlog.len() < BACKLOG => self.backlog.push_back(event),
                Some(_) => return Err(self.lost(Error::Protocol("it talks instead of listening"))),
                None => self.wait().await?,
            }
        }
        Ok(())
    }

    /// The next event; a server that is silent, or next to it, is given up.
    pub(super) async fn event(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.ready_event()? {
                return Ok(event);
            }
            self.wait().await?;
        }
    }

    /// The next event, waited for until `deadline` whatever comes in between; [`Error::TimedOut`] then leaves the session
    /// usable.
    pub(super) async fn event_until(&mut self, deadline: Instant) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.ready_event()? {
                return Ok(event);
            }
            match self.transfer(deadline).await {
                Err(Error::TimedOut) => {
                    self.usable = true;
                    return Err(Error::TimedOut);
                }
                other => drop(other?),
            }
        }
    }

    fn ready_event(&mut self) -> Result<Option<Event>, Error> {
        match self.backlog.pop_front() {
            Some(event) => Ok(Some(event)),
            None => self.framed(),
        }
    }

    /// Moves octets as long as patience lasts.
    async fn wait(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        let moved = self.transfer(begun + SILENCE).await?;
        match self.pace.waited(begun.elapsed(), moved as u64) {
            true => Ok(()),
            false => Err(self.lost(Error::TooSlow)),
        }
    }

    /// Moves octets in at least one direction; how many.
    async fn transfer(&mut self, deadline: Instant) -> Result<usize, Error> {
        let Session { reader, writer, framer, unsent, unflushed, .. } = self;
        let has_unsent = !unsent.is_empty() || *unflushed;
        let write = async {
            let mut written = 0;
            if !unsent.is_empty() {
                *unflushed = true;
                written = writer.write_buf(unsent).await?;
            }
            if unsent.is_empty() {
                writer.flush().await?;
                *unflushed = false;
            }
            Ok(written)
        };
        let moved = tokio::select! {
            read = reader.read_buf(framer.buffer()) => match read {
                Ok(0) => Err(Error::Closed),
                Ok(read) => Ok(read),
                Err(error) => Err(Error::Io(error)),
            },
            written = write, if has_unsent => written.map_err(Error::Io),
            () = sleep_until(deadline) => Err(Error::TimedOut),
        };
        moved.map_err(|error| self.lost(error))
    }

    /// The next event from what was read already.
    fn framed(&mut self) -> Result<Option<Event>, Error> {
        let piece = self.framer.next().map_err(|error| self.lost(error))?;
        let response = match piece {
            None => return Ok(None),
            Some(Piece::Body(size)) => return Ok(Some(Event::Body(size))),
            Some(Piece::Chunk(chunk)) => return Ok(Some(Event::Chunk(chunk))),
            Some(Piece::Response(bytes)) => {
                self.pace.heard();
                parse::response(&bytes)
            }
        };
        match response {
            Response::Tagged { tag, condition } => self.tagged(&tag, condition).map(Some),
            Response::Continue => Ok(Some(Event::Continue)),
            Response::Condition(Condition { status: Status::Bye, text, .. }) => {
                Err(self.lost(Error::Bye(printable(&text))))
            }
            response => {
                self.skipped += u64::from(matches!(response, Response::Other | Response::Condition(_)));
                if self.skipped > CHATTER {
                    return Err(self.lost(Error::Protocol("it talks without end and says nothing")));
                }
                if let Some(selected) = self.selected.as_mut() {
                    selected.apply(&response);
                }
                Ok(Some(Event::Data(response)))
            }
        }
    }

    fn tagged(&mut self, tag: &str, condition: Condition) -> Result<Event, Error> {
        let number = tag.strip_prefix('P').and_then(|number| number.parse().ok());
        match number {
            Some(number) if number <= self.last_tag => {
                self.pace.ended();
                if let (Some(selected), Some(code)) = (self.selected.as_mut(), &condition.code) {
                    selected.apply_code(code);
                }
                Ok(Event::Done(Tag(number), Completion(condition)))
            }
            _ => Err(self.lost(Error::Protocol("an answer to no command"))),
        }
    }

    /// Notes that the connection is gone or out of step.
    pub(super) fn lost(&mut self, error: Error) -> Error {
        self.usable = false;
        error
    }
}

#[cfg(test)]
mod tests;
