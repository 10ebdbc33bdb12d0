//! The lock that outlives a run, the files that a run leaves to the next, and what cuts a pause short.

use super::*;
use crate::account::watch::tests::shared_of;
use std::fs;
use std::path::Path;
use std::time::SystemTime;
use tokio_util::sync::CancellationToken;

fn desk(shared: &Shared, hold: Hold) -> Desk {
    let sender = Sender { address: shared.account.address.clone() };
    Desk::open(shared.account.outbox.clone(), shared.state_dir.join("queue"), sender, hold).unwrap()
}

async fn outbound(home: &Path, hold: Hold) -> Outbound {
    let shared = shared_of(home, |_| {}).await;
    let desk = desk(&shared, hold);
    Outbound::new(shared, desk, watch::channel(None).1, Arc::default())
}

#[tokio::test]
async fn a_job_that_outlives_its_run_keeps_the_lock() {
    let home = tempfile::tempdir().unwrap();
    let hold: Hold = Arc::new(());
    let outbound = outbound(home.path(), Arc::clone(&hold)).await;
    let (begun, begins) = tokio::sync::oneshot::channel();
    let (end, ends) = std::sync::mpsc::channel::<()>();
    let job = move |_: &mut Desk| {
        begun.send(()).unwrap();
        ends.recv().unwrap_err();
    };
    let run = tokio::spawn(async move { outbound.on_disk(job).await });
    begins.await.unwrap();
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    assert_eq!(Arc::strong_count(&hold), 2, "nobody else may open the queue yet");
    drop(end);
    let free = async {
        while Arc::strong_count(&hold) > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), free).await.expect("the lock to be free");
}

#[tokio::test]
async fn a_run_that_is_to_stop_takes_no_more_files() {
    let home = tempfile::tempdir().unwrap();
    let shared = shared_of(home.path(), |_| {}).await;
    let mut desk = desk(&shared, Arc::new(()));
    let files = ["1", "2", "3"].map(|name| shared.account.outbox.join(name));
    for path in &files {
        fs::write(path, "To: b@x\n\nHello.\n").unwrap();
        fs::File::options().append(true).open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    let (stop, closed) = (CancellationToken::new(), BTreeSet::from(files.clone()));
    stop.cancel();
    assert!(!desk.accept("lab", &closed, &stop).has_taken);
    assert_eq!((files.iter().all(|path| path.exists()), desk.spool.entries().count()), (true, 0));
    assert!(desk.accept("lab", &closed, &CancellationToken::new()).has_taken);
    assert_eq!((files.iter().any(|path| path.exists()), desk.spool.entries().count()), (false, 3));
}

#[tokio::test(start_paused = true)]
async fn only_a_pause_that_nobody_asked_for_is_cut_short() {
    let home = tempfile::tempdir().unwrap();
    let mut outbound = outbound(home.path(), Arc::new(())).await;
    let minute = Duration::from_secs(60);
    assert!(Pause::after(Class::RETRY, 20).until <= Instant::now() + minute);
    for (class, is_cut) in [
        (Class::RETRY, true),
        (Class::Retry { after: Some(minute) }, false),
        (Class::NeedsLogin, false),
        (Class::Denied, false),
    ] {
        outbound.pause = Some(Pause::after(class, 20));
        outbound.end_patience();
        assert_eq!(outbound.pause.is_none(), is_cut, "{class:?}");
    }
    outbound.pause = Some(Pause::after(Class::RETRY, 20));
    outbound.is_served = true;
    outbound.turned();
    assert!(outbound.pause.is_some(), "reading mail is in trouble too");
    outbound.turned();
    assert!(outbound.pause.is_none(), "the network is back");
}
