//! Messages on their way down, and what identifies them.

use super::*;

/// Fetches UIDs 4 and 5 and tells what arrived: UID and content of each complete message.
async fn fetched(answer: &str) -> (Outcome<()>, Vec<(u32, String)>) {
    let line = "C: P3 UID FETCH 4:5 (UID FLAGS INTERNALDATE BODY.PEEK[])\n";
    let (mut remote, _server) = remote("", &format!("{}{line}{answer}", selected(2))).await;
    let (into, mut from) = mpsc::channel(100);
    let outcome = remote.fetch(&at(), &uids(&[4, 5]), into).await;
    let mut messages = Vec::new();
    let mut body = Vec::new();
    while let Some(arrival) = from.recv().await {
        match arrival {
            Arrival::Start { .. } => body.clear(),
            Arrival::Chunk(chunk) => body.extend_from_slice(&chunk),
            Arrival::End(end) => {
                messages.push((end.uid.value(), String::from_utf8(body.clone()).unwrap()));
            }
        }
    }
    (outcome, messages)
}

#[tokio::test]
async fn content_is_bound_to_the_uid_of_its_own_response() {
    let (outcome, messages) = fetched(
        "S: * 2 FETCH (BODY[] {3}
         S: b
         S:  UID 5 FLAGS (\\Seen))
         S: * 9 FETCH (UID 99 FLAGS () BODY[] \"not asked\")
         S: * 1 FETCH (FLAGS () BODY[] \"no uid\")
         S: * 1 FETCH (UID 4 FLAGS (\\Seen))
         S: * 1 FETCH (UID 4 FLAGS () INTERNALDATE \" 1-Jan-1970 00:00:10 +0000\" BODY[] \"a\")
         S: * 1 FETCH (UID 4 FLAGS () BODY[] \"again\")
         S: P3 OK done",
    )
    .await;
    assert!(outcome.is_ok());
    assert_eq!(messages, [(5, "b\r\n".to_owned()), (4, "a".to_owned())]);
}

#[tokio::test]
async fn bodies_that_do_not_come_are_told() {
    let good = "S: * 1 FETCH (UID 4 FLAGS () BODY[] \"a\")\n";
    for (answer, expected) in [
        (format!("{good}S: * 2 FETCH (UID 5 FLAGS () BODY[] NIL)\nS: P3 OK done"), Scope::Message),
        (format!("{good}S: * 2 FETCH (UID 5 BODY[] \"b\")\nS: P3 OK no flags"), Scope::Message),
        (
            format!(
                "{good}S: P3 NO Some messages could not be FETCHed (Failure)\n\
                 C: P4 UID FETCH 5 (UID FLAGS INTERNALDATE BODY.PEEK[])\nS: P4 NO Some (Failure)"
            ),
            Scope::Message,
        ),
        (format!("{good}S: * 2 FETCH (UID 5 FLAGS () BODY[] {{30}}\nS: cut"), Scope::Pass),
        (format!("{good}S: * 2 FETCH (UID 5 FLAGS () BODY[] {{99999999999}}"), Scope::Pass),
        (format!("{good}S: * BYE Session invalidated - AccessTokenExpired"), Scope::Pass),
    ] {
        let (outcome, messages) = fetched(&answer).await;
        assert_eq!(scope(outcome), expected, "{answer}");
        assert_eq!(messages, [(4, "a".to_owned())]);
    }
}

#[tokio::test]
async fn fetching_for_nobody_reads_what_is_under_way_and_leaves_the_session_good() {
    let transcript = selected(2)
        + "C: P3 UID FETCH 4 (UID FLAGS INTERNALDATE BODY.PEEK[])\nS: * 1 FETCH (UID 4 FLAGS () BODY[] \"a\")\n\
           S: P3 OK done\nC: P4 UID STORE 4 +FLAGS.SILENT (\\Seen)\nS: P4 OK done";
    let (mut remote, server) = remote("", &transcript).await;
    let (into, from) = mpsc::channel(1);
    drop(from);
    assert_eq!(scope(remote.fetch(&at(), &uids(&[4]), into).await), Scope::Mailbox);
    let seen = FlagChange { uid: Uid::new(4).unwrap(), add: Flags::SEEN, remove: Flags::NONE };
    assert!(remote.store(&at(), &[seen]).await.is_ok());
    server.finished().await;
}

#[tokio::test]
async fn a_message_refused_alone_concerns_that_message() {
    let transcript = selected(2)
        + "C: P3 UID FETCH 4 (UID FLAGS INTERNALDATE BODY.PEEK[])\nS: P3 NO Some messages could not be FETCHed";
    let (mut remote, _server) = remote("", &transcript).await;
    let (into, _from) = mpsc::channel(1);
    assert_eq!(scope(remote.fetch(&at(), &uids(&[4]), into).await), Scope::Message);
}

#[tokio::test]
async fn identities_come_with_sizes() {
    let transcript = selected(2)
        + "C: P3 UID FETCH 4:5 (UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM TO SUBJECT)])
           S: * 1 FETCH (UID 4 RFC822.SIZE 77 BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM TO SUBJECT)] \"Message-ID: <a@b>\")
           S: P3 OK done
           C: P4 UID SEARCH UID 5
           S: P4 OK done";
    let (mut vanished, server) = remote("", &(transcript.clone())).await;
    let found = vanished.identify(&at(), &uids(&[4, 5])).await.unwrap();
    server.finished().await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[&uid(4)].size, 77);
    assert!(found[&uid(4)].identity.is_strong());

    let silent = transcript.replace("S: P4 OK", "S: * SEARCH 5\nS: P4 OK");
    let (mut silent, _server) = remote("", &silent).await;
    assert_eq!(scope(silent.identify(&at(), &uids(&[4, 5])).await), Scope::Mailbox, "it is there");
}
