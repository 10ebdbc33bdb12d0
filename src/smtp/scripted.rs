//! A submission server that follows a script, and what clients do with it.
//!
//! In a script a line `S: x` is sent, `C: x` must arrive exactly, `s: x` is sent without a line end, `hang` waits until the
//! client leaves. At the end of the script the server hangs up. Every wait has a deadline.

use super::session::Session;
use super::wire::Deadlines;
use super::*;
use crate::error::{Class, Classified};
use crate::mail::sasl::Credentials;
use crate::net::{Endpoint, Stream, Tls};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, duplex};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// Plays `script`; the task ends with all that the client sent.
fn play(script: &str, buffer: usize) -> (Stream, JoinHandle<String>) {
    let (client, server) = duplex(buffer);
    let script = script.to_owned();
    let run = async move { timeout(PATIENCE, follow(&script, server)).await.expect("the script to end") };
    (Box::new(client), tokio::spawn(run))
}

/// Follows a script on one side of a connection.
pub(super) async fn follow(script: &str, server: impl AsyncRead + AsyncWrite + Unpin) -> String {
    let mut heard = String::new();
    let mut server = BufReader::new(server);
    for step in script.lines().map(str::trim_start).filter(|step| !step.is_empty()) {
        match step.split_at_checked(3).unwrap_or((step, "")) {
            ("S: ", text) | ("S:", text) => server.write_all(format!("{text}\r\n").as_bytes()).await.unwrap(),
            ("s: ", text) => server.write_all(text.as_bytes()).await.unwrap(),
            ("C: ", text) | ("C:", text) => {
                let from = heard.len();
                server.read_line(&mut heard).await.unwrap();
                assert_eq!(&heard[from..], format!("{text}\r\n"));
            }
            _ if step == "hang" => {
                server.read_to_string(&mut heard).await.unwrap();
            }
            _ => panic!("what is {step:?}?"),
        }
    }
    heard
}

fn endpoint(tls: Tls) -> Endpoint {
    Endpoint { host: "localhost".into(), port: 587, tls, ca: None }
}

pub(super) fn bearer() -> Credentials {
    Credentials::Bearer {
        user: "test@contoso.onmicrosoft.com".into(),
        token: "EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA".to_owned().into(),
    }
}

pub(super) fn envelope(recipients: &[&str]) -> Envelope {
    let recipients = recipients.iter().map(|&address| address.to_owned()).collect();
    Envelope { sender: "a@x".into(), recipients, size: 12, eight_bit: false }
}

/// Opens a session whose server, after a greeting with these offers, goes on with `script`.
pub(super) async fn session(offers: &str, script: &str, buffer: usize) -> (Session, JoinHandle<String>) {
    let offers: String = offers.split(';').map(|offer| format!("S: 250-{offer}\n")).collect();
    let script = format!("S: 220 mx ESMTP\nC: EHLO [127.0.0.1]\nS: 250-mx\n{offers}S: 250 HELP\n{script}");
    let (stream, server) = play(&script, buffer);
    (Session::open(stream, &endpoint(Tls::None)).await.unwrap(), server)
}

/// Sends the message `.a` to `recipients`; tells whether the hook ran.
pub(super) async fn send(session: &mut Session, recipients: &[&str]) -> (Result<Verdict, Error>, bool) {
    let asked = Arc::new(AtomicBool::new(false));
    let flag = asked.clone();
    let hook = async move {
        flag.store(true, Ordering::SeqCst);
        Ok(())
    };
    let result = session.send(&envelope(recipients), &b"S: x\r\n\r\n.a\r\n"[..], hook).await;
    (result, asked.load(Ordering::SeqCst))
}

pub(super) const XOAUTH2_LINE: &str = "C: dXNlcj10ZXN0QGNvbnRvc28ub25taWNyb3NvZnQuY29tAWF1dGg9QmVhcmVyIEV3QkFBbDNCQUFVRkZwVUFvN0ozVmUwYmpMQldaV0NjbFJDM0VvQUEBAQ==";

async fn log_in(script: &str) -> Result<(), Error> {
    let (mut session, server) = session("AUTH LOGIN XOAUTH2", script, 4096).await;
    let result = session.log_in(&bearer()).await;
    assert_eq!(session.is_usable(), result.is_ok());
    drop(session);
    server.await.unwrap();
    result
}

#[tokio::test]
async fn xoauth2_as_exchange_accepts_it() {
    for challenge in ["334", "334 "] {
        let script = format!(
            "C: AUTH XOAUTH2\nS: {challenge}\n{XOAUTH2_LINE}\nS: 235 2.7.0 Authentication successful\nhang"
        );
        log_in(&script).await.unwrap();
    }
}

#[tokio::test]
async fn xoauth2_as_exchange_refuses_it() {
    let refusal = "535 5.7.3 Authentication unsuccessful [SN2PR00CA0001.namprd00.prod.outlook.com]";
    let script = format!("C: AUTH XOAUTH2\nS: 334\n{XOAUTH2_LINE}\nS: {refusal}\nhang");
    let error = log_in(&script).await.unwrap_err();
    assert_eq!(error.class(), Class::NeedsLogin);
    assert_eq!(error.reply().unwrap().to_string(), refusal);
}

#[tokio::test]
async fn xoauth2_as_gmail_refuses_it_after_an_empty_line() {
    let script = format!(
        "C: AUTH XOAUTH2\nS: 334 \n{XOAUTH2_LINE}\n\
         S: 334 eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIG1hYyIsInNjb3BlIjoiaHR0cHM6Ly9tYWlsLmdvb2dsZS5jb20vIn0K\n\
         C:\nS: 535-5.7.8 Username and Password not accepted.\nS: 535 5.7.8 gsmtp\nhang"
    );
    assert_eq!(log_in(&script).await.unwrap_err().class(), Class::NeedsLogin);
}

#[tokio::test]
async fn the_standard_mechanism_is_used_where_it_is_listed() {
    let line = "C: bixhPXRlc3RAY29udG9zby5vbm1pY3Jvc29mdC5jb20sAWhvc3Q9bG9jYWxob3N0AXBvcnQ9NTg3AWF1dGg9QmVhcmVyIEV3QkFBbDNCQUFVRkZwVUFvN0ozVmUwYmpMQldaV0NjbFJDM0VvQUEBAQ==";
    let script = format!("C: AUTH OAUTHBEARER\nS: 334\n{line}\nS: 334 e30=\nC: AQ==\nS: 535 5.7.8 no\nhang");
    let (mut session, server) = session("AUTH PLAIN XOAUTH2 OAUTHBEARER", &script, 4096).await;
    assert_eq!(session.log_in(&bearer()).await.unwrap_err().class(), Class::NeedsLogin);
    drop(session);
    server.await.unwrap();
}

#[tokio::test]
async fn trouble_at_the_login_is_not_taken_for_a_refusal_of_the_token() {
    for reply in ["454 4.7.0 Temporary authentication failure", "421 4.3.2 Service shutting down"] {
        let error = log_in(&format!("C: AUTH XOAUTH2\nS: {reply}\nhang")).await.unwrap_err();
        assert_eq!(error.class(), Class::RETRY, "{reply}");
    }
    let script = format!("C: AUTH XOAUTH2\nS: 334\n{XOAUTH2_LINE}");
    assert!(matches!(log_in(&script).await, Err(Error::Lost { stage: Stage::Auth, .. })));
    let script = format!("C: AUTH XOAUTH2\nS: 334\n{XOAUTH2_LINE}\nS: 334 e30=\nC:\nS: 334 e30=\nhang");
    assert!(matches!(log_in(&script).await, Err(Error::Unexpected { stage: Stage::Auth, .. })));
}

#[tokio::test]
async fn a_token_is_never_sent_by_another_mechanism() {
    let (mut session, server) = session("AUTH PLAIN LOGIN", "hang", 4096).await;
    let error = session.log_in(&bearer()).await.unwrap_err();
    assert!(
        matches!(&error, Error::NoMechanism { wanted: "OAUTHBEARER or XOAUTH2", offered } if offered == "PLAIN LOGIN")
    );
    drop(session);
    assert_eq!(server.await.unwrap(), "EHLO [127.0.0.1]\r\n");
}

#[tokio::test]
async fn a_password_goes_by_plain() {
    let script = "C: AUTH PLAIN\nS: 334\nC: AHRpbQB0YW5zdGFhZnRhbnN0YWFm\nS: 235 ok\nC: QUIT\nS: 221 bye";
    let (mut session, server) = session("AUTH PLAIN", script, 4096).await;
    let password = "tanstaaftanstaaf".to_owned().into();
    let credentials = Credentials::Password { user: "tim".into(), password };
    assert_eq!(format!("{credentials:?}"), "Credentials(password for tim)");
    session.log_in(&credentials).await.unwrap();
    session.quit().await;
    server.await.unwrap();
}

#[tokio::test]
async fn greetings_that_are_none() {
    for (greeting, class) in [("554 go away", Class::RETRY), ("421 4.3.2 busy", Class::RETRY)] {
        let (stream, _server) = play(&format!("S: {greeting}\nhang"), 4096);
        let error = Session::open(stream, &endpoint(Tls::None)).await.unwrap_err();
        assert!(matches!(error, Error::Refused { stage: Stage::Greeting, .. }));
        assert_eq!(error.class(), class);
    }
    let (stream, _server) = play("S: * OK IMAP4rev1\nhang", 4096);
    let error = Session::open(stream, &endpoint(Tls::None)).await.unwrap_err();
    assert!(matches!(error, Error::Malformed { stage: Stage::Greeting, source: Malformed::NoCode }));
    let (stream, _server) = play(&format!("s: 220 {}\nhang", "x".repeat(9000)), 4096);
    let error = Session::open(stream, &endpoint(Tls::None)).await.unwrap_err();
    assert!(matches!(error, Error::Malformed { source: Malformed::LongLine, .. }));
}

#[tokio::test]
async fn starttls_is_demanded_and_nothing_may_come_before_tls() {
    let hello = "S: 220 mx\nC: EHLO [127.0.0.1]";
    let run = async |rest: &str| {
        let (stream, server) = play(&format!("{hello}\n{rest}"), 4096);
        let error = Session::open(stream, &endpoint(Tls::StartTls)).await.unwrap_err();
        (error, server.await.unwrap())
    };
    let (error, heard) = run("S: 250-mx\nS: 250 AUTH PLAIN XOAUTH2\nhang").await;
    assert!(matches!(error, Error::NoStartTls));
    assert_eq!(heard, "EHLO [127.0.0.1]\r\n");
    let (error, _) = run("S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 not now\nhang").await;
    assert!(matches!(error, Error::BeforeTls { stage: Stage::StartTls }));
    let (error, _) = run("S: 535 5.7.139 SmtpClientAuthentication is disabled, call 555-1234\nhang").await;
    assert_eq!(error.class(), Class::RETRY, "no login is lost by words that may be anybody's");
    assert!(!crate::error::chain(&error).contains("555") && error.hint().is_none(), "{error}");
    // Both lines are written before the client runs again: they are in its buffer together.
    let injection = "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nS: 250 AUTH PLAIN\nhang";
    let (error, heard) = run(injection).await;
    assert!(matches!(error, Error::Injected), "{error}");
    assert!(heard.ends_with("STARTTLS\r\n"), "nothing is sent after the injection");
}

pub(super) const ALL: &str = "SIZE 1000;PIPELINING;8BITMIME";
pub(super) const MAIL: &str = "C: MAIL FROM:<a@x> SIZE=12\nS: 250 ok\n";
const TEXT: &str = "C: DATA\nS: 354 go\nC: S: x\nC: \nC: ..a\n";

#[tokio::test]
async fn a_message_is_sent_also_when_replies_come_byte_by_byte() {
    for buffer in [1, 4096] {
        let script = format!(
            "{MAIL}C: RCPT TO:<b@x>\nC: RCPT TO:<c@x>\nS: 250-ok\nS: 250 ok\nS: 251 ok\n{TEXT}C: .\nS: 250 2.0.0 queued as 1\n\
             C: QUIT\nS: 221 bye"
        );
        let (mut session, server) = session(ALL, &script, buffer).await;
        let (verdict, asked) = send(&mut session, &["b@x", "c@x"]).await;
        assert!(
            matches!(verdict.unwrap(), Verdict::Sent { reply } if reply.to_string() == "250 2.0.0 queued as 1")
        );
        assert!(asked && session.is_usable());
        session.quit().await;
        server.await.unwrap();
    }
}

#[tokio::test]
async fn without_pipelining_every_command_waits_for_its_reply() {
    let script = format!(
        "C: MAIL FROM:<a@x>\nS: 250 ok\nC: RCPT TO:<b@x>\nS: 250 ok\nC: RCPT TO:<c@x>\nS: 250 ok\n{TEXT}C: .\nS: 250 ok"
    );
    let (mut session, server) = session("HELP", &script, 4096).await;
    assert!(matches!(send(&mut session, &["b@x", "c@x"]).await.0.unwrap(), Verdict::Sent { .. }));
    server.await.unwrap();
}

#[tokio::test]
async fn one_refused_recipient_keeps_the_message_from_all() {
    let script = |one, other| {
        format!(
            "{MAIL}C: RCPT TO:<b@x>\nC: RCPT TO:<c@x>\nC: RCPT TO:<d@x>\nS: 250 ok\nS: {one}\nS: {other}\nC: RSET\nS: 250 ok\nhang"
        )
    };
    let everybody = ["b@x", "c@x", "d@x"];
    let (mut one, _server) =
        session(ALL, &script("451 4.7.1 greylisted", "550 5.1.1 nobody here"), 4096).await;
    let (verdict, asked) = send(&mut one, &everybody).await;
    let Verdict::Permanent { stage: Stage::Rcpt, cause, recipients } = verdict.unwrap() else { panic!() };
    assert_eq!(cause.to_string(), "550 5.1.1 nobody here");
    assert_eq!(recipients.iter().map(|r| r.address.as_str()).collect::<Vec<_>>(), ["c@x", "d@x"]);
    assert!(!asked && one.is_usable());
    let (mut two, _server) = session(ALL, &script("250 ok", "452 4.2.2 mailbox full"), 4096).await;
    let verdict = send(&mut two, &everybody).await.0.unwrap();
    assert!(
        matches!(verdict, Verdict::Temporary { stage: Stage::Rcpt, recipients, .. } if recipients.len() == 1)
    );
}

#[tokio::test]
async fn refusals_of_the_session_are_not_held_against_the_message() {
    for (reply, class) in
        [("421 4.7.0 later", Class::RETRY), ("530 5.7.57 Client not authenticated", Class::NeedsLogin)]
    {
        let (mut session, _server) =
            session(ALL, &format!("C: MAIL FROM:<a@x> SIZE=12\nS: {reply}\nhang"), 4096).await;
        let error = send(&mut session, &["b@x"]).await.0.unwrap_err();
        assert_eq!(error.class(), class);
        assert!(!session.is_usable());
        assert!(matches!(send(&mut session, &["b@x"]).await.0, Err(Error::Ended)));
    }
}

#[tokio::test]
async fn what_the_server_cannot_take_is_refused_before_it_is_asked() {
    let (mut session, server) = session("SIZE 8", "hang", 4096).await;
    let mut refused = async |change: fn(&mut Envelope)| {
        let mut envelope = envelope(&["b@x"]);
        envelope.size = 8;
        change(&mut envelope);
        let verdict = session.send(&envelope, &b""[..], async { panic!("sent") }).await.unwrap();
        assert!(session.is_usable());
        let Verdict::Permanent { cause, .. } = verdict else { panic!("{verdict:?}") };
        cause
    };
    assert_eq!(refused(|e| e.size = 9).await, Cause::TooLarge { size: 9, limit: 8 });
    assert_eq!(refused(|e| e.eight_bit = true).await, Cause::NoEightBit);
    assert_eq!(refused(|e| e.sender = "é@x".into()).await, Cause::NoUtf8);
    assert_eq!(refused(|e| e.recipients.clear()).await, Cause::NoRecipients);
    for bad in ["b@x>\r\nRCPT TO:<evil@x", "b@x> NOTIFY=NEVER", "", "b@\0x", "b c@x"] {
        let mut hostile = envelope(&[bad]);
        hostile.size = 8;
        let verdict = session.send(&hostile, &b""[..], async { panic!("sent") }).await.unwrap();
        assert!(matches!(verdict, Verdict::Permanent { cause: Cause::BadAddress(_), .. }), "{bad:?}");
    }
    drop(session);
    assert_eq!(server.await.unwrap(), "EHLO [127.0.0.1]\r\n");
}

#[tokio::test]
async fn eight_bit_text_and_utf8_addresses_are_announced() {
    let script = "C: MAIL FROM:<a@x> SIZE=4 BODY=8BITMIME SMTPUTF8\nS: 250 ok\nC: RCPT TO:<é@x>\nS: 250 ok\n\
                  C: DATA\nS: 354 go\nC: é\nC: .\nS: 250 ok";
    let (mut session, server) = session("SIZE;8BITMIME;SMTPUTF8", script, 4096).await;
    let envelope = Envelope { size: 4, eight_bit: true, ..envelope(&["é@x"]) };
    let verdict = session.send(&envelope, "é\r\n".as_bytes(), async { Ok(()) }).await.unwrap();
    assert!(matches!(verdict, Verdict::Sent { .. }));
    server.await.unwrap();
}

pub(super) async fn after_the_dot(rest: &str) -> (Verdict, bool) {
    let script = format!("{MAIL}C: RCPT TO:<b@x>\nS: 250 ok\n{TEXT}C: .\n{rest}");
    let (mut session, _server) = session(ALL, &script, 4096).await;
    let (verdict, asked) = send(&mut session, &["b@x"]).await;
    assert!(asked);
    (verdict.unwrap(), session.is_usable())
}

#[tokio::test]
async fn only_a_clear_reply_to_the_dot_is_a_clear_verdict() {
    for lost in ["", "s: 250 o", "S: 250-first", "S: garbage", "S: 250-a\nS: 550 b", "S: 354 again"] {
        let (verdict, usable) = after_the_dot(lost).await;
        assert!(matches!(verdict, Verdict::Uncertain { .. }), "{lost:?}: {verdict:?}");
        assert!(!usable);
    }
    let (verdict, usable) = after_the_dot("S: 421 4.3.0 closing\nhang").await;
    assert!(matches!(verdict, Verdict::Temporary { stage: Stage::Dot, .. }) && !usable);
    let (verdict, usable) = after_the_dot("S: 554 5.2.252 SendAsDenied\nhang").await;
    assert!(matches!(verdict, Verdict::Permanent { stage: Stage::Dot, .. }) && usable);
}

#[tokio::test]
async fn silence_after_the_dot_is_uncertain_and_before_it_an_error() {
    let short = Deadlines { dot: Duration::from_millis(20), ..Deadlines::RFC5321 };
    let hello = "S: 220 mx\nC: EHLO [127.0.0.1]\nS: 250 mx\nC: MAIL FROM:<a@x>\nS: 250 ok\nC: RCPT TO:<b@x>\nS: 250 ok\n";
    let (stream, _server) = play(&format!("{hello}{TEXT}C: .\nhang"), 4096);
    let mut session = Session::open_within(stream, &endpoint(Tls::None), short).await.unwrap();
    assert!(matches!(send(&mut session, &["b@x"]).await.0.unwrap(), Verdict::Uncertain { .. }));
    let short = Deadlines { data: Duration::from_millis(20), ..Deadlines::RFC5321 };
    let (stream, _server) = play(&format!("{hello}C: DATA\nhang"), 4096);
    let mut session = Session::open_within(stream, &endpoint(Tls::None), short).await.unwrap();
    let (result, asked) = send(&mut session, &["b@x"]).await;
    assert!(matches!(result, Err(Error::Lost { stage: Stage::Data, .. })) && !asked);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_says_nothing_may_want_the_other_tls_mode() {
    for tls in [Tls::StartTls, Tls::None] {
        let begun = tokio::time::Instant::now();
        let (stream, _silent) = duplex(64);
        let error = Session::open(Box::new(stream), &endpoint(tls)).await.unwrap_err();
        assert_eq!(begun.elapsed(), Duration::from_secs(30));
        assert!(error.hint().unwrap().contains("the other `tls` mode"), "{error}");
    }
}

#[tokio::test]
async fn a_reply_before_the_end_of_the_text_is_never_a_success() {
    let start = format!("{MAIL}C: RCPT TO:<b@x>\nS: 250 ok\nC: DATA\n");
    let (mut one, server) = session(ALL, &format!("{start}S: 354 go\nS: 250 queued\nhang"), 4096).await;
    let (result, asked) = send(&mut one, &["b@x"]).await;
    assert!(matches!(result, Err(Error::Unexpected { stage: Stage::Body, .. })) && !asked, "{result:?}");
    drop(one);
    assert!(!server.await.unwrap().ends_with("\r\n.\r\n"));
    let script = format!("{start}S: 354 go\nS: 552 5.3.4 too large\nhang");
    let (mut two, _server) = session(ALL, &script, 4096).await;
    let (result, asked) = send(&mut two, &["b@x"]).await;
    assert!(matches!(result, Ok(Verdict::Permanent { stage: Stage::Body, .. })) && !asked, "{result:?}");
    assert!(!two.is_usable());
}

/// The account runs it in a task of its own.
#[tokio::test]
async fn a_submission_may_run_in_a_task() {
    let script = format!("{MAIL}C: RCPT TO:<b@x>\nS: 250 ok\n{TEXT}C: .\nS: 250 ok");
    let (mut session, server) = session(ALL, &script, 4096).await;
    let task = tokio::spawn(async move { send(&mut session, &["b@x"]).await.0 });
    assert!(matches!(task.await.unwrap(), Ok(Verdict::Sent { .. })));
    server.await.unwrap();
}

#[tokio::test]
async fn without_the_record_of_it_the_end_is_not_sent() {
    let script = format!("{MAIL}C: RCPT TO:<b@x>\nS: 250 ok\n{TEXT}hang");
    let (mut session, server) = session(ALL, &script, 4096).await;
    let hook = async { Err("disk full".into()) };
    let result = session.send(&envelope(&["b@x"]), &b"S: x\r\n\r\n.a\r\n"[..], hook).await;
    assert!(matches!(result, Err(Error::Hook(_))));
    assert!(!session.is_usable());
    drop(session);
    assert!(server.await.unwrap().ends_with("\r\n..a\r\n"));
}
