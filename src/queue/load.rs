//! The queue as it stands on disk, read at the start.
//!
//! A disk that does not give a record now may give it later: then there is no queue yet, because a message that is passed
//! over may be older than the others and its file is gone from the outbox. A record that is given and is none is counted
//! and told instead: it keeps no other message from leaving, and its text stays.

use super::error::{Error, at};
use super::record::{Entry, Id, State};
use super::spool::{Spool, Unreadable};
use std::fs;
use std::path::Path;

impl Spool {
    /// Reads every record; leftovers of a crash are removed.
    pub(super) fn load(&mut self) -> Result<(), Error> {
        let mut messages = Vec::new();
        let listing = fs::read_dir(&self.directory).map_err(at("list", &self.directory))?;
        for entry in listing {
            let path = entry.map_err(at("list", &self.directory))?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("tmp") => self.discard(&path)?,
                Some("eml") => messages.push(path),
                Some("json") => self.take_record(&path)?,
                _ => {}
            }
        }
        // By name, not by what was read: the message of an unreadable record is kept.
        // Removed only where there is certainly no record, not where the disk does not tell.
        let orphans =
            messages.into_iter().filter(|it| matches!(it.with_extension("json").try_exists(), Ok(false)));
        orphans.into_iter().try_for_each(|orphan| self.discard(&orphan))
    }

    fn take_record(&mut self, path: &Path) -> Result<(), Error> {
        let bytes = fs::read(path).map_err(at("read", path))?;
        match parse(path, &bytes) {
            Ok(entry) => drop(self.entries.insert(entry.id.clone(), entry)),
            Err(why) => {
                tracing::error!(path = %path.display(), why, "unreadable queue record");
                self.unreadable.push(Unreadable { path: path.to_owned(), why });
            }
        }
        Ok(())
    }
}

/// A record whose name inside is not its file's name is none.
fn parse(path: &Path, bytes: &[u8]) -> Result<Entry, String> {
    let entry: Entry = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(Id::parse);
    let is_its_own = stem.as_ref() == Some(&entry.id);
    is_its_own.then_some(entry).ok_or_else(|| "it is that of another".to_owned())
}

/// How many messages wait in a queue that nobody owns, with a readable record or not; changes nothing. What the server has
/// needs no sender.
pub fn count(directory: &Path) -> u64 {
    let Ok(listing) = fs::read_dir(directory) else { return 0 };
    let records = listing.flatten().map(|entry| entry.path());
    let records = records.filter(|path| path.extension().is_some_and(|it| it == "json"));
    let is_done = |path: &Path| {
        let entry = fs::read(path).ok().and_then(|bytes| parse(path, &bytes).ok());
        entry.is_some_and(|entry| matches!(entry.state, State::Sent | State::Filed))
    };
    records.filter(|path| !is_done(path)).count() as u64
}

#[cfg(test)]
mod tests {
    use super::super::spool_tests::Place;
    use super::*;

    #[test]
    fn what_the_server_has_waits_for_nobody() {
        let place = Place::new();
        let (mut spool, id) = place.accepted();
        fs::write(place.queue().join("1-1.json"), "{").unwrap();
        for (state, expected) in [(State::Sending, 2), (State::DotSent, 2), (State::Sent, 1)] {
            spool.transition(&id, state, None).unwrap();
            assert_eq!(count(&place.queue()), expected, "{state:?}");
        }
    }
}
