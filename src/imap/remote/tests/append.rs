//! Uploads.

use super::*;
use std::io::{Seek, Write};

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
        ("S: P2 NO [OVERQUOTA] full", Scope::Mailbox),
        ("S: P2 NO [TOOBIG] big", Scope::Message),
        ("S: P2 BAD what", Scope::Message),
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
async fn after_a_refusal_the_server_is_asked_before_a_message_is_sent() {
    let transcript = append_line("P2", "6+")
        + "C: a\nC: b\nC:\nS: P2 NO [OVERQUOTA] full\n"
        + &append_line("P3", "6")
        + "S: P3 NO [OVERQUOTA] full";
    let (mut remote, server) = remote("LITERAL+", &transcript).await;
    for _ in 0..2 {
        let refused = remote.append(&MailboxName::inbox(), outgoing("a\nb\n", 6)).await;
        assert_eq!(scope(refused), Scope::Mailbox);
    }
    server.finished().await;
}

#[tokio::test]
async fn a_message_above_the_limit_of_the_server_is_not_sent() {
    let (mut remote, _server) = remote("LITERAL+ APPENDLIMIT=5", "").await;
    let trouble = remote.append(&MailboxName::inbox(), outgoing("a\nb\n", 6)).await.unwrap_err();
    assert_eq!(trouble.scope, Scope::Message);
    assert!(trouble.to_string().contains("above 5 octets"), "{trouble}");
}
