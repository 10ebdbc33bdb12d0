//! The quarantine: where local copies go instead of being deleted.
//!
//! `ROOT/.posthaste/quarantine/2026-11-22/<mailbox directory>/cur/<file name>`: each day is a Maildir tree that any reader
//! opens, and has an age ([`ages`]), because the mtime of a file is its INTERNALDATE and must stay. On the same
//! file system as the mailboxes, so that a message is moved, never copied. Nothing in it is ever replaced.
//!
//! Also swept here: files in `tmp` that nobody finished, after the 36 hours of the Maildir specification. Their age is
//! the time of their last change of status (ctime): the mtime of a staged file is INTERNALDATE already.

use super::ages;
use super::dir::{self, MailboxDir, Place, Root};
use super::error::Error;
use super::layout::DEEPEST;
use super::name;
use super::scan::{self, Found};
use crate::mail::{MailboxName, UniqueName};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long copies are kept by default.
pub const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);
/// An unfinished delivery is given up after this time (Maildir specification).
const UNFINISHED: Duration = Duration::from_secs(36 * 3600);
/// Below the root; the leading dot keeps readers and our own listing out.
const HOME: [&str; 2] = [".posthaste", "quarantine"];
/// Names tried before a copy is refused; more than one copy of a name on one day is already rare.
const ATTEMPTS: u32 = 100;

/// A copy in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quarantined {
    /// The day it was put there (UTC), as in the directory: `2026-11-22`.
    pub day: String,
    /// The mailbox it was in.
    pub mailbox: MailboxName,
    /// Its file name.
    pub file: String,
}

/// The quarantine of one mailbox on one day, open for copies to come.
#[derive(Debug)]
pub(super) struct Quarantine {
    cur: OwnedFd,
}

impl Quarantine {
    pub(super) fn today(root: &Root, mailbox: &MailboxName, now: SystemTime) -> Result<Quarantine, Error> {
        let path = path(&day_of(now).to_string(), &root.components(mailbox)?);
        let fail = |errno| Error::io::<Errno>("open the quarantine of", mailbox)(errno);
        let dir = dir::make_path(root.open()?, &path).map_err(fail)?;
        dir::mark(dir.as_fd(), mailbox).map_err(Error::io("mark the quarantine of", mailbox))?;
        // The three directories of a Maildir, so that readers accept it.
        for name in ["new", "tmp"] {
            dir::make_dir(&dir, name).map_err(fail)?;
        }
        let cur = dir::make_path(dir, &["cur".to_owned()]).map_err(fail)?;
        Ok(Quarantine { cur })
    }

    /// Takes a file out of its mailbox; whether it was there.
    pub(super) fn take(
        &self,
        from: &MailboxDir,
        place: Place,
        unique: &UniqueName,
        info: &str,
    ) -> Result<bool, Error> {
        let old_name = format!("{unique}{info}");
        for attempt in 0..ATTEMPTS {
            let new_name = if attempt == 0 { old_name.clone() } else { format!("{unique}.{attempt}{info}") };
            match dir::rename(from.place(place), &old_name, &self.cur, &new_name) {
                Ok(()) => return Ok(true),
                Err(Errno::NOENT) => return Ok(false),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(Error::io("quarantine", from.describe(&old_name))(errno)),
            }
        }
        Err(Error::io("quarantine", from.describe(&old_name))(Errno::EXIST))
    }

    /// Makes the copies taken durable; comes before the sync of the mailbox they left.
    pub(super) fn sync(&self) -> Result<(), Error> {
        rustix::fs::fsync(&self.cur).map_err(Error::io("sync", "the quarantine"))
    }
}

/// Every copy in quarantine, oldest day first.
pub(super) fn list(root: &Root) -> Result<Vec<Quarantined>, Error> {
    let mut all = Vec::new();
    for day in days(root)? {
        let day = day.to_string();
        let below = Root { path: dir::path_below(&root.path, &path(&day, &[])), layout: root.layout };
        for mailbox in scan::mailboxes(&below)? {
            let Some(dir) = below.mailbox(&mailbox)? else { continue };
            all.extend(scan::messages(&dir)?.into_iter().map(|(unique, found)| Quarantined {
                day: day.clone(),
                mailbox: mailbox.clone(),
                file: found.file_name(&unique),
            }));
        }
    }
    Ok(all)
}

/// Brings a copy back into its mailbox, where it is then new to the base; whether it was there.
pub(super) fn restore(root: &Root, copy: &Quarantined) -> Result<bool, Error> {
    let (unique, info) = name::split(&copy.file);
    let to = Found { place: Place::Cur, info: name::reflag(info, name::flags(info)).into() };
    // The day comes from outside: only what is a date leads anywhere.
    let Ok(day) = copy.day.parse::<Date>() else { return Ok(false) };
    if copy.file.contains('/') {
        return Ok(false);
    }
    let below = Root { path: dir::path_below(&root.path, &path(&day.to_string(), &[])), layout: root.layout };
    let from = match below.mailbox(&copy.mailbox) {
        Ok(Some(from)) => from,
        Ok(None) | Err(Error::Root { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    root.create(&copy.mailbox)?;
    let mailbox = root.existing(&copy.mailbox)?;
    let new_name = to.file_name(&UniqueName::new(unique));
    match dir::rename(from.place(Place::Cur), &copy.file, mailbox.place(to.place), &new_name) {
        Ok(()) => mailbox.sync(to.place).map(|()| true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(Error::io("restore", mailbox.describe(&copy.file))(errno)),
    }
}

/// Deletes the days whose last copies have been here for `keep`, and deliveries into `tmp` that nobody finished; how many
/// files that were.
pub(super) fn clean_up(root: &Root, now: SystemTime, keep: Duration) -> Result<u64, Error> {
    // A disk that is not mounted has an empty place, which must stay so.
    if scan::mailboxes(root)?.is_empty() {
        return Ok(0);
    }
    let home = HOME.map(str::to_owned);
    let home = dir::make_path(root.open()?, &home).map_err(Error::io("open", "the quarantine"))?;
    let (ages, kept) = ages::count(home.as_fd(), &days(root)?, now);
    if let Err(error) = kept {
        tracing::debug!(%error, "cannot keep the ages of the quarantine");
    }
    // A day's copies are up to a day younger than the day.
    let old = ages.days.iter().filter(|(_, age)| **age >= keep + ages::LONGEST);
    let mut removed = 0;
    for (day, _) in old {
        let name = day.to_string();
        let fail = |errno| Error::io::<Errno>("purge the quarantine of", &name)(errno);
        removed += remove_tree(home.as_fd(), &name, 0).map_err(fail)?;
    }
    // After a jump of the clock everything in `tmp` seems abandoned, also what is being delivered.
    if ages.is_steady {
        removed += sweep_tmp(root, now)?;
    }
    Ok(removed)
}

fn sweep_tmp(root: &Root, now: SystemTime) -> Result<u64, Error> {
    let limit = now.checked_sub(UNFINISHED).and_then(|limit| limit.duration_since(UNIX_EPOCH).ok());
    let limit = limit.map_or(0, |since| since.as_secs());
    let mut removed = 0;
    for mailbox in scan::mailboxes(root)? {
        let Some(dir) = root.mailbox(&mailbox)? else { continue };
        removed += sweep(dir.place(Place::Tmp), limit).map_err(Error::io("sweep tmp of", &mailbox))?;
    }
    Ok(removed)
}

fn sweep(tmp: BorrowedFd<'_>, limit: u64) -> Result<u64, Errno> {
    let mut names = Vec::new();
    scan::for_each_entry(tmp, |name, kind| {
        names.extend(name.filter(|_| kind == FileType::RegularFile).map(str::to_owned));
    })?;
    let mut removed = 0;
    for name in names {
        let is_old = rustix::fs::statat(tmp, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| u64::try_from(stat.st_ctime).is_ok_and(|changed| changed < limit));
        if is_old && rustix::fs::unlinkat(tmp, name.as_str(), AtFlags::empty()).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}

fn path(day: &str, components: &[String]) -> Vec<String> {
    HOME.into_iter().chain([day]).map(str::to_owned).chain(components.iter().cloned()).collect()
}

fn day_of(time: SystemTime) -> Date {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC).date()
}

fn home(root: &Root) -> Result<Option<OwnedFd>, Error> {
    let opened = HOME.iter().try_fold(root.open()?, |dir, name| dir::open_dir(&dir, *name));
    match opened {
        Ok(home) => Ok(Some(home)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Error::io("open", "the quarantine")(errno)),
    }
}

/// The days in quarantine, oldest first. What is not named as a day is not ours.
fn days(root: &Root) -> Result<Vec<Date>, Error> {
    let Some(home) = home(root)? else { return Ok(Vec::new()) };
    let mut days = Vec::new();
    scan::for_each_entry(home.as_fd(), |name, kind| {
        let day = name.filter(|_| kind == FileType::Directory).and_then(|name| name.parse::<Date>().ok());
        days.extend(day);
    })
    .map_err(Error::io("read", "the quarantine"))?;
    days.sort_unstable();
    Ok(days)
}

/// Deletes a directory and all in it, never through a symlink; how many files that were.
fn remove_tree(parent: BorrowedFd<'_>, name: &str, depth: usize) -> Result<u64, Errno> {
    if depth > DEEPEST + 2 {
        return Err(Errno::LOOP);
    }
    let dir = dir::open_dir(parent, name)?;
    let mut entries = Vec::new();
    scan::for_each(dir.as_fd(), |name, kind| entries.extend(name.map(|name| (name.to_owned(), kind))))?;
    let mut removed = 0;
    for (entry, kind) in entries {
        if kind == FileType::Directory {
            removed += remove_tree(dir.as_fd(), &entry, depth + 1)?;
        } else {
            rustix::fs::unlinkat(&dir, entry.as_str(), AtFlags::empty())?;
            removed += u64::from(!entry.starts_with('.'));
        }
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?;
    Ok(removed)
}
