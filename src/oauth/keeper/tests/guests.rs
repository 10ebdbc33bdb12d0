//! Several accounts with one token: the mail server of one may refuse it for ever, and the others never notice.

use super::*;

/// A mail server refuses `account` every token, until no other is to be had; the last one.
async fn exhaust(keeper: &Keeper, account: &str) -> AccessToken {
    let mut token = keeper.token().await.unwrap();
    while let Some(next) = keeper.renew(account, &token).await.unwrap() {
        token = next;
    }
    token
}

#[tokio::test]
async fn an_account_that_is_refused_for_ever_takes_no_refresh_from_the_others() {
    let script = (1..=10).map(|number| grant(&format!("a{number}"), None));
    let (home, server) = (Home::new(), Server::start(script).await);
    let keeper = home.logged_in(&server);
    let mut token = exhaust(&keeper, "guest").await;
    assert_eq!((secret(&token), server.requests().len()), ("a5", 5));
    for account in ["owner", "owner", "other guest", "owner"] {
        token = keeper.renew(account, &token).await.unwrap().expect("it may be the token");
        assert!(keeper.renew("guest", &token).await.unwrap().is_none());
    }
    assert_eq!((secret(&token), server.requests().len()), ("a9", 9));
}

#[tokio::test]
async fn a_login_that_is_lost_is_told_to_an_account_that_may_force_nothing_any_more() {
    let script = ["a1", "a2", "a3", "a4", "a5"].map(|token| grant(token, None));
    let script = script.into_iter().chain([refusal("invalid_grant")]);
    let (home, server) = (Home::new(), Server::start(script).await);
    let keeper = home.logged_in(&server);
    let token = exhaust(&keeper, "guest").await;
    for account in ["owner", "guest", "other guest"] {
        assert!(matches!(keeper.renew(account, &token).await, Err(Error::Refused { .. })), "{account}");
    }
    assert_eq!(server.requests().len(), 6, "asked once for all");
}
