//! The remote against servers that behave and servers that do not.

use super::*;
use crate::imap::script::{Server, deaf, session};
use crate::mail::{Flags, ModSeq, SpecialUse};
use crate::sync::{Gone, Listing, Marks, Remote as _};
use proptest::prelude::*;
use std::io::{Seek, Write};

async fn remote(capabilities: &str, transcript: &str) -> (Remote, Server) {
    let (session, server) = session(capabilities, transcript).await;
    (Remote::new(session), server)
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn uids(numbers: &[u32]) -> UidSet {
    numbers.iter().map(|&number| uid(number)).collect()
}

fn at() -> At {
    At { mailbox: MailboxName::inbox(), uid_validity: UidValidity::new(7).unwrap() }
}

fn since(known: u32, uid_next: u32, modseq: u64) -> Option<Since> {
    let marks = Marks {
        uid_validity: at().uid_validity,
        uid_next: Uid::new(uid_next),
        messages: known,
        modseq: ModSeq::new(modseq),
    };
    Some(Since { marks, known })
}

/// SELECT of INBOX as the first command.
fn selected(exists: u32) -> String {
    format!(
        "C: P2 SELECT INBOX\nS: * {exists} EXISTS\nS: * OK [UIDVALIDITY 7] x\nS: * OK [UIDNEXT 100] x\n\
         S: * OK [PERMANENTFLAGS (\\Seen \\Deleted)] x\nS: P2 OK [READ-WRITE] done\n"
    )
}

fn scope<T>(outcome: Outcome<T>) -> Scope {
    outcome.err().expect("an error").scope
}

#[tokio::test]
async fn the_open_mailbox_is_left_before_its_status_is_asked() {
    let list = "LIST \"\" \"*\" RETURN (STATUS (UIDVALIDITY UIDNEXT MESSAGES))";
    let answer = "S: * LIST () \"/\" INBOX\nS: * STATUS INBOX (MESSAGES 3 UIDVALIDITY 7 UIDNEXT 9)\n";
    let flags = "C: P3 UID STORE 4 +FLAGS.SILENT (\\Seen)\nS: P3 OK done\n";
    let changes = [FlagChange { uid: uid(4), add: Flags::SEEN, remove: Flags::NONE }];
    for (capabilities, before) in [
        ("LIST-STATUS UNSELECT", "C: P4 UNSELECT\n"),
        ("LIST-STATUS", "C: P4 NOOP\nS: * 3 EXISTS\nS: P4 OK done\n"),
    ] {
        let end = if before.contains("NOOP") { "" } else { "S: P4 OK done\n" };
        let transcript = format!("{}{flags}{before}C: P5 {list}\n{end}{answer}S: P5 OK done", selected(2));
        let (mut remote, server) = remote(capabilities, &transcript).await;
        remote.store(&at(), &changes).await.unwrap();
        assert_eq!(remote.list().await.unwrap()[0].marks.unwrap().messages, 3, "{capabilities}");
        server.finished().await;
    }
}

#[tokio::test]
async fn one_list_tells_names_uses_and_marks() {
    let (mut remote, server) = remote(
        "LIST-EXTENDED LIST-STATUS SPECIAL-USE CONDSTORE",
        "C: P2 LIST \"\" \"*\" RETURN (SPECIAL-USE STATUS (UIDVALIDITY UIDNEXT MESSAGES HIGHESTMODSEQ))
         S: * LIST () \".\" Inbox
         S: * STATUS INBOX (MESSAGES 3 UIDVALIDITY 7 UIDNEXT 9 HIGHESTMODSEQ 5)
         S: * LIST () \".\" INBOX
         S: * LIST (\\Noselect) \".\" a
         S: * LIST (\\Sent) \".\" \"Gesendet\"
         S: * LIST () \".\" \"Sent Items\"
         S: * LIST () \".\" Papierkorb
         S: P2 OK done",
    )
    .await;
    let list = remote.list().await.unwrap();
    server.finished().await;
    let short: Vec<_> = list.iter().map(|it| (it.name.as_str(), it.special_use, it.selectable)).collect();
    assert_eq!(
        short,
        [
            ("INBOX", None, true),
            ("a", None, false),
            ("Gesendet", Some(SpecialUse::Sent), true),
            ("Sent Items", None, true),
            ("Papierkorb", Some(SpecialUse::Trash), true),
        ]
    );
    assert_eq!(list[0].marks.unwrap().messages, 3);
}

#[tokio::test]
async fn a_list_that_is_empty_refused_or_cut_off_is_an_error() {
    for transcript in [
        "C: P2 LIST \"\" \"*\"\nS: P2 OK done",
        "C: P2 LIST \"\" \"*\"\nS: P2 NO Server Unavailable. 15",
        "C: P2 LIST \"\" \"*\"\nS: * LIST () \"/\" INBOX",
        "C: P2 LIST \"\" \"*\"\nS: * LIST () \"/\" INBOX\nS: * BYE Session expired",
    ] {
        let (mut remote, _server) = remote("", transcript).await;
        assert_eq!(scope(remote.list().await), Scope::Pass, "{transcript}");
    }
}

#[tokio::test]
async fn an_extended_list_that_is_refused_is_asked_plainly() {
    let (mut remote, _server) = remote(
        "LIST-STATUS",
        "C: P2 LIST \"\" \"*\" RETURN (STATUS (UIDVALIDITY UIDNEXT MESSAGES))
         S: P2 BAD what
         C: P3 LIST \"\" \"*\"
         S: * LIST () \"/\" INBOX
         S: P3 OK done",
    )
    .await;
    assert_eq!(remote.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_open_mailbox_is_brought_up_to_date_before_its_status_is_asked() {
    let transcript = selected(0)
        + "C: P3 UID SEARCH ALL
           S: * SEARCH
           S: P3 OK done
           C: P4 NOOP
           S: * 2000 EXISTS
           S: P4 OK done
           C: P5 LIST \"\" \"*\" RETURN (STATUS (UIDVALIDITY UIDNEXT MESSAGES))
           S: * LIST () \"/\" INBOX
           S: * STATUS INBOX (MESSAGES 2000 UIDVALIDITY 7 UIDNEXT 2001)
           S: P5 OK done";
    let (mut remote, server) = remote("LIST-STATUS", &transcript).await;
    assert_eq!(remote.open(&MailboxName::inbox(), None).await.unwrap().marks.messages, 0);
    assert_eq!(remote.list().await.unwrap()[0].marks.unwrap().messages, 2000);
    server.finished().await;
}

#[tokio::test]
async fn a_first_look_lists_everything() {
    let transcript = selected(2)
        + "C: P3 UID FETCH 1:* (UID FLAGS RFC822.SIZE)
           S: * 1 FETCH (UID 4 FLAGS (\\Seen) RFC822.SIZE 10)
           S: * OK unasked
           S: * 2 FETCH (RFC822.SIZE 20 UID 9 FLAGS ())
           S: P3 OK done";
    let (mut remote, _server) = remote("", &transcript).await;
    let view = remote.open(&MailboxName::inbox(), None).await.unwrap();
    assert_eq!(view.storable, Flags::SEEN | Flags::DELETED);
    assert!(!view.read_only);
    let Listing::Full(listing) = view.listing else { panic!("not full") };
    assert_eq!(listing[&uid(4)], sync::Listed { flags: Flags::SEEN, size: Some(10) });
    assert_eq!(listing.len(), 2);
}

#[tokio::test]
async fn a_listing_that_does_not_agree_with_itself_is_none() {
    let fetch = "C: P3 UID FETCH 1:* (UID FLAGS RFC822.SIZE)\n";
    let one = "S: * 1 FETCH (UID 4 FLAGS () RFC822.SIZE 1)\n";
    for (answer, expected) in [
        ("S: P3 OK nothing at all".to_owned(), Scope::Mailbox),
        (format!("{one}S: P3 OK one is missing"), Scope::Mailbox),
        (format!("{one}S: * 2 FETCH (UID 4 FLAGS ())\nS: P3 OK twice the same"), Scope::Mailbox),
        (format!("{one}S: * 2 FETCH (UID 100 FLAGS ())\nS: P3 OK above UIDNEXT"), Scope::Mailbox),
        (format!("{one}S: * 2 FETCH (UID NIL FLAGS ())\nS: P3 OK no UID"), Scope::Mailbox),
        (format!("{one}S: P3 NO [SERVERBUG] half way"), Scope::Mailbox),
        (format!("{one}S: P3 BAD Suggested Backoff Time: 10 milliseconds"), Scope::Pass),
        (one.to_owned(), Scope::Pass),
        (format!("{one}S: garbage"), Scope::Pass),
        (format!("{one}S: P9 OK not our tag"), Scope::Pass),
    ] {
        let (mut remote, _server) = remote("", &format!("{}{fetch}{answer}", selected(2))).await;
        assert_eq!(scope(remote.open(&MailboxName::inbox(), None).await), expected, "{answer}");
    }
}

#[tokio::test]
async fn messages_that_come_and_go_during_a_listing_are_no_contradiction() {
    for extra in ["S: * 3 EXISTS\n", "S: * 2 EXPUNGE\n"] {
        let transcript = format!(
            "{}C: P3 UID FETCH 1:* (UID FLAGS RFC822.SIZE)\nS: * 1 FETCH (UID 4 FLAGS ())\n{extra}\
             S: * 2 FETCH (UID 5 FLAGS ())\nS: P3 OK done",
            selected(2)
        );
        let (mut remote, _server) = remote("", &transcript).await;
        assert!(remote.open(&MailboxName::inbox(), None).await.is_ok(), "{extra}");
    }
}

#[tokio::test]
async fn a_mailbox_without_a_generation_is_refused() {
    for validity in ["S: * OK [UIDVALIDITY 0] x\n", ""] {
        let transcript = format!("C: P2 SELECT INBOX\nS: * 0 EXISTS\n{validity}S: P2 OK done");
        let (mut remote, _server) = remote("", &transcript).await;
        assert_eq!(scope(remote.open(&MailboxName::inbox(), None).await), Scope::Mailbox);
    }
    let (mut remote, _server) = remote("", "C: P2 SELECT INBOX\nS: P2 NO [UNAVAILABLE] later").await;
    assert_eq!(scope(remote.open(&MailboxName::inbox(), None).await), Scope::Mailbox);
}

/// SELECT and CHANGEDSINCE in one go, with one changed and one new message.
fn changes(exists: u32, highest: &str) -> String {
    format!(
        "C: P2 SELECT INBOX (CONDSTORE)
         C: P3 UID FETCH 1:4294967295 (UID FLAGS RFC822.SIZE) (CHANGEDSINCE 50)
         S: * {exists} EXISTS
         S: * OK [UIDVALIDITY 7] x
         S: * OK [UIDNEXT 21] x
         S: * OK {highest} x
         S: P2 OK done
         S: * 1 FETCH (UID 4 FLAGS (\\Seen) RFC822.SIZE 9 MODSEQ (51))
         S: * 2 FETCH (UID 20 FLAGS () RFC822.SIZE 9 MODSEQ (52))
         S: P3 OK done\n"
    )
}

#[tokio::test]
async fn where_the_counts_agree_nothing_is_gone_in_one_round_trip() {
    let (mut remote, server) = remote("CONDSTORE", &changes(11, "[HIGHESTMODSEQ 52]")).await;
    let view = remote.open(&MailboxName::inbox(), since(10, 20, 50)).await.unwrap();
    server.finished().await;
    let Listing::Changes { changed, gone } = view.listing else { panic!("not changes") };
    assert_eq!((changed.len(), gone), (2, Gone::Nothing));
    assert_eq!(view.marks.modseq, ModSeq::new(52));
}

#[tokio::test]
async fn where_the_counts_differ_a_search_decides_and_must_be_complete() {
    for (found, is_good) in [("1,4,20", true), ("1,4", false), ("1:20", false)] {
        let search = format!(
            "C: P4 UID SEARCH RETURN (ALL) ALL\nS: * ESEARCH (TAG \"P4\") UID ALL {found}\nS: P4 OK x"
        );
        let transcript = changes(3, "[HIGHESTMODSEQ 52]") + &search;
        let (mut remote, _server) = remote("CONDSTORE ESEARCH", &transcript).await;
        let outcome = remote.open(&MailboxName::inbox(), since(10, 20, 50)).await;
        match outcome.map(|view| view.listing) {
            Ok(Listing::Changes { gone: Gone::AllBut(present), .. }) if is_good => {
                assert_eq!(present.to_string(), found);
            }
            Err(trouble) if !is_good => assert_eq!(trouble.scope, Scope::Mailbox),
            other => panic!("{found}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_search_without_an_answer_or_refused_deletes_nothing() {
    for answer in ["S: P4 OK x", "S: P4 NO [UNAVAILABLE] x", "S: * SEARCH 1 4 20"] {
        let transcript = changes(3, "[HIGHESTMODSEQ 52]") + &format!("C: P4 UID SEARCH ALL\n{answer}");
        let (mut remote, _server) = remote("CONDSTORE", &transcript).await;
        assert!(remote.open(&MailboxName::inbox(), since(10, 20, 50)).await.is_err(), "{answer}");
    }
}

#[tokio::test]
async fn modseqs_that_go_backwards_or_are_missing_mean_a_full_listing() {
    for highest in ["[HIGHESTMODSEQ 49]", "[NOMODSEQ]"] {
        let transcript = changes(1, highest)
            + "C: P4 UID FETCH 1:* (UID FLAGS)\nS: * 1 FETCH (UID 4 FLAGS ())\nS: P4 OK done";
        let (mut remote, _server) = remote("CONDSTORE", &transcript).await;
        let view = remote.open(&MailboxName::inbox(), since(10, 20, 50)).await.unwrap();
        assert!(matches!(view.listing, Listing::Full(listing) if listing.len() == 1));
    }
}

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
async fn another_generation_is_refused_before_anything_is_done() {
    let mut other = at();
    other.uid_validity = UidValidity::new(8).unwrap();
    let (mut remote, _server) = remote("MOVE UIDPLUS", &selected(2)).await;
    assert_eq!(scope(remote.remove(&other, &uids(&[4]), &Fate::Expunge).await), Scope::Mailbox);
    let change = FlagChange { uid: uid(4), add: Flags::SEEN, remove: Flags::NONE };
    assert_eq!(scope(remote.store(&other, &[change]).await), Scope::Mailbox);
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

#[tokio::test]
async fn a_mailbox_is_empty_only_when_a_search_says_so_too() {
    let selected =
        "C: P2 SELECT INBOX\nS: * 0 EXISTS\nS: * OK [UIDVALIDITY 7] x\nS: P2 OK done\nC: P3 UID SEARCH ALL\n";
    for (answer, is_good) in
        [("S: * SEARCH\nS: P3 OK x", true), ("S: * SEARCH 4\nS: P3 OK x", false), ("S: P3 NO x", false)]
    {
        let (mut remote, _server) = remote("", &format!("{selected}{answer}")).await;
        assert_eq!(remote.open(&MailboxName::inbox(), since(1, 20, 50)).await.is_ok(), is_good, "{answer}");
    }
}

#[tokio::test]
async fn changes_that_leave_out_a_message_are_not_believed() {
    // UID 5 is there, and neither known nor named: the mailbox is listed whole.
    let transcript = changes(4, "[HIGHESTMODSEQ 52]")
        + "C: P4 UID SEARCH ALL\nS: * SEARCH 4 5 6 20\nS: P4 OK x\nC: P5 UID FETCH 1:* (UID FLAGS)\n\
           S: * 1 FETCH (UID 4 FLAGS ())\nS: * 2 FETCH (UID 5 FLAGS ())\nS: * 3 FETCH (UID 6 FLAGS ())\n\
           S: * 4 FETCH (UID 20 FLAGS ())\nS: P5 OK x";
    let (mut remote, server) = remote("CONDSTORE", &transcript).await;
    let view = remote.open(&MailboxName::inbox(), since(2, 20, 50)).await.unwrap();
    server.finished().await;
    assert!(matches!(view.listing, Listing::Full(listing) if listing.len() == 4));
}

#[tokio::test]
async fn an_answer_that_overtakes_the_opening_of_the_mailbox_ends_the_session() {
    let transcript = "C: P2 SELECT INBOX (CONDSTORE)\n\
                      C: P3 UID FETCH 1:4294967295 (UID FLAGS RFC822.SIZE) (CHANGEDSINCE 50)\n\
                      S: * 3 EXISTS\nS: * OK [UIDVALIDITY 7] x\nS: P3 OK done\nS: P2 OK done";
    let (mut remote, _server) = remote("CONDSTORE", transcript).await;
    assert_eq!(scope(remote.open(&MailboxName::inbox(), since(3, 20, 50)).await), Scope::Pass);
}

#[tokio::test]
async fn equal_flag_changes_share_a_command_and_all_are_answered() {
    let transcript = selected(2)
        + "C: P3 UID STORE 4:5 +FLAGS.SILENT (\\Seen)
           C: P4 UID STORE 5 -FLAGS.SILENT (\\Flagged)
           S: P4 NO [EXPUNGEISSUED] some are gone
           S: P3 OK done";
    let (mut remote, server) = remote("", &transcript).await;
    let change = |number, remove| FlagChange { uid: uid(number), add: Flags::SEEN, remove };
    remote.store(&at(), &[change(4, Flags::NONE), change(5, Flags::FLAGGED)]).await.unwrap();
    server.finished().await;
}

#[tokio::test]
async fn a_move_tells_where_messages_landed_and_creates_its_target_once() {
    let transcript = "C: P3 LIST \"\" \"\"
         S: * LIST (\\Noselect) \"/\" \"\"
         S: P3 OK done
         C: P4 UID MOVE 4:5 \"Trash\"
         S: P4 NO [TRYCREATE] none
         C: P5 CREATE \"Trash\"
         S: P5 OK done
         C: P6 SUBSCRIBE \"Trash\"
         S: P6 NO cannot
         C: P7 UID MOVE 4:5 \"Trash\"
         S: * OK [COPYUID 3 4:5 70:71] x
         S: * 2 EXPUNGE
         S: P7 OK done";
    let transcript = selected(2) + transcript;
    let (mut remote, server) = remote("MOVE UIDPLUS", &transcript).await;
    let fate = Fate::MoveTo(MailboxName::new("Trash"));
    let landed = remote.remove(&at(), &uids(&[4, 5]), &fate).await.unwrap();
    server.finished().await;
    assert_eq!(landed.uid_validity, UidValidity::new(3));
    assert_eq!(landed.uids, BTreeMap::from([(uid(4), uid(70)), (uid(5), uid(71))]));
}

#[tokio::test]
async fn without_uidplus_only_what_is_ours_is_expunged() {
    let start = selected(2)
        + "C: P3 UID STORE 4 +FLAGS.SILENT (\\Deleted)\nS: P3 OK done\nC: P4 UID SEARCH DELETED\n";
    let (mut ours, server) = remote(
        "",
        &(start.clone() + "S: * SEARCH 4\nS: P4 OK done\nC: P5 EXPUNGE\nS: * 1 EXPUNGE\nS: P5 OK done"),
    )
    .await;
    ours.remove(&at(), &uids(&[4]), &Fate::Expunge).await.unwrap();
    server.finished().await;
    let (mut others, _server) = remote("", &(start + "S: * SEARCH 4 5\nS: P4 OK done")).await;
    let trouble = others.remove(&at(), &uids(&[4]), &Fate::Expunge).await.unwrap_err();
    assert_eq!(trouble.scope, Scope::Mailbox);
    assert!(trouble.to_string().contains("marked deleted"));
}

#[tokio::test]
async fn a_copy_that_fails_marks_nothing() {
    let transcript = selected(2) + "C: P3 UID COPY 4 INBOX\nS: P3 NO [OVERQUOTA] full";
    let (mut remote, server) = remote("UIDPLUS", &transcript).await;
    let fate = Fate::MoveTo(MailboxName::inbox());
    assert_eq!(scope(remote.remove(&at(), &uids(&[4]), &fate).await), Scope::Mailbox);
    server.finished().await;
}

fn outgoing(content: &str, size: u64) -> Outgoing {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file.rewind().unwrap();
    Outgoing { file, size, flags: Flags::SEEN, internal_date: std::time::UNIX_EPOCH }
}

/// The APPEND command without its literal.
fn append_line(tag: &str, literal: &str) -> String {
    format!("C: {tag} APPEND INBOX (\\Seen) \"01-Jan-1970 00:00:00 +0000\" {{{literal}}}\n")
}

#[tokio::test]
async fn an_upload_waits_only_where_the_server_wants_it() {
    for (capability, literal, go_on) in
        [("", "6", "S: * 5 EXISTS\nS: + go\n"), ("LITERAL+", "6+", ""), ("LITERAL-", "6+", "")]
    {
        let transcript =
            format!("{}{go_on}C: a\nC: b\nC:\nS: P2 OK [APPENDUID 7 12] done", append_line("P2", literal));
        let (mut remote, server) = remote(capability, &transcript).await;
        let landed = remote.append(&MailboxName::inbox(), outgoing("a\nb\n", 6)).await.unwrap();
        server.finished().await;
        assert_eq!(landed, Some((at().uid_validity, uid(12))), "{capability}");
    }
}

#[tokio::test]
async fn a_refused_upload_says_whose_fault_it_is() {
    for (answer, expected) in [
        ("S: P2 NO [OVERQUOTA] full", Scope::Message),
        ("S: P2 NO [TOOBIG] big", Scope::Message),
        ("S: P2 BAD what", Scope::Mailbox),
        ("S: * BYE no", Scope::Pass),
        ("", Scope::Pass),
    ] {
        let (mut remote, _server) = remote("", &(append_line("P2", "6") + answer)).await;
        assert_eq!(
            scope(remote.append(&MailboxName::inbox(), outgoing("a\nb\n", 6)).await),
            expected,
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_file_of_another_size_costs_the_connection() {
    for size in [5, 7] {
        let (mut remote, _server) = remote("LITERAL+", &append_line("P2", &format!("{size}+"))).await;
        assert_eq!(scope(remote.append(&MailboxName::inbox(), outgoing("a\nb\n", size)).await), Scope::Pass);
        assert_eq!(scope(remote.list().await), Scope::Pass);
    }
}

#[tokio::test]
async fn a_mailbox_that_exists_is_created() {
    let refused = "C: P2 LIST \"\" \"\"\nS: * LIST (\\Noselect) \"/\" \"\"\nS: P2 OK x\n\
                   C: P3 CREATE \"a/b\"\nS: P3 NO Mailbox already exists\nC: P4 LIST \"\" \"a/b\"\n";
    let name = MailboxName::new("a/b");
    let (mut there, _server) = remote("", &format!("{refused}S: * LIST () \"/\" a/b\nS: P4 OK done")).await;
    there.create(&name).await.unwrap();
    let (mut missing, _server) = remote("", &format!("{refused}S: P4 OK done")).await;
    assert_eq!(scope(missing.create(&name).await), Scope::Mailbox);
}

/// All that a server says while a session opens INBOX, fetches its one message and moves it.
const SAID: &str = "* CAPABILITY IMAP4rev1 MOVE UIDPLUS\r\nP1 OK x\r\n* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n\
    P2 OK done\r\n* 1 FETCH (UID 4 FLAGS () RFC822.SIZE 3)\r\nP3 OK done\r\n* 1 FETCH (UID 4 BODY[] {3}\r\n\
    abc FLAGS ())\r\nP4 OK done\r\n* OK [COPYUID 9 4 5] x\r\n* 1 EXPUNGE\r\nP5 OK done\r\n";

/// Does all that, and tells how many steps succeeded.
async fn all_steps(said: &[u8]) -> usize {
    let Ok(session) = deaf(said).await else { return 0 };
    let mut remote = Remote::new(session);
    let inbox = MailboxName::inbox();
    if remote.open(&inbox, None).await.is_err() {
        return 1;
    }
    let (into, _from) = mpsc::channel(100);
    if remote.fetch(&at(), &uids(&[4]), into).await.is_err() {
        return 2;
    }
    match remote.remove(&at(), &uids(&[4]), &Fate::MoveTo(inbox)).await {
        Err(_) => 3,
        Ok(_) => 4,
    }
}

#[tokio::test]
async fn a_connection_cut_at_any_octet_never_passes_for_a_success() {
    let end_of = |answer: &str| SAID.find(answer).unwrap() + answer.len();
    let ends = ["P1 OK x\r\n", "P3 OK done\r\n", "P4 OK done\r\n", "P5 OK done\r\n"].map(end_of);
    for cut in 0..=SAID.len() {
        let expected = ends.iter().filter(|&&end| cut >= end).count();
        assert_eq!(all_steps(&SAID.as_bytes()[..cut]).await, expected, "cut after {cut} octets");
    }
}

proptest! {
    #[test]
    fn a_server_that_garbles_its_words_makes_nobody_panic(
        changes in proptest::collection::vec((0..SAID.len(), any::<u8>()), 1..8)
    ) {
        let mut said = SAID.as_bytes().to_vec();
        for (at, byte) in changes {
            said[at] = byte;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(all_steps(&said));
    }
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
async fn what_is_offered_and_then_not_understood_is_not_used_again() {
    let transcript = "C: P2 SELECT INBOX (CONDSTORE)\nS: P2 BAD what\nC: P3 SELECT INBOX\nS: * 0 EXISTS\n\
                      S: * OK [UIDVALIDITY 7] x\nS: P3 OK done\nC: P4 UID SEARCH ALL\nS: P4 OK done\n\
                      C: P5 UID MOVE 4 INBOX\nS: P5 BAD what\nC: P6 UID COPY 4 INBOX\nS: P6 NO no";
    let (mut remote, server) = remote("CONDSTORE MOVE", transcript).await;
    assert!(remote.open(&MailboxName::inbox(), None).await.is_err());
    assert!(remote.open(&MailboxName::inbox(), None).await.is_ok());
    for _ in 0..2 {
        assert!(remote.remove(&at(), &uids(&[4]), &Fate::MoveTo(MailboxName::inbox())).await.is_err());
    }
    server.finished().await;
}
