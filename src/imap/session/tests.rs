//! A session with servers that are slow, silent or talk without end.

use super::*;
use crate::imap::script::{deaf, session};

/// How NOOP ends when the server answers so.
async fn noop(answer: &str) -> Result<(), Error> {
    let (mut session, _server) = session("", &format!("C: P2 NOOP\n{answer}\nW: 9999")).await;
    let outcome = session.run("NOOP", "NOOP".to_owned(), |_| {}).await.map(|_| ());
    let next = session.run("NOOP", "NOOP".to_owned(), |_| {});
    assert!(outcome.is_ok() || matches!(next.await, Err(Error::Unusable)), "a lost session stays lost");
    outcome
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_is_given_up_after_a_minute() {
    noop("W: 59\nS: * OK still here\nW: 59\nS: P2 OK done").await.unwrap();
    let begun = Instant::now();
    assert!(matches!(noop("S: * 4 EXISTS\nW: 61\nS: P2 OK done").await, Err(Error::TimedOut)));
    assert_eq!(begun.elapsed(), SILENCE);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drips_is_given_up_although_it_is_never_silent() {
    let begun = Instant::now();
    assert!(matches!(noop("D: * OK I am never silent and never done").await, Err(Error::TooSlow)));
    assert_eq!(begun.elapsed().as_secs(), 300);
    let body = format!("S: * 1 FETCH (BODY[] {{100}}\nD: {}", "x".repeat(98));
    assert!(matches!(noop(&body).await, Err(Error::TooSlow)));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_tells_how_far_it_is_gets_its_time_and_not_for_ever() {
    let words = |minutes: usize| "W: 15\nS: * OK Hang in there..\n".repeat(4 * minutes) + "S: P2 OK done";
    noop(&words(59)).await.unwrap();
    assert!(matches!(noop(&words(99)).await, Err(Error::TooSlow)));
}

#[tokio::test(start_paused = true)]
async fn a_thin_line_is_no_reason_to_give_up() {
    let thin = format!("W: 20\nS: {}\n", "x".repeat(1022)).repeat(600);
    noop(&format!("S: * 1 FETCH (BODY[] {{614400}}\n{thin}S: )\nS: P2 OK done")).await.unwrap();
}

#[tokio::test]
async fn endless_words_without_meaning_end_the_session() {
    let said = "* OK\r\n".repeat(CHATTER as usize + 1) + "P1 OK done\r\n";
    assert!(matches!(deaf(said.as_bytes()).await, Err(Error::Protocol(_))));
}
