//! Proof of life: the watchdog is fed only while the task of every running unit turns.
//!
//! A question (a number) goes to every unit; each answers inside its own task, between two polls of its worker, and an
//! account with all its loops is one task. What blocks that task (a deadlock, an endless loop, disk work on the reactor)
//! keeps it from answering, the feed stops, and the service manager restarts the process: nothing inside it could, since
//! such a task cannot be aborted. Waiting is no reason to restart all accounts: for a peer there are deadlines, and disk
//! work has threads of its own, which a restart would only send to the same disk again. Without a watchdog no question is
//! ever asked, and nothing wakes up.

use super::herald::Herald;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

/// Every running unit's last answer.
#[derive(Clone, Debug)]
pub(super) struct Pulses {
    question: Arc<watch::Sender<u64>>,
    answers: Arc<Mutex<Answers>>,
}

type Answers = BTreeMap<String, Arc<AtomicU64>>;

impl Pulses {
    pub(super) fn new() -> Pulses {
        Pulses { question: Arc::new(watch::Sender::new(0)), answers: Arc::default() }
    }

    /// From now on a unit has to answer, until the pulse is dropped.
    pub(super) fn register(&self, name: &str) -> Pulse {
        let mut questions = self.question.subscribe();
        let answer = Arc::new(AtomicU64::new(*questions.borrow_and_update()));
        self.with(|answers| answers.insert(name.to_owned(), Arc::clone(&answer)));
        Pulse { name: name.to_owned(), questions, answer, pulses: self.clone() }
    }

    /// Asks everybody.
    fn ask(&self) {
        self.question.send_modify(|number| *number += 1);
    }

    /// Who has not yet answered the last question.
    fn silent(&self) -> Vec<String> {
        let asked = *self.question.borrow();
        let is_silent = |answer: &AtomicU64| answer.load(Ordering::Acquire) < asked;
        self.with(|answers| {
            answers.iter().filter(|(_, answer)| is_silent(answer)).map(|(name, _)| name.clone()).collect()
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Answers) -> T) -> T {
        act(&mut self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A unit's side.
#[derive(Debug)]
pub(super) struct Pulse {
    name: String,
    questions: watch::Receiver<u64>,
    answer: Arc<AtomicU64>,
    pulses: Pulses,
}

impl Pulse {
    /// Waits for the next question and answers it.
    pub(super) async fn beat(&mut self) {
        // The sender cannot be gone: `self.pulses` has it.
        if self.questions.changed().await.is_ok() {
            self.answer.store(*self.questions.borrow_and_update(), Ordering::Release);
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.pulses.with(|answers| {
            if answers.get(&self.name).is_some_and(|answer| Arc::ptr_eq(answer, &self.answer)) {
                answers.remove(&self.name);
            }
        });
    }
}

/// Feeds the watchdog that bites after `limit`, forever. Four times in that period rather than the usual two: a unit
/// that is busy for less than half of it must not come close to the end of all.
pub(super) async fn feed(pulses: Pulses, herald: Herald, limit: Duration) {
    let mut pace = interval((limit / 4).max(Duration::from_millis(1)));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let silent = pulses.silent();
        if silent.is_empty() {
            herald.watchdog();
            pulses.ask();
        } else {
            warn!("the watchdog is not fed: no sign of life from {}", silent.join(", "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_unit_is_silent_until_it_answers_or_ends() {
        let pulses = Pulses::new();
        let (mut one, two) = (pulses.register("one"), pulses.register("two"));
        assert!(pulses.silent().is_empty(), "nobody was asked yet");
        pulses.ask();
        assert_eq!(pulses.silent(), ["one", "two"]);
        one.beat().await;
        assert_eq!(pulses.silent(), ["two"]);
        drop(two);
        assert!(pulses.silent().is_empty());
    }

    #[tokio::test]
    async fn a_successor_is_not_forgotten_with_its_predecessor() {
        let pulses = Pulses::new();
        let old = pulses.register("one");
        let _new = pulses.register("one");
        drop(old);
        pulses.ask();
        assert_eq!(pulses.silent(), ["one"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_fed_in_time_and_starves_with_a_silent_unit() {
        let (pulses, (sender, mut fed)) = (Pulses::new(), tokio::sync::mpsc::unbounded_channel());
        let herald = Herald::new(move |states| {
            let _test_over = sender.send(states[0].to_string());
        });
        let mut pulse = pulses.register("unit");
        let feeder = tokio::spawn(feed(pulses, herald, Duration::from_secs(120)));
        for _ in 0..3 {
            let begin = tokio::time::Instant::now();
            assert_eq!(fed.recv().await.as_deref(), Some("WATCHDOG=1"));
            assert!(begin.elapsed() <= Duration::from_secs(60), "systemd expects half of the period at most");
            pulse.beat().await;
        }
        fed.recv().await.expect("the last answer counts");
        let starved = tokio::time::timeout(Duration::from_secs(600), fed.recv()).await;
        assert!(starved.is_err(), "fed although a unit is silent");
        feeder.abort();
    }
}
