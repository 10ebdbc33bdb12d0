//! A login that is given up: at its server, in the file, in this process.

use super::*;

#[tokio::test]
async fn a_logout_leaves_neither_token_and_asks_nobody_without_an_address() {
    let (home, server) = (Home::new(), Server::start([grant("a1", None)]).await);
    let keeper = home.logged_in(&server);
    keeper.token().await.unwrap();
    assert!(!keeper.log_out(None).await.unwrap().revoked.unwrap());
    assert!(!home.path().exists());
    assert!(matches!(keeper.token().await, Err(Error::NotLoggedIn { .. })));
    assert_eq!((keeper.expires(), server.requests().len()), (None, 1));
}

#[tokio::test]
async fn a_logout_revokes_the_saved_login_at_the_endpoint_that_issued_it() {
    let home = Home::new();
    let server = Server::start([grant("a1", Some("r2")), Reply::Http(200, "", String::new())]).await;
    let keeper = home.keeper(&server);
    let logged_out = keeper.log_out(Some(&server.url)).await.unwrap();
    assert!(!logged_out.revoked.unwrap(), "nothing is saved yet");
    keeper.import("r1".into()).await.unwrap();
    assert!(keeper.log_out(Some(&server.url)).await.unwrap().revoked.unwrap());
    let form: Vec<_> = url::form_urlencoded::parse(server.requests()[1].as_bytes()).into_owned().collect();
    assert!(form.contains(&("token".into(), "r2".into())), "{form:?}");
    assert!(form.contains(&("token_type_hint".into(), "refresh_token".into())), "{form:?}");
}

#[tokio::test]
async fn a_login_that_the_server_no_longer_knows_is_revoked_and_any_other_answer_is_told() {
    let revoked = async |answer| {
        let (home, server) = (Home::new(), Server::start([answer]).await);
        let logged_out = home.logged_in(&server).log_out(Some(&server.url)).await.unwrap();
        assert!(!home.path().exists(), "forgotten here in any case");
        logged_out.revoked
    };
    assert!(revoked(Reply::Http(400, "", r#"{"error":"invalid_token"}"#.into())).await.unwrap());
    for (answer, said) in [
        (refusal("invalid_client"), "refuses (invalid_client)"),
        (Reply::Http(503, "", String::new()), "answered 503"),
        (Reply::Close, "cannot be reached"),
    ] {
        let error = revoked(answer).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert!(!error.to_string().contains("CANARY"), "{error}");
    }
    let (home, server) = (Home::new(), Server::start([]).await);
    let plain = "http://login.test/revoke".parse().unwrap();
    let logged_out = home.logged_in(&server).log_out(Some(&plain)).await.unwrap();
    assert!(matches!(logged_out.revoked, Err(Error::Insecure { .. })));
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn nobody_finds_a_token_that_is_revoked_already() {
    let script = [Reply::Http(200, "", String::new()), refusal("invalid_grant")];
    let (home, server) = (Home::new(), Server::start(script).await);
    let (keeper, other) = (home.logged_in(&server), home.keeper(&server));
    server.close_gate();
    let leaving = tokio::spawn({
        let url = server.url.clone();
        async move { keeper.log_out(Some(&url)).await }
    });
    server.arrived.notified().await;
    assert!(other.inner.store.try_lock().unwrap().is_none(), "the file is locked while the server is asked");
    server.gate.add_permits(2);
    assert!(leaving.await.unwrap().unwrap().revoked.unwrap());
    assert!(matches!(other.token().await, Err(Error::NotLoggedIn { .. })));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn forgetting_waits_for_nobody_and_leaves_the_file_to_whoever_writes_it() {
    let (home, server) =
        (Home::new(), Server::start([grant("a1", None), grant("a8", None), grant("a9", None)]).await);
    let (keeper, other) = (home.logged_in(&server), home.keeper(&server));
    keeper.token().await.unwrap();
    std::fs::remove_file(home.path()).unwrap();
    server.close_gate();
    let login = tokio::spawn(async move { other.import("r9".into()).await });
    server.arrived.notified().await;
    server.arrived.notified().await;
    keeper.forget();
    server.gate.add_permits(2);
    login.await.unwrap().unwrap();
    assert_eq!(home.saved(), "r9");
    assert_eq!(secret(&keeper.token().await.unwrap()), "a9");
}
