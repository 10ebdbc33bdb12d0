//! From a file of the outbox to an entry of the queue.
//!
//! Order: the prepared copy is durable, then its record, then the user's file goes. A crash in between leaves either no
//! record, and the file is taken anew, or a record that names the file, and only its removal is finished.

use super::disk;
use super::envelope::{Refusal, Sender};
use super::error::{Error, at};
use super::outbox::{FileIdentity, OutboxFile};
use super::prepare::{self, Failure, Prepared};
use super::record::{Entry, Id, Source, State};
use super::returned;
use super::spool::Spool;
use jiff::Timestamp;
use std::fs;
use std::io::{self, BufReader, BufWriter, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Largest file that is accepted; no provider takes more (Exchange: 150 MB).
const MAX_FILE: u64 = 150 * 1024 * 1024;

/// What became of a file of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is in the queue and gone from the outbox.
    Queued(Id),
    /// It had been accepted before a crash; now it is gone from the outbox too.
    Finished(Id),
    /// It cannot be sent and stands in `failed/` now.
    Refused {
        /// Why.
        refusal: Refusal,
        /// Where it is.
        place: PathBuf,
    },
    /// Its owner changed or removed it meanwhile: look again later.
    Changed,
}

impl Spool {
    /// Takes a complete file of the outbox into the queue, or gives it back to the user.
    pub fn accept(&mut self, file: &OutboxFile, sender: &Sender, now: Timestamp) -> Result<Accepted, Error> {
        if let Some(id) = self.accepted_before(file) {
            self.finish_source(&id)?;
            return Ok(Accepted::Finished(id));
        }
        let id = Id::new(now, fastrand::u32(..));
        let temporary = self.path(&id, "eml.tmp");
        // A file that meets a defect here is turned down like any other that cannot be sent, or no mail would leave again.
        let taken = catch_unwind(AssertUnwindSafe(|| self.take(file, sender, now, &temporary)))
            .unwrap_or_else(|_told_by_the_panic_hook| Err(Refusal::Defect.into()));
        let prepared = match taken {
            Ok(Some(prepared)) => prepared,
            Ok(None) => return self.discard(&temporary).map(|()| Accepted::Changed),
            Err(failure) => {
                self.discard(&temporary)?;
                return self.turn_down(file, failure);
            }
        };
        let message = self.path(&id, "eml");
        disk::rename_new(&temporary, &message).map_err(at("write", &message))?;
        if let Err(error) = self.store(entry(id.clone(), file, prepared, now)) {
            // The record may stand there although it is not known to be durable; the file will be taken anew.
            self.discard(&self.path(&id, "json"))?;
            self.discard(&message)?;
            return Err(error);
        }
        self.finish_source(&id)?;
        Ok(Accepted::Queued(id))
    }

    /// Copies the file, prepared and durable; `None` if it changed under the reader.
    fn take(
        &self,
        file: &OutboxFile,
        sender: &Sender,
        now: Timestamp,
        temporary: &Path,
    ) -> Result<Option<Prepared>, Failure> {
        let source = match disk::open(&file.path) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::Read(error)),
        };
        let is_same =
            || source.metadata().map(|now| now.is_file() && FileIdentity::of(&now) == file.identity);
        if !is_same().map_err(Failure::Read)? {
            return Ok(None);
        }
        if file.identity.size > MAX_FILE {
            return Err(Refusal::TooLarge { size: file.identity.size, limit: MAX_FILE }.into());
        }
        let out = disk::create(temporary).map_err(Failure::Write)?;
        // A file that grows as fast as it is read has an end all the same; that it changed is seen below.
        let bounded = (&source).take(file.identity.size.saturating_add(1));
        let prepared =
            prepare::prepare(BufReader::new(bounded), BufWriter::new(&out), sender, now, fastrand::u64(..))?;
        out.sync_all().map_err(Failure::Write)?;
        Ok(is_same().map_err(Failure::Read)?.then_some(prepared))
    }

    fn turn_down(&self, file: &OutboxFile, failure: Failure) -> Result<Accepted, Error> {
        let refusal = match failure {
            Failure::Refused(refusal) => refusal,
            Failure::Read(source) => return Err(at("read", &file.path)(source)),
            Failure::Write(source) => return Err(at("write to", &self.directory)(source)),
        };
        let place = returned::refuse(&self.outbox, file, &refusal.to_string())
            .map_err(at("move to failed/ the file", &file.path))?;
        Ok(Accepted::Refused { refusal, place })
    }

    fn accepted_before(&self, file: &OutboxFile) -> Option<Id> {
        let is_it =
            |source: &Source| source.identity == file.identity && source.path == file.path.as_os_str();
        self.entries
            .values()
            .find(|entry| entry.source.as_ref().is_some_and(is_it))
            .map(|entry| entry.id.clone())
    }

    /// Removes the user's file if it is still the one that was accepted. Only then may the message be sent: else a crash
    /// after the sending would find the file again. The record on disk learns of it with its next step.
    pub(super) fn finish_source(&mut self, id: &Id) -> Result<(), Error> {
        let Some(entry) = self.entries.get_mut(id) else { return Ok(()) };
        if let Some(source) = &entry.source {
            let is_it = |found: fs::Metadata| FileIdentity::of(&found) == source.identity;
            let path = Path::new(&source.path);
            if fs::symlink_metadata(path).is_ok_and(is_it) {
                disk::remove(path).map_err(at("remove from the outbox", path))?;
            }
            entry.source = None;
            returned::forget_reason(&self.outbox, &entry.name);
        }
        Ok(())
    }
}

fn entry(id: Id, file: &OutboxFile, prepared: Prepared, now: Timestamp) -> Entry {
    let Prepared { outgoing, size, eight_bit, crlf } = prepared;
    Entry {
        id,
        state: State::Queued,
        envelope: outgoing.envelope,
        message_id: outgoing.message_id,
        size,
        eight_bit,
        name: file.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        source: Some(Source { path: file.path.clone().into(), identity: file.identity }),
        bcc: outgoing.bcc,
        crlf,
        accepted: now,
        attempts: 0,
        breaks: 0,
        next_try: None,
        words: None,
    }
}
