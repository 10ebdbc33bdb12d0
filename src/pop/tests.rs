//! The driver against scripted servers: every way to refuse, hostile answers.

use super::script::{Server, bearer, endpoint, log_in, password, session};
use super::{Error, Remote, Session};
use crate::error::{Class, Classified};
use crate::mail::{Flags, MailboxName, Uid, Uidl};
use crate::net::Tls;
use crate::sync::maildrop::{Message, generation};
use crate::sync::{Arrival, At, Remote as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;
use tokio::sync::mpsc;

/// What [`bearer`] says by XOAUTH2.
const TOKEN: &str = "dXNlcj10ZXN0QGNvbnRvc28ub25taWNyb3NvZnQuY29tAWF1dGg9QmVhcmVyIEV3QkFBbDNCQUFVRkZwVUFvN0ozVmUwYmpMQldaV0NjbFJDM0VvQUEBAQ==";
/// What Exchange offers.
const EXCHANGE: &str = "S: +OK The Microsoft Exchange POP3 service is ready.\nC: CAPA\nS: +OK\nS: TOP\nS: UIDL\nS: SASL PLAIN XOAUTH2\nS: USER\nS: .\n";

fn refused(outcome: Result<Session, Error>) -> Error {
    outcome.expect_err("the login was refused")
}

#[tokio::test]
async fn what_was_offered_before_the_login_stays_known() {
    let script = format!("{EXCHANGE}C: AUTH XOAUTH2\nS: +\nC: {TOKEN}\nS: +OK\nC: CAPA\nS: -ERR no\n");
    assert!(log_in(&script, &bearer()).await.unwrap().offers().has("UIDL"));
}

#[tokio::test]
async fn a_success_after_a_challenge_or_an_endless_dialogue_is_none() {
    for rest in ["S: + x\nC:\nS: +OK in\n", "S: + x\nC:\nS: + y\nC: *\nS: + z\n"] {
        let script = format!("{EXCHANGE}C: AUTH XOAUTH2\nS: + \nC: {TOKEN}\n{rest}");
        let error = refused(log_in(&script, &bearer()).await);
        assert!(matches!(error, Error::Protocol(_)), "{error}");
    }
}

#[tokio::test]
async fn a_token_is_never_sent_where_its_mechanism_is_not_listed() {
    for capa in ["S: +OK\nS: SASL PLAIN LOGIN\nS: USER\nS: .\n", "S: -ERR unknown\n"] {
        let error = refused(log_in(&format!("S: +OK\nC: CAPA\n{capa}"), &bearer()).await);
        assert!(matches!(error, Error::NoMechanism("OAUTHBEARER or XOAUTH2")), "{error}");
        assert_eq!(error.class(), Class::GiveUp);
    }
}

#[tokio::test]
async fn a_password_goes_by_plain_else_by_user_and_pass() {
    let capa = "C: CAPA\nS: -ERR\n";
    let old = format!("S: +OK old\n{capa}C: USER alice\nS: +OK\nC: PASS secret\nS: +OK\n{capa}");
    assert_eq!(log_in(&old, &password("secret")).await.unwrap().mechanism(), "USER");
    let only_token = "S: +OK\nC: CAPA\nS: +OK\nS: SASL XOAUTH2\nS: .\n";
    assert!(matches!(refused(log_in(only_token, &password("secret")).await), Error::NoMechanism(_)));
    let broken = format!("S: +OK\n{capa}");
    let error = refused(log_in(&broken, &password("a\r\nDELE 1")).await);
    assert_eq!((error.class(), error.hint().is_some()), (Class::Configuration, true));
}

#[tokio::test]
async fn a_refusing_greeting_is_passing_trouble() {
    let error = refused(log_in("S: -ERR [SYS/TEMP] too many connections\n", &bearer()).await);
    assert_eq!(error.class(), Class::RETRY);
}

#[tokio::test]
async fn stls_is_demanded_and_what_follows_its_answer_is_fatal() {
    for (script, words) in [
        ("S: +OK\nC: STLS\nS: -ERR not here\n", "refused STLS"),
        ("S: +OK\nC: STLS\nX: +OK go\\r\\n+OK injected\\r\\n\n", "bytes behind the answer"),
        ("S: -ERR come to evil.example\n", "ended the session before TLS"),
    ] {
        let (stream, server) = Server::play(script.to_owned());
        let outcome = Session::bring_up(async { Ok(stream) }, &endpoint(Tls::StartTls), &bearer()).await;
        server.finished().await;
        let error = refused(outcome);
        assert!(matches!(error, Error::StartTls(_)), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_unique_ids_is_refused_in_clear_words() {
    let (mut session, server) = session("TOP", "C: UIDL\nS: -ERR unknown command\n").await;
    let error = session.survey().await.unwrap_err();
    assert_eq!(error.class(), Class::GiveUp);
    assert!(error.to_string().contains("no unique-ids (UIDL)") && error.hint().is_some());
    server.finished().await;
}

#[tokio::test]
async fn passing_trouble_with_the_listing_is_not_taken_for_a_server_without_ids() {
    for (capabilities, words) in [("TOP", "-ERR [SYS/TEMP] later"), ("UIDL", "-ERR later")] {
        let (mut session, _) = session(capabilities, &format!("C: UIDL\nS: {words}\n")).await;
        assert_eq!(session.survey().await.unwrap_err().class(), Class::RETRY);
    }
    let denied = "C: UIDL\nS: -ERR User is authenticated but not connected.\n";
    let (mut session, _) = session("UIDL", denied).await;
    assert_eq!(session.survey().await.unwrap_err().class(), Class::Denied);
}

fn message(number: u32) -> Message {
    Message { number, uidl: Uidl::new(format!("u{number}").as_bytes(), 0).unwrap(), size: 10 }
}

fn messages(count: u32) -> Vec<(Uid, Message)> {
    (1..=count).map(|number| (Uid::new(number + 100).unwrap(), message(number))).collect()
}

/// Complete messages with their UIDs, and how it ended.
async fn fetch(session: &mut Session, count: u32) -> (Vec<(u32, String)>, Result<(), Error>) {
    let (into, mut from) = mpsc::channel(10_000);
    let outcome = session.fetch(&messages(count), into, &mut BTreeMap::new()).await;
    let (mut found, mut body) = (Vec::new(), Vec::new());
    while let Some(arrival) = from.recv().await {
        match arrival {
            Arrival::Start { size } => {
                assert_eq!(size, None);
                body.clear();
            }
            Arrival::Chunk(chunk) => body.extend_from_slice(&chunk),
            Arrival::End(end) => found.push((end.uid.value(), String::from_utf8(body.clone()).unwrap())),
        }
    }
    (found, outcome)
}

#[tokio::test]
async fn messages_are_unstuffed_and_a_refused_one_does_not_stop_the_others() {
    let script = "C: RETR 1\nS: +OK\nS: a\nS: ..b\nS: .\nC: RETR 2\nS: -ERR [SYS/TEMP] poison\nC: RETR 3\nX: +OK\\r\\n.\\r\\n\n";
    let (mut session, server) = session("TOP", script).await;
    let (found, outcome) = fetch(&mut session, 3).await;
    assert_eq!(found, [(101, "a\r\n.b\r\n".to_owned()), (103, String::new())]);
    let error = outcome.unwrap_err();
    assert!(matches!(&error, Error::Undelivered { count: 1, text } if text.contains("poison")), "{error}");
    server.finished().await;
}

#[tokio::test]
async fn with_pipelining_commands_are_sent_ahead_in_bounded_number() {
    let mut script = String::new();
    (1..=32).for_each(|number| writeln!(script, "C: RETR {number}").unwrap());
    (1..=40).for_each(|number| writeln!(script, "S: +OK\nS: {number}\nS: .").unwrap());
    (33..=40).for_each(|number| writeln!(script, "C: RETR {number}").unwrap());
    let (mut session, server) = session("PIPELINING", &script).await;
    let (found, outcome) = fetch(&mut session, 40).await;
    outcome.unwrap();
    assert_eq!(found.len(), 40);
    assert_eq!(found[39], (140, "40\r\n".to_owned()));
    server.finished().await;
}

#[tokio::test]
async fn pipelining_that_is_switched_off_is_not_used() {
    let script: String =
        (1..=3).map(|number| format!("C: RETR {number}\nS: +OK\nS: {number}\nS: .\n")).collect();
    let (session, server) = session("PIPELINING", &script).await;
    let mut session = session.without(&BTreeSet::from(["PIPELINING".to_owned()]));
    let (found, outcome) = fetch(&mut session, 3).await;
    outcome.unwrap();
    assert_eq!(found.len(), 3);
    assert!(!session.offers().has("PIPELINING"), "nothing was sent ahead");
    server.finished().await;
}

#[tokio::test]
async fn what_is_cut_off_is_no_message_and_ends_the_session() {
    for rest in ["S: +OK\nS: half\n", "S: +OK\nX: half", "S: +OK\nX: a\\r\\n.\\r", "", "S: * garbage\n"] {
        let (mut session, _) = session("TOP", &format!("C: RETR 1\n{rest}\n")).await;
        let (found, outcome) = fetch(&mut session, 2).await;
        assert_eq!(found, [], "{rest}");
        assert_eq!(outcome.unwrap_err().class(), Class::RETRY, "{rest}");
        assert!(!session.wire.is_usable(), "{rest}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drips_is_given_up() {
    let drops = "x".repeat(200);
    let (mut session, _server) = session("TOP", &format!("C: RETR 1\nS: +OK\nD: {drops}\n")).await;
    let begun = tokio::time::Instant::now();
    let (_, outcome) = fetch(&mut session, 1).await;
    assert!(matches!(outcome, Err(Error::TooSlow)), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(400), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn long_lines_and_endless_listings_are_cut_off() {
    let long = format!("C: UIDL\nS: +OK\nS: 1 {}\n", "x".repeat(9000));
    let (mut one, _) = session("UIDL", &long).await;
    assert!(matches!(one.survey().await, Err(Error::Protocol("a line is too long"))));
    let (stream, _server) = Server::play(format!("S: +OK {}\n", "x".repeat(1 << 20)));
    let outcome = Session::bring_up(async { Ok(stream) }, &endpoint(Tls::Implicit), &bearer()).await;
    assert!(matches!(outcome, Err(Error::Protocol("a line is too long"))));
}

#[tokio::test]
async fn a_header_tells_what_a_message_is_with_top_or_without() {
    let header = "S: Message-ID: <1@x>\nS: Subject: s\nS:\nS: .\n";
    let identified = async |capabilities: &str, command: &str| {
        let script = format!("C: {command}\nS: +OK\n{header}");
        let (mut session, server) = session(capabilities, &script).await;
        let found = session.identify(&[&message(1)]).await.unwrap();
        server.finished().await;
        found[&1]
    };
    let (one, other) = (identified("TOP", "TOP 1 0").await, identified("UIDL", "RETR 1").await);
    assert_eq!(one, other);
    assert!(one.likeness.identity.is_strong() && one.likeness.size == 10);
}

#[tokio::test]
async fn a_refused_top_is_made_good_by_the_whole_message_and_one_that_is_shown_in_no_way_is_left_out() {
    let header = "S: +OK\nS: Message-ID: <1@x>\nS:\nS: .\n";
    let script = format!(
        "C: TOP 1 0\n{header}C: TOP 2 0\nS: -ERR no\nC: TOP 3 0\nS: -ERR no\nC: RETR 2\nS: -ERR no\nC: RETR 3\n{header}"
    );
    let (mut session, server) = session("TOP", &script).await;
    let messages = [message(1), message(2), message(3)];
    let found = session.identify(&messages.iter().collect::<Vec<_>>()).await.unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [&1, &3]);
    assert_eq!((found[&1], session.broken_at()), (found[&3], None));
    server.finished().await;
}

#[tokio::test]
async fn a_message_that_is_listed_too_large_is_not_asked_for() {
    let (mut session, server) = session("TOP", "C: RETR 2\nX: +OK\\r\\n.\\r\\n\n").await;
    let (into, _from) = mpsc::channel(10);
    let mut wanted = messages(2);
    wanted[0].1.size = 400 << 20;
    let error = session.fetch(&wanted, into, &mut BTreeMap::new()).await.unwrap_err();
    assert!(error.to_string().contains("1 message(s): 400 MiB are more than the 256 MiB"), "{error}");
    server.finished().await;
}

#[tokio::test]
async fn only_what_broke_a_session_is_spared() {
    let uid = |number| Uid::new(number).unwrap();
    for (suspects, spared) in [(BTreeSet::new(), 0), (BTreeSet::from([uid(102)]), 1)] {
        let answers = (1..=2 - spared).map(|number| format!("C: RETR {number}\nX: +OK\\r\\n.\\r\\n\n"));
        let (session, server) = session("TOP", &answers.collect::<String>()).await;
        let mut remote = Remote::new(session, messages(2).into_iter().collect(), suspects, true);
        let (into, _from) = mpsc::channel(10);
        let at = At { mailbox: MailboxName::inbox(), uid_validity: generation() };
        // The last one is no longer in the maildrop.
        let listed = crate::sync::Listed { flags: Flags::NONE, size: None };
        let wanted = [101, 102, 103].map(|number| (uid(number), listed)).into();
        let fetched = remote.fetch(&at, &wanted, into).await;
        let words = fetched.err().map(|trouble| trouble.to_string()).unwrap_or_default();
        assert_eq!(words.contains(&format!("{spared} message(s)")), spared > 0, "{words}");
        assert_eq!(words.is_empty(), spared == 0, "{words}");
        server.finished().await;
    }
}

#[tokio::test]
async fn the_message_at_which_a_session_breaks_is_known() {
    let (mut session, _) =
        session("PIPELINING", "C: RETR 1\nC: RETR 2\nS: +OK\nS: .\nS: +OK\nS: half\n").await;
    let (_, outcome) = fetch(&mut session, 2).await;
    assert_eq!((outcome.is_err(), session.broken_at()), (true, Some(2)));
}
