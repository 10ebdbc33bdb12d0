//! The remote against servers that behave and servers that do not.

mod append;
mod broken;
mod change;
mod fetch;
mod identify;
mod list;
mod mailbox;
mod open;

use super::*;
use crate::imap::script::{Server, session};
use crate::mail::{Flags, ModSeq};
use crate::sync::{Enough, Marks, Remote as _};

async fn remote(capabilities: &str, transcript: &str) -> (Remote, Server) {
    let (session, server) = session(capabilities, transcript).await;
    (Remote::new(session, Suspects::default()), server)
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn uids(numbers: &[u32]) -> UidSet {
    numbers.iter().map(|&number| uid(number)).collect()
}

/// Messages whose sizes are not known.
fn listed(numbers: &[u32]) -> BTreeMap<Uid, Listed> {
    numbers.iter().map(|&number| (uid(number), Listed { flags: Flags::NONE, size: None })).collect()
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
    Some(Since { marks, known, enough: Enough::Everything })
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
