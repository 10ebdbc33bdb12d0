//! The composition root: configuration to units to supervisor; signals, readiness, reload, control.
//!
//! What an account does is behind the [`Fleet`]; this module only keeps accounts running, each in its own unit, and
//! tells the service manager and the control socket about them. It is one loop over signals and orders; the
//! configuration in force is always one that was read completely and found right.
//!
//! Order at the start: configuration, lock on the state, control socket, units, READY. Order at the end: STOPPING,
//! units and what the fleet must not cut off, control socket, lock.

mod bell;
mod board;
pub mod fleet;
mod herald;
mod pulse;
pub mod signals;
mod unit;

pub use signals::Signal;

use crate::control::server::{Handler, Replies, Server};
use crate::control::{Code, Refusal, Request, Response};
use crate::lock::Lock;
use crate::status::{Account, Stranded};
use crate::supervisor::plan::Law;
use crate::supervisor::{Bounds, Failure, Supervisor};
use crate::task::off_reactor;
use anyhow::Context;
use board::Board;
use futures_util::future::{BoxFuture, join};
use futures_util::{Stream, StreamExt};
use herald::Herald;
use jiff::Timestamp;
use pulse::Pulses;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use unit::Surroundings;

/// Orders that can wait while a reload reads the configuration.
const ORDERS: usize = 16;

/// The accounts: what they are and how one is run.
pub trait Fleet: Send + Sync + 'static {
    /// All that makes an account what it is; another value means that its unit is replaced.
    type Spec: Clone + PartialEq + Send + Sync + 'static;

    /// Reads the configuration. May block; called off the reactor.
    fn load(&self) -> anyhow::Result<BTreeMap<String, Self::Spec>>;

    /// What an account queued that none of these will send. May block; called off the reactor.
    fn stranded(&self, state_dir: &Path, accounts: &BTreeMap<String, Self::Spec>) -> Vec<Stranded>;

    /// Runs one account until it is asked to stop; then it returns `Ok`. An error or a panic is this account's alone.
    fn run(&self, unit: Unit<Self::Spec>) -> BoxFuture<'static, Result<(), Failure>>;

    /// Answers every request but [`Request::Status`] and [`Request::Reload`]; of [`Request::TokenChanged`] only
    /// those for accounts whose unit is running.
    fn answer(&self, request: Request, replies: Replies) -> BoxFuture<'_, Result<(), Refusal>>;

    /// The end: waits until nothing is under way that must not be cut off. Called when the units are asked to stop.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// What a worker gets.
#[derive(Debug)]
pub struct Unit<S> {
    /// Name of the account.
    pub name: String,
    /// What it is.
    pub spec: S,
    /// Its part of the state directory; locked, and made where it was missing.
    pub state_dir: PathBuf,
    /// Where it tells what it does.
    pub status: watch::Sender<Account>,
    /// The lock on that; the next run of this account begins when nobody has it any more.
    pub lock: Arc<Lock>,
    /// When it has to end.
    pub bounds: Bounds,
}

/// Where the daemon lives.
#[derive(Clone, Debug)]
pub struct Places {
    /// The control socket.
    pub socket: PathBuf,
    /// What must survive a restart; one directory for each account.
    pub state_dir: PathBuf,
}

/// Runs the daemon until a signal ends it. Errors are those of the start: a configuration that is wrong
/// ([`Fleet::load`]'s own error), a second daemon ([`crate::lock::Error`], [`crate::control::server::Error`]).
pub async fn run<F: Fleet>(fleet: F, places: Places) -> anyhow::Result<()> {
    let signals = signals::listen().context("cannot listen to signals")?;
    serve(Arc::new(fleet), places, signals, Herald::systemd(), sd_notify::watchdog_enabled()).await
}

/// [`run`] with its surroundings passed in.
async fn serve<F: Fleet>(
    fleet: Arc<F>,
    places: Places,
    signals: impl Stream<Item = Signal> + Unpin,
    herald: Herald,
    watchdog: Option<Duration>,
) -> anyhow::Result<()> {
    let loaded = load(&fleet, &places.state_dir).await?;
    let _lock = lock_state(places.state_dir.clone()).await?;
    let server = Server::bind(&places.socket).await?;
    let (board, pulses) = (Board::new(Timestamp::now()), Pulses::new());
    let (orders, incoming) = mpsc::channel(ORDERS);
    let stop = CancellationToken::new();
    let desk = Desk { fleet: Arc::clone(&fleet), board: board.clone(), orders };
    let serving = tokio::spawn(server.run(Arc::new(desk), stop.clone()));

    let mut helpers = JoinSet::new();
    helpers.spawn(announce(board.clone(), herald.clone()));
    if let Some(limit) = watchdog {
        helpers.spawn(pulse::feed(pulses.clone(), herald.clone(), limit));
    }
    let surroundings = Surroundings { fleet: Arc::clone(&fleet), state_dir: places.state_dir, board, pulses };
    let mut daemon = Daemon::new(surroundings, herald);
    let accounts = loaded.accounts.len();
    daemon.apply(loaded, &BTreeSet::new());
    daemon.herald.ready();
    info!(accounts, "ready");

    let outcome = daemon.attend(signals, incoming, serving, stop).await;
    helpers.shutdown().await;
    outcome
}

/// The daemon while it runs.
struct Daemon<F: Fleet> {
    fleet: Arc<F>,
    state_dir: PathBuf,
    board: Board,
    herald: Herald,
    supervisor: Supervisor<F::Spec>,
}

/// What the control socket wants done by the daemon's own loop.
enum Order {
    Reload(oneshot::Sender<Result<(), Refusal>>),
    Revive(String, oneshot::Sender<bool>),
}

impl<F: Fleet> Daemon<F> {
    fn new(surroundings: Surroundings<F>, herald: Herald) -> Daemon<F> {
        let surroundings = Arc::new(surroundings);
        let (fleet, board) = (Arc::clone(&surroundings.fleet), surroundings.board.clone());
        let state_dir = surroundings.state_dir.clone();
        let run = move |name: &str, spec, bounds| -> BoxFuture<'static, Result<(), Failure>> {
            Box::pin(Arc::clone(&surroundings).live(name.to_owned(), spec, bounds))
        };
        let listening = board.clone();
        let listener = move |name: &str, event| listening.record(name, event, Timestamp::now());
        let supervisor = Supervisor::new(Law::WORKER, Arc::new(run), Arc::new(listener));
        Daemon { fleet, state_dir, board, herald, supervisor }
    }

    /// The loop; returns when all has ended.
    async fn attend(
        mut self,
        mut signals: impl Stream<Item = Signal> + Unpin,
        mut orders: mpsc::Receiver<Order>,
        mut serving: JoinHandle<()>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let outcome = loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Some(Signal::Reload) => {
                        let _told_by_log_and_status = self.reload().await;
                    }
                    Some(Signal::Stop) | None => break Ok(()),
                },
                Some(order) = orders.recv() => self.obey(order).await,
                ended = &mut serving => {
                    break Err(anyhow::anyhow!("the control socket failed: {ended:?}"));
                }
            }
        };
        info!("stopping");
        self.herald.stopping();
        // In this order: what is under way belongs to units that still run.
        join(self.fleet.close(), self.supervisor.stop()).await;
        stop.cancel();
        if outcome.is_ok() {
            serving.await.context("the control socket failed")?;
        }
        outcome
    }

    async fn obey(&mut self, order: Order) {
        // A client that went away needs no answer.
        match order {
            Order::Reload(reply) => {
                let _gone = reply.send(self.reload().await);
            }
            Order::Revive(account, reply) => {
                let _gone = reply.send(self.supervisor.revive(&account));
            }
        }
    }

    /// Reads the configuration again; one that is wrong changes nothing.
    async fn reload(&mut self) -> Result<(), Refusal> {
        self.herald.reloading();
        let outcome = match load(&self.fleet, &self.state_dir).await {
            Ok(loaded) => {
                info!(accounts = loaded.accounts.len(), "configuration reloaded");
                self.board.notice(None);
                // What is in trouble may have been mended where no configuration tells of it.
                self.apply(loaded, &self.board.in_trouble());
                Ok(())
            }
            Err(error) => {
                let message = format!("configuration not reloaded, the former one stays in force: {error:#}");
                warn!("{message}");
                self.board.notice(Some(message.clone()));
                Err(Refusal::new(Code::Configuration, message).with_hint("posthaste config check"))
            }
        };
        self.herald.ready();
        outcome
    }

    fn apply(&mut self, loaded: Loaded<F::Spec>, anew: &BTreeSet<String>) {
        let Loaded { accounts, stranded } = loaded;
        for Stranded { account, queue, messages } in &stranded {
            warn!(account, queue, messages, "queued, and nobody sends it: see posthaste status");
        }
        self.board.stranded(stranded);
        self.board.retain(accounts.keys());
        self.supervisor.apply(&accounts, anew);
    }
}

/// Answers at the control socket.
struct Desk<F> {
    fleet: Arc<F>,
    board: Board,
    orders: mpsc::Sender<Order>,
}

impl<F: Fleet> Handler for Desk<F> {
    fn handle(&self, request: Request, replies: Replies) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            match request {
                Request::Status => {
                    replies.send(Response::Status(self.board.status())).await;
                    Ok(())
                }
                Request::Reload => self.order(Order::Reload).await?,
                Request::TokenChanged { account } => {
                    let revived = self.order(|reply| Order::Revive(account.clone(), reply)).await?;
                    if revived {
                        return Ok(());
                    }
                    self.fleet.answer(Request::TokenChanged { account }, replies).await
                }
                request => self.fleet.answer(request, replies).await,
            }
        })
    }
}

impl<F> Desk<F> {
    async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, Refusal> {
        let stopping = || Refusal::new(Code::Retry, "the daemon is stopping");
        let (reply, answer) = oneshot::channel();
        self.orders.send(order(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }
}

/// A configuration, and what no account of it will send.
struct Loaded<S> {
    accounts: BTreeMap<String, S>,
    stranded: Vec<Stranded>,
}

async fn load<F: Fleet>(fleet: &Arc<F>, state_dir: &Path) -> anyhow::Result<Loaded<F::Spec>> {
    let (fleet, state_dir) = (Arc::clone(fleet), state_dir.to_owned());
    // A defect that one configuration met must not end the accounts of the old one.
    let loading = spawn_blocking(move || {
        let accounts = fleet.load()?;
        let stranded = fleet.stranded(&state_dir, &accounts);
        Ok(Loaded { accounts, stranded })
    });
    loading.await.context("reading the configuration failed")?
}

async fn lock_state(state_dir: PathBuf) -> anyhow::Result<Lock> {
    let what = format!("the state in {}", state_dir.display());
    Ok(off_reactor(move || Lock::directory(&state_dir, what)).await?)
}

/// Keeps the one line that the service manager shows, sent only when it changes.
async fn announce(board: Board, herald: Herald) {
    let mut changes = board.changes();
    let mut shown = String::new();
    loop {
        let line = board.summary();
        if line != shown {
            herald.status(&line);
            shown = line;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
