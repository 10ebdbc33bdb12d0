//! Durable steps on the file system; every one of them is on disk when it returns.
//!
//! A file appears whole or not at all: written to a temporary name, pushed to disk, renamed, and the directory pushed
//! after it. A failed fsync is final for that file: it is removed, never tried again.

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A new file (0600) that must not exist.
pub(super) fn create(path: &Path) -> io::Result<File> {
    step()?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Opens a regular file for reading, never through a symbolic link and never waiting for a FIFO.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)
}

/// Puts `bytes` in place of whatever `path` was.
pub(super) fn replace(path: &Path, temporary: &Path, bytes: &[u8]) -> io::Result<()> {
    remove_if_there(temporary)?;
    let mut file = create(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    step()?;
    fs::rename(temporary, path)?;
    sync_parent(path)
}

/// Renames; an existing `to` is an error (`AlreadyExists`), never overwritten.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    step()?;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // An outbox on NFS: a hard link does not overwrite either.
        Err(Errno::INVAL | Errno::NOSYS) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)?;
        }
        renamed => renamed?,
    }
    sync_parent(to)
}

/// Removes a file, durably; one that is gone already is no error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    remove_if_there(path)?;
    sync_parent(path)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    step()?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    step()?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// A place where a crash test can stop the program.
#[cfg(not(test))]
fn step() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
use fuse::step;
#[cfg(test)]
pub(super) use fuse::{fail_once, set as set_fuse};

/// Lets a test stop all work on the disk after a number of steps, as a crash would.
#[cfg(test)]
mod fuse {
    use std::cell::Cell;
    use std::io;

    thread_local!(static LEFT: Cell<Option<u32>> = const { Cell::new(None) });
    thread_local!(static ONCE: Cell<bool> = const { Cell::new(false) });

    /// Every step after the next `steps` fails; `None`: none does.
    pub(crate) fn set(steps: Option<u32>) {
        LEFT.set(steps);
        ONCE.set(false);
    }

    /// The step after the next `steps` fails, and no other.
    pub(crate) fn fail_once(steps: u32) {
        LEFT.set(Some(steps));
        ONCE.set(true);
    }

    pub(super) fn step() -> io::Result<()> {
        match LEFT.get() {
            Some(0) => {
                LEFT.set((!ONCE.get()).then_some(0));
                Err(io::Error::other("crashed"))
            }
            left => {
                LEFT.set(left.map(|steps| steps - 1));
                Ok(())
            }
        }
    }
}
