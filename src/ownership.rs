//! Whether a directory of mail is its owner's alone, in the words that both sides of it say: the Maildir and the outbox.
//!
//! Who can put a file into the one plants mail, and into the other sends it in the owner's name. Pure: the caller asks
//! the file system and the process who they are. Reading by others is the owner's choice and none of our business.

use std::path::Path;

/// The permissions that let others change what is in a directory.
const OTHERS_WRITE: u32 = 0o022;

/// What is wrong with a directory of this owner and these permissions, for `user`.
pub fn problem(owner: u32, mode: u32, user: u32) -> Option<&'static str> {
    if owner != user {
        Some("belongs to another user")
    } else if mode & OTHERS_WRITE != 0 {
        Some("is writable for others")
    } else {
        None
    }
}

/// What mends it.
pub fn remedy(path: &Path) -> String {
    let path = path.display();
    format!("make it yours and closed to others: chown \"$USER\" {path}; chmod go-w {path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_others_cannot_change_is_its_owners_alone() {
        assert_eq!([0o40700, 0o40755, 0o40500].map(|mode| problem(7, mode, 7)), [None; 3]);
        for mode in [0o40777, 0o40720, 0o40702, 0o41777] {
            assert_eq!(problem(7, mode, 7), Some("is writable for others"), "{mode:o}");
        }
        assert_eq!(problem(0, 0o40700, 7), Some("belongs to another user"));
    }
}
