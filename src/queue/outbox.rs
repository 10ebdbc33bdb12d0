//! What stands in the outbox, and which of it is complete.
//!
//! Only regular files, never through a symbolic link; no dot-files, `*~`, `*.tmp`, `*.part`, and nothing in
//! subdirectories, except `new/` and `cur/` of a Maildir dropped there. A file is complete when its writer closed it, or
//! a hard link brought it whole, and a quarter of a second has passed since (`echo >f; cat >>f` closes twice); without
//! word of a close (start, lost events, network file systems), when neither content nor inode changed for a minute: a
//! writer may pause longer than a few seconds, and half a message must never be sent. Hints come from outside; the clock
//! is an argument. A lease (F_SETLEASE) would tell an open writer, but there is no way to ask for one without unsafe
//! code. What has the name of a message and will not be taken is named, because somebody waits for it to be sent.

use super::error::{Error, at};
use crate::ownership;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// After the last change of a file that was closed.
const SETTLE_CLOSED: SignedDuration = SignedDuration::from_millis(250);
/// After the last change of a file whose close nobody reported: its writer may only be slow.
const SETTLE_OPEN: SignedDuration = SignedDuration::from_secs(60);
/// Files looked at in one scan; the others come in their turn.
const MAX_FILES: usize = 10_000;
/// Names told of what is not taken; enough to see that something is wrong.
const MAX_PASSED_OVER: usize = 20;
/// Directories that belong into an outbox: what came back, and the parts of a Maildir.
const KNOWN_DIRECTORIES: [&str; 4] = ["failed", "new", "cur", "tmp"];

/// Which file, and in which state of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// Octets.
    pub size: u64,
    /// Last modification, seconds and nanoseconds of the Unix clock.
    pub modified: (i64, i64),
}

/// A complete file of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxFile {
    /// Where it is.
    pub path: PathBuf,
    /// Which file it was when found complete.
    pub identity: FileIdentity,
}

/// What a scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Complete files, oldest first.
    pub ready: Vec<OutboxFile>,
    /// When to look again because a file is not yet known to be complete.
    pub again_at: Option<Timestamp>,
    /// What will not be taken as it is, and why: `is empty`.
    pub passed_over: BTreeMap<PathBuf, &'static str>,
}

/// The outbox of an account, with the memory that tells a finished file from one being written.
#[derive(Debug)]
pub struct Outbox {
    root: PathBuf,
    sightings: BTreeMap<PathBuf, Sighting>,
}

#[derive(Clone, Copy, Debug)]
struct Sighting {
    identity: FileIdentity,
    /// Last change of the inode.
    changed: Option<Timestamp>,
    since: Timestamp,
    closed: bool,
}

/// A file as the listing shows it.
#[derive(Clone, Copy, Debug)]
struct Sight {
    identity: FileIdentity,
    changed: Option<Timestamp>,
    /// Its place or a second name says that it is complete.
    is_delivered: bool,
}

impl FileIdentity {
    /// The identity that the metadata tell.
    pub(super) fn of(metadata: &Metadata) -> FileIdentity {
        FileIdentity {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    fn modified_at(&self) -> Option<Timestamp> {
        timestamp(self.modified)
    }
}

fn timestamp((seconds, nanoseconds): (i64, i64)) -> Option<Timestamp> {
    Timestamp::new(seconds, i32::try_from(nanoseconds).ok()?).ok()
}

impl Outbox {
    /// The outbox in directory `root`.
    pub fn new(root: impl Into<PathBuf>) -> Outbox {
        Outbox { root: root.into(), sightings: BTreeMap::new() }
    }

    /// Looks at every file, unless others can put files there. `closed`: paths that a watcher saw closed or renamed into place since the last scan.
    pub fn scan(&mut self, now: Timestamp, closed: &BTreeSet<PathBuf>) -> Result<Scan, Error> {
        let Listing { found, passed_over } = self.list()?;
        let mut scan = Scan { passed_over, ..Scan::default() };
        let mut sightings = BTreeMap::new();
        for (path, sight) in found {
            let hint = sight.is_delivered || closed.contains(&path);
            let sighting = sighted(self.sightings.get(&path), sight, hint, now);
            let identity = sight.identity;
            match complete_at(&sighting, now) {
                at if at <= now && identity.size == 0 => {
                    pass_over(&mut scan.passed_over, path.clone(), "is empty");
                }
                at if at <= now => scan.ready.push(OutboxFile { path: path.clone(), identity }),
                at => scan.again_at = Some(scan.again_at.map_or(at, |other| other.min(at))),
            }
            sightings.insert(path, sighting);
        }
        scan.ready.sort_by_key(|file| file.identity.modified);
        self.sightings = sightings;
        Ok(scan)
    }

    fn list(&self) -> Result<Listing, Error> {
        let mut listing = Listing::default();
        list_into(&self.root, false, &mut listing)?;
        for name in ["new", "cur"] {
            let directory = self.root.join(name);
            if fs::symlink_metadata(&directory).is_ok_and(|metadata| metadata.is_dir()) {
                list_into(&directory, true, &mut listing)?;
            }
        }
        Ok(listing)
    }
}

/// What stands in the outbox under the name of a message.
#[derive(Debug, Default)]
struct Listing {
    found: Vec<(PathBuf, Sight)>,
    passed_over: BTreeMap<PathBuf, &'static str>,
}

fn list_into(directory: &Path, is_maildir: bool, listing: &mut Listing) -> Result<(), Error> {
    check(directory)?;
    for entry in fs::read_dir(directory).map_err(at("read the outbox", directory))? {
        if listing.found.len() >= MAX_FILES {
            break;
        }
        let entry = entry.map_err(at("read the outbox", directory))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // A file may be gone since it was listed: that is its owner's right.
        let Ok(metadata) = entry.metadata() else { continue };
        if !is_candidate(&name) {
            continue;
        }
        if metadata.is_file() {
            let sight = Sight {
                identity: FileIdentity::of(&metadata),
                changed: timestamp((metadata.ctime(), metadata.ctime_nsec())),
                is_delivered: is_maildir || metadata.nlink() > 1,
            };
            listing.found.push((entry.path(), sight));
        } else if is_maildir || !metadata.is_dir() || !KNOWN_DIRECTORIES.contains(&&*name) {
            pass_over(&mut listing.passed_over, entry.path(), oddity(&metadata));
        }
    }
    Ok(())
}

/// What others can put into a directory is not taken from it: it would be sent in our name.
fn check(directory: &Path) -> Result<(), Error> {
    let found = fs::metadata(directory).map_err(at("look at the outbox", directory))?;
    match ownership::problem(found.uid(), found.mode(), rustix::process::geteuid().as_raw()) {
        None => Ok(()),
        Some(problem) => Err(Error::UnsafeOutbox { path: directory.to_owned(), problem }),
    }
}

fn pass_over(passed_over: &mut BTreeMap<PathBuf, &'static str>, path: PathBuf, why: &'static str) {
    if passed_over.len() < MAX_PASSED_OVER {
        passed_over.insert(path, why);
    }
}

/// What something is that is no regular file.
fn oddity(metadata: &Metadata) -> &'static str {
    match metadata.file_type() {
        kind if kind.is_symlink() => "is a symbolic link",
        kind if kind.is_dir() => "is a directory",
        _ => "is no regular file",
    }
}

/// Whether the name is one of a finished file.
fn is_candidate(name: &str) -> bool {
    let is_backup = name.ends_with('~') || (name.starts_with('#') && name.ends_with('#'));
    !(name.starts_with('.') || is_backup || name.ends_with(".tmp") || name.ends_with(".part"))
}

/// What is known of a file, its present look taken in.
fn sighted(before: Option<&Sighting>, sight: Sight, closed: bool, now: Timestamp) -> Sighting {
    let Sight { identity, changed, .. } = sight;
    match before {
        // A clock that went back starts the wait anew.
        Some(&known) if known.identity == identity && known.since <= now => {
            Sighting { changed, closed: known.closed || closed, ..known }
        }
        _ => Sighting { identity, changed, since: now, closed },
    }
}

/// When the file counts as complete if it does not change meanwhile. Times from the future count as the first sight.
fn complete_at(sighting: &Sighting, now: Timestamp) -> Timestamp {
    let past = |time: Option<Timestamp>| time.filter(|&time| time <= now).unwrap_or(sighting.since);
    let modified = past(sighting.identity.modified_at());
    let (start, settle) = match sighting.closed {
        true => (modified, SETTLE_CLOSED),
        false => (modified.max(past(sighting.changed)), SETTLE_OPEN),
    };
    start.checked_add(settle).unwrap_or(start)
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
