//! From deltas to ordered steps. Pure, deterministic (BTreeMap), and all that `sync --dry-run` prints.
//!
//! All mailboxes of a pass are planned together, because a file that left one mailbox and stands in another was moved,
//! not deleted and created. The steps of a [`Plan`] are carried out in the order of the fields of [`Steps`], over all
//! mailboxes, deletions last of all.
//!
//! Rules: new content is never dropped; gone on one side and reflagged on the other: gone wins and the copy goes to
//! quarantine; flags merge bit by bit; a read-only mailbox is only read.

use super::delta::{LocalDelta, RemoteDelta};
use super::guard::hold;
use super::merge::{Merge, merge};
use super::moves;
use super::pair::{Candidate, pair};
use super::{DirectoryId, Fate, Held, Likeness, Listed, Marks, Row, RowState};
use crate::keeping::{DeletionLimit, OnDelete, Side};
use crate::mail::{Flags, MailboxName, SpecialUse, Uid, UidValidity, UniqueName};
use std::collections::{BTreeMap, BTreeSet};

/// What the user wants of deletions.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// What becomes of the server's copy.
    pub on_delete: OnDelete,
    /// What is kept stays only until its time comes (`delete_after` of a maildrop): asked about first, like a deletion.
    pub keeps_for_now: bool,
    /// When to ask first.
    pub limit: DeletionLimit,
    /// How many messages of a mailbox were deleted a moment ago, by the side on which they had disappeared.
    pub recent: BTreeMap<(MailboxName, Side), u32>,
    /// Files whose upload failed, and why: it is not time yet to try them again.
    pub resting: BTreeMap<(MailboxName, UniqueName), String>,
}

/// One mailbox with all that a plan needs to know of it.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Its name.
    pub mailbox: MailboxName,
    /// The generation of its UIDs.
    pub uid_validity: UidValidity,
    /// The marks to keep when all is carried out; `None` where the server was not asked.
    pub marks: Option<Marks>,
    /// Whether the server lets nothing be changed.
    pub read_only: bool,
    /// The flags that the server can store.
    pub storable: Flags,
    /// How many messages of which a file is here the base knows.
    pub known: u32,
    /// Pairs whose missing file proves nothing: forgotten, and their messages are new again.
    pub doubted: Vec<Uid>,
    /// How the server differs from the base.
    pub remote: RemoteDelta,
    /// How the Maildir differs from the base.
    pub local: LocalDelta,
    /// How the server's new messages are recognised, where there are files to compare them with.
    pub remote_likeness: BTreeMap<Uid, Likeness>,
    /// Whether the server has new messages that it does not show: they are not in `remote`, and files that may be among
    /// them are not uploaded.
    pub has_silent: bool,
    /// How new and orphaned files are recognised.
    pub candidates: BTreeMap<UniqueName, Candidate>,
    /// Those of them that the base does not know: they were read to be recognised.
    pub strangers: BTreeMap<UniqueName, Likeness>,
    /// Files whose upload, or whose move to here, was begun before.
    pub begun: BTreeSet<UniqueName>,
    /// Whether there are new files that somebody may still be writing; nothing is known of them yet.
    pub has_unfinished: bool,
    /// Deletions held back so far.
    pub held: Vec<Held>,
    /// Where the mailbox lives from now on, where it is not firm ground.
    pub resettle: Option<(Option<SpecialUse>, DirectoryId)>,
}

/// New flags for a message pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reflag {
    /// The message.
    pub uid: Uid,
    /// Its file.
    pub name: UniqueName,
    /// What to change.
    pub merge: Merge,
}

/// A message that the user filed elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The pair as it was.
    pub row: Row,
    /// Where the file stands now.
    pub to: MailboxName,
    /// Its name there.
    pub name: UniqueName,
    /// How it is recognised there: the header may have grown on the way.
    pub likeness: Likeness,
    /// Flags changed on the way.
    pub merge: Merge,
}

/// What is to be done in one mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// The generation in which the UIDs have a meaning.
    pub uid_validity: UidValidity,
    /// The server's copies that an interrupted move left behind: to expunge, their content has arrived elsewhere.
    pub discard: Vec<Uid>,
    /// Pairs that are gone on both sides.
    pub forget: Vec<Uid>,
    /// Loose names whose file is gone.
    pub unloosen: BTreeSet<UniqueName>,
    /// Files that cannot be uploaded, to be recognised without being read again.
    pub estrange: BTreeMap<UniqueName, Likeness>,
    /// Pairs that exist already on both sides.
    pub adopt: Vec<Row>,
    /// Files that readers renamed.
    pub rename: Vec<(Uid, UniqueName)>,
    /// Messages to fetch.
    pub download: BTreeMap<Uid, Listed>,
    /// Files to append to the server's mailbox.
    pub upload: BTreeMap<UniqueName, Upload>,
    /// Files whose upload failed before, and why: not tried yet again.
    pub resting: BTreeMap<UniqueName, String>,
    /// Messages to move on the server.
    pub moves: Vec<Move>,
    /// Flags to change on either side.
    pub reflag: Vec<Reflag>,
    /// Pairs whose local copy is gone while the server's is to be kept.
    pub keep: Vec<Row>,
    /// Local copies of messages gone from the server.
    pub quarantine: Vec<Row>,
    /// The server's copies of files that are gone.
    pub remove: Vec<Uid>,
    /// What becomes of them.
    pub fate: Fate,
    /// Deletions held back from this plan.
    pub held: Vec<Held>,
    /// Deletions held back before it.
    pub held_before: Vec<Held>,
    /// Whether something here waits until a new file is complete: the pass is to be repeated soon.
    pub waits: bool,
    /// Where the mailbox lives from now on, if that changed.
    pub resettle: Option<(Option<SpecialUse>, DirectoryId)>,
    /// The marks to keep when all is carried out.
    pub marks: Option<Marks>,
}

/// A file to append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upload {
    /// How it is recognised.
    pub likeness: Likeness,
    /// Its flags.
    pub flags: Flags,
}

/// All that a pass is going to do, by mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Steps by mailbox.
    pub mailboxes: BTreeMap<MailboxName, Steps>,
}

/// Plans a pass over these mailboxes. Deleted messages go to `trash`, if the policy wants that.
pub fn plan(mut observed: Vec<Observed>, policy: &Policy, trash: &MailboxName) -> Plan {
    let mut plan = Plan::default();
    for mailbox in &mut observed {
        let mut steps = Steps::new(mailbox, policy.on_delete, trash);
        steps.adopt(mailbox);
        steps.forget_gone(mailbox);
        plan.mailboxes.insert(mailbox.mailbox.clone(), steps);
    }
    let deletions = (policy.on_delete == OnDelete::Trash).then_some(trash);
    moves::finish(&mut observed, deletions, &mut plan);
    moves::find(&mut observed, &mut plan);
    if observed.iter().any(|mailbox| mailbox.has_unfinished) {
        wait(&mut observed, &mut plan);
    }
    for mailbox in observed {
        if let Some(steps) = plan.mailboxes.get_mut(&mailbox.mailbox) {
            steps.finish(mailbox, policy);
        }
    }
    plan
}

/// What is missing may be what somebody is writing elsewhere: it is no deletion before that is known.
fn wait(observed: &mut [Observed], plan: &mut Plan) {
    for mailbox in observed.iter_mut().filter(|mailbox| !mailbox.local.gone.is_empty()) {
        let missing = std::mem::take(&mut mailbox.local.gone);
        let before = mailbox.remote.reflagged.len();
        mailbox.remote.reflagged.retain(|uid, _| !missing.contains_key(uid));
        if let Some(steps) = plan.mailboxes.get_mut(&mailbox.mailbox) {
            steps.waits = true;
            if mailbox.remote.reflagged.len() < before {
                // There is no file yet to take the change: the server is to tell of it again.
                steps.marks = None;
            }
        }
    }
}

impl Observed {
    /// The flags that can be changed on the server.
    fn writable(&self) -> Flags {
        if self.read_only { Flags::NONE } else { self.storable }
    }
}

impl Steps {
    fn new(mailbox: &Observed, on_delete: OnDelete, trash: &MailboxName) -> Steps {
        let fate = match on_delete {
            OnDelete::Trash if *trash != mailbox.mailbox => Fate::MoveTo(trash.clone()),
            OnDelete::Trash | OnDelete::Expunge | OnDelete::Keep => Fate::Expunge,
        };
        Steps {
            uid_validity: mailbox.uid_validity,
            forget: mailbox.doubted.clone(),
            unloosen: mailbox.local.unloosened.clone(),
            estrange: BTreeMap::new(),
            adopt: Vec::new(),
            rename: Vec::new(),
            download: BTreeMap::new(),
            upload: BTreeMap::new(),
            resting: BTreeMap::new(),
            moves: Vec::new(),
            reflag: Vec::new(),
            keep: Vec::new(),
            quarantine: Vec::new(),
            discard: Vec::new(),
            remove: Vec::new(),
            fate,
            held: Vec::new(),
            held_before: mailbox.held.clone(),
            waits: mailbox.has_unfinished,
            resettle: mailbox.resettle,
            marks: mailbox.marks,
        }
    }

    /// Whether nothing is to be done but keeping the marks.
    pub fn is_empty(&self) -> bool {
        self.is_passive() && self.download.is_empty() && self.upload.is_empty() && self.moves.is_empty()
    }

    /// Whether no content moves in either direction.
    fn is_passive(&self) -> bool {
        self.forget.is_empty()
            && self.unloosen.is_empty()
            && self.adopt.is_empty()
            && self.rename.is_empty()
            && self.reflag.is_empty()
            && self.keep.is_empty()
            && self.quarantine.is_empty()
            && self.discard.is_empty()
            && self.remove.is_empty()
    }

    /// Pairs what both sides have and the base does not know. The base of such a pair is what both flags have in
    /// common, so that the merge gives the union. An upload that was never confirmed and whose file is gone by now
    /// becomes a pair with its file gone.
    fn adopt(&mut self, mailbox: &mut Observed) {
        for (uid, name) in pair(&mailbox.remote_likeness, &mailbox.candidates) {
            let file = mailbox.local.new.remove(&name).or_else(|| mailbox.local.orphans.remove(&name));
            let (Some(listed), Some(candidate)) =
                (mailbox.remote.new.remove(&uid), mailbox.candidates.remove(&name))
            else {
                continue;
            };
            let row = |flags| Row {
                uid,
                name: name.clone(),
                flags,
                likeness: candidate.likeness,
                state: RowState::Settled,
            };
            let Some(local) = file else {
                self.adopt.push(row(listed.flags));
                mailbox.local.gone.insert(uid, row(listed.flags));
                continue;
            };
            let remote = listed.flags | local.without(mailbox.storable);
            let flags = remote & local;
            self.adopt.push(row(flags));
            self.push_reflag(uid, name, merge(flags, remote, local, mailbox.writable()), flags);
        }
    }

    fn forget_gone(&mut self, mailbox: &mut Observed) {
        let both = |uid: &Uid, row: &Row| row.state == RowState::Kept || mailbox.local.gone.contains_key(uid);
        let both: Vec<Uid> =
            mailbox.remote.gone.iter().filter(|(uid, row)| both(uid, row)).map(|(&uid, _)| uid).collect();
        for uid in both {
            mailbox.remote.gone.remove(&uid);
            mailbox.local.gone.remove(&uid);
            self.forget.push(uid);
        }
    }

    /// Everything that concerns one mailbox alone, once adoptions and moves are known.
    fn finish(&mut self, mut mailbox: Observed, policy: &Policy) {
        self.download.append(&mut mailbox.remote.new);
        self.merge_flags(&mailbox);
        self.quarantine = mailbox.remote.gone.into_values().collect();
        if mailbox.read_only {
            self.estrange = mailbox.strangers;
            self.estrange.retain(|name, _| mailbox.local.new.contains_key(name));
        } else {
            for (name, flags) in mailbox.local.new {
                let candidate = mailbox.candidates.get(&name);
                let candidate = candidate.filter(|it| !(it.was_paired && mailbox.has_silent));
                let resting = policy.resting.get(&(mailbox.mailbox.clone(), name.clone()));
                match (candidate, resting) {
                    (Some(_), Some(why)) => drop(self.resting.insert(name, why.clone())),
                    (Some(candidate), None) => {
                        self.upload.insert(name, Upload { likeness: candidate.likeness, flags });
                    }
                    (None, _) => {}
                }
            }
        }
        match policy.on_delete {
            // Only the base changes: possible also where the server lets nothing be changed.
            OnDelete::Keep => {
                self.keep = mailbox.local.gone.into_values().collect();
            }
            OnDelete::Trash | OnDelete::Expunge if mailbox.read_only => {}
            OnDelete::Trash | OnDelete::Expunge => self.remove = mailbox.local.gone.into_keys().collect(),
        }
        self.hold_back(&mailbox.mailbox, mailbox.known, policy, &mailbox.held);
    }

    fn merge_flags(&mut self, mailbox: &Observed) {
        let (remote, local) = (&mailbox.remote, &mailbox.local);
        for (uid, (row, _)) in remote.reflagged.iter().chain(&local.reflagged) {
            let done = self.reflag.iter().any(|reflag| reflag.uid == *uid);
            if done || remote.gone.contains_key(uid) || local.gone.contains_key(uid) {
                continue;
            }
            let now =
                |side: &BTreeMap<Uid, (Row, Flags)>| side.get(uid).map_or(row.flags, |&(_, flags)| flags);
            let merge = merge(row.flags, now(&remote.reflagged), now(&local.reflagged), mailbox.writable());
            self.push_reflag(*uid, row.name.clone(), merge, row.flags);
        }
    }

    pub(super) fn push_reflag(&mut self, uid: Uid, name: UniqueName, merge: Merge, base: Flags) {
        if merge != (Merge { agreed: base, ..Merge::default() }) {
            self.reflag.push(Reflag { uid, name, merge });
        }
    }

    fn hold_back(&mut self, mailbox: &MailboxName, of: u32, policy: &Policy, before: &[Held]) {
        let hold = |side, count| {
            let recent = policy.recent.get(&(mailbox.clone(), side)).copied().unwrap_or_default();
            hold(policy.limit, side, count, of, recent, before)
        };
        if let Some(held) = hold(Side::Remote, self.quarantine.len()) {
            self.quarantine.clear();
            self.held.push(held);
        }
        let last = match policy.on_delete {
            OnDelete::Keep if policy.keeps_for_now => self.keep.len(),
            OnDelete::Keep => 0,
            OnDelete::Trash | OnDelete::Expunge => self.remove.len(),
        };
        if let Some(held) = hold(Side::Local, last + self.discard.len()) {
            self.keep.clear();
            self.remove.clear();
            self.discard.clear();
            self.held.push(held);
        }
    }
}
