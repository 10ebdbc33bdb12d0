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
