//! Opening a mailbox: listings, changes, and answers that are not to be believed.

use super::*;
use crate::sync::{Gone, Listing};

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
        (
            format!("{one}S: P3 NO x\nC: P4 UID FETCH 1:* (UID FLAGS)\n{one}S: P4 NO [SERVERBUG] half way"),
            Scope::Mailbox,
        ),
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
async fn a_set_of_four_thousand_million_messages_costs_nothing() {
    let transcript = changes(4, "[HIGHESTMODSEQ 52]")
        + "C: P4 UID SEARCH RETURN (ALL) ALL\nS: * 4294967295 EXISTS\nS: * ESEARCH UID ALL 1:4294967295\nS: P4 OK x\n\
           C: P5 UID FETCH 1:* (UID FLAGS)\nS: P5 OK x";
    let (mut remote, server) = remote("CONDSTORE ESEARCH", &transcript).await;
    assert_eq!(scope(remote.open(&MailboxName::inbox(), since(2, 20, 50)).await), Scope::Mailbox);
    server.finished().await;
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
async fn where_one_size_is_refused_the_listing_goes_on_without_sizes() {
    let transcript = selected(2)
        + "C: P3 UID FETCH 1:* (UID FLAGS RFC822.SIZE)\nS: * 1 FETCH (UID 4 FLAGS () RFC822.SIZE 1)\nS: P3 NO poison\n\
           C: P4 UID FETCH 1:* (UID FLAGS)\nS: * 1 FETCH (UID 4 FLAGS ())\nS: * 2 FETCH (UID 9 FLAGS ())\nS: P4 OK x";
    let (mut remote, server) = remote("", &transcript).await;
    let view = remote.open(&MailboxName::inbox(), None).await.unwrap();
    server.finished().await;
    assert!(matches!(view.listing, Listing::Full(listing) if listing.len() == 2));
}

/// Opens a mailbox without CONDSTORE of which 10 messages below UID 20 are known; the new ones, or `None` where all are
/// listed.
async fn glanced(enough: Enough, exists: u32, next: u32, answers: &str) -> Option<Vec<u32>> {
    let transcript = format!(
        "C: P2 SELECT INBOX\nC: P3 UID FETCH 20:* (UID FLAGS RFC822.SIZE)\nS: * {exists} EXISTS\n\
         S: * OK [UIDVALIDITY 7] x\nS: * OK [UIDNEXT {next}] x\nS: P2 OK done\n{answers}"
    );
    let (mut remote, server) = remote("", &transcript).await;
    let before = since(10, 20, 50).map(|since| Since {
        marks: Marks { modseq: None, ..since.marks },
        enough,
        ..since
    });
    let view = remote.open(&MailboxName::inbox(), before).await.unwrap();
    server.finished().await;
    match view.listing {
        Listing::Changes { changed, gone: Gone::Nothing } => {
            Some(changed.into_keys().map(Uid::value).collect())
        }
        Listing::Full(_) => None,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn without_condstore_new_messages_do_not_cost_a_listing_of_all() {
    let new = "S: * 11 FETCH (UID 20 FLAGS () RFC822.SIZE 9)\nS: P3 OK x\n";
    assert_eq!(glanced(Enough::New, 11, 21, new).await, Some(vec![20]));
    let unread = |found: &str| format!("C: P4 UID SEARCH UNSEEN\nS: * SEARCH {found}\nS: P4 OK x");
    let counts = Enough::Counts { unseen: 2 };
    assert_eq!(glanced(counts, 11, 21, &(new.to_owned() + &unread("3 4 20"))).await, Some(vec![20]));
    // `*` names the last one where none is new.
    let none = "S: * 10 FETCH (UID 19 FLAGS () RFC822.SIZE 9)\nS: P3 OK x\n";
    assert_eq!(glanced(counts, 10, 20, &(none.to_owned() + &unread("3 4"))).await, Some(vec![]));
}

#[tokio::test]
async fn without_condstore_all_is_listed_where_more_than_new_messages_may_have_changed() {
    let all = |tag: u32, exists: u32| {
        let lines = (1..=exists).map(|uid| format!("S: * {uid} FETCH (UID {uid} FLAGS ())\n"));
        format!("C: P{tag} UID FETCH 1:* (UID FLAGS)\n{}S: P{tag} OK x", lines.collect::<String>())
    };
    let none = "S: * 10 FETCH (UID 19 FLAGS ())\nS: P3 OK x\n";
    // Told of a change that is no new message.
    assert_eq!(glanced(Enough::New, 10, 20, &(none.to_owned() + &all(4, 10))).await, None);
    // One was read elsewhere.
    let read = format!("{none}C: P4 UID SEARCH UNSEEN\nS: * SEARCH 3\nS: P4 OK x\n{}", all(5, 10));
    assert_eq!(glanced(Enough::Counts { unseen: 2 }, 10, 20, &read).await, None);
    for (exists, next) in [(9, 20), (11, 20), (10, 21)] {
        let answers = none.to_owned() + &all(4, exists);
        assert_eq!(glanced(Enough::New, exists, next, &answers).await, None, "{exists} {next}");
    }
    // Refused.
    assert_eq!(glanced(Enough::New, 10, 20, &("S: P3 BAD what\n".to_owned() + &all(4, 10))).await, None);
}
