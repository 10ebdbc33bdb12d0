//! Flags, moves and expunges: nothing is done to a message that was not meant.

use super::*;

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
         C: P7 LIST \"\" \"Trash\"
         S: * LIST () \"/\" Trash
         S: P7 OK done
         C: P8 UID MOVE 4:5 \"Trash\"
         S: * OK [COPYUID 3 4:5 70:71] x
         S: * 2 EXPUNGE
         S: P8 OK done";
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
async fn only_messages_whose_copies_are_named_are_expunged() {
    let transcript = selected(2)
        + "C: P3 UID COPY 4:5 INBOX\nS: P3 OK [COPYUID 3 4 70] x\nC: P4 UID STORE 4 +FLAGS.SILENT (\\Deleted)\n\
           S: P4 OK x\nC: P5 UID EXPUNGE 4\nS: P5 OK x";
    let (mut remote, server) = remote("UIDPLUS", &transcript).await;
    let fate = Fate::MoveTo(MailboxName::inbox());
    let landed = remote.remove(&at(), &uids(&[4, 5]), &fate).await.unwrap();
    assert_eq!(landed.uids, BTreeMap::from([(uid(4), uid(70))]));
    server.finished().await;
}

#[tokio::test]
async fn a_second_answer_to_one_command_ends_the_session() {
    let transcript =
        selected(2) + "C: P3 UID STORE 4 +FLAGS.SILENT (\\Seen)\nS: P2 OK again\nS: P3 NO cannot";
    let (mut remote, _server) = remote("", &transcript).await;
    let change = FlagChange { uid: uid(4), add: Flags::SEEN, remove: Flags::NONE };
    assert_eq!(scope(remote.store(&at(), &[change]).await), Scope::Pass);
}

#[tokio::test]
async fn a_copy_that_fails_marks_nothing() {
    let transcript = selected(2) + "C: P3 UID COPY 4 INBOX\nS: P3 NO [OVERQUOTA] full";
    let (mut remote, server) = remote("UIDPLUS", &transcript).await;
    let fate = Fate::MoveTo(MailboxName::inbox());
    assert_eq!(scope(remote.remove(&at(), &uids(&[4]), &fate).await), Scope::Mailbox);
    server.finished().await;
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
