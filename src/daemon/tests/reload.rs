//! Reloads: what changed is replaced, what is in trouble is tried anew, and all else is left alone.

use super::*;

#[tokio::test]
async fn a_reload_replaces_only_what_changed() {
    let mut rig = Rig::start(accounts(&[("a", Script::Watch(1)), ("b", Script::Watch(1))]));
    let mut first = [rig.next_run().await.0, rig.next_run().await.0];
    first.sort();
    assert_eq!(first, ["a", "b"]);
    rig.hears("READY=1").await;
    rig.write_config(accounts(&[("a", Script::Watch(1)), ("b", Script::Watch(2))]));
    rig.signals.send(Signal::Reload).unwrap();
    rig.hears("RELOADING=1").await;
    rig.hears("MONOTONIC_USEC=").await;
    rig.hears("READY=1").await;
    assert_eq!(rig.next_run().await, ("b".into(), Script::Watch(2)));
    rig.signals.send(Signal::Stop).unwrap();
    assert!(rig.runs.try_recv().is_err(), "a was not touched");
    rig.end().await.unwrap();
}

#[tokio::test]
async fn a_wrong_configuration_leaves_the_old_one_in_force() {
    let mut rig = Rig::start(accounts(&[("a", Script::Watch(1))]));
    rig.hears("STATUS=1 account watching").await;
    rig.write_config(Err("line 3: unknown key `prot`".into()));
    rig.signals.send(Signal::Reload).unwrap();
    rig.hears("RELOADING=1").await;
    rig.hears("STATUS=configuration not reloaded, the former one stays in force: line 3: unknown key `prot`; 1 account watching").await;
    let refusal = rig.refusal(&Request::Reload).await;
    assert_eq!(refusal.code, Code::Configuration);
    assert!(refusal.message.contains("line 3"), "{refusal}");
    assert_eq!(rig.account("a").await.state, State::Watching);

    rig.write_config(accounts(&[("a", Script::Watch(1))]));
    assert_eq!(rig.ask(&Request::Reload).await.unwrap(), []);
    rig.hears("STATUS=1 account watching").await;
    assert_eq!(rig.next_run().await.0, "a");
    assert!(rig.runs.try_recv().is_err(), "a ran on through all of this");
}

#[tokio::test]
async fn a_reload_tries_what_is_in_trouble_at_once_and_touches_nothing_else() {
    let list = [("down", Script::Login), ("well", Script::Watch(1)), ("waiting", Script::Panic)];
    let mut rig = Rig::start(accounts(&list));
    rig.hears("STATUS=1 account watching; 1 waiting; 1 needs login").await;
    *rig.fleet.has_login.lock().unwrap() = true;
    while rig.runs.try_recv().is_ok() {}
    assert_eq!(rig.ask(&Request::Reload).await.unwrap(), []);
    let mut begun = [rig.next_run().await.0, rig.next_run().await.0];
    begun.sort();
    assert_eq!(begun, ["down", "waiting"]);
    rig.hears("STATUS=2 accounts watching; 1 waiting").await;
}

#[tokio::test]
async fn a_reload_finds_out_anew_which_queued_mail_nobody_sends() {
    let mut rig = Rig::start(accounts(&[("new", Script::Watch(1))]));
    let told = |status: Vec<Response>| match status.into_iter().next() {
        Some(Response::Status(status)) => status.stranded.into_iter().map(|queue| queue.account).collect(),
        other => panic!("{other:?}"),
    };
    rig.hears("READY=1").await;
    let stranded: Vec<String> = told(rig.ask(&Request::Status).await.unwrap());
    assert_eq!(stranded, ["old"]);
    rig.write_config(accounts(&[("old", Script::Watch(1))]));
    rig.ask(&Request::Reload).await.unwrap();
    assert_eq!(told(rig.ask(&Request::Status).await.unwrap()), Vec::<String>::new());
}
