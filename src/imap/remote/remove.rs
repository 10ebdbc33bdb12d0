//! Taking messages out of a mailbox: moved, or expunged for good.
//!
//! Invariant: nothing is expunged that was not asked for. UID MOVE (RFC 6851) where offered, else COPY, a mark and UID
//! EXPUNGE (RFC 4315); a plain EXPUNGE only when the marked messages are exactly ours. COPY must succeed before anything
//! is marked.

use super::mailbox::create;
use super::{Session, commands};
use crate::imap::Error;
use crate::imap::parse::{Code, Condition, Response};
use crate::imap::select::contradiction;
use crate::mail::{MailboxName, Uid, UidSet, UidValidity};
use crate::sync::{At, Fate, Landed};

pub(super) async fn remove(
    session: &mut Session,
    at: &At,
    uids: &UidSet,
    fate: &Fate,
) -> Result<Landed, Error> {
    if uids.is_empty() {
        return Ok(Landed::default());
    }
    session.ensure(at).await?;
    match fate {
        Fate::Expunge => {
            expunge(session, at, uids).await?;
            Ok(Landed::default())
        }
        Fate::MoveTo(target) if session.capabilities().has("MOVE") => {
            let moved = transfer(session, "UID MOVE", uids, target).await;
            if moved.as_ref().is_err_and(Error::is_bad) {
                // Offered and then not understood: the next attempt goes by COPY.
                session.withdraw("MOVE");
            }
            moved
        }
        Fate::MoveTo(target) => {
            let landed = transfer(session, "UID COPY", uids, target).await?;
            let copied = copied(session, at, uids, &landed)?;
            expunge(session, at, &copied).await?;
            Ok(landed)
        }
    }
}

/// What may be expunged: where the server tells, only messages whose copies it named; an OK that names none may mean that
/// nothing was copied (RFC 4315 §3).
fn copied(session: &Session, at: &At, uids: &UidSet, landed: &Landed) -> Result<UidSet, Error> {
    let tells = session.capabilities().has("UIDPLUS") && !session.capabilities().is_disabled("COPYUID");
    let copied: UidSet = uids.iter().filter(|uid| !tells || landed.uids.contains_key(uid)).collect();
    match copied.is_empty() {
        true => Err(contradiction(&at.mailbox, "it does not say where the copies are")),
        false => Ok(copied),
    }
}

/// UID MOVE or UID COPY; where the target is missing it is created, and the rest tried once more.
async fn transfer(
    session: &mut Session,
    verb: &'static str,
    uids: &UidSet,
    target: &MailboxName,
) -> Result<Landed, Error> {
    let mut landed = Landed::default();
    match transfer_once(session, verb, uids, target, &mut landed).await {
        Err(error) if error.code() == Some("TRYCREATE") => {
            create(session, target).await?;
            transfer_once(session, verb, uids, target, &mut landed).await?;
        }
        other => other?,
    }
    if uids.len() > 1 && session.capabilities().is_disabled("COPYUID") {
        landed.uids.clear();
    }
    Ok(landed)
}

async fn transfer_once(
    session: &mut Session,
    verb: &'static str,
    uids: &UidSet,
    target: &MailboxName,
    landed: &mut Landed,
) -> Result<(), Error> {
    let name = session.wire_name(target).await?;
    for command in commands(uids, |set| format!("{verb} {set} {name}")) {
        // COPYUID stands in the tagged OK of COPY, and mostly in an untagged one before that of MOVE.
        let on = |data| {
            if let Response::Condition(Condition { code: Some(code), .. }) = data {
                note(landed, &code, uids);
            }
        };
        let code = session.run(verb, command, on).await?;
        if let Some(code) = code {
            note(landed, &code, uids);
        }
    }
    Ok(())
}

/// Pairs old and new UIDs by position; pairs that do not match in number or were not asked for are not believed.
fn note(landed: &mut Landed, code: &Code, asked: &UidSet) {
    let Code::CopyUid { uid_validity, from, to } = code else { return };
    if length(from) != length(to) || length(from) > asked.len() {
        return;
    }
    landed.uid_validity = UidValidity::new(*uid_validity);
    landed.uids.extend(numbers(from).zip(numbers(to)).filter(|(old, _)| asked.contains(*old)));
}

fn length(ranges: &[(u32, u32)]) -> u64 {
    ranges.iter().map(|&(one, other)| u64::from(one.abs_diff(other)) + 1).sum()
}

fn numbers(ranges: &[(u32, u32)]) -> impl Iterator<Item = Uid> + '_ {
    ranges.iter().flat_map(|&(one, other)| one.min(other)..=one.max(other)).filter_map(Uid::new)
}

async fn expunge(session: &mut Session, at: &At, uids: &UidSet) -> Result<(), Error> {
    let marks = commands(uids, |set| format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)"));
    session.run_all("UID STORE", marks, |_| {}).await?;
    if session.capabilities().has("UIDPLUS") {
        let lines = commands(uids, |set| format!("UID EXPUNGE {set}"));
        return session.run_all("UID EXPUNGE", lines, |_| {}).await.map(|_| ());
    }
    let mut marked = UidSet::new();
    let on = |data| {
        if let Response::Search(found) = data {
            marked = found;
        }
    };
    session.run("UID SEARCH", "UID SEARCH DELETED".to_owned(), on).await?;
    if marked.len() > uids.len() || !marked.iter().all(|uid| uids.contains(uid)) {
        return Err(Error::UnsafeExpunge(at.mailbox.to_string()));
    }
    session.run("EXPUNGE", "EXPUNGE".to_owned(), |_| {}).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    #[test]
    fn copyuid_pairs_by_position_and_only_what_was_asked() {
        let asked: UidSet = [uid(4), uid(7), uid(8)].into_iter().collect();
        let mut landed = Landed::default();
        let code = |from, to| Code::CopyUid { uid_validity: 9, from, to };
        note(&mut landed, &code(vec![(8, 7), (4, 4)], vec![(20, 22)]), &asked);
        assert_eq!(
            landed.uids.into_iter().collect::<Vec<_>>(),
            [(uid(4), uid(22)), (uid(7), uid(20)), (uid(8), uid(21))]
        );
        let mut landed = Landed::default();
        note(&mut landed, &code(vec![(1, u32::MAX)], vec![(1, u32::MAX)]), &asked);
        note(&mut landed, &code(vec![(4, 4)], vec![(20, 22)]), &asked);
        assert_eq!(landed, Landed::default());
    }
}
