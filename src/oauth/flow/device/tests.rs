//! The device flow against a scripted server, with a clock that a test makes pass.

use super::*;
use crate::error::{Class, Classified};
use crate::oauth::flow::scripted::{Script, config};
use std::sync::Mutex;

const INVITATION: &str = r#"{"device_code":"CANARY","user_code":"ABCD-EFGH","verification_uri":"https://login.test/device",
    "verification_uri_complete":"https://login.test/device?code=ABCD-EFGH","expires_in":900,"interval":5}"#;
const TOKENS: &str = r#"{"token_type":"Bearer","access_token":"a1","expires_in":3600,"refresh_token":"r1"}"#;
const PENDING: (u16, &str) = (400, r#"{"error":"authorization_pending"}"#);

/// Passes as far as it is slept, at once.
#[derive(Default)]
struct Hand {
    slept: Mutex<Vec<Duration>>,
}

impl Clock for Hand {
    fn now(&self) -> Duration {
        self.slept.lock().unwrap().iter().sum()
    }

    async fn sleep(&self, span: Duration) {
        self.slept.lock().unwrap().push(span);
    }
}

impl Hand {
    fn seconds(&self) -> Vec<u64> {
        self.slept.lock().unwrap().iter().map(Duration::as_secs).collect()
    }
}

/// A login whose polls are answered so, and how long was slept before each.
async fn login(answers: &[(u16, &'static str)]) -> (Result<Granted, Error>, Vec<u64>, Script) {
    invited(INVITATION, answers).await
}

/// The same, invited so.
async fn invited(
    invitation: &'static str,
    answers: &[(u16, &'static str)],
) -> (Result<Granted, Error>, Vec<u64>, Script) {
    let script = Script::start([(200, invitation)].iter().chain(answers).copied()).await;
    let config = config(&script.url);
    let clock = Hand::default();
    let invitation = begin(&config, &script.url).await.unwrap();
    let outcome = invitation.wait_by(&clock, &config).await;
    (outcome, clock.seconds(), script)
}

#[tokio::test]
async fn the_person_is_told_where_and_the_server_asked_as_often_as_it_said() {
    let (outcome, slept, script) = login(&[PENDING, PENDING, (200, TOKENS)]).await;
    assert_eq!(outcome.unwrap().refresh.expose_secret(), "r1");
    assert_eq!(slept, [5, 5, 5]);
    let first = script.form(0);
    assert_eq!((first["client_id"].as_str(), first["scope"].as_str()), ("app", "mail offline_access"));
    let poll = script.form(1);
    assert_eq!((poll["grant_type"].as_str(), poll["device_code"].as_str()), (GRANT, "CANARY"));
    assert_eq!(poll["client_id"], "app");
}

#[tokio::test]
async fn slow_down_is_obeyed_for_good_and_trouble_halves_the_pace() {
    let slow = (400, r#"{"error":"slow_down"}"#);
    let (outcome, slept, _) =
        login(&[slow, PENDING, slow, (503, ""), (200, "<html>hotel</html>"), (200, TOKENS)]).await;
    outcome.unwrap();
    assert_eq!(slept, [5, 10, 10, 15, 30, 60]);
}

#[tokio::test]
async fn the_end_of_the_code_ends_the_asking() {
    let minute =
        r#"{"device_code":"x","user_code":"y","verification_uri":"https://login.test/","expires_in":60}"#;
    let (outcome, slept, script) = invited(minute, &[PENDING; 20]).await;
    assert!(matches!(outcome.unwrap_err(), Error::Expired));
    assert_eq!(slept.iter().sum::<u64>(), 60);
    assert_eq!(script.count(), 1 + 11, "never at or after the end");
    let (outcome, slept, _) = login(&[PENDING, (400, r#"{"error":"expired_token"}"#)]).await;
    assert!(matches!(outcome.unwrap_err(), Error::Expired));
    assert_eq!(slept, [5, 5]);
}

#[tokio::test]
async fn whoever_logs_in_while_the_server_is_in_trouble_is_not_told_that_it_was_too_late() {
    let five_minutes =
        r#"{"device_code":"x","user_code":"y","verification_uri":"https://login.test/","expires_in":300}"#;
    let down = (503, "");
    let (outcome, slept, _) =
        invited(five_minutes, &[down, down, down, down, down, down, down, (200, TOKENS)]).await;
    outcome.unwrap();
    assert_eq!(slept, [5, 10, 20, 40, 60, 60, 60, 43], "the last look is shortly before the end");
    let (outcome, slept, _) = invited(five_minutes, &[down; 8]).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.class(), Class::RETRY, "{error}");
    assert_eq!(slept.iter().sum::<u64>(), 300);
    let later = (429, r#"{"error":"slow_down"}"#);
    let (outcome, slept, _) = invited(five_minutes, &[down, later, down, PENDING, (200, TOKENS)]).await;
    outcome.unwrap();
    assert_eq!(slept, [5, 10, 10, 20, 10], "the pace of the server is kept, our own passes");
}

#[tokio::test]
async fn a_refusal_and_a_wrong_client_end_it_with_what_to_do() {
    let (outcome, ..) = login(&[(400, r#"{"error":"access_denied","error_description":"no"}"#)]).await;
    let error = outcome.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.class()),
        ("the login was refused (access_denied): no", Class::NeedsLogin)
    );
    let (outcome, ..) =
        login(&[(401, r#"{"error":"invalid_client","error_description":"AADSTS7000218"}"#)]).await;
    assert_eq!(outcome.unwrap_err().class(), Class::Configuration);
}

#[tokio::test]
async fn a_login_that_does_not_begin_says_why() {
    let begun = async |status, body| {
        let script = Script::start([(status, body)]).await;
        begin(&config(&script.url), &script.url).await.map(drop).map_err(|error| error.class())
    };
    assert_eq!(begun(400, r#"{"error":"invalid_scope"}"#).await, Err(Class::Configuration));
    assert_eq!(begun(503, "").await, Err(Class::RETRY));
    assert_eq!(begun(200, "{}").await, Err(Class::RETRY));
    let plain = r#"{"device_code":"x","user_code":"y","verification_uri":"http://login.test/"}"#;
    assert_eq!(begun(200, plain).await, Err(Class::Configuration), "an address in the clear is not shown");
}

#[tokio::test]
async fn what_servers_leave_out_is_assumed() {
    let google = r#"{"device_code":"x","user_code":"A\u001b[2J","verification_url":"https://g.test/device","interval":0}"#;
    let script = Script::start([(200, google)]).await;
    let found = begin(&config(&script.url), &script.url).await.unwrap();
    assert_eq!((found.life, found.interval), (USUAL_LIFE, LEAST_INTERVAL));
    assert_eq!((found.user_code.as_str(), found.direct), ("A[2J", None));
}
