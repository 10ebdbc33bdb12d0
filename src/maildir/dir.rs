//! Directories by descriptor: nothing here ever leaves the root.
//!
//! The root is opened anew for every operation and checked each time (owner, mode): a descriptor kept open would
//! hide an unmounted or replaced disk. Below it every step is one `openat` with `O_NOFOLLOW` on one component that
//! [`super::layout`] made, so neither a hostile name nor a planted symlink leads elsewhere.

use super::error::Error;
use super::layout;
use crate::disk::make_directory;
use crate::keeping::Layout;
use crate::mail::MailboxName;
use crate::ownership;
use crate::sync::DirectoryId;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The marker in each mailbox directory of ours; holds the mailbox's name.
pub(super) const MARKER: &str = ".posthaste-mailbox";
/// A marker being written.
const MARKER_DRAFT: &str = ".posthaste-mailbox.tmp";
/// Longest marker that is read; names longer than this are no names.
const MARKER_LIMIT: u64 = 16 * 1024;
/// Says to other Maildir++ programs that a directory is a mailbox below INBOX.
const FOLDER: &str = "maildirfolder";

const DIRECTORY: OFlags =
    OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::RDONLY);
const PRIVATE_DIRECTORY: Mode = Mode::RWXU;
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);

/// The directory that holds all mailboxes of an account.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) path: PathBuf,
    pub(super) layout: Layout,
}

/// The three directories in which a message file can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    New,
    Cur,
    Tmp,
}

/// One mailbox, opened.
#[derive(Debug)]
pub(super) struct MailboxDir {
    pub(super) mailbox: MailboxName,
    pub(super) dir: OwnedFd,
    new: OwnedFd,
    cur: OwnedFd,
    tmp: OwnedFd,
}

impl Root {
    /// Makes the root (0700, with its parents) where it is missing.
    pub(super) fn make(&self) -> Result<(), Error> {
        make_directory(&self.path).map_err(|source| Error::Root { path: self.path.clone(), source })?;
        self.open().map(drop)
    }

    /// Opens the root; a symlink to a directory of the user's own is fine.
    pub(super) fn open(&self) -> Result<OwnedFd, Error> {
        let fail = |errno: Errno| Error::Root { path: self.path.clone(), source: errno.into() };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let root = rustix::fs::open(&self.path, flags, Mode::empty()).map_err(fail)?;
        let stat = rustix::fs::fstat(&root).map_err(fail)?;
        match ownership::problem(stat.st_uid, stat.st_mode, rustix::process::geteuid().as_raw()) {
            None => Ok(root),
            Some(problem) => Err(Error::UnsafeRoot { path: self.path.clone(), problem }),
        }
    }

    /// The components of a mailbox's directory below the root.
    pub(super) fn components(&self, mailbox: &MailboxName) -> Result<Vec<String>, Error> {
        layout::directory(self.layout, mailbox).ok_or_else(|| Error::TooDeep { mailbox: mailbox.clone() })
    }

    /// Opens a mailbox; `None` unless it has its directory with `new`, `cur` and `tmp`.
    pub(super) fn mailbox(&self, mailbox: &MailboxName) -> Result<Option<MailboxDir>, Error> {
        let mut dir = self.open()?;
        let opened = self.components(mailbox)?.iter().try_for_each(|component| {
            dir = open_dir(&dir, component)?;
            Ok(())
        });
        match opened.and_then(|()| MailboxDir::from_dir(mailbox, dir)) {
            Ok(opened) => Ok(Some(opened)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::io("open mailbox", mailbox)(errno)),
        }
    }

    /// Opens a mailbox that must exist.
    pub(super) fn existing(&self, mailbox: &MailboxName) -> Result<MailboxDir, Error> {
        self.mailbox(mailbox)?.ok_or_else(|| Error::NoMailbox { mailbox: mailbox.clone() })
    }

    /// Makes whatever is missing of a mailbox, durably, and puts our marker into it.
    pub(super) fn create(&self, mailbox: &MailboxName) -> Result<DirectoryId, Error> {
        let fail = |error: io::Error| Error::io("create mailbox", mailbox)(error);
        let components = self.components(mailbox)?;
        let dir = make_path(self.open()?, &components).map_err(|errno| fail(errno.into()))?;
        for place in ["tmp", "new", "cur"] {
            make_dir(&dir, place).map_err(|errno| fail(errno.into()))?;
        }
        if self.layout == Layout::MaildirPlusPlus && !mailbox.is_inbox() {
            touch(&dir, FOLDER).map_err(|errno| fail(errno.into()))?;
        }
        mark(dir.as_fd(), mailbox).map_err(fail)?;
        identity(&dir).map_err(|errno| fail(errno.into()))
    }
}

impl MailboxDir {
    fn from_dir(mailbox: &MailboxName, dir: OwnedFd) -> Result<MailboxDir, Errno> {
        let (new, cur, tmp) = (open_dir(&dir, "new")?, open_dir(&dir, "cur")?, open_dir(&dir, "tmp")?);
        Ok(MailboxDir { mailbox: mailbox.clone(), dir, new, cur, tmp })
    }

    pub(super) fn place(&self, place: Place) -> BorrowedFd<'_> {
        match place {
            Place::New => self.new.as_fd(),
            Place::Cur => self.cur.as_fd(),
            Place::Tmp => self.tmp.as_fd(),
        }
    }

    pub(super) fn identity(&self) -> Result<DirectoryId, Error> {
        identity(&self.dir).map_err(Error::io("look at mailbox", &self.mailbox))
    }

    pub(super) fn is_marked(&self) -> bool {
        rustix::fs::statat(&self.dir, MARKER, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Makes the entries of one of the three directories durable.
    pub(super) fn sync(&self, place: Place) -> Result<(), Error> {
        rustix::fs::fsync(self.place(place)).map_err(Error::io("sync the directory of", &self.mailbox))
    }

    /// Opens a message for reading; `None` where nothing, or no plain file, has that name.
    pub(super) fn open_message(&self, place: Place, name: &str) -> Result<Option<File>, Error> {
        // NONBLOCK: a FIFO planted under the name must not hold the thread.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(self.place(place), name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
            Err(errno) => return Err(Error::io("open", self.describe(name))(errno)),
        };
        let stat = rustix::fs::fstat(&file).map_err(Error::io("look at", self.describe(name)))?;
        Ok(FileType::from_raw_mode(stat.st_mode).is_file().then(|| File::from(file)))
    }

    /// A file as error messages name it.
    pub(super) fn describe(&self, name: &str) -> String {
        format!("{name} in mailbox {}", self.mailbox)
    }
}

/// Opens one directory below another, never through a symlink.
pub(super) fn open_dir(parent: impl AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())
}

/// Creates a private file that does not exist yet.
pub(super) fn create_file(parent: impl AsFd, name: &str) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, PRIVATE_FILE).map(File::from)
}

/// Makes directories one inside the other where they are missing, and opens the last.
pub(super) fn make_path(start: OwnedFd, components: &[String]) -> Result<OwnedFd, Errno> {
    components.iter().try_fold(start, |dir, component| {
        make_dir(&dir, component)?;
        open_dir(&dir, component.as_str())
    })
}

/// One directory, durable in its parent.
pub(super) fn make_dir(parent: &OwnedFd, name: &str) -> Result<(), Errno> {
    match rustix::fs::mkdirat(parent, name, PRIVATE_DIRECTORY) {
        Ok(()) => rustix::fs::fsync(parent),
        Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Renames without ever replacing a file. File systems without `RENAME_NOREPLACE` get a link and an unlink; a crash
/// between the two leaves one message under two names of one inode, which [`same_file`] tells.
pub(super) fn rename(from: impl AsFd, old: &str, to: impl AsFd, new: &str) -> Result<(), Errno> {
    match rustix::fs::renameat_with(&from, old, &to, new, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => link_and_unlink(from, old, to, new),
        done => done,
    }
}

fn link_and_unlink(from: impl AsFd, old: &str, to: impl AsFd, new: &str) -> Result<(), Errno> {
    rustix::fs::linkat(&from, old, to, new, AtFlags::empty())?;
    rustix::fs::unlinkat(&from, old, AtFlags::empty())
}

/// Whether two names lead to one file.
pub(super) fn same_file(one: impl AsFd, name: &str, other: impl AsFd, other_name: &str) -> bool {
    let stat = |dir: BorrowedFd<'_>, name| rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
    match (stat(one.as_fd(), name), stat(other.as_fd(), other_name)) {
        (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
        _ => false,
    }
}

/// What the marker in a directory says.
pub(super) fn marker(dir: BorrowedFd<'_>) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::openat(dir, MARKER, flags, Mode::empty()).ok()?);
    let mut told = String::new();
    file.take(MARKER_LIMIT).read_to_string(&mut told).ok()?;
    Some(told)
}

/// Puts the marker into a directory. Written aside and renamed, so that a crash leaves the old one or the new one.
pub(super) fn mark(dir: BorrowedFd<'_>, mailbox: &MailboxName) -> io::Result<()> {
    if marker(dir).as_deref() == Some(mailbox.as_str()) {
        return Ok(());
    }
    match rustix::fs::unlinkat(dir, MARKER_DRAFT, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    let mut file = create_file(dir, MARKER_DRAFT)?;
    file.write_all(mailbox.as_str().as_bytes())?;
    file.sync_all()?;
    rustix::fs::renameat(dir, MARKER_DRAFT, dir, MARKER)?;
    Ok(rustix::fs::fsync(dir)?)
}

fn touch(dir: &OwnedFd, name: &str) -> Result<(), Errno> {
    match create_file(dir, name) {
        Ok(_) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn identity(dir: &OwnedFd) -> Result<DirectoryId, Errno> {
    let stat = rustix::fs::fstat(dir)?;
    Ok(DirectoryId { device: stat.st_dev, inode: stat.st_ino })
}

/// The plain name of a directory entry as text; `None` for what is not UTF-8.
pub(super) fn text(name: &CStr) -> Option<&str> {
    name.to_str().ok()
}

/// The path of a mailbox, for those who can only watch paths.
pub(super) fn path_below(root: &Path, components: &[String]) -> PathBuf {
    components.iter().fold(root.to_owned(), |path, component| path.join(component))
}
