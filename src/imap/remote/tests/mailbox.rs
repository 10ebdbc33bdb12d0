//! Creating mailboxes.

use super::*;

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

/// CREATE and SUBSCRIBE of this name, answered OK, and the question whether it is there.
fn created(wire: &str) -> String {
    format!(
        "C: P2 LIST \"\" \"\"\nS: * LIST (\\Noselect) \"/\" \"\"\nS: P2 OK x\nC: P3 CREATE {wire}\nS: P3 OK done\n\
         C: P4 SUBSCRIBE {wire}\nS: P4 OK done\nC: P5 LIST \"\" {wire}\n"
    )
}

#[tokio::test]
async fn a_mailbox_counts_as_created_only_when_it_is_listed() {
    let name = MailboxName::new("a");
    let good = created("\"a\"") + "S: * LIST () \"/\" a\nS: P5 OK done";
    let (mut remote, server) = remote("", &good).await;
    remote.create(&name).await.unwrap();
    server.finished().await;
    for answer in ["S: P5 OK done", "S: * LIST (\\NonExistent) \"/\" a\nS: P5 OK done"] {
        let (mut remote, _server) = super::remote("", &(created("\"a\"") + answer)).await;
        let trouble = remote.create(&name).await.unwrap_err();
        assert_eq!(trouble.scope, Scope::Mailbox, "the others go on");
        assert_eq!(
            trouble.to_string(),
            "the mail server says that it created a, but the mailbox is not there"
        );
    }
}

#[tokio::test]
async fn another_mailbox_that_a_wildcard_lists_is_not_the_one_meant() {
    let answer = |listed: &str| created("\"5%\"") + &format!("S: * LIST () \"/\" {listed}\nS: P5 OK done");
    for (listed, is_there) in [("50", false), ("\"5%\"", true)] {
        let (mut remote, _server) = remote("", &answer(listed)).await;
        assert_eq!(remote.create(&MailboxName::new("5%")).await.is_ok(), is_there, "{listed}");
    }
}
