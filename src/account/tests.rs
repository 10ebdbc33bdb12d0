//! An account as whoever runs it sees it.

use super::*;
use crate::config::Config;
use crate::status::State;
use tokio::runtime::Handle as Runtime;

#[tokio::test]
async fn an_account_is_one_task_so_that_a_loop_that_blocks_does_not_answer_for_the_watchdog() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    std::fs::write(&file, "[accounts.lab]\naddress = \"a@gmail.com\"\noauth.client_id = \"c\"").unwrap();
    let account = Config::load(&file, std::iter::empty(), home.path()).unwrap().accounts.remove(0);
    assert!(!account.poll_only && account.smtp.is_some(), "all loops run");
    let state_dir = home.path().join("lab");
    std::fs::create_dir(&state_dir).unwrap();
    let (status, mut words) = status_watch::channel(status::Account::default());
    let (_handle, inbox) = handle();
    let running = run(
        account,
        state_dir,
        status,
        inbox,
        Keepers::default(),
        CancellationToken::new(),
        TaskTracker::new(),
    );
    let tasks = async {
        words.wait_for(|told| told.state == State::NeedsLogin && told.outbox_path.is_some()).await.unwrap();
        Runtime::current().metrics().num_alive_tasks()
    };
    tokio::select! {
        end = running => panic!("{end:?}"),
        tasks = tasks => assert_eq!(tasks, 0, "beside the one that runs it"),
    }
}
