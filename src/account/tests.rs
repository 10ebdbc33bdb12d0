//! A whole account: as whoever runs it sees it, and when its work meets a defect.

use super::*;
use crate::account::watch::tests::account;
use crate::status::State;
use std::fs;
use std::time::Duration;
use tokio::runtime::Handle as Runtime;
use tokio::time::timeout;

/// Longest wait for something that must happen.
const SOON: Duration = Duration::from_secs(10);

fn tenure() -> Tenure {
    Tenure { stop: CancellationToken::new(), uncut: TaskTracker::new(), hold: Arc::new(()) }
}

/// Runs until the status of the outbox is known, or until it ends.
async fn run_in(home: &std::path::Path) -> Result<(), String> {
    let (status, mut seen) = status_watch::channel(status::Account::default());
    let (_handle, inbox) = handle();
    let account = account(home, |_| {});
    let tenure = tenure();
    let stop = tenure.stop.clone();
    let running = tokio::spawn(run(account, home.join("lab"), status, inbox, Keepers::default(), tenure));
    let _ = seen.wait_for(|status| status.outbox.queued > 0).await;
    stop.cancel();
    match timeout(SOON, running).await.unwrap() {
        Ok(ended) => ended.map_err(|error| error.to_string()),
        Err(died) => Err((*died.into_panic().downcast::<&str>().unwrap()).to_owned()),
    }
}

#[tokio::test]
async fn a_defect_in_the_outbox_ends_the_run_with_its_words_and_the_next_run_takes_the_letter() {
    let home = tempfile::tempdir().unwrap();
    let outbox = account(home.path(), |_| {}).outbox;
    crate::disk::make_directory(&outbox.join("new")).unwrap();
    crate::disk::make_directory(&home.path().join("lab")).unwrap();
    fs::write(outbox.join("new/letter"), "To: a@x\n\nhello\n").unwrap();
    fs::write(outbox.join(".planted"), "").unwrap();
    let died = timeout(SOON, run_in(home.path())).await.unwrap();
    assert_eq!(died, Err("planted in the desk".to_owned()));
    fs::remove_file(outbox.join(".planted")).unwrap();
    assert_eq!(timeout(SOON, run_in(home.path())).await.unwrap(), Ok(()));
}

#[tokio::test]
async fn an_account_is_one_task_so_that_a_loop_that_blocks_does_not_answer_for_the_watchdog() {
    let home = tempfile::tempdir().unwrap();
    let account = account(home.path(), |_| {});
    assert!(!account.poll_only && account.smtp.is_some(), "all loops run");
    let state_dir = home.path().join("lab");
    fs::create_dir(&state_dir).unwrap();
    let (status, mut words) = status_watch::channel(status::Account::default());
    let (_handle, inbox) = handle();
    let running = run(account, state_dir, status, inbox, Keepers::default(), tenure());
    let tasks = async {
        words.wait_for(|told| told.state == State::NeedsLogin && told.outbox_path.is_some()).await.unwrap();
        Runtime::current().metrics().num_alive_tasks()
    };
    tokio::select! {
        end = running => panic!("{end:?}"),
        tasks = tasks => assert_eq!(tasks, 0, "beside the one that runs it"),
    }
}
