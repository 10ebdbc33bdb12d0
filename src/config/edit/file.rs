//! A file that is replaced as a whole: one writer at a time, written beside it, durable, renamed over it.
//!
//! The lock is a flock on the directory that holds the file, so that nothing is left behind by it; whoever changes the
//! file reads it only then. A symbolic link stays one, also where its target is still missing.

use crate::disk::make_directory;
use rustix::fs::{FlockOperation, flock};
use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// As many links in a row as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;
/// The permissions of a file that may come to hold a secret.
const PRIVATE: u32 = 0o600;

/// The file, nobody else's to replace until this is dropped.
pub(super) struct Held {
    path: PathBuf,
    directory: File,
}

impl Held {
    /// Waits until nobody else changes the file. Its directory is made where it is missing, for the owner alone.
    pub(super) fn wait(path: &Path) -> io::Result<Held> {
        let path = behind_links(path);
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        make_directory(parent)?;
        let directory = File::open(parent)?;
        flock(&directory, FlockOperation::LockExclusive)?;
        Ok(Held { path, directory })
    }

    /// Puts the text in the place of the file; its permissions stay, and a new file is private.
    pub(super) fn replace(&self, text: &str) -> io::Result<()> {
        let mode = self.path.metadata().map_or(PRIVATE, |found| found.mode() & 0o7777);
        self.replace_with_mode(text, mode)
    }

    /// [`Held::replace`], readable by its owner alone whatever stood there.
    pub(super) fn replace_privately(&self, text: &str) -> io::Result<()> {
        self.replace_with_mode(text, PRIVATE)
    }

    fn replace_with_mode(&self, text: &str, mode: u32) -> io::Result<()> {
        let fresh = self.fresh();
        // What a crash left behind; there is one name only, which the lock makes ours.
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let written = write_durably(&fresh, text, mode).and_then(|()| std::fs::rename(&fresh, &self.path));
        if written.is_err() {
            // Nothing is lost by it; the cause of the failure is told.
            let _ = std::fs::remove_file(&fresh);
        }
        written?;
        self.directory.sync_all()
    }

    /// `.NAME.new` beside the file.
    fn fresh(&self) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".new");
        self.path.with_file_name(name)
    }
}

/// Where a link leads in the end, whether something is there or not.
fn behind_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = path.read_link() else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}

fn write_durably(fresh: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(fresh)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}
