//! What stands in the outbox, and which of it is complete.
//!
//! Only regular files, never through a symbolic link; no dot-files, `*~`, `*.tmp`, `*.part`, and nothing in
//! subdirectories, except `new/` and `cur/` of a Maildir dropped there. A file is complete when its writer closed it and a
//! quarter of a second has passed since (`echo >f; cat >>f` closes twice); without word of a close, when size and
//! modification time did not change for two seconds. Hints come from outside; the clock is an argument. What has the name
//! of a message and will not be taken is named, because somebody waits for it to be sent.

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
/// Without change, for a file whose close nobody reported.
const SETTLE_OPEN: SignedDuration = SignedDuration::from_secs(2);
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
    since: Timestamp,
    closed: bool,
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
        Timestamp::new(self.modified.0, i32::try_from(self.modified.1).ok()?).ok()
    }
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
        for (path, identity, is_delivered) in found {
            let hint = is_delivered || closed.contains(&path);
            let sighting = sighted(self.sightings.get(&path), identity, hint, now);
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
    /// Path, identity, and whether its place says that it is complete.
    found: Vec<(PathBuf, FileIdentity, bool)>,
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
            listing.found.push((entry.path(), FileIdentity::of(&metadata), is_maildir));
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
fn sighted(before: Option<&Sighting>, identity: FileIdentity, closed: bool, now: Timestamp) -> Sighting {
    match before {
        // A clock that went back starts the wait anew.
        Some(&known) if known.identity == identity && known.since <= now => {
            Sighting { closed: known.closed || closed, ..known }
        }
        _ => Sighting { identity, since: now, closed },
    }
}

/// When the file counts as complete if it does not change meanwhile.
fn complete_at(sighting: &Sighting, now: Timestamp) -> Timestamp {
    let (start, settle) = if sighting.closed {
        let modified = sighting.identity.modified_at().filter(|&modified| modified <= now);
        (modified.unwrap_or(sighting.since), SETTLE_CLOSED)
    } else {
        (sighting.since, SETTLE_OPEN)
    };
    start.checked_add(settle).unwrap_or(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Classified;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    fn later(time: Timestamp, milliseconds: i64) -> Timestamp {
        time + SignedDuration::from_millis(milliseconds)
    }

    fn names(scan: &Scan) -> Vec<String> {
        let name = |file: &OutboxFile| file.path.file_name().unwrap().to_string_lossy().into_owned();
        let mut names: Vec<String> = scan.ready.iter().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn only_finished_regular_files_are_taken() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for name in [
            "a.eml",
            ".hidden",
            "a.eml~",
            "b.tmp",
            "c.part",
            "#d#",
            "failed/x",
            "drafts/x",
            "new/1",
            "cur/2:2,S",
            "tmp/3",
        ] {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), "To: a@x\n").unwrap();
        }
        fs::write(at("empty"), "").unwrap();
        symlink(at("a.eml"), at("link")).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        let mut outbox = Outbox::new(root.path());
        let now = later(Timestamp::now(), 10_000);
        outbox.scan(now, &BTreeSet::new()).unwrap();
        let scan = outbox.scan(later(now, 2000), &BTreeSet::new()).unwrap();
        assert_eq!(names(&scan), ["1", "2:2,S", "a.eml"]);
        let passed_over: Vec<_> = scan.passed_over.into_iter().collect();
        assert_eq!(
            passed_over,
            [
                (at("drafts"), "is a directory"),
                (at("empty"), "is empty"),
                (at("link"), "is a symbolic link"),
                (at("socket"), "is no regular file")
            ]
        );
    }

    #[test]
    fn nothing_is_taken_from_where_others_can_put_files() {
        let root = tempfile::tempdir().unwrap();
        let new = root.path().join("new");
        fs::create_dir(&new).unwrap();
        fs::write(new.join("1"), "To: a@x\n").unwrap();
        let (mut outbox, none) = (Outbox::new(root.path()), BTreeSet::new());
        let now = later(Timestamp::now(), 10_000);
        let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for directory in [root.path(), new.as_path()] {
            open(directory, 0o777);
            let error = outbox.scan(now, &none).unwrap_err();
            let told = format!("refusing the outbox {}: it is writable for others", directory.display());
            assert_eq!(error.to_string(), told);
            assert!(error.hint().unwrap().contains(&format!("chmod go-w {}", directory.display())));
            open(directory, 0o755);
        }
        assert_eq!(names(&outbox.scan(now, &none).unwrap()), ["1"]);
    }

    #[test]
    fn an_empty_file_is_passed_over_only_when_nobody_writes_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        fs::write(&path, "").unwrap();
        let (mut outbox, none) = (Outbox::new(root.path()), BTreeSet::new());
        let now = later(Timestamp::now(), 10_000);
        let first = outbox.scan(now, &none).unwrap();
        assert_eq!((first.passed_over.len(), first.again_at), (0, Some(later(now, 2000))));
        let second = outbox.scan(later(now, 2000), &none).unwrap();
        assert_eq!((second.passed_over.len(), second.again_at), (1, None));
        fs::write(&path, "To: a@x").unwrap();
        outbox.scan(later(now, 3000), &none).unwrap();
        assert_eq!(names(&outbox.scan(later(now, 5000), &none).unwrap()), ["a"]);
    }

    #[test]
    fn a_file_nobody_saw_closed_must_stand_still_for_two_seconds() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        fs::write(&path, "To").unwrap();
        let (mut outbox, none) = (Outbox::new(root.path()), BTreeSet::new());
        let now = later(Timestamp::now(), 10_000);
        let first = outbox.scan(now, &none).unwrap();
        assert_eq!((first.ready.len(), first.again_at), (0, Some(later(now, 2000))));
        assert_eq!(outbox.scan(later(now, 1999), &none).unwrap().ready, []);
        fs::write(&path, "To: a@x").unwrap();
        assert_eq!(outbox.scan(later(now, 2000), &none).unwrap().ready, [], "it grew");
        assert_eq!(names(&outbox.scan(later(now, 4000), &none).unwrap()), ["a"]);
    }

    #[test]
    fn a_closed_file_is_taken_as_soon_as_it_is_quiet() {
        let identity = FileIdentity { device: 1, inode: 2, size: 3, modified: (1000, 0) };
        let at = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
        let seen = sighted(None, identity, true, at(1_000_100));
        assert_eq!(complete_at(&seen, at(1_000_100)), at(1_000_250));
        let known = sighted(Some(&seen), identity, false, at(1_000_250));
        assert!(known.closed, "a hint is remembered");
        let grown = FileIdentity { size: 4, ..identity };
        assert!(
            !sighted(Some(&seen), grown, false, at(1_000_250)).closed,
            "and forgotten when it is written again"
        );
        let renamed = sighted(None, identity, true, at(5_000_000));
        assert!(
            complete_at(&renamed, at(5_000_000)) <= at(5_000_000),
            "an old file renamed in is taken at once"
        );
        let future = sighted(None, FileIdentity { modified: (9_000, 0), ..identity }, true, at(1_000_000));
        assert_eq!(complete_at(&future, at(1_000_000)), at(1_000_250));
    }
}
