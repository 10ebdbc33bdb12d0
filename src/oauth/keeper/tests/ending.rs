//! What becomes of a rotated token when the disk is full or the program ends in the wrong moment.

use super::*;

/// A keeper whose rotated token the disk refused; a directory where the new file should be stands for the full disk.
async fn full_disk(home: &Home, server: &Server) -> (Keeper, PathBuf) {
    let keeper = home.logged_in(server);
    let obstacle = home.path().with_extension("json.new");
    std::fs::create_dir(&obstacle).unwrap();
    assert_eq!(keeper.token().await.unwrap_err().class(), Class::RETRY);
    (keeper, obstacle)
}

#[tokio::test]
async fn a_rotated_token_that_the_disk_refuses_is_kept_and_so_is_the_access_token_that_came_with_it() {
    let (home, server) = (Home::new(), Server::start([grant("a1", Some("r2"))]).await);
    let (keeper, obstacle) = full_disk(&home, &server).await;
    assert_eq!(keeper.expires(), None, "no access token before its refresh token is durable");
    assert_eq!(keeper.token().await.unwrap_err().class(), Class::RETRY);
    std::fs::remove_dir(&obstacle).unwrap();
    assert_eq!(secret(&keeper.token().await.unwrap()), "a1");
    assert_eq!((server.refresh_tokens(), home.saved().as_str()), (vec!["r1".to_owned()], "r2"));
}

#[tokio::test]
async fn nobody_sends_the_dead_token_from_the_file_while_the_new_one_is_not_saved() {
    let (home, server) = (Home::new(), Server::start([grant("a1", Some("r2"))]).await);
    let (keeper, obstacle) = full_disk(&home, &server).await;
    let other = home.keeper(&server);
    assert!(other.inner.store.try_lock().unwrap().is_none());
    std::fs::remove_dir(&obstacle).unwrap();
    keeper.token().await.unwrap();
    assert!(other.inner.store.try_lock().unwrap().is_some(), "the lock is free again");
}

#[tokio::test]
async fn the_end_of_the_program_tries_the_disk_once_more() {
    let (home, server) = (Home::new(), Server::start([grant("a1", Some("r2"))]).await);
    let (keeper, obstacle) = full_disk(&home, &server).await;
    std::fs::remove_dir(&obstacle).unwrap();
    assert!(!keeper.close(), "nothing is on its way");
    keeper.settle().await;
    assert_eq!(home.saved(), "r2");
}

#[tokio::test]
async fn a_keeper_with_an_unsaved_token_is_held_until_the_disk_takes_it() {
    let (home, server) = (Home::new(), Server::start([grant("a1", Some("r2"))]).await);
    let (keeper, obstacle) = full_disk(&home, &server).await;
    keeper.save().await;
    assert!(keeper.is_held());
    std::fs::remove_dir(&obstacle).unwrap();
    keeper.save().await;
    assert!(!keeper.is_held());
    assert_eq!(home.saved(), "r2");
    assert!(keeper.inner.store.try_lock().unwrap().is_some(), "the lock is free for the next keeper");
}

#[tokio::test]
async fn a_keeper_with_an_unsaved_token_can_be_logged_out() {
    let script = [grant("a1", Some("r2")), Reply::Http(200, "", String::new())];
    let (home, server) = (Home::new(), Server::start(script).await);
    let (keeper, obstacle) = full_disk(&home, &server).await;
    std::fs::remove_dir(&obstacle).unwrap();
    assert!(keeper.log_out(Some(&server.url)).await.unwrap().revoked.unwrap());
    assert!(server.requests()[1].contains("token=r2"), "the newest is revoked");
    assert!(!home.path().exists());
}

#[tokio::test]
async fn nothing_is_asked_for_an_import_that_could_not_be_saved() {
    let (home, server) = (Home::new(), Server::start([grant("a1", Some("r2"))]).await);
    let keeper = home.logged_in(&server);
    std::fs::create_dir(home.path().with_extension("json.new")).unwrap();
    assert_eq!(keeper.import("r9".into()).await.unwrap_err().class(), Class::RETRY);
    assert_eq!((server.requests().len(), home.saved().as_str()), (0, "r1"));
}

#[tokio::test]
async fn an_import_that_gives_less_than_was_asked_for_is_refused() {
    let half = r#"{"token_type":"Bearer","access_token":"a1","expires_in":3600,"scope":"imap"}"#;
    let (home, server) = (Home::new(), Server::start([Reply::Http(200, "", half.into())]).await);
    let keeper = home.keeper(&server);
    let error = keeper.import("r1".into()).await.unwrap_err();
    assert!(error.to_string().contains("smtp is missing"), "{error}");
    assert_eq!(error.class(), Class::NeedsLogin);
    assert!(!home.path().exists());
}

#[tokio::test]
async fn a_token_on_its_way_is_waited_for_at_the_end() {
    let (home, server) = (Home::new(), Server::start([grant("a1", Some("r2"))]).await);
    let keeper = asking(&home, &server).await;
    assert!(keeper.close(), "it may be the only good one");
    server.gate.add_permits(1);
    keeper.settle().await;
    assert_eq!(home.saved(), "r2");
}

#[tokio::test]
async fn a_request_that_still_looks_for_a_connection_is_given_up_at_the_end() {
    let (home, server) = (Home::new(), Server::start([]).await);
    let (url, connected) = silent_server();
    let keeper = Keeper::new(KeeperConfig { token_url: url, ..home.keeper(&server).inner.config.clone() });
    // TLS is never spoken.
    let _peer = tokio::select! {
        outcome = keeper.import("r1".into()) => panic!("{outcome:?}"),
        peer = connected => peer.unwrap(),
    };
    assert!(!keeper.close());
    tokio::time::timeout(Duration::from_secs(5), keeper.settle()).await.expect("nothing to wait for");
}

#[tokio::test]
async fn nothing_is_sent_after_the_end() {
    let (home, server) = (Home::new(), Server::start([grant("a1", Some("r2"))]).await);
    let keeper = home.logged_in(&server);
    assert!(!keeper.close());
    assert!(matches!(keeper.token().await, Err(Error::Unavailable { .. })));
    assert!(!server.requests().iter().any(|body| body.contains("r1")));
    assert_eq!(home.saved(), "r1");
}
