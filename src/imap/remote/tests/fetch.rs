//! Messages on their way down, and what identifies them.

use super::*;

/// Fetches UIDs 4 and 5 and tells what arrived: UID and content of each complete message.
async fn fetched(answer: &str) -> (Outcome<()>, Vec<(u32, String)>) {
    let line = "C: P3 UID FETCH 4:5 (UID RFC822.SIZE FLAGS INTERNALDATE BODY.PEEK[])\n";
    let (mut remote, _server) = remote("", &format!("{}{line}{answer}", selected(2))).await;
    let (into, mut from) = mpsc::channel(100);
    let outcome = remote.fetch(&at(), &listed(&[4, 5]), into).await;
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
                 C: P4 UID FETCH 5 (UID RFC822.SIZE FLAGS INTERNALDATE BODY.PEEK[])\nS: P4 NO Some (Failure)"
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
        + "C: P3 UID FETCH 4 (UID RFC822.SIZE FLAGS INTERNALDATE BODY.PEEK[])\nS: * 1 FETCH (UID 4 FLAGS () BODY[] \"a\")\n\
           S: P3 OK done\nC: P4 UID STORE 4 +FLAGS.SILENT (\\Seen)\nS: P4 OK done";
    let (mut remote, server) = remote("", &transcript).await;
    let (into, from) = mpsc::channel(1);
    drop(from);
    assert_eq!(scope(remote.fetch(&at(), &listed(&[4]), into).await), Scope::Mailbox);
    let seen = FlagChange { uid: Uid::new(4).unwrap(), add: Flags::SEEN, remove: Flags::NONE };
    assert!(remote.store(&at(), &[seen]).await.is_ok());
    server.finished().await;
}

#[tokio::test]
async fn a_message_refused_alone_concerns_that_message() {
    let transcript = selected(2)
        + "C: P3 UID FETCH 4 (UID RFC822.SIZE FLAGS INTERNALDATE BODY.PEEK[])\nS: P3 NO Some messages could not be FETCHed";
    let (mut remote, _server) = remote("", &transcript).await;
    let (into, _from) = mpsc::channel(1);
    assert_eq!(scope(remote.fetch(&at(), &listed(&[4]), into).await), Scope::Message);
}

/// Fetches these from a server that plays the transcript after SELECT; the outcome and the UIDs that arrived.
async fn arrived(
    suspects: &Suspects,
    wanted: BTreeMap<Uid, Listed>,
    transcript: &str,
) -> (Outcome<()>, Vec<u32>) {
    let (session, server) = session("", &format!("{}{transcript}", selected(2))).await;
    let mut remote = Remote::new(session, suspects.clone());
    let (into, mut from) = mpsc::channel(5000);
    let outcome = remote.fetch(&at(), &wanted, into).await;
    server.finished().await;
    let mut uids = Vec::new();
    while let Some(arrival) = from.recv().await {
        if let Arrival::End(end) = arrival {
            uids.push(end.uid.value());
        }
    }
    (outcome, uids)
}

fn line(tag: u32, set: &str) -> String {
    format!("C: P{tag} UID FETCH {set} (UID RFC822.SIZE FLAGS INTERNALDATE BODY.PEEK[])\n")
}

#[tokio::test]
async fn a_message_at_which_the_session_breaks_is_asked_for_last_and_then_spared() {
    let suspects = Suspects::default();
    let wanted = || listed(&[4, 5, 6]);
    let first = line(3, "4:6")
        + "S: * 1 FETCH (UID 4 FLAGS () BODY[] \"a\")\nS: * 2 FETCH (UID 5 FLAGS () BODY[] {30}\nS: cut";
    let (outcome, uids) = arrived(&suspects, wanted(), &first).await;
    assert_eq!((scope(outcome), uids, suspects.breaks()), (Scope::Pass, vec![4], 1));
    let good = "S: * 1 FETCH (UID 4 FLAGS () BODY[] \"a\")\nS: * 3 FETCH (UID 6 FLAGS () BODY[] \"c\")\nS: P3 OK x\n";
    let second = format!("{}{good}{}S: * BYE no", line(3, "4,6"), line(4, "5"));
    let (outcome, uids) = arrived(&suspects, wanted(), &second).await;
    assert_eq!((scope(outcome), uids, suspects.breaks()), (Scope::Pass, vec![4, 6], 2));
    let (outcome, uids) = arrived(&suspects, wanted(), &(line(3, "4,6") + good)).await;
    let trouble = outcome.unwrap_err();
    assert_eq!((trouble.scope, uids), (Scope::Message, vec![4, 6]));
    assert!(trouble.to_string().contains("first UID 5: the connection broke at it"), "{trouble}");
}

#[tokio::test]
async fn a_message_that_comes_after_all_is_no_suspect_any_more() {
    let suspects = Suspects::default();
    let (outcome, _) = arrived(&suspects, listed(&[5]), &line(3, "5")).await;
    assert_eq!((scope(outcome), suspects.breaks()), (Scope::Pass, 1));
    let good = line(3, "5") + "S: * 2 FETCH (UID 5 FLAGS () BODY[] \"b\")\nS: P3 OK x";
    let (outcome, uids) = arrived(&suspects, listed(&[5]), &good).await;
    assert_eq!((outcome.is_ok(), uids, suspects.breaks()), (true, vec![5], 1));
}

#[tokio::test]
async fn a_message_too_large_for_us_is_not_asked_for() {
    let mut wanted = listed(&[4, 5]);
    wanted.get_mut(&uid(4)).unwrap().size = Some(257 << 20);
    wanted.get_mut(&uid(5)).unwrap().size = Some(256 << 20);
    let good = line(3, "5") + "S: * 2 FETCH (UID 5 FLAGS () BODY[] \"b\")\nS: P3 OK x";
    let (outcome, uids) = arrived(&Suspects::default(), wanted, &good).await;
    let trouble = outcome.unwrap_err();
    assert_eq!((trouble.scope, uids), (Scope::Message, vec![5]));
    assert!(trouble.to_string().contains("first UID 4: it is larger than 256 MiB"), "{trouble}");
}

#[tokio::test]
async fn an_empty_body_is_believed_only_of_an_empty_message() {
    for (items, is_good) in [
        ("RFC822.SIZE 9 BODY[] {0}\nS:", false),
        ("RFC822.SIZE 9 BODY[] \"\"", false),
        ("BODY[] \"\"", false),
        ("RFC822.SIZE 0 BODY[] {0}\nS:", true),
        ("RFC822.SIZE 0 BODY[] \"\"", true),
        ("RFC822.SIZE 9 BODY[] \"b\"", true),
    ] {
        let answer = format!("{}S: * 2 FETCH (UID 5 FLAGS () {items})\nS: P3 OK x", line(3, "5"));
        let (outcome, uids) = arrived(&Suspects::default(), listed(&[5]), &answer).await;
        assert_eq!((outcome.is_ok(), uids.len()), (is_good, usize::from(is_good)), "{items}");
        if let Err(trouble) = outcome {
            assert_eq!(trouble.scope, Scope::Message, "{items}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_narrowed_down_however_much_is_missing() {
    let all: Vec<u32> = (1..=600).collect();
    let mut transcript = line(3, "1:500") + &line(4, "501:600") + "S: P3 NO poison\nS: P4 NO poison\n";
    let body = |uid: u32| format!("S: * {uid} FETCH (UID {uid} FLAGS () BODY[] \"a\")\n");
    for (number, first) in (1..500).step_by(25).enumerate() {
        let tag = 5 + number as u32;
        transcript += &line(tag, &format!("{first}:{}", first + 24));
        let is_poisoned = first == 26;
        (first..first + 25).filter(|_| !is_poisoned).for_each(|uid| transcript += &body(uid));
        transcript += &format!("S: P{tag} {} x\n", if is_poisoned { "NO" } else { "OK" });
    }
    for uid in 26..=50 {
        let tag = uid - 1;
        transcript += &line(tag, &uid.to_string());
        transcript += &if uid == 30 { String::new() } else { body(uid) };
        transcript += &format!("S: P{tag} {} x\n", if uid == 30 { "NO" } else { "OK" });
    }
    let (outcome, mut uids) = arrived(&Suspects::default(), listed(&all), &transcript).await;
    uids.sort_unstable();
    assert_eq!(scope(outcome), Scope::Message);
    assert_eq!(uids, (1..=500).filter(|&uid| uid != 30).collect::<Vec<_>>());
}
