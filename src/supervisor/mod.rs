//! Named units: start, stop, restart, replace. Knows no mail.
//!
//! A unit is a name, a specification and a run function; what it is for is the caller's business. Each is its own
//! failure domain: an error or a panic in one is seen by nobody else. [`plan`] decides, [`Supervisor`] does, and
//! what happens is told as [`Event`]s.
//!
//! Theory of operation: every unit has a *keeper*, a task that runs it, reads its end, and runs it again after a
//! pause or leaves it down ([`plan::Law`]). Nothing that [`Supervisor::apply`] starts runs before everything that
//! left is gone, so two runs never share what only one may hold. A stop has two stages: the unit is asked through
//! its token, and aborted when it does not end in time. Only what it says must not be cut off ([`Bounds::uncut`]) is waited
//! for longer.
//!
//! Rejected: a tree of supervisors (there is one level of units) and an actor with a command queue (the daemon's
//! loop is the only caller).

mod keeper;
pub mod plan;

use crate::error::{Class, Classified, chain};
use futures_util::future::{BoxFuture, join, join_all};
use keeper::{Keeper, Life};
use plan::{Action, Law};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why a unit ended before it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// What to do about it.
    pub class: Class,
    /// The error with its causes, on one line.
    pub text: String,
    /// What the user can do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A driver's error as the end of a unit.
    pub fn new(error: &impl Classified) -> Failure {
        Failure { class: error.class(), text: chain(error), hint: error.hint() }
    }
}

/// How one run of a unit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It was done, or was asked to stop.
    Finished,
    /// It returned an error.
    Failed(Failure),
    /// It panicked, with these words.
    Panicked(String),
}

/// What happens to a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A run begins.
    Started,
    /// A run ended by itself; the next one begins after this pause, or the unit stays down.
    Ended(End, Option<Duration>),
    /// It was asked to stop and is gone.
    Stopped,
}

/// How a run hears that it has to end, and says that it cannot yet.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// Cancelled when it has to end; what still runs three and a half seconds later is aborted.
    pub stop: CancellationToken,
    /// As long as it holds a token of this one it is not aborted, up to 25 seconds more.
    pub uncut: TaskTracker,
}

/// Runs a unit to its end; a run that is asked to stop returns `Ok`.
pub type Run<S> = dyn Fn(&str, S, Bounds) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync;

/// Hears what happens to units; called from their keepers, so it must not block.
pub type Listener = dyn Fn(&str, Event) + Send + Sync;

/// The units that run. Dropping it aborts them all; [`Supervisor::stop`] is the way to end well.
pub struct Supervisor<S> {
    run: Arc<Run<S>>,
    listener: Arc<Listener>,
    law: Law,
    units: BTreeMap<String, (S, Keeper)>,
    /// Cancelled when everything that left so far is gone.
    gone: CancellationToken,
}

impl<S: Clone + PartialEq + Send + Sync + 'static> Supervisor<S> {
    /// A supervisor without units.
    pub fn new(law: Law, run: Arc<Run<S>>, listener: Arc<Listener>) -> Supervisor<S> {
        let gone = CancellationToken::new();
        gone.cancel();
        Supervisor { run, listener, law, units: BTreeMap::new(), gone }
    }

    /// Makes `wanted` the units that run. Units whose specification stays the same are not touched, except those that are
    /// to begin `anew`. Returns at once; units that leave get their time, and new ones wait for them.
    pub fn apply(&mut self, wanted: &BTreeMap<String, S>, anew: &BTreeSet<String>) {
        let running = self.units.iter().map(|(name, (spec, _))| (name.clone(), spec.clone())).collect();
        let actions = plan::plan(&running, wanted, anew);
        let leaving: Vec<Keeper> = actions.iter().filter_map(|action| self.take_leaving(action)).collect();
        self.see_off(leaving);
        for action in actions {
            let (Action::Start(name) | Action::Replace(name)) = action else { continue };
            if let Some(spec) = wanted.get(&name) {
                self.start(name, spec.clone());
            }
        }
    }

    /// Runs a unit that is down or waits for its next attempt at once, as if it were new. False where it runs
    /// already, or is unknown.
    pub fn revive(&self, name: &str) -> bool {
        self.units.get(name).is_some_and(|(_, keeper)| keeper.revive())
    }

    /// Stops every unit: asks all, waits, aborts the rest.
    pub async fn stop(mut self) {
        let keepers = std::mem::take(&mut self.units).into_values().map(|(_, keeper)| keeper.stop());
        join(join_all(keepers), self.gone.cancelled()).await;
    }

    fn take_leaving(&mut self, action: &Action) -> Option<Keeper> {
        let (Action::Stop(name) | Action::Replace(name)) = action else { return None };
        self.units.remove(name).map(|(_, keeper)| keeper)
    }

    /// Stops keepers in the background and makes `gone` wait for them as well.
    fn see_off(&mut self, leaving: Vec<Keeper>) {
        if leaving.is_empty() {
            return;
        }
        let gone = CancellationToken::new();
        let before = std::mem::replace(&mut self.gone, gone.clone());
        tokio::spawn(async move {
            let _told_even_if_dropped = gone.drop_guard();
            join_all(leaving.into_iter().map(Keeper::stop)).await;
            before.cancelled().await;
        });
    }

    fn start(&mut self, name: String, spec: S) {
        let life = Life {
            name: name.clone(),
            spec: spec.clone(),
            run: Arc::clone(&self.run),
            listener: Arc::clone(&self.listener),
            law: self.law,
        };
        let keeper = Keeper::start(life, self.gone.clone());
        self.units.insert(name, (spec, keeper));
    }
}

#[cfg(test)]
mod tests;
