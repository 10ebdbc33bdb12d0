//! Who holds a lock file, without touching the lock: the kernel's own list, `/proc/locks` (proc_locks(5)).
//!
//! The holder has left its process id in the file; the list tells whether that process still has it. Devices are not
//! compared: for btrfs and overlays the list names another one than stat(2) does. Trying to take the lock was rejected: a
//! daemon that starts in that moment would be refused.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The process that holds an flock on the file and wrote its id into it; not one that lives in another container.
pub(super) fn holder(path: &Path) -> Option<u32> {
    let inode = path.metadata().ok()?.ino();
    let pid = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
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
    use std::io::Write;

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
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "{}\n", std::process::id()).unwrap();
        assert_eq!(holder(file.path()), None);
        rustix::fs::flock(file.as_file(), rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
        assert_eq!(holder(file.path()), Some(std::process::id()));
    }
}
