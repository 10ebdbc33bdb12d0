//! Servers that take only so much: of one message, and of one account.

use super::scripted::{ALL, MAIL, after_the_dot, send, session};
use super::{Stage, Verdict};

#[tokio::test]
async fn more_recipients_than_the_server_takes_are_never_taken() {
    for too_many in ["452 4.5.3 Your message has too many recipients", "452 too many recipients"] {
        let script = format!(
            "{MAIL}C: RCPT TO:<b@x>\nC: RCPT TO:<c@x>\nC: RCPT TO:<d@x>\nS: 250 ok\nS: 250 ok\nS: {too_many}\nC: RSET\nS: 250 ok\nhang"
        );
        let (mut session, _server) = session(ALL, &script, 4096).await;
        let (verdict, asked) = send(&mut session, &["b@x", "c@x", "d@x"]).await;
        let Verdict::Permanent { stage: Stage::Rcpt, cause, .. } = verdict.unwrap() else { panic!() };
        let told = format!("the server takes 2 recipients per message, this one has 3: {too_many}");
        assert_eq!(cause.to_string(), told);
        assert!(!asked && session.is_usable());
    }
    let script = format!("{MAIL}C: RCPT TO:<b@x>\nS: 452 4.5.3 too many\nC: RSET\nS: 250 ok\nhang");
    let (mut session, _server) = session(ALL, &script, 4096).await;
    let verdict = send(&mut session, &["b@x"]).await.0.unwrap();
    assert!(matches!(verdict, Verdict::Temporary { .. }), "of nobody at all it is no limit of the message");
}

#[tokio::test]
async fn a_limit_of_the_account_is_not_held_against_the_message() {
    let words = "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded.";
    let script = format!("C: MAIL FROM:<a@x> SIZE=12\nS: {words}\nC: RSET\nS: 250 ok\nhang");
    let (mut session, _server) = session(ALL, &script, 4096).await;
    let verdict = send(&mut session, &["b@x"]).await.0.unwrap();
    assert!(matches!(verdict, Verdict::Throttled { reply, .. } if reply.to_string() == words));
    let (verdict, usable) = after_the_dot("S: 550 5.4.5 Daily user sending limit exceeded\nhang").await;
    assert!(matches!(verdict, Verdict::Throttled { .. }) && usable);
}
