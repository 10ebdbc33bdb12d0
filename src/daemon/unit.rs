//! One account as a unit: its lock, its status, its pulse, around the worker that the [`Fleet`] runs.

use super::board::Board;
use super::pulse::{Pulse, Pulses};
use super::{Fleet, Unit};
use crate::lock::Lock;
use crate::status::Account;
use crate::supervisor::{Bounds, Failure};
use crate::task::off_reactor;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// What all units have in common.
pub(super) struct Surroundings<F> {
    pub(super) fleet: Arc<F>,
    pub(super) state_dir: PathBuf,
    pub(super) board: Board,
    pub(super) pulses: Pulses,
}

impl<F: Fleet> Surroundings<F> {
    /// One run of a unit. The lock is held to its end, however it ends, and longer by what the worker leaves running.
    pub(super) async fn live(
        self: Arc<Self>,
        name: String,
        spec: F::Spec,
        bounds: Bounds,
    ) -> Result<(), Failure> {
        let lock = Arc::new(self.lock(name.clone()).await?);
        let (status, words) = watch::channel(Account { name: name.clone(), ..Account::default() });
        self.board.attach(&name, words.clone());
        let pulse = self.pulses.register(&name);
        let state_dir = self.state_dir.join(&name);
        let worker = self.fleet.run(Unit { name, spec, state_dir, lock: Arc::clone(&lock), status, bounds });
        tokio::select! {
            end = worker => end,
            never = attend(&self.board, words, pulse) => match never {},
        }
    }

    async fn lock(&self, name: String) -> Result<Lock, Failure> {
        let state_dir = self.state_dir.clone();
        let locked = off_reactor(move || Lock::account(&state_dir, &name)).await;
        locked.map_err(|error| Failure::new(&error))
    }
}

/// Passes changes of the status on and answers for the unit, inside its task.
async fn attend(board: &Board, mut words: watch::Receiver<Account>, mut pulse: Pulse) -> Infallible {
    loop {
        tokio::select! {
            changed = words.changed() => match changed {
                Ok(()) => board.touch(),
                Err(_worker_is_silent) => loop { pulse.beat().await },
            },
            () = pulse.beat() => {}
        }
    }
}
