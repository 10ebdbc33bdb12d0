//! The inbound loop: the one owner of Maildir, ledger and working connection. Every pass of the account is made here.
//!
//! A turn is: find out where to look (pokes, hints, sweep, orders), make passes until nothing is left to pick up, tell
//! the board. A connection is carried from turn to turn while all is well and dropped on the first error.

use super::board::Complaint;
use super::observe::{self, Counter};
use super::orders::Chosen;
use super::refused::Refused;
use super::rest::{delay, rest};
use super::sent::Target;
use super::session::connect;
use super::stores::{Stores, Watched};
use super::wake::{Looks, due, look_again};
use super::{Order, Shared, Told};
use crate::config::{self, Incoming};
use crate::error::Class;
use crate::imap;
use crate::keeping::Side;
use crate::mail::MailboxName;
use crate::maildir::{Hint, KEEP, UNTOUCHED};
use crate::status::{State, Summary};
use crate::sync::plan::Policy;
use crate::sync::report::Report;
use crate::sync::{Extent, Ledger as _, MailboxRecord, Pass, Remote};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// How long to collect local hints: readers rename and move in bursts, and one pass should see the whole of it.
const QUIET: Duration = Duration::from_millis(60);
/// The longest a burst of hints can put a pass off.
const BURST: Duration = Duration::from_millis(400);
/// Deletions that lie no further apart than this count as one for the guard.
const ONE_DELETION: Duration = Duration::from_secs(60);
/// How often every directory is scanned although no hint came (NFS and FUSE give none), and the quarantine purged.
const RESCAN: Duration = Duration::from_secs(600);
/// A good connection may end once in this time without a word and is replaced at once; more often is trouble, and
/// reconnecting at once would be a busy loop.
const HICCUP: Duration = Duration::from_secs(10);
/// Passes in a row that pick up what our own actions left; more would be a loop.
const FOLLOW_UPS: usize = 4;

/// The loop with all it owns.
pub(super) struct Inbound {
    pub(super) shared: Shared,
    pub(super) stores: Stores,
    pub(super) watched: Watched,
    policy: Policy,
    /// Messages at which connections broke.
    pub(super) suspects: imap::Suspects,
    /// Files whose upload failed.
    refused: Refused,
    /// Mailboxes whose directory may have changed since it was last seen in step: trouble came before, or a hint that
    /// was not followed to its end.
    pub(super) unclean: BTreeSet<MailboxName>,
    sent_mailbox: watch::Sender<Option<Target>>,
    last_scan: Option<Instant>,
    /// When to look again at mailboxes in which a file was not complete.
    again: Option<(Instant, BTreeSet<MailboxName>)>,
    /// When the Maildir was last cleaned up.
    last_cleaned: Option<Instant>,
    /// Deletions of the last minute.
    deleted: Vec<(Instant, MailboxName, Side, u32)>,
}

impl Inbound {
    pub(super) fn new(
        shared: Shared,
        stores: Stores,
        sent_mailbox: watch::Sender<Option<Target>>,
    ) -> Inbound {
        let policy = Policy {
            on_delete: shared.account.on_delete,
            // Also without `delete_after`: one that is set later takes all that was deleted here.
            keeps_for_now: matches!(shared.account.incoming, Incoming::Pop(_)),
            limit: shared.account.deletion_limit,
            recent: BTreeMap::new(),
            resting: BTreeMap::new(),
        };
        let watched = Watched::start(&stores.maildir);
        Inbound {
            shared,
            stores,
            watched,
            policy,
            suspects: imap::Suspects::default(),
            refused: Refused::default(),
            unclean: BTreeSet::new(),
            sent_mailbox,
            last_scan: None,
            again: None,
            last_cleaned: None,
            deleted: Vec::new(),
        }
    }

    /// Runs until the account stops.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let stop = self.shared.stop.clone();
        let (mut failures, mut last_hiccup) = (0, None::<Instant>);
        while !stop.is_cancelled() {
            let mut was_well = false;
            let account = self.shared.account.clone();
            let served = async {
                match &account.incoming {
                    Incoming::Imap(_) => self.connected(&mut orders, &mut was_well).await,
                    Incoming::Pop(pop) => self.polled(pop, &mut orders, &mut was_well).await,
                }
            };
            let outcome = tokio::select! {
                outcome = served => outcome,
                () = stop.cancelled() => return,
            };
            if was_well {
                failures = 0;
            }
            let Err(complaint) = outcome else { continue };
            let is_first = last_hiccup.replace(Instant::now()).is_none_or(|last| last.elapsed() > HICCUP);
            if was_well && is_first && complaint.class == Class::RETRY {
                // Servers close working connections as a matter of course: not worth a word if the next one is well.
                tracing::debug!(account = %self.shared.account.name, error = %complaint.text, "reconnecting");
                continue;
            }
            let wait = delay(complaint.class, failures);
            failures = failures.saturating_add(1);
            self.shared.board.trouble(&complaint, Some(wait));
            self.rest(wait, &mut orders).await;
        }
    }

    /// The user wants everything: nothing rests any more.
    pub(super) fn try_again(&mut self) {
        self.suspects.try_again();
        self.refused.try_again();
    }

    /// Carries out one order and ends.
    pub(super) async fn once(mut self, order: Order) {
        self.try_order(order).await;
    }

    /// One connection from its login to its end; `Ok` when it is to be replaced or the account stops.
    async fn connected(
        &mut self,
        orders: &mut mpsc::Receiver<Order>,
        was_well: &mut bool,
    ) -> Result<(), Complaint> {
        self.shared.board.state(State::Connecting, "");
        let connected = connect(&self.shared).await?;
        self.shared.board.logged_in(connected.session.mechanism(), connected.expires);
        self.stores.claim(&self.shared.account, false).await?;
        let ends = Instant::now() + connected.life();
        let mut remote = imap::Remote::new(connected.session, self.suspects.clone());
        let mut looks = Looks { everything: self.last_scan.is_none(), sweep: true, ..Looks::default() };
        let mut next_sweep = Instant::now();
        loop {
            if looks.sweep || looks.everything {
                next_sweep = Instant::now() + self.shared.account.sweep;
            }
            if !looks.is_empty() {
                let extent = self.extent(std::mem::take(&mut looks));
                self.turn(&mut remote, extent, None, &mut Summary::default()).await?;
                *was_well = true;
            }
            tokio::select! {
                biased;
                // First: an account that is never quiet must not keep a connection beyond its token.
                () = sleep_until(ends) => {
                    remote.into_session().logout().await;
                    return Ok(());
                }
                () = self.shared.wake.poked() => looks = self.shared.wake.take(),
                Some(order) = orders.recv() => self.obey_or_refuse(&mut remote, order).await?,
                hint = next_hint(&mut self.watched) => looks = self.collect(hint).await,
                () = sleep_until(next_sweep) => looks.sweep = true,
                local = due(&mut self.again) => looks.local = local,
                // Nobody else may notice: the watching connection ends at another moment, or there is none.
                error = remote.ended() => return Err(Complaint::new(&error)),
                () = self.shared.login_changed.changed() => {
                    self.shared.login.look_again().await;
                    remote.into_session().logout().await;
                    return Ok(());
                }
            }
        }
    }

    /// Hints until there is a short quiet, together with pokes that came meanwhile.
    async fn collect(&mut self, first: Hint) -> Looks {
        let (mut hint, deadline) = (first, Instant::now() + BURST);
        let mut looks = Looks::default();
        loop {
            match hint {
                Hint::Everything | Hint::Structure => looks.everything = true,
                Hint::Mailbox(mailbox) => {
                    looks.local.insert(mailbox);
                }
            }
            tokio::select! {
                next = next_hint(&mut self.watched) => hint = next,
                () = sleep(QUIET) => break,
                () = sleep_until(deadline) => break,
            }
        }
        let poked = self.shared.wake.take();
        Looks {
            everything: looks.everything | poked.everything,
            sweep: poked.sweep,
            remote: poked.remote,
            local: looks.local.into_iter().chain(poked.local).collect(),
        }
    }

    fn extent(&mut self, looks: Looks) -> Extent {
        let rescan = self.last_scan.is_none_or(|last| last.elapsed() > RESCAN);
        if looks.everything || (looks.sweep && rescan) {
            self.last_scan = Some(Instant::now());
            return Extent::default();
        }
        // Clean again only when a pass says so: the hint is used up.
        self.unclean.extend(looks.local.iter().cloned());
        let local_clean = self.watched.followed().difference(&self.unclean).cloned().collect();
        let only = (!looks.sweep).then(|| looks.remote.union(&looks.local).cloned().collect());
        // Most hints are the echo of our own writes: they cost a scan, and no round trip.
        let remote_quiet = if looks.sweep {
            BTreeSet::new()
        } else {
            looks.local.difference(&looks.remote).cloned().collect()
        };
        Extent { only, local_clean, remote_quiet, flags_may_wait: true, dry_run: false }
    }

    /// Passes until nothing is left to pick up.
    pub(super) async fn turn(
        &mut self,
        remote: &mut impl Remote,
        mut extent: Extent,
        order: Option<(&mpsc::UnboundedSender<Told>, Option<&Chosen>)>,
        summary: &mut Summary,
    ) -> Result<(), Complaint> {
        let (to, chosen) = (order.map(|(to, _)| to.clone()), order.and_then(|(_, chosen)| chosen));
        let mut unfinished = BTreeSet::new();
        for turn in 0..FOLLOW_UPS {
            let report = self.pass(remote, &extent, to.clone(), chosen).await;
            unfinished = report.unfinished();
            if turn == 0 && report.plan.is_some() && !unfinished.is_empty() {
                sleep(UNTOUCHED).await;
                continue;
            }
            observe::add(summary, &report);
            observe::log(&self.shared.account.name, &report);
            if let (Some(plan), Some(to)) = (&report.plan, &to) {
                observe::left_out(summary, &unfinished);
                let text = format!("{}{plan}", report.new_mailboxes());
                let unmatched = chosen.and_then(Chosen::unmatched);
                let planned = observe::planned(plan, std::mem::take(&mut summary.errors));
                let summary = Summary { unmatched, ..planned };
                // Whoever asked may be gone.
                let _ = to.send(Told::Plan { text, summary });
                self.shared.board.state(State::Watching, "");
                return Ok(());
            }
            self.after(&report).await?;
            if report.follow_up.is_empty() {
                if unfinished.is_empty() || order.is_none() {
                    break;
                }
                sleep(UNTOUCHED).await;
            }
            let only = report.follow_up.union(&unfinished).cloned().collect();
            extent = Extent { only: Some(only), flags_may_wait: true, ..Extent::default() };
        }
        observe::left_out(summary, &unfinished);
        look_again(&mut self.again, unfinished);
        Ok(())
    }

    async fn pass(
        &mut self,
        remote: &mut impl Remote,
        extent: &Extent,
        to: Option<mpsc::UnboundedSender<Told>>,
        chosen: Option<&Chosen>,
    ) -> Report {
        let observer = Counter::new(self.shared.board.clone(), to);
        self.policy.resting = self.refused.resting();
        self.policy.recent.clear();
        for (_, name, side, count) in self.deleted.iter().filter(|(when, ..)| when.elapsed() < ONE_DELETION) {
            let recent = self.policy.recent.entry((name.clone(), *side)).or_default();
            *recent = recent.saturating_add(*count);
        }
        let config::Account { name: account, mailboxes, .. } = &*self.shared.account;
        let wanted = |mailbox: &MailboxName| {
            mailboxes.wants(mailbox) && chosen.is_none_or(|chosen| chosen.wants(mailbox))
        };
        let Stores { maildir: local, ledger } = &mut self.stores;
        let pass = Pass {
            account,
            remote,
            local,
            ledger,
            policy: &self.policy,
            wanted: &wanted,
            observer: &observer,
        };
        pass.run(extent).await
    }

    /// Tells the board and the watch what a pass brought; passes on what ended it.
    async fn after(&mut self, report: &Report) -> Result<(), Complaint> {
        self.remember_deletions(report);
        self.refused.learn(report);
        // Also in trouble: what is cleaned up may be what a full disk lacks.
        self.housekeep().await;
        for (name, mailbox) in &report.mailboxes {
            match mailbox.trouble.is_some() || mailbox.incomplete || mailbox.unfinished {
                true => self.unclean.insert(name.clone()),
                false => self.unclean.remove(name),
            };
            if mailbox.resettled {
                self.watched.unfollow(&self.stores.maildir, name);
            }
        }
        if report.trouble.is_some() {
            // The hints that led here are used up and may not have been followed to their end.
            self.last_scan = None;
        }
        let records = self.stores.ledger.mailboxes().await;
        let records = records.map_err(|trouble| Complaint::of_trouble(&trouble))?;
        self.follow(&records);
        self.shared.board.mailboxes(&records, report);
        if let Some(trouble) = &report.trouble {
            // Mailboxes that this pass did not come to are still unseen.
            self.last_scan = None;
            return Err(Complaint::of_trouble(trouble));
        }
        self.shared.board.well(&records);
        self.sent_mailbox.send_replace(Some(Target::of(&records)));
        Ok(())
    }

    /// Lets the guard see deletions of several passes as one.
    fn remember_deletions(&mut self, report: &Report) {
        let now = Instant::now();
        self.deleted.retain(|(when, ..)| now.duration_since(*when) < ONE_DELETION);
        for (name, mailbox) in &report.mailboxes {
            let local = mailbox.removed + mailbox.kept;
            for (side, count) in [(Side::Local, local), (Side::Remote, mailbox.quarantined)] {
                if count > 0 {
                    self.deleted.push((now, name.clone(), side, u32::try_from(count).unwrap_or(u32::MAX)));
                }
            }
        }
    }

    /// Follows wanted mailboxes. What happened in new ones before is unseen, so they are looked at once more.
    fn follow(&mut self, records: &[MailboxRecord]) {
        let wanted = &self.shared.account.mailboxes;
        let there = |record: &&MailboxRecord| record.directory.is_some() && wanted.wants(&record.name);
        let new =
            self.watched.follow(&self.stores.maildir, &records.iter().filter(there).collect::<Vec<_>>());
        if !new.is_empty() {
            self.shared.wake.poke(|looks| looks.local.extend(new));
        }
    }

    /// Now and then: old copies leave the quarantine, abandoned deliveries leave `tmp`.
    async fn housekeep(&mut self) {
        if self.last_cleaned.is_some_and(|last| last.elapsed() < RESCAN) {
            return;
        }
        self.last_cleaned = Some(Instant::now());
        if let Err(trouble) = self.stores.maildir.clean_up(SystemTime::now(), KEEP).await {
            tracing::warn!(account = %self.shared.account.name, error = %trouble, "cannot clean up the Maildir");
        }
    }

    /// Waits after trouble. A login, a new order or the end of the account cut it short.
    async fn rest(&mut self, wait: Duration, orders: &mut mpsc::Receiver<Order>) {
        let order = tokio::select! {
            () = rest(&mut self.shared, wait) => return,
            Some(order) = orders.recv() => order,
        };
        let stop = self.shared.stop.clone();
        tokio::select! {
            () = self.try_order(order) => {}
            () = stop.cancelled() => {}
        }
    }
}

pub(super) async fn next_hint(watched: &mut Watched) -> Hint {
    match &mut watched.hints {
        Some(hints) => hints.next().await,
        None => std::future::pending().await,
    }
}
