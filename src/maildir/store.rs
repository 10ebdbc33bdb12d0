//! The operations on messages in a mailbox: scan, identify, publish, change, read. Blocking; [`super::Maildir`] calls
//! them off the reactor.
//!
//! Readers rename files at any moment, so a file is looked up by its unique name, first in the index of the last scan,
//! then by reading the directory again; only a name that two fresh readings in a row do not show has vanished. No
//! rename ever replaces a file, and each directory touched is synced once per call.
//!
//! Rejected: one readdir per change (quadratic), and an index of every mailbox (memory for what is rarely used).

use super::content;
use super::dir::{self, MailboxDir, Place, Root};
use super::error::Error;
use super::name::{self, UniqueNames};
use super::quarantine::Quarantine;
use super::scan::{self, Found};
use crate::keeping::LineEndings;
use crate::mail::{Flags, MailboxName, UniqueName};
use crate::sync::{LocalChange, LocalView, Outgoing, Recognised, Seen, Staged};
use rustix::fs::AtFlags;
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// The index, then two fresh readings.
const ROUNDS: usize = 3;

/// A file that was written in place and not touched for so long is complete.
pub const UNTOUCHED: Duration = Duration::from_millis(1500);

/// One account's Maildir.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) root: Root,
    pub(super) endings: LineEndings,
    pub(super) names: UniqueNames,
    index: Mutex<Option<Index>>,
    /// Files that the log has named.
    named: Mutex<BTreeSet<(MailboxName, UniqueName)>>,
}

/// The messages of the mailbox that was read last.
#[derive(Debug)]
struct Index {
    mailbox: MailboxName,
    messages: BTreeMap<UniqueName, Found>,
}

/// What became of one message.
enum Step {
    /// What was asked is done; the message is there, perhaps under another name.
    Done,
    /// The message has left the mailbox.
    Left,
    /// The file is not where the index says.
    Missed,
    /// It is there, and its name cannot be changed.
    Refused,
}

/// Which directories a call renamed in.
#[derive(Default)]
struct Touched {
    new: bool,
    cur: bool,
}

impl Store {
    pub(super) fn new(root: Root, endings: LineEndings, names: UniqueNames) -> Store {
        Store { root, endings, names, index: Mutex::new(None), named: Mutex::default() }
    }

    pub(super) fn scan(&self, mailbox: &MailboxName) -> Result<Option<LocalView>, Error> {
        let Some(dir) = self.root.mailbox(mailbox)? else { return Ok(None) };
        let messages = scan::messages(&dir)?;
        let files = messages.iter().map(|(unique, found)| (unique.clone(), found.flags())).collect();
        *self.index() = Some(Index { mailbox: mailbox.clone(), messages });
        Ok(Some(LocalView { directory: dir.identity()?, marked: dir.is_marked(), files }))
    }

    /// The directory of a mailbox as it stands; `None` where it, or the root, is missing.
    pub(super) fn seen(&self, mailbox: &MailboxName) -> Result<Option<Seen>, Error> {
        match self.root.mailbox(mailbox) {
            Ok(Some(dir)) => Ok(Some(Seen { directory: dir.identity()?, marked: dir.is_marked() })),
            Ok(None) => Ok(None),
            Err(Error::Root { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn identify(&self, mailbox: &MailboxName, names: &[UniqueName]) -> Result<Recognised, Error> {
        let dir = self.root.existing(mailbox)?;
        let mut recognised = Recognised::default();
        self.visit(&dir, names.iter().map(|unique| (unique, ())), |unique, (), found| {
            let looked = self.recognise(&dir, unique, &found.file_name(unique), found.place, &mut recognised);
            self.spared(&dir, unique, &found.file_name(unique), looked)
        })?;
        Ok(recognised)
    }

    fn recognise(
        &self,
        dir: &MailboxDir,
        unique: &UniqueName,
        file_name: &str,
        place: Place,
        recognised: &mut Recognised,
    ) -> Result<Step, Error> {
        let Some(file) = dir.open_message(place, file_name)? else { return Ok(Step::Missed) };
        let metadata = file.metadata().map_err(Error::io("look at", dir.describe(file_name)))?;
        if metadata.len() == 0 {
            self.warn_once(dir, unique, file_name, "an empty file is no message: it is not uploaded");
            return Ok(Step::Done);
        }
        let (likeness, by_readers) =
            content::likeness(file).map_err(Error::io("read", dir.describe(file_name)))?;
        if is_being_written(&metadata, SystemTime::now()) {
            recognised.unfinished.insert(likeness.identity);
        } else {
            recognised.files.insert(unique.clone(), (likeness, by_readers));
        }
        Ok(Step::Done)
    }

    pub(super) fn read(&self, mailbox: &MailboxName, unique: &UniqueName) -> Result<Option<Outgoing>, Error> {
        let dir = self.root.existing(mailbox)?;
        let mut outgoing = None;
        self.visit(&dir, [(unique, ())], |unique, (), found| {
            let file_name = found.file_name(unique);
            let opened = dir.open_message(found.place, &file_name).and_then(|file| {
                let Some(file) = file else { return Ok(Step::Missed) };
                let opened = describe_file(file, found.flags());
                outgoing = Some(opened.map_err(Error::io("read", dir.describe(&file_name)))?);
                Ok(Step::Done)
            });
            self.spared(&dir, unique, &file_name, opened)
        })?;
        Ok(outgoing)
    }

    /// A file that cannot be read is left out: it must not keep its mailbox waiting.
    fn spared(
        &self,
        dir: &MailboxDir,
        unique: &UniqueName,
        file_name: &str,
        step: Result<Step, Error>,
    ) -> Result<Step, Error> {
        match step {
            Err(error) if error.is_of_one_file() => {
                self.warn_once(
                    dir,
                    unique,
                    file_name,
                    &format!("a file is not uploaded: {}", crate::error::chain(&error)),
                );
                Ok(Step::Done)
            }
            other => other,
        }
    }

    pub(super) fn publish(&self, mailbox: &MailboxName, batch: &[Staged]) -> Result<Vec<UniqueName>, Error> {
        let dir = self.root.existing(mailbox)?;
        let mut touched = Touched::default();
        let mut elsewhere = Vec::new();
        for message in batch {
            let target = target(message.flags);
            if move_in(&dir, &message.name, &target)? {
                touched.place(target.place);
                self.index_published(mailbox, message.name.clone(), target);
            } else {
                elsewhere.push(&message.name);
            }
        }
        let lost =
            self.visit(&dir, elsewhere.into_iter().map(|unique| (unique, ())), |unique, (), found| {
                let there = dir.open_message(found.place, &found.file_name(unique))?.is_some();
                touched.place(found.place);
                Ok(if there { Step::Done } else { Step::Missed })
            })?;
        touched.sync(&dir)?;
        Ok(lost)
    }

    pub(super) fn change(
        &self,
        mailbox: &MailboxName,
        changes: &[LocalChange],
    ) -> Result<Vec<UniqueName>, Error> {
        let dir = self.root.existing(mailbox)?;
        let (mut touched, mut undone) = (Touched::default(), Vec::new());
        let mut quarantine: Option<Quarantine> = None;
        for change in changes {
            if let LocalChange::Unstage { name } = change {
                unlink(&dir, Place::Tmp, name.as_str())?;
            }
        }
        let named = changes.iter().filter_map(|change| match change {
            LocalChange::Reflag { name, .. } | LocalChange::Quarantine { name } => Some((name, change)),
            LocalChange::Unstage { .. } => None,
        });
        self.visit(&dir, named, |unique, change, found| match change {
            LocalChange::Reflag { add, remove, .. } => {
                let flags = (found.flags() | *add).without(*remove);
                let step = reflag(&dir, unique, found, flags, &mut touched)?;
                if matches!(step, Step::Refused) {
                    let why = "the flags of a file cannot be changed: its name is too long, or taken";
                    self.warn_once(&dir, unique, &found.file_name(unique), why);
                    undone.push(unique.clone());
                }
                Ok(step)
            }
            LocalChange::Unstage { .. } => Ok(Step::Done),
            LocalChange::Quarantine { .. } => {
                let target = match &mut quarantine {
                    Some(open) => open,
                    None => quarantine.insert(Quarantine::today(&self.root, mailbox, SystemTime::now())?),
                };
                touched.place(found.place);
                let moved = target.take(&dir, found.place, unique, &found.info)?;
                Ok(if moved { Step::Left } else { Step::Missed })
            }
        })?;
        quarantine.map_or(Ok(()), |quarantine| quarantine.sync())?;
        touched.sync(&dir)?;
        Ok(undone)
    }

    /// Runs `act` on each message, where it stands now. Returns the names that vanished.
    fn visit<'a, T: Copy>(
        &self,
        dir: &MailboxDir,
        wanted: impl IntoIterator<Item = (&'a UniqueName, T)>,
        mut act: impl FnMut(&UniqueName, T, &mut Found) -> Result<Step, Error>,
    ) -> Result<Vec<UniqueName>, Error> {
        let mut pending: Vec<(&UniqueName, T)> = wanted.into_iter().collect();
        let mut slot = self.index();
        let mut index = slot.take().filter(|index| index.mailbox == dir.mailbox);
        for _ in 0..ROUNDS {
            if pending.is_empty() {
                break;
            }
            let mut known = match index.take() {
                Some(known) => known,
                None => Index { mailbox: dir.mailbox.clone(), messages: scan::messages(dir)? },
            };
            let mut missed = Vec::new();
            for (unique, with) in pending {
                match known.messages.get_mut(unique).map(|found| act(unique, with, found)).transpose()? {
                    Some(Step::Done | Step::Refused) => {}
                    Some(Step::Left) => {
                        known.messages.remove(unique);
                    }
                    Some(Step::Missed) | None => missed.push((unique, with)),
                }
            }
            // Whatever was missed shows that the index is stale.
            index = Some(known).filter(|_| missed.is_empty());
            pending = missed;
        }
        *slot = index;
        Ok(pending.into_iter().map(|(unique, _)| unique.clone()).collect())
    }

    /// Names a file in the log, once.
    fn warn_once(&self, dir: &MailboxDir, unique: &UniqueName, file: &str, why: &str) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.insert((dir.mailbox.clone(), unique.clone())) {
            tracing::warn!(mailbox = %dir.mailbox, file, "{why}");
        }
    }

    fn index_published(&self, mailbox: &MailboxName, unique: UniqueName, found: Found) {
        if let Some(index) = self.index().as_mut().filter(|index| index.mailbox == *mailbox) {
            index.messages.insert(unique, found);
        }
    }

    fn index(&self) -> MutexGuard<'_, Option<Index>> {
        // The index is only a hint: what a panicking thread left is as good as any.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Touched {
    fn place(&mut self, place: Place) {
        match place {
            Place::New => self.new = true,
            Place::Cur => self.cur = true,
            Place::Tmp => {}
        }
    }

    fn sync(&self, dir: &MailboxDir) -> Result<(), Error> {
        if self.cur {
            dir.sync(Place::Cur)?;
        }
        if self.new {
            dir.sync(Place::New)?;
        }
        Ok(())
    }
}

/// Where a staged message belongs: unseen and unflagged mail is new.
pub(super) fn target(flags: Flags) -> Found {
    if flags.is_empty() {
        Found { place: Place::New, info: "".into() }
    } else {
        Found { place: Place::Cur, info: name::reflag("", flags).into() }
    }
}

/// Moves a file out of `tmp`; whether it stands at its target now.
pub(super) fn move_in(dir: &MailboxDir, unique: &UniqueName, target: &Found) -> Result<bool, Error> {
    let (tmp, place, file_name) = (dir.place(Place::Tmp), dir.place(target.place), target.file_name(unique));
    match dir::rename(tmp, unique.as_str(), place, &file_name) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(Errno::EXIST) if dir::same_file(tmp, unique.as_str(), place, &file_name) => {
            unlink(dir, Place::Tmp, unique.as_str()).map(|()| true)
        }
        Err(errno) => Err(Error::io("publish", dir.describe(&file_name))(errno)),
    }
}

/// Renames a message so that it says `flags`.
fn reflag(
    dir: &MailboxDir,
    unique: &UniqueName,
    found: &mut Found,
    flags: Flags,
    touched: &mut Touched,
) -> Result<Step, Error> {
    if flags == found.flags() {
        let is_there = dir.open_message(found.place, &found.file_name(unique))?.is_some();
        return Ok(if is_there { Step::Done } else { Step::Missed });
    }
    let next = Found { place: Place::Cur, info: name::reflag(&found.info, flags).into() };
    let (old_name, new_name) = (found.file_name(unique), next.file_name(unique));
    let (from, to) = (dir.place(found.place), dir.place(Place::Cur));
    match dir::rename(from, &old_name, to, &new_name) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(Step::Missed),
        Err(Errno::EXIST) if dir::same_file(from, &old_name, to, &new_name) => {
            unlink(dir, found.place, &old_name)?;
        }
        // A copy with the wanted flags stands there already, or the name has no room for flags: neither is worth
        // stopping the mailbox for, and neither loses a message.
        Err(Errno::EXIST | Errno::NAMETOOLONG) => return Ok(Step::Refused),
        Err(errno) => return Err(Error::io("change the flags of", dir.describe(&old_name))(errno)),
    }
    touched.place(found.place);
    touched.place(Place::Cur);
    *found = next;
    Ok(Step::Done)
}

fn unlink(dir: &MailboxDir, place: Place, file_name: &str) -> Result<(), Error> {
    match rustix::fs::unlinkat(dir.place(place), file_name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::io("remove", dir.describe(file_name))(errno)),
    }
}

/// Whether somebody may still be writing a file. A write sets its mtime and its ctime to one moment; the link or rename that
/// ends a delivery sets the ctime alone, and so does who gives the file its date. Only what was written in place waits.
pub(super) fn is_being_written(file: &Metadata, now: SystemTime) -> bool {
    let was_written_last = (file.mtime(), file.mtime_nsec()) == (file.ctime(), file.ctime_nsec());
    let age = file.modified().ok().and_then(|then| now.duration_since(then).ok());
    was_written_last && age.is_some_and(|age| age < UNTOUCHED)
}

fn describe_file(mut file: File, flags: Flags) -> std::io::Result<Outgoing> {
    let size = content::wire_size(&mut file)?;
    file.seek(SeekFrom::Start(0))?;
    let internal_date = file.metadata()?.modified()?;
    Ok(Outgoing { file, size, flags, internal_date })
}
