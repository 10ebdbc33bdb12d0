//! The laws of sync, tried on replicas in memory: fixed scenarios, a crash at every effect, and random histories.

use super::fakes::{Directory, FakeLedger, FakeLocal, FakeRemote, Fuse};
use super::pass::{Extent, Pass};
use super::plan::Policy;
use super::report::{Report, Unobserved};
use super::*;
use crate::keeping::{OnDelete, Side};
use crate::mail::{Flags, MailboxName, Uid, UniqueName};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

pub(super) struct World {
    pub(super) remote: FakeRemote,
    pub(super) local: FakeLocal,
    pub(super) ledger: FakeLedger,
    pub(super) fuse: Fuse,
    pub(super) policy: Policy,
}

/// Mailbox to a sorted list of (content, flags).
pub(super) type Picture = BTreeMap<String, Vec<(String, String)>>;

pub(super) fn mailbox(name: &str) -> MailboxName {
    MailboxName::new(name)
}

pub(super) fn content(id: u32) -> String {
    format!("Message-ID: <{id}@x>\n\nbody {id}\n")
}

fn flags(letters: &str) -> Flags {
    Flags::from_maildir(letters)
}

impl World {
    pub(super) fn new(condstore: bool, uidplus: bool) -> World {
        let fuse = Fuse::default();
        let remote = FakeRemote {
            fuse: fuse.clone(),
            condstore,
            uidplus,
            mailboxes: BTreeMap::new(),
            opened: 0,
            has_move: true,
            read_only: false,
            refuses_flags: false,
            refuses: None,
            silent: BTreeSet::new(),
            huge: BTreeSet::new(),
            withheld: BTreeSet::new(),
            unselectable: BTreeSet::new(),
            full: None,
            in_vain: 0,
            appended: 0,
        };
        let local = FakeLocal::new(fuse.clone());
        let ledger = FakeLedger::new(fuse.clone());
        let mut world = World { remote, local, ledger, fuse, policy: Policy::default() };
        for name in ["INBOX", "Archive", "Trash"] {
            world.remote.add(&mailbox(name), &content(9000 + name.len() as u32), flags(""));
        }
        world
    }

    pub(super) fn pass(&mut self) -> Report {
        self.pass_over(&Extent::default())
    }

    pub(super) fn pass_over(&mut self, extent: &Extent) -> Report {
        self.pass_wanting(extent, &|_| true)
    }

    pub(super) fn pass_wanting(
        &mut self,
        extent: &Extent,
        wanted: &(dyn Fn(&MailboxName) -> bool + Send + Sync),
    ) -> Report {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let World { remote, local, ledger, policy, .. } = self;
        let pass = Pass { account: "lab", remote, local, ledger, policy, wanted, observer: &Unobserved };
        runtime.block_on(pass.run(extent))
    }

    /// Passes until one does nothing; fails the test when that does not come or something goes wrong.
    pub(super) fn settle(&mut self) {
        self.fuse.set(None);
        for _ in 0..6 {
            let report = self.pass();
            assert!(report.is_clean(), "{report:?}");
            if !report.changed_anything() && report.follow_up.is_empty() {
                return;
            }
        }
        panic!("does not converge");
    }

    fn add_local(&mut self, name: &str, content: &str, letters: &str) -> UniqueName {
        let file = self.local.fresh();
        let directory = self.local.directories.entry(mailbox(name)).or_default();
        directory.files.insert(file.clone(), (content.to_owned(), flags(letters)));
        file
    }

    pub(super) fn files(&mut self, name: &str) -> &mut BTreeMap<UniqueName, (String, Flags)> {
        &mut self.local.directories.entry(mailbox(name)).or_default().files
    }

    pub(super) fn on_server(&self) -> Picture {
        let one = |(name, mailbox): (&MailboxName, &super::fakes::Mailbox)| {
            let mut all: Vec<_> =
                mailbox.messages.values().map(|m| (m.content.clone(), m.flags.maildir_letters())).collect();
            all.sort();
            (name.to_string(), all)
        };
        self.remote.mailboxes.iter().map(one).collect()
    }

    pub(super) fn on_disk(&self) -> Picture {
        let one = |(name, directory): (&MailboxName, &Directory)| {
            let mut all: Vec<_> = directory
                .files
                .values()
                .map(|(text, flags)| (text.clone(), flags.maildir_letters()))
                .collect();
            all.sort();
            (name.to_string(), all)
        };
        self.local.directories.iter().map(one).collect()
    }

    pub(super) fn assert_equal(&self) {
        assert_eq!(self.on_disk(), self.on_server());
    }

    /// Files that the server took and no longer shows are kept, and nowhere else.
    fn assert_equal_but_for_orphans(&self) {
        let mut disk = self.on_disk();
        for (name, (_, base)) in &self.ledger.mailboxes {
            let Some(directory) = self.local.directories.get(name) else { continue };
            for file in
                base.loose.iter().filter(|(_, (kind, _))| *kind == Loose::Uploaded).map(|(file, _)| file)
            {
                let Some((text, flags)) = directory.files.get(file) else { continue };
                let orphan = (text.clone(), flags.maildir_letters());
                let files = disk.get_mut(name.as_str()).unwrap();
                files.iter().position(|found| *found == orphan).map(|at| files.remove(at));
            }
        }
        assert_eq!(disk, self.on_server());
    }

    pub(super) fn count(&self, content: &str) -> usize {
        self.on_server().values().flatten().filter(|(text, _)| text == content).count()
    }
}

/// A world after a first sync in which both sides then changed in every way there is.
fn busy(condstore: bool, uidplus: bool) -> World {
    let mut world = World::new(condstore, uidplus);
    let inbox = mailbox("INBOX");
    for id in 0..8 {
        world.remote.add(&inbox, &content(id), flags(if id % 2 == 0 { "S" } else { "" }));
    }
    world.settle();
    let uids: Vec<Uid> = world.remote.mailboxes[&inbox].messages.keys().copied().skip(1).collect();
    world.remote.flag(&inbox, uids[1], Flags::FLAGGED, Flags::SEEN);
    world.remote.take(&inbox, uids[2]);
    let moved = world.remote.take(&inbox, uids[3]).unwrap();
    world.remote.add(&mailbox("Archive"), &moved.content, moved.flags);
    world.remote.add(&inbox, &content(100), flags(""));
    world.remote.add(&mailbox("New/Remote"), &content(101), flags("R"));
    let name_of = |world: &mut World, id: u32| {
        let files = world.files("INBOX").clone();
        files.into_iter().find(|(_, (text, _))| *text == content(id)).map(|(name, _)| name).unwrap()
    };
    let (deleted, moved, flagged) = (name_of(&mut world, 4), name_of(&mut world, 5), name_of(&mut world, 6));
    world.files("INBOX").remove(&deleted);
    let (text, _) = world.files("INBOX").remove(&moved).unwrap();
    world.add_local("Archive", &text, "SF");
    world.files("INBOX").get_mut(&flagged).unwrap().1 = flags("RS");
    world.add_local("INBOX", &content(200), "S");
    world.add_local("New/Local", &content(201), "D");
    world
}

/// What `busy` must come to, however it gets there.
fn assert_busy_end(world: &World) {
    world.assert_equal();
    for id in [0, 1, 3, 4, 5, 6, 7, 100, 101, 200, 201] {
        assert_eq!(world.count(&content(id)), 1, "message {id}");
    }
    let server = world.on_server();
    let holds =
        |name: &str, id: u32, letters: &str| server[name].contains(&(content(id), letters.to_owned()));
    assert!(holds("Trash", 4, "S"), "a local deletion goes to the Trash: {server:?}");
    assert_eq!(world.count(&content(2)), 0);
    assert!(world.local.quarantine.contains(&content(2)));
    assert!(holds("Archive", 5, "FS") && holds("Archive", 3, "") && holds("INBOX", 6, "RS"), "{server:?}");
    assert!(holds("New/Remote", 101, "R") && holds("New/Local", 201, "D"), "{server:?}");
}

#[test]
fn everything_that_changed_on_either_side_ends_equal() {
    for (condstore, uidplus) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut world = busy(condstore, uidplus);
        world.settle();
        assert_busy_end(&world);
    }
}

#[test]
fn a_second_pass_asks_nothing_and_writes_nothing() {
    let mut world = busy(true, true);
    world.settle();
    let (commits, opened) = (world.ledger.commits, world.remote.opened);
    assert!(!world.pass().changed_anything());
    assert_eq!((world.ledger.commits, world.remote.opened), (commits, opened));
}

#[test]
fn a_crash_at_every_effect_ends_the_same() {
    for (condstore, uidplus, has_move) in
        [(true, true, true), (false, false, true), (true, true, false), (false, false, false)]
    {
        for point in 0.. {
            let mut world = busy(condstore, uidplus);
            world.remote.has_move = has_move;
            world.fuse.set(Some(point));
            let crashed = world.pass().trouble.is_some();
            if !crashed && world.fuse.burnt() <= point {
                assert!(point > 50, "the scenario has {point} effects only");
                break;
            }
            world.settle();
            assert_busy_end(&world);
        }
    }
}

#[test]
fn a_crash_at_every_effect_of_a_first_sync_ends_the_same() {
    let first = || {
        let mut world = World::new(true, true);
        for id in 0..7 {
            world.remote.add(&mailbox("INBOX"), &content(id), flags(""));
        }
        world.add_local("Drafts", &content(50), "D");
        world
    };
    for point in 0.. {
        let mut world = first();
        world.fuse.set(Some(point));
        if world.pass().trouble.is_none() && world.fuse.burnt() <= point {
            assert!(point > 30);
            break;
        }
        world.settle();
        world.assert_equal();
        for id in [0, 1, 2, 3, 4, 5, 6, 50] {
            assert_eq!(world.count(&content(id)), 1);
        }
    }
}

#[test]
fn a_lost_ledger_pairs_again_without_transfer_or_deletion() {
    let mut world = busy(true, true);
    world.settle();
    let before = world.on_server();
    world.ledger.mailboxes.clear();
    let report = world.pass();
    let sum =
        |count: fn(&super::report::MailboxReport) -> u64| report.mailboxes.values().map(count).sum::<u64>();
    assert_eq!(sum(|m| m.arrived + m.uploaded + m.quarantined + m.removed), 0);
    assert!(sum(|m| m.adopted) > 10);
    world.settle();
    assert_eq!(world.on_server(), before);
    world.assert_equal();
}

#[test]
fn a_changed_uidvalidity_pairs_again_and_keeps_what_has_no_pair() {
    let mut world = busy(true, true);
    world.settle();
    let inbox = world.remote.mailboxes.get_mut(&mailbox("INBOX")).unwrap();
    inbox.uid_validity = 8;
    let lost = *inbox.messages.keys().next().unwrap();
    let old = std::mem::take(&mut inbox.messages);
    inbox.messages = old
        .into_iter()
        .filter(|(uid, _)| *uid != lost)
        .map(|(uid, m)| (Uid::new(uid.value() + 50).unwrap(), m))
        .collect();
    let files = world.files("INBOX").len();
    let report = world.pass();
    let inbox = &report.mailboxes[&mailbox("INBOX")];
    assert_eq!((inbox.arrived, inbox.uploaded, inbox.quarantined, inbox.removed), (0, 0, 0, 0));
    assert_eq!(inbox.adopted as usize, files - 1);
    assert_eq!(world.files("INBOX").len(), files);
    let again = world.pass();
    assert!(!again.changed_anything() && again.is_clean());
    assert_eq!(again.mailboxes[&mailbox("INBOX")].orphans, 1);
}

#[test]
fn a_missing_or_replaced_directory_deletes_nothing() {
    let mut world = busy(true, true);
    world.settle();
    let before = world.on_server();
    let saved = world.local.directories.remove(&mailbox("INBOX")).unwrap();
    let report = world.pass();
    assert!(report.mailboxes[&mailbox("INBOX")].trouble.is_some());
    world.local.directories.insert(mailbox("INBOX"), Directory { inode: 999, ..Directory::default() });
    assert!(world.pass().mailboxes[&mailbox("INBOX")].trouble.is_some());
    assert_eq!(world.on_server(), before);
    world.local.directories.insert(mailbox("INBOX"), saved);
    world.settle();
    assert_eq!(world.on_server(), before);
    world.assert_equal();
}

#[test]
fn a_directory_restored_elsewhere_fetches_what_it_lacks() {
    let mut world = busy(true, true);
    world.settle();
    let before = world.on_server();
    let directory = world.local.directories.get_mut(&mailbox("INBOX")).unwrap();
    directory.inode = 999;
    let first = directory.files.keys().next().cloned().unwrap();
    directory.files.remove(&first);
    world.settle();
    assert_eq!(world.on_server(), before);
    world.assert_equal();
}

#[test]
fn many_deletions_wait_for_approval_on_either_side() {
    for side in [Side::Local, Side::Remote] {
        let mut world = World::new(true, true);
        for id in 0..40 {
            world.remote.add(&mailbox("INBOX"), &content(id), flags(""));
        }
        world.settle();
        match side {
            Side::Local => world.files("INBOX").clear(),
            Side::Remote => world.remote.mailboxes.get_mut(&mailbox("INBOX")).unwrap().messages.clear(),
        }
        for _ in 0..2 {
            let held = world.pass().mailboxes[&mailbox("INBOX")].held.clone();
            assert_eq!(held, [Held { side, count: 41, of: 41, approved: false }]);
        }
        let (disk, server) = (world.on_disk()["INBOX"].len(), world.on_server()["INBOX"].len());
        assert_eq!(disk + server, 41, "nothing was deleted");
        let (record, _) = world.ledger.mailboxes.get_mut(&mailbox("INBOX")).unwrap();
        record.held.iter_mut().for_each(|held| held.approved = true);
        world.settle();
        world.assert_equal();
        assert!(world.on_server()["INBOX"].is_empty());
        assert!(world.ledger.mailboxes[&mailbox("INBOX")].0.held.is_empty());
    }
}

#[test]
fn a_mailbox_missing_from_the_list_is_left_alone_and_not_made_again() {
    let mut world = busy(true, true);
    world.settle();
    let gone = world.remote.mailboxes.remove(&mailbox("Archive")).unwrap();
    let disk = world.on_disk();
    let report = world.pass();
    assert!(report.absent.contains(&mailbox("Archive")) && !report.changed_anything());
    assert!(!world.remote.mailboxes.contains_key(&mailbox("Archive")));
    assert_eq!(world.on_disk(), disk);
    world.remote.mailboxes.insert(mailbox("Archive"), gone);
    world.settle();
    world.assert_equal();
    assert_eq!(world.on_disk(), disk);
}

#[test]
fn a_dry_run_prints_what_a_run_does_and_does_nothing() {
    let mut world = busy(true, true);
    let (server, disk, commits) = (world.on_server(), world.on_disk(), world.ledger.commits);
    let report = world.pass_over(&Extent { dry_run: true, ..Extent::default() });
    let text = report.plan.unwrap().to_string();
    for part in
        ["fetch message", "upload", "move message", "to Trash on the server", "quarantine", "set \\Answered"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!((world.on_server(), world.on_disk(), world.ledger.commits), (server, disk, commits));
}

#[test]
fn kept_messages_stay_on_the_server_and_do_not_come_back() {
    let mut world = World::new(true, true);
    world.policy.on_delete = OnDelete::Keep;
    world.settle();
    world.files("INBOX").clear();
    world.settle();
    assert_eq!((world.on_server()["INBOX"].len(), world.on_disk()["INBOX"].len()), (1, 0));
}

#[test]
fn what_is_kept_only_for_now_is_asked_about_and_can_be_had_again() {
    let mut world = World::new(true, true);
    (world.policy.on_delete, world.policy.keeps_for_now) = (OnDelete::Keep, true);
    for number in 1..=40 {
        world.remote.add(&mailbox("INBOX"), &content(number), flags(""));
    }
    world.settle();
    world.files("INBOX").clear();
    let held = |world: &mut World| world.pass().mailboxes[&mailbox("INBOX")].held.clone();
    let all = Held { side: Side::Local, count: 41, of: 41, approved: false };
    assert_eq!((held(&mut world), held(&mut world)), (vec![all], vec![all]));
    let rows = &world.ledger.mailboxes[&mailbox("INBOX")].1.rows;
    assert!(rows.iter().all(|row| row.state == RowState::Settled), "nothing was given up");
}

#[test]
fn what_was_kept_before_is_no_part_of_what_a_mass_deletion_is_measured_by() {
    let mut world = World::new(true, true);
    (world.policy.on_delete, world.policy.keeps_for_now) = (OnDelete::Keep, true);
    let mut number = 0;
    for _ in 0..10 {
        (0..15).for_each(|_| {
            number += 1;
            world.remote.add(&mailbox("INBOX"), &content(number), flags(""));
        });
        world.settle();
        world.files("INBOX").clear();
        world.pass();
    }
    (0..30).for_each(|_| {
        number += 1;
        world.remote.add(&mailbox("INBOX"), &content(number), flags(""));
    });
    world.settle();
    world.files("INBOX").clear();
    let held = world.pass().mailboxes[&mailbox("INBOX")].held.clone();
    assert_eq!(held.iter().map(|held| (held.count, held.of)).collect::<Vec<_>>(), [(30, 30)]);
}

#[test]
fn a_file_in_a_mailbox_that_takes_nothing_is_read_once_and_uploaded_when_it_does() {
    let mut world = World::new(true, true);
    world.settle();
    world.remote.read_only = true;
    world.add_local("INBOX", &content(1), "");
    (0..3).for_each(|_| world.settle());
    assert_eq!((world.local.identified, world.on_server()["INBOX"].len()), (1, 1));
    let commits = world.ledger.commits;
    world.settle();
    assert_eq!(world.ledger.commits, commits, "nothing changed");
    world.remote.read_only = false;
    world.settle();
    assert_eq!((world.local.identified, world.on_server()["INBOX"].len()), (1, 2));
}

#[derive(Clone, Debug)]
enum Op {
    Add { local: bool, mailbox: usize },
    Flag { local: bool, pick: usize, bits: u8 },
    Delete { local: bool, pick: usize },
    Move { local: bool, pick: usize, to: usize },
    Edit { pick: usize },
    Pass,
    Crash { point: u32 },
    LoseLedger,
}

const MAILBOXES: [&str; 3] = ["INBOX", "Archive", "Other"];

fn op() -> impl Strategy<Value = Op> {
    let side = any::<bool>();
    prop_oneof![
        4 => (side, 0..3_usize).prop_map(|(local, mailbox)| Op::Add { local, mailbox }),
        3 => (side, any::<usize>(), 0..64_u8).prop_map(|(local, pick, bits)| Op::Flag { local, pick, bits }),
        2 => (side, any::<usize>()).prop_map(|(local, pick)| Op::Delete { local, pick }),
        2 => (side, any::<usize>(), 0..3_usize).prop_map(|(local, pick, to)| Op::Move { local, pick, to }),
        2 => any::<usize>().prop_map(|pick| Op::Edit { pick }),
        2 => Just(Op::Pass),
        4 => (0..40_u32).prop_map(|point| Op::Crash { point }),
        1 => Just(Op::LoseLedger),
    ]
}

/// A history: the world, and which contents the user deleted or touched on which side since all was settled.
struct History {
    world: World,
    made: u32,
    deleted: BTreeSet<String>,
    touched: [BTreeSet<String>; 2],
    /// Texts that came to be by an edit, and whether there are some since all was settled. Without a base an edit cannot be
    /// told from a size that a server only estimates, so a ledger is never lost with one under way.
    edited: BTreeSet<String>,
    is_editing: bool,
    doubtful: BTreeSet<String>,
    /// Whether the ledger was lost since all was settled: what the user does then has no base to be seen against.
    amnesia: bool,
}

impl History {
    fn touch(&mut self, local: bool, text: &str) {
        self.touched[usize::from(local)].insert(text.to_owned());
        if self.amnesia || self.touched[usize::from(!local)].contains(text) {
            self.doubtful.insert(text.to_owned());
        }
    }

    fn pick_local(&self, pick: usize) -> Option<(String, UniqueName, String)> {
        let all: Vec<_> = MAILBOXES
            .iter()
            .filter_map(|name| {
                self.world.local.directories.get(&mailbox(name)).map(|directory| (name, directory))
            })
            .flat_map(|(name, directory)| {
                directory
                    .files
                    .iter()
                    .map(move |(file, (text, _))| ((*name).to_owned(), file.clone(), text.clone()))
            })
            .collect();
        (!all.is_empty()).then(|| all[pick % all.len()].clone())
    }

    fn pick_remote(&self, pick: usize) -> Option<(MailboxName, Uid, String)> {
        let all: Vec<_> = MAILBOXES
            .iter()
            .filter_map(|name| self.world.remote.mailboxes.get_key_value(&mailbox(name)))
            .flat_map(|(name, found)| {
                found.messages.iter().map(move |(uid, message)| (name.clone(), *uid, message.content.clone()))
            })
            .collect();
        (!all.is_empty()).then(|| all[pick % all.len()].clone())
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Add { local, mailbox: index } => {
                self.made += 1;
                let text = content(self.made);
                if local && self.world.local.directories.contains_key(&mailbox(MAILBOXES[index])) {
                    self.world.add_local(MAILBOXES[index], &text, "");
                } else {
                    self.world.remote.add(&mailbox(MAILBOXES[index]), &text, flags(""));
                }
            }
            Op::Pass => drop(self.world.pass()),
            Op::Crash { point } => {
                self.world.fuse.set(Some(point));
                drop(self.world.pass());
                self.world.fuse.set(None);
            }
            Op::LoseLedger | Op::Delete { local: false, .. } | Op::Move { local: false, .. }
                if self.is_editing => {}
            Op::LoseLedger => {
                self.amnesia = true;
                self.world.ledger.mailboxes.clear();
                let touched: Vec<String> = self.touched.iter().flatten().cloned().collect();
                self.doubtful.extend(touched);
            }
            Op::Flag { local: true, pick, bits } => {
                if let Some((name, file, _)) = self.pick_local(pick) {
                    self.world.files(&name).get_mut(&file).unwrap().1 = Flags::from_bits(bits);
                }
            }
            Op::Flag { local: false, pick, bits } => {
                if let Some((name, uid, _)) = self.pick_remote(pick) {
                    let bits = Flags::from_bits(bits);
                    self.world.remote.flag(&name, uid, bits, !bits);
                }
            }
            Op::Edit { pick } => self.edit(pick),
            Op::Delete { local, pick } => self.delete(local, pick, None),
            Op::Move { local, pick, to } => self.delete(local, pick, Some(MAILBOXES[to])),
        }
    }

    /// Deletes a message on one side, or moves it to another mailbox of that side.
    fn delete(&mut self, local: bool, pick: usize, to: Option<&str>) {
        let picked = if local {
            self.pick_local(pick).map(|(name, file, text)| {
                self.doubt_arriving(&name, &file);
                self.doubt_uploading(&text);
                let (text, flags) = self.world.files(&name).remove(&file).unwrap();
                if let Some(to) = to {
                    self.world.add_local(to, &text, &flags.maildir_letters());
                }
                text
            })
        } else {
            self.pick_remote(pick).map(|(name, uid, text)| {
                self.doubt_uploading(&text);
                let message = self.world.remote.take(&name, uid).unwrap();
                if let Some(to) = to {
                    self.world.remote.add(&mailbox(to), &message.content, message.flags);
                }
                message.content
            })
        };
        if let Some(text) = picked {
            self.touch(local, &text);
            if to.is_none() {
                self.deleted.insert(text);
            }
        }
    }

    /// Saves another text of a message under another name, as readers do. Not while the server's copy may be new as well (it
    /// is moved there, just arriving, or its mailbox was never seen whole): two sizes may be one message, of which the
    /// server only estimates one.
    fn edit(&mut self, pick: usize) {
        let records = &self.world.ledger.mailboxes;
        let is_known =
            |name: &&str| records.get(&mailbox(name)).is_some_and(|(record, _)| record.marks.is_some());
        let may_edit = !self.amnesia && MAILBOXES.iter().all(is_known);
        let may_edit = may_edit && self.touched[usize::from(false)].is_empty();
        let Some((name, file, text)) = self.pick_local(pick).filter(|_| may_edit) else { return };
        if self.is_arriving(&name, &file) {
            return;
        }
        self.is_editing = true;
        self.delete(true, pick, None);
        let text = format!("{text}edited\n");
        self.world.add_local(&name, &text, "");
        self.edited.insert(text);
    }

    /// A file that is taken away between a crash and the recovery cannot be told from one that never arrived: it is
    /// fetched again.
    fn doubt_arriving(&mut self, name: &str, file: &UniqueName) {
        if self.is_arriving(name, file) {
            self.doubtful.insert(self.world.files(name)[file].0.clone());
        }
    }

    fn is_arriving(&self, name: &str, file: &UniqueName) -> bool {
        let rows = self.world.ledger.mailboxes.get(&mailbox(name)).map(|(_, base)| base.rows.as_slice());
        let arriving = |row: &Row| row.name == *file && row.state == RowState::Arriving;
        rows.unwrap_or_default().iter().any(arriving)
    }

    /// A message that is taken away on either side while its upload is unconfirmed cannot be recognised there: it is
    /// uploaded again, or kept.
    fn doubt_uploading(&mut self, text: &str) {
        for (name, (_, base)) in &self.world.ledger.mailboxes {
            let Some(directory) = self.world.local.directories.get(name) else { continue };
            let same = |file: &UniqueName| directory.files.get(file).is_some_and(|(found, _)| found == text);
            if base.loose.keys().any(same) {
                self.doubtful.insert(text.to_owned());
            }
        }
    }

    fn check(&mut self) {
        self.world.settle();
        self.world.assert_equal_but_for_orphans();
        for id in 1..=self.made {
            let text = content(id);
            if self.deleted.contains(&text) {
                assert!(
                    self.doubtful.contains(&text) || self.world.count(&text) <= 1,
                    "doubled in the Trash: {text}"
                );
            } else {
                let on_disk = self.world.on_disk().values().flatten().any(|(found, _)| *found == text);
                assert!(on_disk, "lost {text}");
                if !self.doubtful.contains(&text) {
                    assert_eq!(self.world.count(&text), 1, "doubled {text}");
                }
            }
        }
        for text in self.edited.difference(&self.deleted) {
            assert!(self.world.count(text) > 0, "an edit never came to the server: {text}");
        }
        self.touched = Default::default();
        self.amnesia = false;
        self.is_editing = false;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_converges_without_loss_or_doubles(
        ops in proptest::collection::vec(op(), 1..30),
        condstore in any::<bool>(),
        uidplus in any::<bool>(),
        has_move in any::<bool>(),
    ) {
        let mut world = World::new(condstore, uidplus);
        world.remote.has_move = has_move;
        world.settle();
        let mut history = History {
            world, made: 0, deleted: BTreeSet::new(), touched: Default::default(), edited: BTreeSet::new(), is_editing: false, doubtful: BTreeSet::new(), amnesia: false,
        };
        for (index, op) in ops.iter().enumerate() {
            history.step(op);
            if index % 10 == 9 {
                history.check();
            }
        }
        history.check();
    }
}
