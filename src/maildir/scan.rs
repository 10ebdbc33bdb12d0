//! Reading directories: which mailboxes there are, and which messages a mailbox holds.
//!
//! One reading of a directory while readers rename in it can miss a name or show it twice (POSIX readdir). So `new`
//! is read before `cur`, the way files travel, a name seen in both counts once, and no caller concludes from one
//! reading that a message is gone. What is not a plain file with a UTF-8 name is no message.

use super::dir::{self, MailboxDir, Place, Root};
use super::error::Error;
use super::layout::{self, DEEPEST};
use super::name;
use crate::keeping::Layout;
use crate::mail::{Flags, MailboxName, UniqueName};
use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Where a message's file stands and what follows its unique name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) info: Box<str>,
}

impl Found {
    pub(super) fn flags(&self) -> Flags {
        name::flags(&self.info)
    }

    pub(super) fn file_name(&self, unique: &UniqueName) -> String {
        format!("{unique}{}", self.info)
    }
}

/// The messages of a mailbox. Of several files with one unique name (a reader's copy), one in `cur` counts before one
/// in `new`, then the one whose name sorts last: the same at every reading.
pub(super) fn messages(mailbox: &MailboxDir) -> Result<BTreeMap<UniqueName, Found>, Error> {
    let mut messages: BTreeMap<UniqueName, Found> = BTreeMap::new();
    let mut nameless = 0_u32;
    for place in [Place::New, Place::Cur] {
        let outcome = for_each_entry(mailbox.place(place), |entry, kind| {
            if kind != FileType::RegularFile {
                return;
            }
            let Some(file) = entry else {
                nameless += 1;
                return;
            };
            let (unique, info) = name::split(file);
            let found = Found { place, info: info.into() };
            messages
                .entry(UniqueName::new(unique))
                .and_modify(|seen| {
                    if seen.place != place || seen.info < found.info {
                        *seen = found.clone();
                    }
                })
                .or_insert(found);
        });
        outcome.map_err(Error::io("read mailbox", &mailbox.mailbox))?;
    }
    if nameless > 0 {
        tracing::warn!(mailbox = %mailbox.mailbox, count = nameless, "ignoring files whose names are not UTF-8");
    }
    Ok(messages)
}

/// Every directory below the root that is a Maildir and has a name we could have given it.
pub(super) fn mailboxes(root: &Root) -> Result<Vec<MailboxName>, Error> {
    let mut walk = Walk { layout: root.layout, found: Vec::new() };
    let top = root.open()?;
    let fail = || Error::io::<Errno>("list", root.path.display());
    match root.layout {
        Layout::Nested => walk.below(&top, &[]).map_err(fail())?,
        Layout::MaildirPlusPlus => {
            walk.visit(&top, &[]);
            walk.below(&top, &[]).map_err(fail())?;
        }
    }
    walk.found.sort();
    Ok(walk.found)
}

struct Walk {
    layout: Layout,
    found: Vec<MailboxName>,
}

impl Walk {
    /// Visits the directories inside `dir`; those that cannot be opened are left out with a word in the log.
    fn below(&mut self, dir: &OwnedFd, components: &[String]) -> Result<(), Errno> {
        for name in self.candidates(dir)? {
            let inside: Vec<String> = components.iter().chain([&name]).cloned().collect();
            match dir::open_dir(dir, name.as_str()) {
                Ok(child) => {
                    self.visit(&child, &inside);
                    if self.layout == Layout::Nested && inside.len() < DEEPEST {
                        self.below(&child, &inside)?;
                    }
                }
                Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {}
                Err(errno) => {
                    tracing::warn!(directory = %inside.join("/"), %errno, "cannot look into a directory")
                }
            }
        }
        Ok(())
    }

    /// Names that a mailbox directory of this layout may have.
    fn candidates(&self, dir: &OwnedFd) -> Result<Vec<String>, Errno> {
        let mut names = Vec::new();
        for_each(dir.as_fd(), |entry, kind| {
            let Some(name) = entry.filter(|_| kind == FileType::Directory) else { return };
            let fits = match self.layout {
                Layout::Nested => !name.starts_with('.') && !matches!(name, "cur" | "new" | "tmp"),
                Layout::MaildirPlusPlus => name.starts_with('.'),
            };
            if fits {
                names.push(name.to_owned());
            }
        })?;
        Ok(names)
    }

    fn visit(&mut self, dir: &OwnedFd, components: &[String]) {
        if !["cur", "new", "tmp"].iter().all(|&name| kind_of(dir.as_fd(), name) == Some(FileType::Directory))
        {
            return;
        }
        match layout::mailbox(self.layout, components, dir::marker(dir.as_fd()).as_deref()) {
            Some(mailbox) => self.found.push(mailbox),
            None => tracing::warn!(
                directory = %components.join("/"),
                "ignoring a Maildir whose name cannot be a mailbox; rename it to have it synchronised"
            ),
        }
    }
}

/// Every entry but dot-files: its name where it is UTF-8, and its kind.
pub(super) fn for_each_entry(
    dir: BorrowedFd<'_>,
    mut visit: impl FnMut(Option<&str>, FileType),
) -> Result<(), Errno> {
    for_each(dir, |name, kind| {
        if !name.is_some_and(|name| name.starts_with('.')) {
            visit(name, kind);
        }
    })
}

/// Every entry but `.` and `..`. Reads through a descriptor of its own, from the beginning.
pub(super) fn for_each(
    dir: BorrowedFd<'_>,
    mut visit: impl FnMut(Option<&str>, FileType),
) -> Result<(), Errno> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = dir::text(entry.file_name());
        if matches!(name, Some("." | "..")) {
            continue;
        }
        let kind = match (entry.file_type(), name) {
            // Some file systems leave the kind to stat.
            (FileType::Unknown, Some(name)) => kind_of(dir, name).unwrap_or(FileType::Unknown),
            (kind, _) => kind,
        };
        visit(name, kind);
    }
    Ok(())
}

fn kind_of(dir: BorrowedFd<'_>, name: &str) -> Option<FileType> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(stat.st_mode))
}
