//! Tasks that somebody waits for, and work that blocks.
//!
//! Invariant: a panic in a task is a panic of whoever waits for it, so that a defect reaches the supervisor and is never
//! taken for an answer. A task that was cancelled has no outcome: nothing here is aborted but by the end of the runtime,
//! and whoever waits then is dropped with it. Rejected: an error for it; no caller can do anything with one.

use tokio::task::{JoinHandle, spawn_blocking};

/// Runs work that blocks off the reactor. Once begun it is done to its end, also when nobody waits any more.
pub async fn off_reactor<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    outcome(spawn_blocking(work)).await
}

/// What came of a task.
///
/// # Panics
/// When the task did, with its words.
pub async fn outcome<T>(task: JoinHandle<T>) -> T {
    match task.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(outcome) => outcome,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_cancelled)) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_panic_goes_on_in_who_waits() {
        let waits = tokio::spawn(off_reactor(|| -> u8 { panic!("planted") }));
        let panic = waits.await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"planted"));
        assert_eq!(off_reactor(|| 7).await, 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_task_has_no_outcome() {
        let task = tokio::spawn(std::future::pending::<u8>());
        task.abort();
        assert!(tokio::time::timeout(Duration::from_secs(3600), outcome(task)).await.is_err());
    }
}
