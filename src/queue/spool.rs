//! The durable queue of one account: `ID.eml`, the message as it goes out, and `ID.json`, its record.
//!
//! Law: the record appears after its message and goes before it, so a message without a record is an orphan of a crash and is
//! removed, and a record always has its message. A record on disk is the acceptance; the user's file goes after
//! it, and until it is known to be gone the record names it, so that a crash in between sends nothing twice. Memory
//! changes only after the disk did. One owner at a time (the account's lock); not for network file systems.

use super::disk;
use super::error::{Error, at};
use super::record::{Entry, Id, State};
use super::retry::{Next, is_hopeless, next_attempt};
use super::returned;
use crate::disk::make_directory;
use crate::status;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The queue of one account.
#[derive(Debug)]
pub struct Spool {
    pub(super) directory: PathBuf,
    pub(super) outbox: PathBuf,
    pub(super) entries: BTreeMap<Id, Entry>,
}

impl Spool {
    /// Opens the queue in `directory` of the outbox `outbox`, makes both where they are missing, and finishes what a crash interrupted.
    pub fn open(directory: impl Into<PathBuf>, outbox: impl Into<PathBuf>) -> Result<Spool, Error> {
        let (directory, outbox) = (directory.into(), outbox.into());
        make_directory(&directory).map_err(at("make", &directory))?;
        let mut spool = Spool { directory, outbox, entries: BTreeMap::new() };
        spool.make_outbox()?;
        spool.load()?;
        for id in spool.entries.keys().cloned().collect::<Vec<_>>() {
            spool.recover(&id)?;
        }
        spool.settle();
        Ok(spool)
    }

    /// Makes the outbox where it is missing, also after the user removed it.
    pub fn make_outbox(&self) -> Result<(), Error> {
        make_directory(&self.outbox).map_err(at("make", &self.outbox))
    }

    /// Finishes what the disk of the outbox did not allow before: removing accepted files, giving failed messages
    /// back. To be called now and then; what still cannot be done waits for the next call.
    pub fn settle(&mut self) {
        for id in self.entries.keys().cloned().collect::<Vec<_>>() {
            if let Err(error) = self.settle_one(&id) {
                tracing::warn!(message = %id, error = %crate::error::chain(&error), "message kept in the queue");
            }
        }
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

    /// What may be sent now, oldest first. A message whose text is gone or cannot be read is held instead.
    pub fn due(&mut self, now: Timestamp) -> Vec<Entry> {
        let is_due = |entry: &&Entry| due_at(entry).is_some_and(|at| at <= now);
        let mut due: Vec<Entry> = self.entries.values().filter(is_due).cloned().collect();
        due.retain(|entry| self.set_aside_damaged(entry));
        due
    }

    /// When something is due next; in the past if something is due now.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.entries.values().filter_map(due_at).min()
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
        self.store(entry)
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
                self.store(entry)?;
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
        let mut entry = self.step(id, State::Queued)?;
        entry.breaks = entry.breaks.saturating_add(1);
        if is_hopeless(entry.breaks, entry.accepted, now) {
            let count = entry.breaks;
            let words =
                format!("given up after {count} connections that ended amid it; the last time: {words}");
            return self.fail(id, &words).map(|_| true);
        }
        entry.words = Some(words.to_owned());
        entry.next_try = None;
        self.store(entry).map(|()| false)
    }

    /// After a permanent refusal: the message goes to `failed/` with these words and leaves the queue. Gives its place.
    pub fn fail(&mut self, id: &Id, words: &str) -> Result<PathBuf, Error> {
        let mut entry = self.step(id, State::Failed)?;
        entry.words = Some(words.to_owned());
        self.store(entry)?;
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

    /// What waits, in the numbers that `status` shows.
    pub fn counts(&self) -> status::Outbox {
        let mut counts =
            status::Outbox { failed: returned::count(&self.outbox), ..status::Outbox::default() };
        for entry in self.entries.values() {
            match entry.state {
                State::Held => counts.held += 1,
                State::Uncertain | State::DotSent => counts.uncertain += 1,
                State::Failed => counts.failed += 1,
                State::Queued | State::Sending | State::Deferred => counts.queued += 1,
                State::Sent | State::Filed => {}
            }
        }
        counts
    }

    pub(super) fn discard(&self, temporary: &Path) -> Result<(), Error> {
        disk::remove(temporary).map_err(at("remove", temporary))
    }

    pub(super) fn path(&self, id: &Id, extension: &str) -> PathBuf {
        self.directory.join(format!("{id}.{extension}"))
    }

    /// The entry in its next state, not yet stored.
    fn step(&self, id: &Id, to: State) -> Result<Entry, Error> {
        let mut entry = self.entry(id)?.clone();
        if !entry.state.may_become(to) {
            return Err(Error::Illegal { id: id.clone(), from: entry.state, to });
        }
        entry.state = to;
        Ok(entry)
    }

    /// Disk first, then memory.
    pub(super) fn store(&mut self, entry: Entry) -> Result<(), Error> {
        let path = self.path(&entry.id, "json");
        let record = serde_json::to_vec_pretty(&entry)
            .map_err(io::Error::from)
            .and_then(|bytes| disk::replace(&path, &self.path(&entry.id, "json.tmp"), &bytes));
        record.map_err(at("write", &path))?;
        self.entries.insert(entry.id.clone(), entry);
        Ok(())
    }

    /// Record first: a message without one is nothing, and goes at the next start if it cannot go now.
    fn erase(&mut self, id: &Id) -> Result<(), Error> {
        let (record, message) = (self.path(id, "json"), self.path(id, "eml"));
        disk::remove(&record).map_err(at("remove", &record))?;
        self.entries.remove(id);
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

    /// Reads every record; leftovers of a crash are removed, unreadable records stay and are reported.
    fn load(&mut self) -> Result<(), Error> {
        let mut messages = Vec::new();
        let listing = fs::read_dir(&self.directory).map_err(at("list", &self.directory))?;
        for entry in listing {
            let path = entry.map_err(at("list", &self.directory))?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("tmp") => self.discard(&path)?,
                Some("eml") => messages.push(path),
                Some("json") => match read_record(&path) {
                    Ok(entry) => drop(self.entries.insert(entry.id.clone(), entry)),
                    Err(error) => tracing::error!(path = %path.display(), %error, "unreadable queue record"),
                },
                _ => {}
            }
        }
        // By name, not by what was read: the message of an unreadable record is kept.
        // Removed only where there is certainly no record, not where the disk does not tell.
        let orphans =
            messages.into_iter().filter(|it| matches!(it.with_extension("json").try_exists(), Ok(false)));
        orphans.into_iter().try_for_each(|orphan| self.discard(&orphan))
    }

    fn recover(&mut self, id: &Id) -> Result<(), Error> {
        let mut entry = self.entry(id)?.clone();
        let state = entry.state.recovered();
        if state != entry.state {
            entry.state = state;
            self.store(entry)?;
        }
        Ok(())
    }

    fn settle_one(&mut self, id: &Id) -> Result<(), Error> {
        self.finish_source(id)?;
        let entry = self.entry(id)?.clone();
        match entry.state {
            State::Failed => self.give_back(id).map(drop),
            _ => self.drop_lost_copy(&entry).map(drop),
        }
    }
}

/// How many records lie in a queue that nobody owns, readable or not; changes nothing.
pub fn count(directory: &Path) -> u64 {
    let Ok(listing) = fs::read_dir(directory) else { return 0 };
    let records = listing.flatten().filter(|entry| entry.path().extension().is_some_and(|it| it == "json"));
    records.map(|_| 1).sum()
}

/// A message whose file still stands in the outbox is never due.
fn due_at(entry: &Entry) -> Option<Timestamp> {
    match entry.state {
        _ if entry.source.is_some() => None,
        State::Queued => Some(entry.accepted),
        State::Deferred => Some(entry.next_try.unwrap_or(entry.accepted)),
        _ => None,
    }
}

/// A record whose name inside is not its file's name is none.
fn read_record(path: &Path) -> io::Result<Entry> {
    let entry: Entry = serde_json::from_slice(&fs::read(path)?)?;
    let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(Id::parse);
    if stem.as_ref() == Some(&entry.id) { Ok(entry) } else { Err(io::ErrorKind::InvalidData.into()) }
}
