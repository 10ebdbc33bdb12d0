//! Who holds a lock file, without touching the lock: the kernel's own list, `/proc/locks` (proc_locks(5)).
//!
//! Trying to take the lock was rejected: a daemon that starts in that moment would be refused.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The process that holds an flock on the file; 0 where it lives in another container.
pub(super) fn holder(path: &Path) -> Option<u32> {
    let file = path.metadata().ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let (major, minor) = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
    find(&locks, major, minor, file.ino())
}

/// A line is `1: FLOCK  ADVISORY  WRITE 708 fe:00:1050 0 EOF`: device in hexadecimal, inode in decimal.
fn find(locks: &str, major: u32, minor: u32, inode: u64) -> Option<u32> {
    let place = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            [_, "FLOCK", _, _, pid, at, ..] if *at == place => pid.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_file_counts_and_no_waiting_one() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fe:01:50 0 EOF\n2: FLOCK  ADVISORY  WRITE 22 fe:01:50 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 33 fe:01:51 0 EOF\n";
        assert_eq!(find(locks, 0xfe, 1, 50), Some(22));
        assert_eq!(find(locks, 0xfe, 1, 51), None);
        assert_eq!(find(locks, 0, 1, 50), None);
    }

    #[test]
    fn a_lock_of_this_process_is_seen_and_still_there() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(holder(file.path()), None);
        rustix::fs::flock(file.as_file(), rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
        assert!(holder(file.path()).is_some());
    }
}
