//! LIST: names, uses and marks.

use super::*;
use crate::mail::SpecialUse;

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
async fn a_list_that_fills_the_memory_is_cut_off() {
    let long = format!("S: * LIST () \"/\" {}\n", "x".repeat(60_000)).repeat(150);
    let transcript = format!("C: P2 LIST \"\" \"*\"\nS: * LIST () \"/\" INBOX\n{long}S: P2 OK done");
    let (mut remote, _server) = remote("", &transcript).await;
    assert_eq!(scope(remote.list().await), Scope::Pass);
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
