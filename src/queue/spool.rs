//! The durable queue of one account: `ID.eml`, the message as it goes out, and `ID.json`, its record.
//!
//! Law: the record appears after its message and goes before it, so a message without a record is an orphan of a crash and is
//! removed, and a record always has its message. A record on disk is the acceptance; the user's file goes after
//! it, and until it is known to be gone the record names it, so that a crash in between sends nothing twice. An intent
//! counts only when the disk has it; what happened counts at once and is written as soon as the disk takes it. One owner
//! at a time (the account's lock); not for network file systems.

use super::disk;
use super::error::{Error, at};
use super::record::{Entry, Id, State};
use super::retry::{Next, due_at, is_hopeless, next_attempt};
use super::returned;
use crate::disk::make_directory;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The queue of one account.
#[derive(Debug)]
pub struct Spool {
    pub(super) directory: PathBuf,
    pub(super) outbox: PathBuf,
    pub(super) entries: BTreeMap<Id, Entry>,
    /// Those of which the disk does not know yet what happened.
    unwritten: BTreeSet<Id>,
    /// Records that are none, and why: their messages are not sent.
    pub(super) unreadable: Vec<Unreadable>,
}

/// A file in the place of a record.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) path: PathBuf,
    /// Why it is no record.
    pub(super) why: String,
}

impl Spool {
    /// Opens the queue in `directory` of the outbox `outbox`, makes both where they are missing, and finishes what a crash interrupted.
    pub fn open(directory: impl Into<PathBuf>, outbox: impl Into<PathBuf>) -> Result<Spool, Error> {
        let (directory, outbox) = (directory.into(), outbox.into());
        make_directory(&directory).map_err(at("make", &directory))?;
        let (entries, unwritten) = (BTreeMap::new(), BTreeSet::new());
        let mut spool = Spool { directory, outbox, entries, unwritten, unreadable: Vec::new() };
        spool.make_outbox()?;
        spool.load()?;
        // What cannot be done now the next call does, and tells.
        let _ = spool.settle();
        Ok(spool)
    }

    /// Makes the outbox where it is missing, also after the user removed it.
    pub fn make_outbox(&self) -> Result<(), Error> {
        make_directory(&self.outbox).map_err(at("make", &self.outbox))
    }

    /// Finishes what a crash interrupted or a disk did not allow: writing what happened, removing accepted files, giving
    /// failed messages back, forgetting unreadable records that the user removed. To be called now and then while nothing
    /// is being sent; what still cannot be done waits for the next call, and the first trouble is told.
    pub fn settle(&mut self) -> Result<(), Error> {
        self.unreadable.retain(|it| !matches!(it.path.try_exists(), Ok(false)));
        let ids: Vec<Id> = self.entries.keys().cloned().collect();
        ids.iter().map(|id| self.settle_one(id)).fold(Ok(()), Result::and)
    }

    /// Every submission, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// One submission.
    pub fn entry(&self, id: &Id) -> Result<&Entry, Error> {
        self.entries.get(id).ok_or_else(|| Error::Unknown(id.clone()))
    }

    /// The message as it goes out, for reading.
    pub fn message(&self, id: &Id) -> Result<File, Error> {
        let path = self.path(id, "eml");
        disk::open(&path).map_err(at("read", &path))
    }

    /// What may be sent now, oldest first. A message whose text is gone or cannot be read is held as long as it is.
    pub fn due(&mut self, now: Timestamp) -> Vec<Entry> {
        self.release_mended();
        let is_due = |entry: &&Entry| next_step(entry, now).is_some_and(|at| at <= now);
        let mut due: Vec<Entry> = self.entries.values().filter(is_due).cloned().collect();
        due.retain(|entry| self.set_aside_damaged(entry));
        due
    }

    /// When something is due next; not after `now` if something is due now.
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.entries.values().filter_map(|entry| next_step(entry, now)).min()
    }

    /// Takes a step that needs no more than its name; `words` say why, where there is something to say. With
    /// [`State::Filed`] the submission leaves the queue.
    pub fn transition(&mut self, id: &Id, to: State, words: Option<&str>) -> Result<(), Error> {
        let mut entry = self.step(id, to)?;
        if to == State::Filed {
            return self.erase(id);
        }
        entry.words = words.map(str::to_owned).or(entry.words);
        entry.next_try = None;
        match to {
            State::Sending | State::DotSent => self.write(entry),
            _ => self.keep(entry),
        }
    }

    /// After a temporary refusal: waits for the next attempt, or fails the message that was refused for too long.
    /// `random` is uniform in 0..1.
    pub fn defer(&mut self, id: &Id, words: &str, now: Timestamp, random: f64) -> Result<Next, Error> {
        let mut entry = self.step(id, State::Deferred)?;
        entry.attempts = entry.attempts.saturating_add(1);
        let next = next_attempt(entry.attempts, entry.accepted, now, random);
        match next {
            Next::At(at) => {
                entry.next_try = Some(at);
                entry.words = Some(words.to_owned());
                self.keep(entry)?;
            }
            Next::GiveUp => {
                self.fail(
                    id,
                    &format!("given up after {} attempts; the last answer: {words}", entry.attempts),
                )?;
            }
        }
        Ok(next)
    }

    /// After a connection that ended amid the message: it may be tried again at once, or fails when that has happened
    /// too often and for too long. `true`: it failed.
    pub fn break_off(&mut self, id: &Id, words: &str, now: Timestamp) -> Result<bool, Error> {
        self.put_back(id, State::Queued, "connections that ended amid it; the last time", words, now)
    }

    /// After a refusal that means the account: it may be tried again at the end of the account's pause, or fails as with
    /// [`Spool::break_off`], for the words may have meant this message after all. `true`: it failed.
    pub fn throttle(&mut self, id: &Id, words: &str, now: Timestamp) -> Result<bool, Error> {
        self.put_back(id, State::Deferred, "refusals for the account; the last answer", words, now)
    }

    /// Counts what may or may not be the message's own trouble; `what` says it in the plural.
    fn put_back(
        &mut self,
        id: &Id,
        to: State,
        what: &str,
        words: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mut entry = self.step(id, to)?;
        entry.breaks = entry.breaks.saturating_add(1);
        if is_hopeless(entry.breaks, entry.accepted, now) {
            let words = format!("given up after {} {what}: {words}", entry.breaks);
            return self.fail(id, &words).map(|_| true);
        }
        entry.words = Some(words.to_owned());
        entry.next_try = None;
        self.keep(entry).map(|()| false)
    }

    /// After a permanent refusal: the message goes to `failed/` with these words and leaves the queue. Gives its place.
    pub fn fail(&mut self, id: &Id, words: &str) -> Result<PathBuf, Error> {
        let mut entry = self.step(id, State::Failed)?;
        entry.words = Some(words.to_owned());
        self.keep(entry)?;
        self.give_back(id)
    }

    /// Throws a submission away, by the user's word.
    pub fn remove(&mut self, id: &Id) -> Result<(), Error> {
        let from = self.entry(id)?.state;
        if !from.is_removable() {
            return Err(Error::Illegal { id: id.clone(), from, to: State::Filed });
        }
        self.finish_source(id)?;
        self.erase(id)
    }

    pub(super) fn discard(&self, temporary: &Path) -> Result<(), Error> {
        disk::remove(temporary).map_err(at("remove", temporary))
    }

    pub(super) fn path(&self, id: &Id, extension: &str) -> PathBuf {
        self.directory.join(format!("{id}.{extension}"))
    }

    /// The entry in its next state, not yet stored.
    pub(super) fn step(&self, id: &Id, to: State) -> Result<Entry, Error> {
        let mut entry = self.entry(id)?.clone();
        if !entry.state.may_become(to) {
            return Err(Error::Illegal { id: id.clone(), from: entry.state, to });
        }
        entry.state = to;
        entry.damaged = false;
        Ok(entry)
    }

    /// What happened: in memory at once, and on disk now or with the next [`Spool::settle`].
    pub(super) fn keep(&mut self, entry: Entry) -> Result<(), Error> {
        self.unwritten.insert(entry.id.clone());
        self.entries.insert(entry.id.clone(), entry.clone());
        self.write(entry)
    }

    /// Disk first, then memory.
    pub(super) fn write(&mut self, entry: Entry) -> Result<(), Error> {
        let path = self.path(&entry.id, "json");
        let record = serde_json::to_vec_pretty(&entry)
            .map_err(io::Error::from)
            .and_then(|bytes| disk::replace(&path, &self.path(&entry.id, "json.tmp"), &bytes));
        record.map_err(at("write", &path))?;
        self.unwritten.remove(&entry.id);
        self.entries.insert(entry.id.clone(), entry);
        Ok(())
    }

    /// Record first: a message without one is nothing, and goes at the next start if it cannot go now.
    fn erase(&mut self, id: &Id) -> Result<(), Error> {
        let (record, message) = (self.path(id, "json"), self.path(id, "eml"));
        disk::remove(&record).map_err(at("remove", &record))?;
        self.entries.remove(id);
        self.unwritten.remove(id);
        if let Err(error) = disk::remove(&message) {
            tracing::warn!(path = %message.display(), %error, "cannot remove a message that is done");
        }
        Ok(())
    }

    /// The message of a failure in `failed/`, then out of the queue. May be repeated after a crash.
    fn give_back(&mut self, id: &Id) -> Result<PathBuf, Error> {
        let entry = self.entry(id)?;
        let message = returned::Message {
            name: &entry.name,
            words: entry.words.as_deref().unwrap_or_default(),
            bcc: &entry.bcc,
            crlf: entry.crlf,
        };
        let place = returned::give_back(&self.outbox, &message, self.message(id)?)
            .map_err(at("write to failed/ in", &self.outbox))?;
        self.erase(id)?;
        Ok(place)
    }

    fn settle_one(&mut self, id: &Id) -> Result<(), Error> {
        let mut entry = self.entry(id)?.clone();
        entry.state = entry.state.recovered();
        if self.unwritten.contains(id) || entry.state != self.entry(id)?.state {
            self.keep(entry.clone())?;
        }
        self.finish_source(id)?;
        match entry.state {
            State::Failed => self.give_back(id).map(drop),
            _ => self.drop_lost_copy(&entry).map(drop),
        }
    }
}

/// When a message may be sent; one whose file still stands in the outbox never.
fn next_step(entry: &Entry, now: Timestamp) -> Option<Timestamp> {
    match entry.state {
        _ if entry.source.is_some() => None,
        State::Queued => Some(now),
        State::Deferred => Some(due_at(entry.next_try, now)),
        _ => None,
    }
}
