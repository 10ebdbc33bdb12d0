//! What identifies messages, and messages of which a server does not show it.

use super::*;

const HEADERS: &str = "(UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM TO SUBJECT)])";
const MESSAGE_ID: &str = "(UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]<0.65536>)";
/// Message 4 as it is shown.
const FOUR: &str = "S: * 1 FETCH (UID 4 RFC822.SIZE 77 BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM TO SUBJECT)] \"Message-ID: <a@b>\")\n";

/// What is found of messages 4 and 5 by a server that plays this after SELECT.
async fn found(suspects: &Suspects, transcript: &str) -> Outcome<BTreeMap<Uid, Option<Likeness>>> {
    let (session, server) = session("", &format!("{}{transcript}", selected(2))).await;
    let outcome = Remote::new(session, suspects.clone()).identify(&at(), &uids(&[4, 5])).await;
    server.finished().await;
    outcome
}

fn asked() -> String {
    format!("C: P3 UID FETCH 4:5 {HEADERS}\n{FOUR}S: P3 OK done\nC: P4 UID SEARCH UID 5\n")
}

#[tokio::test]
async fn identities_come_with_sizes_and_what_vanished_is_left_out() {
    let found = found(&Suspects::default(), &(asked() + "S: P4 OK done")).await.unwrap();
    assert_eq!(found.len(), 1);
    let likeness = found[&uid(4)].unwrap();
    assert_eq!((likeness.size, likeness.identity.is_strong()), (77, true));
}

#[tokio::test]
async fn a_message_whose_header_is_not_shown_is_known_by_its_message_id() {
    let again = format!("{}S: * SEARCH 5\nS: P4 OK done\nC: P5 UID FETCH 5 {MESSAGE_ID}\n", asked());
    let id = "S: * 2 FETCH (UID 5 RFC822.SIZE 9 BODY[HEADER.FIELDS (MESSAGE-ID)]<0> \"Message-ID: <c@d>\")\n";
    let shown = found(&Suspects::default(), &format!("{again}{id}S: P5 OK done")).await.unwrap();
    assert_eq!(shown[&uid(5)].unwrap().identity, crate::mail::Identity::from_header(b"Message-ID: <c@d>"));
    for answer in ["S: P5 OK done", "S: P5 NO not that one"] {
        let silent = found(&Suspects::default(), &format!("{again}{answer}")).await.unwrap();
        assert_eq!((silent.len(), silent[&uid(5)]), (2, None), "it is there");
    }
}

#[tokio::test]
async fn a_message_that_is_refused_keeps_only_itself_back() {
    let refused =
        |tag| format!("C: P{tag} UID FETCH 4:5 {HEADERS}\nS: P{tag} NO Some messages could not be FETCHed\n");
    let alone = format!(
        "C: P5 UID FETCH 4 {HEADERS}\n{FOUR}S: P5 OK x\nC: P6 UID FETCH 5 {HEADERS}\nS: P6 NO x\n\
         C: P7 UID SEARCH UID 5\nS: * SEARCH 5\nS: P7 OK x\nC: P8 UID FETCH 5 {MESSAGE_ID}\nS: P8 NO x"
    );
    let found = found(&Suspects::default(), &(refused(3) + &refused(4) + &alone)).await.unwrap();
    assert!(found[&uid(4)].is_some() && found[&uid(5)].is_none());
}

#[tokio::test]
async fn a_refusal_that_is_not_about_messages_is_an_error() {
    let refused = format!("C: P3 UID FETCH 4:5 {HEADERS}\nS: P3 BAD Suggested Backoff Time: 10 milliseconds");
    assert_eq!(scope(found(&Suspects::default(), &refused).await), Scope::Pass);
}

#[tokio::test]
async fn a_header_at_which_sessions_break_is_asked_for_last_and_then_not_shown() {
    let suspects = Suspects::default();
    let first = format!("C: P3 UID FETCH 4:5 {HEADERS}\n{FOUR}S: * BYE no");
    assert_eq!(scope(found(&suspects, &first).await), Scope::Pass);
    let four = format!("C: P3 UID FETCH 4 {HEADERS}\n{FOUR}S: P3 OK x\n");
    let second = format!("{four}C: P4 UID FETCH 5 {HEADERS}\nS: * BYE no");
    assert_eq!(scope(found(&suspects, &second).await), Scope::Pass);
    let third = format!("{four}C: P4 UID SEARCH UID 5\nS: * SEARCH 5\nS: P4 OK x");
    assert_eq!(found(&suspects, &third).await.unwrap()[&uid(5)], None);
}
