//! Connections cut at any octet, and servers that garble their words.

use super::*;
use crate::imap::script::deaf;
use proptest::prelude::*;

/// All that a server says while a session opens INBOX, fetches its one message and moves it.
const SAID: &str = "* CAPABILITY IMAP4rev1 MOVE UIDPLUS\r\nP1 OK x\r\n* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n\
    P2 OK done\r\n* 1 FETCH (UID 4 FLAGS () RFC822.SIZE 3)\r\nP3 OK done\r\n* 1 FETCH (UID 4 BODY[] {3}\r\n\
    abc FLAGS ())\r\nP4 OK done\r\n* OK [COPYUID 9 4 5] x\r\n* 1 EXPUNGE\r\nP5 OK done\r\n";

/// Does all that, and tells how many steps succeeded.
async fn all_steps(said: &[u8]) -> usize {
    let Ok(session) = deaf(said).await else { return 0 };
    let mut remote = Remote::new(session, Suspects::default());
    let inbox = MailboxName::inbox();
    if remote.open(&inbox, None).await.is_err() {
        return 1;
    }
    let (into, _from) = mpsc::channel(100);
    if remote.fetch(&at(), &listed(&[4]), into).await.is_err() {
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
