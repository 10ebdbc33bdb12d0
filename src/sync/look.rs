//! Looking at one mailbox: both sides against the base, and all that a plan needs to know of it.
//!
//! A mailbox whose marks and directory show no change costs nothing: no SELECT, no transaction. The base is loaded only
//! to compute the delta and is dropped before the next mailbox is looked at. Nothing here acts, but for two things that
//! must come first: arrivals that a crash cut off are finished, and a new UIDVALIDITY is noted.

use super::arrive::settled;
use super::delta::{self, LocalDelta, RemoteDelta};
use super::guard::{Ground, ground};
use super::pair::Candidate;
use super::pass::{Extent, Looked, Pass, Refusal, directory_lost};
use super::plan::Observed;
use super::report::{Event, Report};
use super::{
    At, Base, DirectoryId, Enough, Entry, Ledger, Likeness, Listed, Local, LocalView, Loose, MailboxRecord,
    Marks, Outcome, Remote, RemoteView, Row, RowState, Scope, Since, Staged, Trouble,
};
use crate::mail::{Flags, Identity, MailboxName, Uid, UidSet, UidValidity, UniqueName};
use std::collections::{BTreeMap, BTreeSet};

/// Messages that tell whether a mailbox is still the one of the base.
const LAST: usize = 20;

impl<R: Remote, L: Local, D: Ledger> Pass<'_, R, L, D> {
    /// Looks at a mailbox for the first time or again. In trouble it is left out, and what its directory misses is kept
    /// in mind: that may have been moved to another mailbox.
    pub(super) async fn look(
        &mut self,
        record: &MailboxRecord,
        listed: Option<Marks>,
        extent: &Extent,
        looked: &mut Looked,
        report: &mut Report,
    ) -> Outcome<()> {
        match self.observe(record, listed, extent, report).await {
            Ok(None) => {}
            Ok(Some(seen)) => {
                looked.observed.retain(|before| before.mailbox != record.name);
                looked.observed.push(seen);
            }
            Err(trouble) => {
                report.leave_out(&record.name, trouble)?;
                looked.observed.retain(|before| before.mailbox != record.name);
                looked.missing.extend(self.missing(record).await?);
            }
        }
        Ok(())
    }

    /// Everything that a plan needs to know of one mailbox; `None` where nothing changed.
    async fn observe(
        &mut self,
        record: &MailboxRecord,
        listed: Option<Marks>,
        extent: &Extent,
        report: &mut Report,
    ) -> Outcome<Option<Observed>> {
        let name = &record.name;
        let unchanged = listed.is_some_and(|marks| marks.modseq.is_some() && record.marks == Some(marks));
        let local_clean = extent.local_clean.contains(name) && record.held.is_empty();
        if unchanged && local_clean {
            return Ok(None);
        }
        self.observer.event(Event::Looking { mailbox: name });
        let mut base = self.ledger.base(name).await?;
        let was_complete = record.marks.is_some();
        let has_lost = self.finish_arrivals(name, &mut base, extent.dry_run).await?;
        let record = &MailboxRecord { marks: record.marks.filter(|_| !has_lost), ..record.clone() };
        let unchanged = unchanged && !has_lost;
        let firm = local_clean && base.loose.is_empty();
        let scanned = if firm { None } else { Some(self.scan(record, &base).await?) };
        let quiet =
            scanned.as_ref().is_none_or(|(local, ground, _)| local.is_empty() && *ground == Ground::Firm);
        let is_told_nothing = unchanged || extent.remote_quiet.contains(name);
        if is_told_nothing && quiet && record.held.is_empty() {
            report.mailbox(name).orphans = orphans(&base);
            return Ok(None);
        }
        let Opened { view, since, scanned } = self.open(record, &mut base, scanned, extent).await?;
        let (local, ground, view_directory) = scanned.unwrap_or((LocalDelta::default(), Ground::Firm, None));
        report.mailbox(name).orphans = orphans(&base);
        let resettle = view_directory.filter(|_| ground != Ground::Firm);
        let resettle = resettle.map(|directory| (record.special_use, directory));
        let delta = delta::remote(&base, &view, since);
        let mut observed = compare(record, &base, &view, delta, local);
        if resettle.is_some() {
            observed.doubt_missing_files();
        }
        // A base that is empty after a complete pass is that of an empty mailbox; else it may have been lost.
        let were_paired = resettle.is_some() || (base.rows.is_empty() && !was_complete);
        let seen = self.compared(observed, base, were_paired, report).await?;
        Ok(Some(Observed { resettle, ..seen }))
    }

    /// The same with what both sides have that is new, recognised.
    async fn compared(
        &mut self,
        mut observed: Observed,
        base: Base,
        were_paired: bool,
        report: &mut Report,
    ) -> Outcome<Observed> {
        let Compared { mut found, candidates, unfinished } =
            self.recognise(&observed, &base, were_paired).await?;
        let has_unfinished = !unfinished.is_empty();
        observed.leave_to_writers(&unfinished, &mut found);
        let remote_likeness = observed.leave_out_silent(found, report);
        let strangers = candidates.iter().filter(|(name, _)| !base.loose.contains_key(*name));
        let strangers = strangers.map(|(name, candidate)| (name.clone(), candidate.likeness)).collect();
        report.mailbox(&observed.mailbox).unfinished |= has_unfinished;
        let begun = base.loose.into_iter().filter(|(_, (kind, _))| kind.is_begun());
        let begun = begun.map(|(name, _)| name).collect();
        Ok(Observed { remote_likeness, candidates, strangers, begun, has_unfinished, ..observed })
    }

    /// Opens the mailbox on the server. Where it does not go on from the base, all of it is listed, and the base is made
    /// that of a new generation.
    async fn open(
        &mut self,
        record: &MailboxRecord,
        base: &mut Base,
        scanned: Option<Scanned>,
        extent: &Extent,
    ) -> Outcome<Opened> {
        let since = since(record, base, extent);
        let view = self.remote.open(&record.name, since).await?;
        let continues = continues(record, base, &view.marks);
        let went_back = has_older_modseq(record, &view.marks);
        if continues && !went_back {
            return Ok(Opened { view, since, scanned });
        }
        let view = if since.is_some() { self.remote.open(&record.name, None).await? } else { view };
        if continues && self.has_last_of(&record.name, &view, base).await? {
            return Ok(Opened { view, since: None, scanned });
        }
        let scanned = self.enter_generation(record, view.marks.uid_validity, base, scanned, extent).await?;
        Ok(Opened { view, since: None, scanned })
    }

    /// Whether the last messages of the base still stand under their UIDs. A modification sequence goes back where a server
    /// made its index anew, and where the whole mailbox went back and has given out UIDs again since.
    async fn has_last_of(&mut self, name: &MailboxName, view: &RemoteView, base: &Base) -> Outcome<bool> {
        let last: BTreeMap<Uid, Identity> =
            base.rows.iter().rev().take(LAST).map(|row| (row.uid, row.likeness.identity)).collect();
        let at = At { mailbox: name.clone(), uid_validity: view.marks.uid_validity };
        let found = self.remote.identify(&at, &last.keys().copied().collect()).await?;
        let is_same =
            |(uid, seen): (&Uid, &Option<Likeness>)| last.get(uid).copied() == seen.map(|seen| seen.identity);
        Ok(last.is_empty() || (!found.is_empty() && found.iter().all(is_same)))
    }

    /// Settles what a crash left between `tmp` and its place. Whether something was lost and must be fetched again.
    async fn finish_arrivals(&mut self, name: &MailboxName, base: &mut Base, dry_run: bool) -> Outcome<bool> {
        let arriving: Vec<Staged> = base
            .rows
            .iter()
            .filter(|row| row.state == RowState::Arriving)
            .map(|row| Staged {
                uid: row.uid,
                name: row.name.clone(),
                flags: row.flags,
                likeness: row.likeness,
            })
            .collect();
        if arriving.is_empty() || dry_run {
            return Ok(false);
        }
        let missing = self.local.publish(name, &arriving).await?;
        self.ledger.commit(settled(name, &arriving, &missing)).await?;
        *base = self.ledger.base(name).await?;
        Ok(!missing.is_empty())
    }

    /// The delta of the directory. A name is gone only when two successive scans miss it: a directory read while a
    /// reader renames may miss a file.
    async fn scan(&mut self, record: &MailboxRecord, base: &Base) -> Outcome<Scanned> {
        let account = self.account;
        let lost = || directory_lost(account, &record.name);
        let Some(known) = record.directory else {
            return Ok((LocalDelta::default(), Ground::Firm, None));
        };
        let view = self.local.scan(&record.name).await?;
        let judged = ground(known, view.as_ref().map(LocalView::seen));
        let (Some(view), false) = (view, judged == Ground::Lost) else { return Err(lost()) };
        let mut local = delta::local(base, &view);
        if !local.gone.is_empty() {
            let again = self.local.scan(&record.name).await?.ok_or_else(lost)?;
            local = confirmed(base, &view, &again);
        }
        Ok((local, judged, Some(view.directory)))
    }

    /// What a mailbox that cannot be looked at misses here: it may have been moved to another one.
    async fn missing(&mut self, record: &MailboxRecord) -> Outcome<Vec<Likeness>> {
        let base = self.ledger.base(&record.name).await?;
        Ok(match self.scan(record, &base).await {
            Ok((local, Ground::Firm, _)) => local.gone.into_values().map(|row| row.likeness).collect(),
            _ => Vec::new(),
        })
    }

    /// Takes note of a generation that the base does not continue: the rows' UIDs are void, and their files become orphans,
    /// to be paired again.
    async fn enter_generation(
        &mut self,
        record: &MailboxRecord,
        uid_validity: UidValidity,
        base: &mut Base,
        scanned: Option<Scanned>,
        extent: &Extent,
    ) -> Outcome<Option<Scanned>> {
        if !extent.dry_run {
            self.ledger.commit(vec![(record.name.clone(), Entry::Generation(uid_validity))]).await?;
        }
        if base.rows.is_empty() {
            return Ok(scanned);
        }
        *base = orphaned(std::mem::take(base));
        Ok(Some(self.scan(record, base).await?))
    }

    /// How new messages of both sides are recognised, asked only where there is something to compare or to upload.
    async fn recognise(&mut self, observed: &Observed, base: &Base, were_paired: bool) -> Outcome<Compared> {
        let (new, orphans) = (&observed.local.new, &observed.local.orphans);
        let (mut candidates, mut unfinished) = (BTreeMap::new(), BTreeSet::new());
        for (name, &(kind, likeness)) in &base.loose {
            let there = orphans.contains_key(name) || new.contains_key(name);
            if there || (kind.is_begun() && likeness.identity.is_strong()) {
                let was_paired = kind != Loose::Stranger || were_paired;
                candidates.insert(name.clone(), Candidate { likeness, was_paired, by_readers: 0 });
            }
        }
        let strangers: Vec<UniqueName> =
            new.keys().filter(|name| !candidates.contains_key(*name)).cloned().collect();
        if !strangers.is_empty() {
            let recognised = self.local.identify(&observed.mailbox, &strangers).await?;
            unfinished = recognised.unfinished;
            for (name, (likeness, by_readers)) in recognised.files {
                candidates.insert(name, Candidate { likeness, was_paired: were_paired, by_readers });
            }
        }
        if (candidates.is_empty() && unfinished.is_empty()) || observed.remote.new.is_empty() {
            return Ok(Compared { found: BTreeMap::new(), candidates, unfinished });
        }
        let uids: UidSet = observed.remote.new.keys().copied().collect();
        let at = At { mailbox: observed.mailbox.clone(), uid_validity: observed.uid_validity };
        Ok(Compared { found: self.remote.identify(&at, &uids).await?, candidates, unfinished })
    }
}

/// How new messages of the server are recognised; `None` for those that it does not show.
type Found = BTreeMap<Uid, Option<Likeness>>;

/// A mailbox opened on the server, what its listing is relative to, and the directory against the base that goes with it.
struct Opened {
    view: RemoteView,
    since: Option<Since>,
    scanned: Option<Scanned>,
}

/// How the new messages of both sides are recognised.
struct Compared {
    found: Found,
    candidates: BTreeMap<UniqueName, Candidate>,
    unfinished: BTreeSet<Identity>,
}

/// The delta of a directory, what it proves, and which directory it is.
type Scanned = (LocalDelta, Ground, Option<DirectoryId>);

impl Observed {
    /// Draws no conclusion from missing files: their messages are taken for new, to be paired with what stands there
    /// under other names, else fetched again.
    fn doubt_missing_files(&mut self) {
        for (uid, row) in std::mem::take(&mut self.local.gone) {
            self.doubted.push(uid);
            if self.remote.gone.remove(&uid).is_none() {
                let flags = self.remote.reflagged.remove(&uid).map_or(row.flags, |(_, flags)| flags);
                self.remote.new.insert(uid, Listed { flags, size: Some(row.likeness.size) });
            }
        }
    }

    /// Takes messages out of the pass that somebody may be writing here as well; the server is to tell of them again.
    fn leave_to_writers(&mut self, unfinished: &BTreeSet<Identity>, found: &mut Found) {
        let before = found.len();
        let is_written =
            |likeness: &Option<Likeness>| likeness.is_some_and(|it| unfinished.contains(&it.identity));
        self.remote.new.retain(|uid, _| !found.get(uid).is_some_and(is_written));
        found.retain(|_, likeness| !is_written(likeness));
        if found.len() < before {
            self.marks = None;
        }
    }

    /// Takes messages out of the pass that the server has and does not show. One of them may be what was uploaded from
    /// here before.
    fn leave_out_silent(&mut self, found: Found, report: &mut Report) -> BTreeMap<Uid, Likeness> {
        let (shown, silent): (Found, Found) = found.into_iter().partition(|(_, likeness)| likeness.is_some());
        self.remote.new.retain(|uid, _| !silent.contains_key(uid));
        self.has_silent = !silent.is_empty();
        if let Some(first) = silent.keys().next() {
            let refusal = Refusal::Silent { count: silent.len(), first: first.value() };
            report.mailbox(&self.mailbox).trouble = Some(Trouble::new(Scope::Message, refusal));
        }
        shown.into_iter().filter_map(|(uid, likeness)| Some((uid, likeness?))).collect()
    }
}

fn since(record: &MailboxRecord, base: &Base, extent: &Extent) -> Option<Since> {
    let marks = record.marks?;
    let below = |row: &&Row| marks.uid_next.is_none_or(|next| row.uid < next);
    let count = |rows: usize| u32::try_from(rows).unwrap_or(u32::MAX);
    let known = base.rows.iter().filter(below);
    let unseen = known.clone().filter(|row| !row.flags.contains(Flags::SEEN));
    let enough = match (extent.flags_may_wait, &extent.only) {
        (false, _) => Enough::Everything,
        (true, Some(_)) => Enough::New,
        (true, None) => Enough::Counts { unseen: count(unseen.count()) },
    };
    Some(Since { marks, known: count(known.count()), enough })
}

/// Whether the server goes on where the base left it. Not so with another UIDVALIDITY, and not where the same mailbox went
/// back to an earlier state (a restored snapshot): the UIDs that it gave out since then will be those of other messages.
fn continues(record: &MailboxRecord, base: &Base, now: &Marks) -> bool {
    let last = base.rows.last().map(|row| row.uid);
    let is_given_out_again = now.uid_next.zip(last).is_some_and(|(next, last)| next <= last);
    let went_back = record.marks.and_then(|before| before.uid_next).zip(now.uid_next);
    let went_back = went_back.is_some_and(|(before, now)| now < before);
    record.uid_validity == Some(now.uid_validity) && !is_given_out_again && !went_back
}

fn has_older_modseq(record: &MailboxRecord, now: &Marks) -> bool {
    let before = record.marks.and_then(|before| before.modseq);
    before.zip(now.modseq).is_some_and(|(before, now)| now < before)
}

fn compare(
    record: &MailboxRecord,
    base: &Base,
    view: &RemoteView,
    remote: RemoteDelta,
    local: LocalDelta,
) -> Observed {
    let known = base.rows.iter().filter(|row| row.state != RowState::Kept).count();
    Observed {
        mailbox: record.name.clone(),
        uid_validity: view.marks.uid_validity,
        marks: (record.marks != Some(view.marks)).then_some(view.marks),
        read_only: view.read_only,
        storable: view.storable,
        known: u32::try_from(known).unwrap_or(u32::MAX),
        doubted: Vec::new(),
        remote,
        local,
        remote_likeness: BTreeMap::new(),
        has_silent: false,
        candidates: BTreeMap::new(),
        strangers: BTreeMap::new(),
        begun: BTreeSet::new(),
        has_unfinished: false,
        held: record.held.clone(),
        resettle: None,
    }
}

/// The delta of the second scan, with nothing gone that the first one saw.
fn confirmed(base: &Base, first: &LocalView, second: &LocalView) -> LocalDelta {
    let mut delta = delta::local(base, second);
    delta.gone.retain(|_, row| !first.files.contains_key(&row.name));
    delta.unloosened.retain(|name| !first.files.contains_key(name));
    delta
}

/// The base without its rows, whose files are now orphans.
fn orphaned(base: Base) -> Base {
    let mut loose = base.loose;
    let paired = base.rows.into_iter().filter(|row| row.state != RowState::Kept);
    loose.extend(paired.map(|row| (row.name, (Loose::Orphan, row.likeness))));
    Base { rows: Vec::new(), loose }
}

fn orphans(base: &Base) -> u64 {
    base.loose.values().filter(|(kind, _)| matches!(kind, Loose::Orphan | Loose::Uploaded)).count() as u64
}
