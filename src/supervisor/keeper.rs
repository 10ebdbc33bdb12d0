//! The task that keeps one unit: runs it, reads its end, runs it again or leaves it down, stops it in two stages.
//!
//! Each run is a task of its own, so that a panic ends that task and is read from its join handle. Relies on
//! `panic = "unwind"`.

use super::plan::{Law, Next};
use super::{Bounds, End, Event, Failure, Listener, Run};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Time for a unit to end by itself: a stop is over within five seconds, aborting included.
const LEAVE: Duration = Duration::from_millis(3500);
/// Time beyond that for what must not be cut off: with it a stop is over within half a minute.
const UNCUT: Duration = Duration::from_secs(25);
/// Time for an aborted task to reach its next await. One that does not is stuck in code that never yields; no wait
/// ends that.
const ABORT: Duration = Duration::from_millis(500);

/// What a unit is made of.
pub(super) struct Life<S> {
    pub(super) name: String,
    pub(super) spec: S,
    pub(super) run: Arc<Run<S>>,
    pub(super) listener: Arc<Listener>,
    pub(super) law: Law,
}

/// The handle of a kept unit. Dropping it aborts the unit.
pub(super) struct Keeper {
    name: String,
    bounds: Bounds,
    force: CancellationToken,
    revive: Arc<Notify>,
    is_up: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Keeps a unit from the moment on when `clear` is cancelled.
    pub(super) fn start<S: Clone + Send + Sync + 'static>(life: Life<S>, clear: CancellationToken) -> Keeper {
        let name = life.name.clone();
        let (bounds, force) = (Bounds::default(), CancellationToken::new());
        let (revive, is_up) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(true)));
        let keep = Keep { life, bounds: bounds.clone(), force: force.clone(), is_up: Arc::clone(&is_up) };
        let task = tokio::spawn(keep.keep(clear, Arc::clone(&revive)));
        Keeper { name, bounds, force, revive, is_up, task }
    }

    /// Ends a pause between two runs; false where the unit is running.
    pub(super) fn revive(&self) -> bool {
        let is_down = !self.is_up.swap(true, Ordering::AcqRel);
        if is_down {
            self.revive.notify_one();
        }
        is_down
    }

    /// Asks, waits, aborts.
    pub(super) async fn stop(mut self) {
        self.bounds.stop.cancel();
        if timeout(LEAVE, &mut self.task).await.is_ok() || self.ends_when_it_may_be_cut_off().await {
            return;
        }
        warn!(unit = self.name, "did not stop in time: aborted");
        self.force.cancel();
        if timeout(ABORT, &mut self.task).await.is_err() {
            warn!(unit = self.name, "cannot be aborted: it never yields");
        }
    }

    /// Waits for what must not be cut off, and whether the unit ends by itself then.
    async fn ends_when_it_may_be_cut_off(&mut self) -> bool {
        let uncut = &self.bounds.uncut;
        if uncut.is_empty() {
            return false;
        }
        info!(unit = self.name, "is in the middle of what cannot be repeated: waiting, {UNCUT:?} at most");
        uncut.close();
        let is_over = timeout(UNCUT, uncut.wait()).await.is_ok();
        is_over && timeout(ABORT, &mut self.task).await.is_ok()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The keeper's own side.
struct Keep<S> {
    life: Life<S>,
    bounds: Bounds,
    force: CancellationToken,
    is_up: Arc<AtomicBool>,
}

impl<S: Clone + Send + Sync + 'static> Keep<S> {
    async fn keep(self, clear: CancellationToken, revive: Arc<Notify>) {
        let mut failed = 0;
        tokio::select! {
            () = clear.cancelled() => {}
            () = self.bounds.stop.cancelled() => return,
        }
        loop {
            let begin = Instant::now();
            let end = self.run_once().await;
            if self.bounds.stop.is_cancelled() {
                break self.say(Event::Stopped);
            }
            let next = self.life.law.next(&end, begin.elapsed(), failed, fastrand::f64());
            self.is_up.store(false, Ordering::Release);
            self.report(end, next);
            failed = tokio::select! {
                in_a_row = wait(next) => in_a_row,
                () = revive.notified() => 0,
                () = self.bounds.stop.cancelled() => break self.say(Event::Stopped),
            };
            self.is_up.store(true, Ordering::Release);
        }
    }

    /// One run, in a task that is aborted with this one.
    async fn run_once(&self) -> End {
        self.say(Event::Started);
        let life = &self.life;
        let mut task = JoinSet::new();
        // The run function itself may panic before it returns a future: it is called inside the task.
        let (run, name, spec) = (Arc::clone(&life.run), life.name.clone(), life.spec.clone());
        // A run may end itself: that asks no other run to stop.
        let bounds = Bounds { stop: self.bounds.stop.child_token(), ..self.bounds.clone() };
        task.spawn(async move { run(&name, spec, bounds).await });
        tokio::select! {
            ended = task.join_next() => ended.map_or(End::Finished, end_of),
            () = self.force.cancelled() => {
                task.shutdown().await;
                End::Finished
            }
        }
    }

    fn say(&self, event: Event) {
        match &event {
            Event::Started => info!(unit = self.life.name, "started"),
            Event::Stopped => info!(unit = self.life.name, "stopped"),
            Event::Ended(..) => {}
        }
        (self.life.listener)(&self.life.name, event);
    }

    fn report(&self, end: End, next: Next) {
        let pause = match next {
            Next::Again { pause, .. } => Some(pause),
            Next::Down => None,
        };
        let unit = &self.life.name;
        match (&end, pause) {
            (End::Finished, _) => info!(unit, "finished"),
            (End::Failed(failure), Some(pause)) => warn!(unit, "{failure}; next attempt in {pause:.1?}"),
            (End::Failed(failure), None) => warn!(unit, "{failure}; stays down"),
            (End::Panicked(text), Some(pause)) => {
                warn!(unit, "panicked: {text}; next attempt in {pause:.1?}");
            }
            (End::Panicked(text), None) => warn!(unit, "panicked: {text}; stays down"),
        }
        self.say(Event::Ended(end, pause));
    }
}

/// Sleeps until the next attempt; returns how many failed before it.
async fn wait(next: Next) -> u32 {
    match next {
        Next::Again { pause, failed } => {
            sleep(pause).await;
            failed
        }
        Next::Down => std::future::pending().await,
    }
}

fn end_of(joined: Result<Result<(), Failure>, JoinError>) -> End {
    match joined {
        Ok(Ok(())) => End::Finished,
        Ok(Err(failure)) => End::Failed(failure),
        Err(error) => match error.try_into_panic() {
            Ok(payload) => End::Panicked(words(payload.as_ref())),
            Err(_aborted) => End::Finished,
        },
    }
}

/// What a panic said.
fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().map(str::to_owned);
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no words".to_owned())
}
