//! A mail reader's hands and eyes on a local Maildir, independent of the library's own Maildir code.
//!
//! Mailboxes are nested directories that hold `cur`, `new` and `tmp`. Files are renamed and moved as mutt, neomutt
//! and others do it: by rename, with the flags sorted behind `:2,`. Nothing is cached; every call reads the disk.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A reader on one account's Maildir.
#[derive(Clone, Debug)]
pub struct Reader {
    root: PathBuf,
}

/// One message file.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Where it is now.
    pub path: PathBuf,
    /// Maildir flag letters.
    pub flags: BTreeSet<char>,
    /// The content as it stands on disk.
    pub content: Vec<u8>,
    /// Modification time.
    pub modified: SystemTime,
}

impl Reader {
    /// A reader on `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Reader {
        Reader { root: root.into() }
    }

    /// The directory of a mailbox.
    pub fn directory(&self, mailbox: &str) -> PathBuf {
        self.root.join(mailbox)
    }

    /// All mailboxes, sorted.
    pub fn mailboxes(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(&self.root, "", &mut found);
        found.sort();
        found
    }

    /// All messages of a mailbox; empty where it does not exist.
    pub fn messages(&self, mailbox: &str) -> Vec<Mail> {
        let directories = ["new", "cur"].map(|part| self.directory(mailbox).join(part));
        let entries = directories.iter().filter_map(|path| fs::read_dir(path).ok()).flatten();
        // A file may be renamed between the listing and the reading: it is then seen by the next look.
        entries.flatten().filter_map(|entry| read(&entry.path())).collect()
    }

    /// How many message files a mailbox has, without reading them.
    pub fn count(&self, mailbox: &str) -> usize {
        let directories = ["new", "cur"].map(|part| self.directory(mailbox).join(part));
        let entries = directories.iter().filter_map(|path| fs::read_dir(path).ok()).flatten().flatten();
        entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).count()
    }

    /// The first message whose content contains `text`.
    pub fn find(&self, mailbox: &str, text: &str) -> Option<Mail> {
        let holds = |mail: &Mail| memchr::memmem::find(&mail.content, text.as_bytes()).is_some();
        self.messages(mailbox).into_iter().find(holds)
    }

    /// Sets a flag; the file moves to `cur`.
    pub fn flag(&self, mail: &Mail, flag: char) -> PathBuf {
        let mut flags = mail.flags.clone();
        flags.insert(flag);
        rename(mail, mailbox_of(mail), &flags)
    }

    /// Takes a flag away.
    pub fn unflag(&self, mail: &Mail, flag: char) -> PathBuf {
        let mut flags = mail.flags.clone();
        flags.remove(&flag);
        rename(mail, mailbox_of(mail), &flags)
    }

    /// Removes the file.
    pub fn delete(&self, mail: &Mail) {
        fs::remove_file(&mail.path).expect("the message can be removed");
    }

    /// Moves a message as mutt does: the same name, another mailbox.
    pub fn move_to(&self, mail: &Mail, mailbox: &str) -> PathBuf {
        rename(mail, &self.directory(mailbox), &mail.flags)
    }

    /// Puts a new message into a mailbox by way of `tmp`, under a name of its own.
    pub fn add(&self, mailbox: &str, content: &[u8], flags: &str) -> PathBuf {
        let directory = self.directory(mailbox);
        let name = format!("{}.{:x}.reader", jiff::Timestamp::now().as_second(), fastrand::u64(..));
        let temporary = directory.join("tmp").join(&name);
        fs::write(&temporary, content).expect("tmp can be written");
        let target = match flags {
            "" => directory.join("new").join(&name),
            _ => directory.join("cur").join(format!("{name}:2,{flags}")),
        };
        fs::rename(&temporary, &target).expect("the message can be placed");
        target
    }

    /// Makes a mailbox.
    pub fn create(&self, mailbox: &str) {
        for part in ["tmp", "new", "cur"] {
            let path = self.directory(mailbox).join(part);
            fs::DirBuilder::new().recursive(true).mode(0o700).create(path).expect("a mailbox can be made");
        }
    }
}

impl Mail {
    /// The content with CRLF made LF: what both sides are compared by.
    pub fn normal(&self) -> Vec<u8> {
        normal(&self.content)
    }
}

/// CRLF made LF; a lone CR stays.
pub fn normal(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    for (at, byte) in content.iter().enumerate() {
        if *byte != b'\r' || content.get(at + 1) != Some(&b'\n') {
            out.push(*byte);
        }
    }
    out
}

fn collect(directory: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || ["cur", "new", "tmp"].contains(&name.as_str()) || !entry.path().is_dir() {
            continue;
        }
        let mailbox = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if ["cur", "new", "tmp"].iter().all(|part| entry.path().join(part).is_dir()) {
            found.push(mailbox.clone());
        }
        collect(&entry.path(), &mailbox, found);
    }
}

fn read(path: &Path) -> Option<Mail> {
    let name = path.file_name()?.to_str()?;
    if name.starts_with('.') {
        return None;
    }
    let flags = name.rsplit_once(":2,").map(|(_, flags)| flags.chars().collect()).unwrap_or_default();
    let modified = fs::metadata(path).ok()?.modified().ok()?;
    Some(Mail { path: path.to_owned(), flags, content: fs::read(path).ok()?, modified })
}

fn mailbox_of(mail: &Mail) -> &Path {
    mail.path.parent().and_then(Path::parent).expect("a message stands in a mailbox")
}

fn rename(mail: &Mail, mailbox: &Path, flags: &BTreeSet<char>) -> PathBuf {
    let name = mail.path.file_name().unwrap().to_str().unwrap();
    let unique = name.split(":2,").next().unwrap();
    let target = mailbox.join("cur").join(format!("{unique}:2,{}", flags.iter().collect::<String>()));
    fs::rename(&mail.path, &target).expect("the message can be renamed");
    target
}
