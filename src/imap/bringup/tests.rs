//! Logging in to servers that are well, slow, in trouble or not what they claim to be.

use crate::error::{Class, Classified};
use crate::imap::Error;
use crate::imap::script::{bring_up, options};
use crate::mail::sasl::Credentials;
use crate::net::Tls;
use crate::net::patience::{BRING_UP, GREETING};
use tokio::time::Instant;

/// base64 of `user=u@x^Aauth=Bearer tok^A^A`
const TOKEN: &str = "dXNlcj11QHgBYXV0aD1CZWFyZXIgdG9rAQE=";
const CHALLENGE: &str =
    "eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIG1hYyIsInNjb3BlIjoiaHR0cHM6Ly9tYWlsLmdvb2dsZS5jb20vIn0K";

fn hello(capabilities: &str) -> String {
    format!("S: * OK ready\nC: B1 CAPABILITY\nS: * CAPABILITY IMAP4rev1 {capabilities}\nS: B1 OK done\n")
}

/// The class of the error that the answers to AUTHENTICATE lead to.
async fn class(answers: &str) -> Class {
    let transcript =
        format!("{}C: B2 AUTHENTICATE XOAUTH2 {TOKEN}\n{answers}", hello("SASL-IR AUTH=XOAUTH2"));
    let (outcome, server) = bring_up(Tls::None, &transcript).await;
    server.finished().await;
    outcome.unwrap_err().class()
}

#[tokio::test]
async fn a_login_in_one_step_asks_again_what_the_server_can_do() {
    let transcript = format!(
        "{}C: B2 AUTHENTICATE XOAUTH2 {TOKEN}
         S: * CAPABILITY IMAP4rev1 ID STALE
         S: B2 OK [ALERT] Angemeldet für u
         C: P1 CAPABILITY
         C: P2 ID (\"name\" \"posthaste\" \"version\" \"{}\")
         S: * CAPABILITY IMAP4rev1 MOVE AUTH=X UNKNOWN=[x]
         S: P1 OK done
         S: * ID NIL
         S: P2 OK done",
        hello("ID SASL-IR AUTH=XOAUTH2"),
        env!("CARGO_PKG_VERSION")
    );
    let (session, server) = bring_up(Tls::None, &transcript).await;
    server.finished().await;
    let session = session.unwrap();
    assert_eq!(session.mechanism(), "XOAUTH2");
    assert!(session.capabilities().has("MOVE") && !session.capabilities().has("STALE"));
}

#[tokio::test]
async fn without_sasl_ir_the_token_waits_for_the_challenge() {
    let transcript = format!(
        "{}C: B2 AUTHENTICATE XOAUTH2\nS: +\nC: {TOKEN}\nS: B2 OK in\nC: P1 CAPABILITY\nS: P1 OK done",
        hello("AUTH=XOAUTH2")
    );
    let (session, server) = bring_up(Tls::None, &transcript).await;
    server.finished().await;
    assert!(session.is_ok());
}

/// base64 of `n,a=u@x,^Ahost=localhost^Aport=0^Aauth=Bearer tok^A^A`
const BEARER: &str = "bixhPXVAeCwBaG9zdD1sb2NhbGhvc3QBcG9ydD0wAWF1dGg9QmVhcmVyIHRvawEB";

#[tokio::test]
async fn the_standard_mechanism_is_used_where_it_is_listed() {
    let offers = "SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER";
    let login = format!("{}C: B2 AUTHENTICATE OAUTHBEARER {BEARER}", hello(offers));
    let transcript = format!("{login}\nS: B2 OK in\nC: P1 CAPABILITY\nS: P1 OK done");
    let (session, server) = bring_up(Tls::None, &transcript).await;
    server.finished().await;
    assert_eq!(session.unwrap().mechanism(), "OAUTHBEARER");
    // RFC 7628 §3.2.3: the reason of a refusal is acknowledged with one octet 0x01; no other mechanism is tried.
    let refused = format!("{login}\nS: + {CHALLENGE}\nC: AQ==\nS: B2 NO SASL authentication failed");
    let (outcome, server) = bring_up(Tls::None, &refused).await;
    server.finished().await;
    assert_eq!(outcome.unwrap_err().class(), Class::NeedsLogin);
}

#[tokio::test]
async fn refused_credentials_need_a_login() {
    let gmail = format!("S: + {CHALLENGE}\nC:\nS: B2 NO SASL authentication failed");
    assert_eq!(class(&gmail).await, Class::NeedsLogin);
    assert_eq!(class("S: B2 NO AUTHENTICATE failed.").await, Class::NeedsLogin);
    assert_eq!(class("S: B2 NO [AUTHENTICATIONFAILED] no").await, Class::NeedsLogin);
    assert_eq!(class("S: + not base64!\nC:\nS: B2 NO no").await, Class::NeedsLogin);
    let stubborn = format!("S: + {CHALLENGE}\nC:\nS: + {CHALLENGE}\nC: *\nS: B2 NO no");
    assert_eq!(class(&stubborn).await, Class::NeedsLogin);
}

#[tokio::test]
async fn trouble_at_the_server_is_not_the_credentials_fault() {
    assert_eq!(class("S: B2 BAD User is authenticated but not connected.").await, Class::Denied);
    assert_eq!(class("S: B2 NO [UNAVAILABLE] Temporary authentication failure.").await, Class::RETRY);
    assert_eq!(class("S: B2 BAD Internal Server Error").await, Class::RETRY);
    assert_eq!(class("S: * BYE Too many connections").await, Class::RETRY);
    assert_eq!(class("S: * OK almost").await, Class::RETRY);
    assert_eq!(class("S: + x\nC:\nS: + x\nC: *\nS: + x").await, Class::RETRY);
    let throttled = class("S: B2 BAD Request is throttled. Suggested Backoff Time: 5 milliseconds").await;
    assert!(matches!(throttled, Class::Retry { after: Some(_) }));
}

#[tokio::test(start_paused = true)]
async fn a_login_without_an_end_is_given_up_in_one_deadline() {
    let words = "W: 50\nS: * OK wait a little\n".repeat(9);
    let login = format!("C: B2 AUTHENTICATE XOAUTH2 {TOKEN}\n");
    let hello = hello("SASL-IR AUTH=XOAUTH2");
    for transcript in [
        "S: * OK ready\nC: B1 CAPABILITY\nW: 999".to_owned(),
        "S: * OK ready\nC: B1 CAPABILITY\nD: * CAPABILITY IMAP4rev1 an answer that never ends".to_owned(),
        format!("S: * OK ready\nC: B1 CAPABILITY\n{words}"),
        format!("W: 25\n{hello}{login}{words}"),
        format!("W: 25\n{hello}{login}W: 50\nS: B2 OK in\nC: P1 CAPABILITY\nW: 50\nS: P1 OK done"),
    ] {
        let begun = Instant::now();
        let (outcome, _server) = bring_up(Tls::None, &transcript).await;
        assert!(matches!(outcome, Err(Error::TimedOut)), "{transcript}");
        assert_eq!(begun.elapsed(), BRING_UP, "{transcript}");
    }
}

#[tokio::test(start_paused = true)]
async fn dialling_is_part_of_the_bring_up() {
    let credentials = Credentials::Bearer { user: "u@x".into(), token: "tok".to_owned().into() };
    let outcome = super::bring_up(std::future::pending(), &options(Tls::None), &credentials).await;
    assert!(matches!(outcome, Err(Error::TimedOut)));
}

#[tokio::test]
async fn no_credential_leaves_where_the_start_is_wrong() {
    let injected = "S: * OK ready\nC: B1 STARTTLS\nS: B1 OK go\nS: * BAD injected";
    for (tls, transcript) in [
        (Tls::None, "S: * PREAUTH welcome"),
        (Tls::StartTls, "S: * PREAUTH welcome"),
        (Tls::StartTls, "S: * OK ready\nC: B1 STARTTLS\nS: B1 NO not today"),
        (Tls::StartTls, "S: * OK ready\nC: B1 STARTTLS\nS: B1 BAD what"),
        (Tls::StartTls, injected),
        (Tls::None, "S: * BYE closed"),
        (Tls::None, "S: HTTP/1.1 200 OK"),
        (Tls::None, "S: * OK [ALERT] ((((((((((((((((((((((((((("),
        (Tls::None, ""),
    ] {
        let (outcome, server) = bring_up(tls, transcript).await;
        assert!(outcome.is_err(), "{transcript}");
        server.finished().await;
    }
    let spoof = "* BYE Suggested Backoff Time: 99999999 milliseconds, call 555-1234";
    for transcript in [format!("S: {spoof}"), format!("S: * OK ready\nC: B1 STARTTLS\nS: {spoof}")] {
        let error = bring_up(Tls::StartTls, &transcript).await.0.unwrap_err();
        assert_eq!(error.class(), Class::RETRY, "nobody in between says how long to wait");
        assert!(!crate::error::chain(&error).contains("555"), "{error}");
    }
    let (outcome, _server) = bring_up(Tls::None, &hello("AUTH=PLAIN")).await;
    assert!(matches!(outcome, Err(Error::NoMechanism("OAUTHBEARER or XOAUTH2"))));
}

#[tokio::test(start_paused = true)]
async fn a_port_that_says_nothing_may_want_the_other_tls_mode() {
    let endless = "D: * OK [CAPABILITY IMAP4rev1] a greeting that never ends";
    for (tls, transcript) in [(Tls::StartTls, "W: 1000"), (Tls::None, "W: 1000"), (Tls::None, endless)] {
        let begun = Instant::now();
        let (outcome, _server) = bring_up(tls, transcript).await;
        let error = outcome.unwrap_err();
        assert_eq!(begun.elapsed(), GREETING);
        assert!(error.hint().unwrap().contains("the other `tls` mode"), "{error}");
    }
}

#[tokio::test]
async fn a_server_of_another_kind_is_named_and_quoted_only_where_it_is_known() {
    for (tls, told) in [
        (Tls::None, "this is no IMAP server: it said 220 mx ESMTP ready"),
        (Tls::StartTls, "this is no IMAP server"),
    ] {
        let (outcome, server) = bring_up(tls, "S: 220 mx ESMTP ready").await;
        server.finished().await;
        let error = outcome.unwrap_err();
        assert_eq!(error.to_string(), told);
        assert!(error.hint().unwrap().contains("`host` and `port`"));
    }
}
