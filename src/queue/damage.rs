//! Submissions whose text on the disk is not what was accepted: gone, cut short, or not to be read.
//!
//! Such a message is held as long as that is so, with words that say what happened to which file, so that it is seen in
//! `status` and keeps no other from leaving. What may be the fault of the whole machine (no memory, too many open files, the
//! directory itself gone) is no message's fault and holds none. Trouble that shows only amid the text is the
//! submission's to tell.

use super::error::Error;
use super::record::{Entry, Id, State};
use super::spool::Spool;
use std::io;

impl Spool {
    /// Whether the message can be tried; one whose text is damaged is held.
    pub(super) fn set_aside_damaged(&mut self, entry: &Entry) -> bool {
        let Some(damage) = self.damage(entry) else { return true };
        let path = self.path(&entry.id, "eml");
        let words =
            format!("a message is not sent: {} {damage}; it goes out once that is mended", path.display());
        tracing::error!(message_id = %entry.message_id, name = entry.name, %words, "message held");
        if let Ok(step) = self.step(&entry.id, State::Held) {
            // The next settling tells of a disk that does not take it.
            let _ = self.keep(Entry { words: Some(words), damaged: true, next_try: None, ..step });
        }
        false
    }

    /// Takes up again what was held for a damage that is no more.
    pub(super) fn release_mended(&mut self) {
        let is_mended = |entry: &&Entry| entry.damaged && self.damage(entry).is_none();
        let mended: Vec<Id> = self.entries.values().filter(is_mended).map(|entry| entry.id.clone()).collect();
        for id in mended {
            // As above.
            let _ = self.transition(&id, State::Queued, None);
        }
    }

    /// Settles a submission that the server has and whose copy for the Sent mailbox is lost; true if it was one.
    pub(super) fn drop_lost_copy(&mut self, entry: &Entry) -> Result<bool, Error> {
        let is_lost = entry.state == State::Sent && self.is_text_gone(entry);
        if is_lost {
            tracing::error!(message_id = %entry.message_id, "sent, but the copy for the Sent mailbox is lost");
            self.transition(&entry.id, State::Filed, None)?;
        }
        Ok(is_lost)
    }

    fn damage(&self, entry: &Entry) -> Option<String> {
        match self.message(&entry.id).map(|text| text.metadata()) {
            Ok(Ok(found)) if found.is_file() && found.len() == entry.size => None,
            Ok(Ok(found)) => Some(format!("has {} bytes instead of {}", found.len(), entry.size)),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.is_text_gone(entry).then(|| "is gone".to_owned())
            }
            Err(Error::Io { source, .. }) | Ok(Err(source)) => {
                is_of_one_file(&source).then(|| format!("cannot be read ({source})"))
            }
            Err(_) => None,
        }
    }

    /// The text alone: without its record, it is the directory that is gone.
    fn is_text_gone(&self, entry: &Entry) -> bool {
        let stands = |extension| self.path(&entry.id, extension).try_exists();
        matches!((stands("eml"), stands("json")), (Ok(false), Ok(true)))
    }
}

/// Permissions, a bad block, a symbolic link in its place.
fn is_of_one_file(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let of_one = [Errno::ACCESS, Errno::PERM, Errno::IO, Errno::LOOP].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| of_one.contains(&code))
}
