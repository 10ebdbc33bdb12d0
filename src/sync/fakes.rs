//! In-memory drivers for tests, with a fuse that blows before or after any single effect.
//!
//! A blown fuse is a crash: every later call fails until it is replaced, and what had happened before stays. Blowing
//! *after* an effect is the lost answer: the world changed, the caller does not know.

use super::*;
use crate::error::{Class, Classified};
use crate::mail::{
    Flags, Identity, MailboxName, ModSeq, SpecialUse, Uid, UidSet, UidValidity, UniqueName, readers_octets,
};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use tokio::sync::mpsc;

/// Counts effects down to a crash.
#[derive(Clone, Default)]
pub(super) struct Fuse(Arc<Mutex<Option<u32>>>, Arc<Mutex<u32>>);

impl Fuse {
    /// Crashes at burn point `count`; `None` never.
    pub(super) fn set(&self, count: Option<u32>) {
        *self.0.lock().unwrap() = count;
        *self.1.lock().unwrap() = 0;
    }

    /// Burn points passed since `set`.
    pub(super) fn burnt(&self) -> u32 {
        *self.1.lock().unwrap()
    }

    fn burn(&self) -> Outcome<()> {
        *self.1.lock().unwrap() += 1;
        let mut left = self.0.lock().unwrap();
        match left.as_mut() {
            Some(0) => Err(trouble(Scope::Pass, "crash")),
            Some(count) => {
                *count -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Fake(String);

impl Classified for Fake {
    fn class(&self) -> Class {
        Class::RETRY
    }
}

pub(super) fn trouble(scope: Scope, text: &str) -> Trouble {
    Trouble::new(scope, Fake(text.to_owned()))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) flags: Flags,
    pub(super) content: String,
    modseq: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Mailbox {
    pub(super) uid_validity: u32,
    pub(super) next: u32,
    modseq: u64,
    pub(super) messages: BTreeMap<Uid, Message>,
}

/// A server in memory.
pub(super) struct FakeRemote {
    pub(super) fuse: Fuse,
    pub(super) condstore: bool,
    pub(super) uidplus: bool,
    /// Whether a move is one step; else a copy, and then an expunge.
    pub(super) has_move: bool,
    /// Whether nothing can be changed in its mailboxes.
    pub(super) read_only: bool,
    /// Whether it takes no change of flags.
    pub(super) refuses_flags: bool,
    /// A name that this server does not accept.
    pub(super) refuses: Option<MailboxName>,
    /// Messages of which this server shows nothing but their bodies.
    pub(super) silent: BTreeSet<Uid>,
    /// Messages too large to be fetched.
    pub(super) huge: BTreeSet<Uid>,
    /// Messages that it lists and does not send.
    pub(super) withheld: BTreeSet<Uid>,
    /// Names that hold no messages, whatever is in `mailboxes`.
    pub(super) unselectable: BTreeSet<MailboxName>,
    /// How each upload is refused, where it is.
    pub(super) full: Option<Scope>,
    /// Messages sent to nobody.
    pub(super) in_vain: u32,
    /// Uploads seen.
    pub(super) appended: u32,
    pub(super) mailboxes: BTreeMap<MailboxName, Mailbox>,
    /// Commands seen, for tests that count them.
    pub(super) opened: u32,
}

fn likeness_of(content: &str) -> Likeness {
    let mut sizer = crate::mail::Sizer::default();
    sizer.add(content.as_bytes());
    Likeness { identity: Identity::from_header(content.as_bytes()), size: sizer.size() }
}

impl FakeRemote {
    /// Forgets what changed when.
    pub(super) fn rebuild_index(&mut self, name: &MailboxName) {
        let found = self.mailboxes.get_mut(name).unwrap();
        found.modseq = 1;
        found.messages.values_mut().for_each(|message| message.modseq = 1);
    }

    pub(super) fn add(&mut self, mailbox: &MailboxName, content: &str, flags: Flags) -> Uid {
        let target = self.mailboxes.entry(mailbox.clone()).or_insert_with(|| Mailbox {
            uid_validity: 7,
            next: 1,
            modseq: 1,
            messages: BTreeMap::new(),
        });
        let uid = Uid::new(target.next).unwrap();
        target.next += 1;
        target.modseq += 1;
        target.messages.insert(uid, Message { flags, content: content.to_owned(), modseq: target.modseq });
        uid
    }

    pub(super) fn take(&mut self, mailbox: &MailboxName, uid: Uid) -> Option<Message> {
        let source = self.mailboxes.get_mut(mailbox)?;
        source.modseq += 1;
        source.messages.remove(&uid)
    }

    pub(super) fn flag(&mut self, mailbox: &MailboxName, uid: Uid, add: Flags, remove: Flags) {
        let Some(target) = self.mailboxes.get_mut(mailbox) else { return };
        target.modseq += 1;
        if let Some(message) = target.messages.get_mut(&uid) {
            message.flags = (message.flags | add).without(remove);
            message.modseq = target.modseq;
        }
    }

    fn at(&self, at: &At) -> Outcome<&Mailbox> {
        let mailbox =
            self.mailboxes.get(&at.mailbox).ok_or_else(|| trouble(Scope::Mailbox, "no such mailbox"))?;
        let same = mailbox.uid_validity == at.uid_validity.value();
        same.then_some(mailbox).ok_or_else(|| trouble(Scope::Mailbox, "another UIDVALIDITY"))
    }
}

impl Mailbox {
    fn marks(&self, condstore: bool) -> Marks {
        Marks {
            uid_validity: UidValidity::new(self.uid_validity).unwrap(),
            uid_next: Uid::new(self.next),
            messages: self.messages.len() as u32,
            modseq: ModSeq::new(self.modseq).filter(|_| condstore),
        }
    }

    fn listing(&self, since: Option<Since>) -> Listing {
        let listed = |message: &Message| Listed { flags: message.flags, size: None };
        let Some((since, modseq)) = since.and_then(|since| Some((since, since.marks.modseq?.value()))) else {
            return Listing::Full(
                self.messages.iter().map(|(&uid, message)| (uid, listed(message))).collect(),
            );
        };
        let changed: BTreeMap<_, _> = self
            .messages
            .iter()
            .filter(|(_, message)| message.modseq > modseq)
            .map(|(&uid, message)| (uid, listed(message)))
            .collect();
        let new = changed.keys().filter(|&&uid| Some(uid) >= since.marks.uid_next).count();
        let gone = if since.known as usize + new == self.messages.len() {
            Gone::Nothing
        } else {
            Gone::AllBut(self.messages.keys().copied().collect())
        };
        Listing::Changes { changed, gone }
    }
}

impl Remote for FakeRemote {
    async fn list(&mut self) -> Outcome<Vec<RemoteMailbox>> {
        self.fuse.burn()?;
        let one = |(name, mailbox): (&MailboxName, &Mailbox)| RemoteMailbox {
            name: name.clone(),
            special_use: (name.as_str() == "Trash").then_some(SpecialUse::Trash),
            selectable: true,
            marks: Some(mailbox.marks(self.condstore)),
        };
        let mut listed: Vec<_> = self.mailboxes.iter().map(one).collect();
        listed.retain(|mailbox| !self.unselectable.contains(&mailbox.name));
        let bare = |name: &MailboxName| RemoteMailbox {
            name: name.clone(),
            special_use: None,
            selectable: false,
            marks: None,
        };
        listed.extend(self.unselectable.iter().map(bare));
        Ok(listed)
    }

    async fn open(&mut self, mailbox: &MailboxName, since: Option<Since>) -> Outcome<RemoteView> {
        self.fuse.burn()?;
        self.opened += 1;
        let found = self.mailboxes.get(mailbox).ok_or_else(|| trouble(Scope::Mailbox, "no such mailbox"))?;
        let marks = found.marks(self.condstore);
        let since = since.filter(|since| since.marks.uid_validity == marks.uid_validity && self.condstore);
        let (read_only, mut listing) = (self.read_only, found.listing(since));
        let (Listing::Full(listed) | Listing::Changes { changed: listed, .. }) = &mut listing;
        let huge = listed.iter_mut().filter(|(uid, _)| self.huge.contains(uid));
        huge.for_each(|(_, listed)| listed.size = Some(LARGEST + 1));
        Ok(RemoteView { marks, read_only, storable: Flags::ALL, listing })
    }

    async fn identify(&mut self, at: &At, uids: &UidSet) -> Outcome<BTreeMap<Uid, Option<Likeness>>> {
        self.fuse.burn()?;
        let messages = self.at(at)?.messages.iter().filter(|(uid, _)| uids.contains(**uid));
        let likeness = |uid: Uid, message: &Message| {
            (!self.silent.contains(&uid)).then(|| likeness_of(&message.content))
        };
        Ok(messages.map(|(&uid, message)| (uid, likeness(uid, message))).collect())
    }

    async fn fetch(
        &mut self,
        at: &At,
        wanted: &BTreeMap<Uid, Listed>,
        into: mpsc::Sender<Arrival>,
    ) -> Outcome<()> {
        let messages: Vec<_> = self
            .at(at)?
            .messages
            .iter()
            .filter(|(uid, _)| wanted.contains_key(uid))
            .filter(|(uid, _)| !self.huge.contains(uid) && !self.withheld.contains(uid))
            .map(|(&uid, m)| (uid, m.clone()))
            .collect();
        let is_short = wanted.keys().any(|uid| self.huge.contains(uid) || self.withheld.contains(uid));
        let sent = async {
            let gone = |_| trouble(Scope::Pass, "receiver gone");
            for (uid, message) in messages {
                let content = Bytes::from(message.content.into_bytes());
                into.send(Arrival::Start { size: Some(content.len() as u64) }).await.map_err(gone)?;
                into.send(Arrival::Chunk(content)).await.map_err(gone)?;
                self.fuse.burn()?;
                let fetched = Fetched { uid, flags: message.flags, internal_date: None };
                into.send(Arrival::End(fetched)).await.map_err(gone)?;
            }
            if is_short { Err(trouble(Scope::Message, "not all of it")) } else { Ok(()) }
        }
        .await;
        if into.is_closed() {
            // What is under way is read to its end, for nobody.
            tokio::task::yield_now().await;
            self.in_vain += 1;
        }
        sent
    }

    async fn store(&mut self, at: &At, changes: &[FlagChange]) -> Outcome<()> {
        self.at(at)?;
        if self.refuses_flags {
            return Err(trouble(Scope::Mailbox, "no such flag here"));
        }
        for change in changes {
            self.fuse.burn()?;
            self.flag(&at.mailbox, change.uid, change.add, change.remove);
            self.fuse.burn()?;
        }
        Ok(())
    }

    async fn append(
        &mut self,
        mailbox: &MailboxName,
        mut message: Outgoing,
    ) -> Outcome<Option<(UidValidity, Uid)>> {
        self.fuse.burn()?;
        self.appended += 1;
        if let Some(scope) = self.full {
            return Err(trouble(scope, "no room"));
        }
        let mut content = String::new();
        std::io::Read::read_to_string(&mut message.file, &mut content).unwrap();
        let uid = self.add(mailbox, &content, message.flags);
        self.fuse.burn()?;
        Ok(self.uidplus.then(|| (UidValidity::new(7).unwrap(), uid)))
    }

    async fn remove(&mut self, at: &At, uids: &UidSet, fate: &Fate) -> Outcome<Landed> {
        self.at(at)?;
        let mut landed = Landed { uid_validity: UidValidity::new(7), ..Landed::default() };
        for uid in uids.iter() {
            self.fuse.burn()?;
            let there =
                self.mailboxes.get(&at.mailbox).and_then(|mailbox| mailbox.messages.get(&uid)).cloned();
            if let (Some(message), Fate::MoveTo(target)) = (there, fate) {
                landed.uids.insert(uid, self.add(target, &message.content, message.flags));
                if !self.has_move {
                    self.fuse.burn()?;
                }
            }
            self.take(&at.mailbox, uid);
            self.fuse.burn()?;
        }
        Ok(if self.uidplus { landed } else { Landed::default() })
    }

    async fn create(&mut self, mailbox: &MailboxName) -> Outcome<()> {
        self.fuse.burn()?;
        if self.refuses.as_ref() == Some(mailbox) {
            return Err(trouble(Scope::Mailbox, "a name with a delimiter in it"));
        }
        let empty = Mailbox { uid_validity: 7, next: 1, modseq: 1, messages: BTreeMap::new() };
        self.mailboxes.entry(mailbox.clone()).or_insert(empty);
        self.fuse.burn()
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    pub(super) inode: u64,
    pub(super) marked: bool,
    pub(super) files: BTreeMap<UniqueName, (String, Flags)>,
    pub(super) tmp: BTreeMap<UniqueName, (String, Flags)>,
}

/// A Maildir in memory.
pub(super) struct FakeLocal {
    pub(super) fuse: Fuse,
    pub(super) directories: BTreeMap<MailboxName, Directory>,
    pub(super) quarantine: Vec<String>,
    /// Files read to be recognised.
    pub(super) identified: usize,
    /// Whether nothing can be written.
    pub(super) full: bool,
    /// Whether `Work` and `work` are one directory.
    pub(super) folds_case: bool,
    /// A file that cannot be renamed.
    pub(super) stuck: Option<UniqueName>,
    /// A file that somebody is writing.
    pub(super) unfinished: Option<UniqueName>,
    /// What is written to the next file between the look at it and its upload.
    pub(super) grows: Option<String>,
    counter: u64,
}

impl FakeLocal {
    pub(super) fn new(fuse: Fuse) -> FakeLocal {
        let (directories, quarantine) = (BTreeMap::new(), Vec::new());
        FakeLocal {
            fuse,
            directories,
            quarantine,
            identified: 0,
            full: false,
            folds_case: false,
            stuck: None,
            unfinished: None,
            grows: None,
            counter: 0,
        }
    }

    pub(super) fn fresh(&mut self) -> UniqueName {
        self.counter += 1;
        UniqueName::new(format!("f{}", self.counter))
    }

    fn directory(&mut self, mailbox: &MailboxName) -> Outcome<&mut Directory> {
        self.directories.get_mut(mailbox).ok_or_else(no_directory)
    }
}

fn no_directory() -> Trouble {
    trouble(Scope::Mailbox, "no directory")
}

impl Local for FakeLocal {
    async fn list(&mut self) -> Outcome<Vec<MailboxName>> {
        Ok(self.directories.keys().cloned().collect())
    }

    async fn create(&mut self, mailbox: &MailboxName) -> Outcome<DirectoryId> {
        self.fuse.burn()?;
        self.counter += 1;
        let inode = self.counter;
        let directory =
            self.directories.entry(mailbox.clone()).or_insert(Directory { inode, ..Directory::default() });
        directory.marked = true;
        Ok(DirectoryId { device: 1, inode: directory.inode })
    }

    async fn scan(&mut self, mailbox: &MailboxName) -> Outcome<Option<LocalView>> {
        let is_it = |name: &MailboxName| {
            name == mailbox || self.folds_case && name.as_str().eq_ignore_ascii_case(mailbox.as_str())
        };
        let Some((_, directory)) = self.directories.iter().find(|(name, _)| is_it(name)) else {
            return Ok(None);
        };
        let files = directory.files.iter().map(|(name, (_, flags))| (name.clone(), *flags)).collect();
        let id = DirectoryId { device: 1, inode: directory.inode };
        Ok(Some(LocalView { directory: id, marked: directory.marked, files }))
    }

    async fn identify(&mut self, mailbox: &MailboxName, names: &[UniqueName]) -> Outcome<Recognised> {
        self.identified += names.len();
        let unfinished = self.unfinished.clone().filter(|name| names.contains(name));
        let directory = self.directory(mailbox)?;
        let one = |name: &UniqueName| {
            let content = &directory.files.get(name)?.0;
            Some((name.clone(), (likeness_of(content), readers_octets(content.as_bytes()))))
        };
        let files = names.iter().filter(|name| Some(*name) != unfinished.as_ref()).filter_map(one).collect();
        let unfinished = unfinished.as_ref().and_then(one).map(|(_, (likeness, _))| likeness.identity);
        Ok(Recognised { files, unfinished: unfinished.into_iter().collect() })
    }

    async fn stage(
        &mut self,
        mailbox: &MailboxName,
        from: &mut mpsc::Receiver<Arrival>,
    ) -> Outcome<Vec<Staged>> {
        if self.full {
            return Err(trouble(Scope::Pass, "no space"));
        }
        let mut batch = Vec::new();
        let mut content = Vec::new();
        while batch.len() < 3 {
            match from.recv().await {
                Some(Arrival::Start { .. }) => content.clear(),
                Some(Arrival::Chunk(bytes)) => content.extend_from_slice(&bytes),
                Some(Arrival::End(fetched)) => {
                    self.fuse.burn()?;
                    let (name, text) = (self.fresh(), String::from_utf8(content.clone()).unwrap());
                    let (uid, flags, likeness) = (fetched.uid, fetched.flags, likeness_of(&text));
                    self.directory(mailbox)?.tmp.insert(name.clone(), (text, flags));
                    batch.push(Staged { uid, name, flags, likeness });
                }
                None => break,
            }
        }
        Ok(batch)
    }

    async fn publish(&mut self, mailbox: &MailboxName, batch: &[Staged]) -> Outcome<Vec<UniqueName>> {
        let mut missing = Vec::new();
        for staged in batch {
            self.fuse.burn()?;
            let directory = self.directory(mailbox)?;
            if let Some(file) = directory.tmp.remove(&staged.name) {
                assert!(directory.files.insert(staged.name.clone(), file).is_none(), "overwrote a file");
            } else if !directory.files.contains_key(&staged.name) {
                missing.push(staged.name.clone());
            }
            self.fuse.burn()?;
        }
        Ok(missing)
    }

    async fn change(&mut self, mailbox: &MailboxName, changes: &[LocalChange]) -> Outcome<Vec<UniqueName>> {
        let mut undone = Vec::new();
        for change in changes {
            self.fuse.burn()?;
            let is_stuck = |name: &UniqueName| self.stuck.as_ref() == Some(name);
            let directory = self.directories.get_mut(mailbox).ok_or_else(no_directory)?;
            match change {
                LocalChange::Reflag { name, .. } if is_stuck(name) => undone.push(name.clone()),
                LocalChange::Reflag { name, add, remove } => {
                    if let Some((_, flags)) = directory.files.get_mut(name) {
                        *flags = (*flags | *add).without(*remove);
                    }
                }
                LocalChange::Unstage { name } => drop(directory.tmp.remove(name)),
                LocalChange::Quarantine { name } => {
                    let taken = directory.files.remove(name);
                    self.quarantine.extend(taken.map(|(content, _)| content));
                }
            }
            self.fuse.burn()?;
        }
        Ok(undone)
    }

    async fn read(&mut self, mailbox: &MailboxName, name: &UniqueName) -> Outcome<Option<Outgoing>> {
        let more = self.grows.take().unwrap_or_default();
        if let Some((content, _)) = self.directory(mailbox)?.files.get_mut(name) {
            content.push_str(&more);
        }
        let Some((content, flags)) = self.directory(mailbox)?.files.get(name).cloned() else {
            return Ok(None);
        };
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, content.as_bytes()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let size = likeness_of(&content).size;
        Ok(Some(Outgoing { file, size, flags, internal_date: SystemTime::UNIX_EPOCH }))
    }
}

/// A base in memory. Commits are atomic; a blown fuse may come before or after.
pub(super) struct FakeLedger {
    pub(super) fuse: Fuse,
    pub(super) mailboxes: BTreeMap<MailboxName, (MailboxRecord, Base)>,
    pub(super) commits: u32,
    /// Whether commits that record arrivals fail, and whether they happen all the same.
    pub(super) refuses_arrivals: Option<bool>,
}

impl FakeLedger {
    pub(super) fn new(fuse: Fuse) -> FakeLedger {
        FakeLedger { fuse, mailboxes: BTreeMap::new(), commits: 0, refuses_arrivals: None }
    }
}

fn carry_out(record: &mut MailboxRecord, base: &mut Base, entry: Entry) {
    match entry {
        Entry::Known { special_use, directory } => {
            record.special_use = special_use;
            record.directory = directory.or(record.directory);
            record.absent = false;
        }
        Entry::Absent(absent) => record.absent = absent,
        Entry::Generation(uid_validity) => {
            let rows = std::mem::take(&mut base.rows).into_iter().filter(|row| row.state != RowState::Kept);
            base.loose.extend(rows.map(|row| (row.name, (Loose::Orphan, row.likeness))));
            record.marks = None;
            record.uid_validity = Some(uid_validity);
        }
        Entry::Pair(row) => {
            base.rows.retain(|known| known.uid != row.uid);
            base.loose.remove(&row.name);
            base.rows.push(row);
            base.rows.sort_by_key(|row| row.uid);
        }
        Entry::Settle(uids) => {
            let arriving = |row: &&mut Row| uids.contains(row.uid) && row.state == RowState::Arriving;
            base.rows.iter_mut().filter(arriving).for_each(|row| row.state = RowState::Settled);
        }
        Entry::Agree(uid, flags) => {
            base.rows.iter_mut().filter(|row| row.uid == uid).for_each(|row| row.flags = flags);
        }
        Entry::Rename(uid, name) => {
            base.rows.iter_mut().filter(|row| row.uid == uid).for_each(|row| row.name = name.clone());
        }
        Entry::Forget(uid) => base.rows.retain(|row| row.uid != uid),
        Entry::Loosen(name, kind, likeness) => {
            base.loose.insert(name, (kind, likeness));
        }
        Entry::Unloosen(name) => {
            base.loose.remove(&name);
        }
        Entry::Marks(marks) => record.marks = marks,
        Entry::Held(held) => record.held = held,
    }
    record.messages = base.rows.len() as u32;
}

impl Ledger for FakeLedger {
    async fn mailboxes(&mut self) -> Outcome<Vec<MailboxRecord>> {
        Ok(self.mailboxes.values().map(|(record, _)| record.clone()).collect())
    }

    async fn base(&mut self, mailbox: &MailboxName) -> Outcome<Base> {
        Ok(self.mailboxes.get(mailbox).map(|(_, base)| base.clone()).unwrap_or_default())
    }

    async fn holders(&mut self, identities: &[Identity]) -> Outcome<BTreeSet<MailboxName>> {
        let holds = |base: &Base| base.rows.iter().any(|row| identities.contains(&row.likeness.identity));
        let holders = self.mailboxes.iter().filter(|(_, (_, base))| holds(base));
        Ok(holders.map(|(name, _)| name.clone()).collect())
    }

    async fn commit(&mut self, entries: Vec<(MailboxName, Entry)>) -> Outcome<()> {
        self.fuse.burn()?;
        let arrives = |entry: &Entry| matches!(entry, Entry::Pair(row) if row.state == RowState::Arriving);
        let refused = self.refuses_arrivals.filter(|_| entries.iter().any(|(_, entry)| arrives(entry)));
        if refused == Some(false) {
            return Err(trouble(Scope::Pass, "the disk is full"));
        }
        self.commits += 1;
        for (mailbox, entry) in entries {
            let unknown = || (MailboxRecord::unknown(mailbox.clone()), Base::default());
            let (record, base) = self.mailboxes.entry(mailbox.clone()).or_insert_with(unknown);
            carry_out(record, base, entry);
        }
        if refused.is_some() {
            return Err(trouble(Scope::Pass, "the disk is full"));
        }
        self.fuse.burn()
    }
}
