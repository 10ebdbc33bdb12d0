//! The queue as it stands on disk, read at the start.
//!
//! A disk that does not give a record now may give it later: then there is no queue yet, because a message that is passed
//! over may be older than the others and its file is gone from the outbox. A record that is given and is none is counted
//! and told instead: it keeps no other message from leaving, and its text stays.

use super::error::{Error, at};
use super::record::{Entry, Id};
use super::spool::Spool;
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
                self.unreadable.push(format!("{} is no record of a message ({why})", path.display()));
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

/// How many records lie in a queue that nobody owns, readable or not; changes nothing.
pub fn count(directory: &Path) -> u64 {
    let Ok(listing) = fs::read_dir(directory) else { return 0 };
    listing.flatten().filter(|entry| entry.path().extension().is_some_and(|it| it == "json")).count() as u64
}
