//! One process at a time: a lock on a directory of the state.
//!
//! The daemon holds one on the whole state, and one on each account whose unit runs; `posthaste sync` without a daemon
//! holds that of its account. It is a flock, which the kernel releases when the process dies: a pid file was rejected,
//! because pids come back after a reboot. The pid in the file is only for words. The file is never removed:
//! another process may have just opened it. Blocking: call it off the reactor.
//!
//! Who only wants to know the holder does not touch the lock: a daemon that starts in that moment would be refused. The
//! kernel's own list (proc_locks(5)) tells whether the process that left its pid still has it. Devices are not compared:
//! for btrfs and overlays the list names another one than stat(2) does.

use crate::disk::make_directory;
use crate::error::{Class, Classified};
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// In the directory that is locked.
const FILE: &str = "lock";

/// The holder has the directory for itself until this is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("{what} is in use by another posthaste process{}", named(*.pid))]
    Held {
        /// What is locked, in the user's words.
        what: String,
        /// The process, where it could be found out.
        pid: Option<u32>,
    },
    /// The file system refused.
    #[error("cannot lock {path}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn named(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

impl Classified for Error {
    fn class(&self) -> Class {
        Class::RETRY
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Held { .. } => {
                Some("wait for it to end, or stop it: systemctl --user stop posthaste".to_owned())
            }
            Error::Io { .. } => None,
        }
    }
}

impl Lock {
    /// Locks the state directory of an account, made where it is missing.
    pub fn account(state_dir: &Path, account: &str) -> Result<Lock, Error> {
        Lock::directory(&state_dir.join(account), format!("account {account}"))
    }

    /// Locks a directory, made where it is missing; `what` names it in the error.
    pub fn directory(directory: &Path, what: impl Into<String>) -> Result<Lock, Error> {
        let path = directory.join(FILE);
        let outcome = make_directory(directory).and_then(|()| open(&path)).and_then(take);
        match outcome {
            Ok(file) => Ok(Lock { _file: file }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(Error::Held { what: what.into(), pid: written_pid(&path) })
            }
            Err(source) => Err(Error::Io { path, source }),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Takes the lock without waiting and leaves our pid in the file.
fn take(mut file: File) -> io::Result<File> {
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

fn written_pid(path: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(path).ok()?.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The process that has a directory locked; not one that lives in another container.
pub fn holder(directory: &Path) -> Option<u32> {
    let path = directory.join(FILE);
    let (inode, pid) = (path.metadata().ok()?.ino(), written_pid(&path)?);
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    holds(&locks, pid, inode).then_some(pid)
}

/// A line is `1: FLOCK  ADVISORY  WRITE 708 fe:00:1050 0 EOF`: the device in hexadecimal, the inode in decimal.
fn holds(locks: &str, pid: u32, inode: u64) -> bool {
    let (pid, inode) = (pid.to_string(), inode.to_string());
    locks.lines().any(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            [_, "FLOCK", _, _, holder, place, ..] => {
                *holder == pid && place.rsplit(':').next() == Some(&inode)
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_process_and_the_file_counts_whatever_the_device() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fe:01:50 0 EOF\n2: FLOCK  ADVISORY  WRITE 22 00:2f:50 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 33 fe:01:51 0 EOF\n";
        assert!(holds(locks, 22, 50));
        for (pid, inode) in [(11, 50), (33, 51), (22, 51), (2, 50), (22, 5), (22, 0)] {
            assert!(!holds(locks, pid, inode), "{pid} {inode}");
        }
    }

    #[test]
    fn a_lock_of_this_process_is_seen_and_still_there() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join(FILE), format!("{}\n", std::process::id())).unwrap();
        assert_eq!(holder(state.path()), None);
        let _held = Lock::directory(state.path(), "the state").unwrap();
        assert_eq!(holder(state.path()), Some(std::process::id()));
        Lock::directory(state.path(), "the state").unwrap_err();
    }

    #[test]
    fn the_second_holder_is_refused_with_the_pid_of_the_first() {
        let state = tempfile::tempdir().unwrap();
        let first = Lock::account(state.path(), "lab").unwrap();
        let refused = Lock::account(state.path(), "lab").unwrap_err();
        let expected =
            format!("account lab is in use by another posthaste process (pid {})", std::process::id());
        assert_eq!(refused.to_string(), expected);
        let _other = Lock::account(state.path(), "other").expect("accounts do not exclude each other");
        drop(first);
        Lock::account(state.path(), "lab").expect("free again");
    }

    #[test]
    fn a_file_left_by_a_dead_process_locks_nobody_out() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("lock"), "1\n").unwrap();
        Lock::directory(state.path(), "the state").unwrap();
        let text = std::fs::read_to_string(state.path().join("lock")).unwrap();
        assert_eq!(text.trim(), std::process::id().to_string());
    }
}
