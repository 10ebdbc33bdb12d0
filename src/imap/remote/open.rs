//! Opening a mailbox and saying what is in it, or what changed.
//!
//! With CONDSTORE the changes are asked for on the heels of SELECT: one round trip where nothing is gone (RFC 7162).
//! Without it flags are listed whole, now and then (`sync::Enough`). Invariant: nothing is said to be gone unless the counts agree; where the server
//! contradicts itself there is an error and no listing.

use super::Session;
use crate::error::{Class, Classified};
use crate::imap::Error;
use crate::imap::parse::{Fetch, Response};
use crate::imap::select::{Opened, contradiction};
use crate::mail::{Flags, MailboxName, ModSeq, Uid, UidSet, UidValidity};
use crate::sync::{Enough, Gone, Listed, Listing, Marks, RemoteView, Since};
use std::collections::BTreeMap;

/// What is stored where the server does not tell: the system flags.
const SYSTEM: Flags = Flags::ALL;
/// More messages than a mailbox has; what is listed beyond them is not kept, so that the counts do not agree.
const MESSAGES: usize = 2_000_000;

pub(super) async fn open(
    session: &mut Session,
    mailbox: &MailboxName,
    since: Option<Since>,
) -> Result<RemoteView, Error> {
    let has_condstore = session.capabilities().has("CONDSTORE");
    let modseq = since.and_then(|since| since.marks.modseq).filter(|_| has_condstore);
    let mut changed = BTreeMap::new();
    let changes = since.and_then(|since| changes(&since, modseq));
    let opened = session.select_then(mailbox, "SELECT", changes, |data| note(&mut changed, data)).await?;
    let marks = marks(mailbox, &opened)?;
    let is_answered = matches!(opened.then, Some(Ok(())));
    let same = |since: &Since| is_answered && since.marks.uid_validity == marks.uid_validity;
    let gone = match since.filter(same) {
        Some(since) if modseq.is_some() && marks.modseq >= modseq => {
            gone(session, mailbox, since, &marks, &changed).await?
        }
        // Marks with a modseq promise that all flags up to it were seen.
        Some(since) if modseq.is_none() && marks.modseq.is_none() => {
            is_enough(session, since, &marks, &mut changed).await?.then_some(Gone::Nothing)
        }
        _ => None,
    };
    let listing = match gone {
        Some(gone) => Listing::Changes { changed, gone },
        None => Listing::Full(everything(session, mailbox, since.is_some(), opened.exists).await?),
    };
    check_uid_next(session, mailbox, &marks, &listing)?;
    let storable = opened.state.permanent.unwrap_or(SYSTEM.without(Flags::FORWARDED));
    let read_only = opened.state.read_only;
    Ok(RemoteView { marks, read_only, storable, listing })
}

/// Notes a message that a FETCH response lists.
fn note(listing: &mut BTreeMap<Uid, Listed>, data: Response) {
    let Response::Fetch(Fetch { uid: Some(uid), flags: Some(flags), size, .. }) = data else { return };
    if let Some(uid) = Uid::new(uid).filter(|uid| listing.len() < MESSAGES || listing.contains_key(uid)) {
        let listed = listing.entry(uid).or_insert(Listed { flags, size });
        *listed = Listed { flags, size: size.or(listed.size) };
    }
}

fn marks(mailbox: &MailboxName, opened: &Opened) -> Result<Marks, Error> {
    let uid_validity = opened.state.uid_validity.and_then(UidValidity::new);
    Ok(Marks {
        uid_validity: uid_validity.ok_or_else(|| contradiction(mailbox, "no UIDVALIDITY"))?,
        uid_next: opened.state.uid_next.and_then(Uid::new),
        messages: opened.exists,
        modseq: opened.state.highest_mod_seq.and_then(ModSeq::new),
    })
}

/// The command on the heels of SELECT: what changed, or where the server cannot tell the new messages.
fn changes(since: &Since, modseq: Option<ModSeq>) -> Option<String> {
    let items = "(UID FLAGS RFC822.SIZE)";
    match (modseq, since.enough) {
        (Some(modseq), _) => {
            Some(format!("UID FETCH 1:{} {items} (CHANGEDSINCE {})", Uid::MAX, modseq.value()))
        }
        (None, Enough::Everything) => None,
        (None, _) => since.marks.uid_next.map(|next| format!("UID FETCH {next}:* {items}")),
    }
}

/// Whether new messages are all that has to be known: none is gone, and flags may wait.
async fn is_enough(
    session: &mut Session,
    since: Since,
    marks: &Marks,
    changed: &mut BTreeMap<Uid, Listed>,
) -> Result<bool, Error> {
    let Some(next) = since.marks.uid_next else { return Ok(false) };
    // `*` names the last message also where none is new.
    changed.retain(|&uid, _| uid >= next);
    if !is_nothing_gone(&since, next, marks, changed, session.exists()) {
        return Ok(false);
    }
    let unseen = match since.enough {
        Enough::Everything => return Ok(false),
        Enough::New => return Ok(!changed.is_empty()),
        Enough::Counts { unseen } => unseen,
    };
    let found = search(session, "UNSEEN").await?;
    // Counted no further than makes a difference.
    let counted = found.iter().take_while(|&uid| uid < next).take(unseen as usize + 1).count();
    Ok(counted == unseen as usize)
}

/// Whether the messages known before and the new ones make up all there are.
fn is_nothing_gone(
    since: &Since,
    next: Uid,
    marks: &Marks,
    changed: &BTreeMap<Uid, Listed>,
    exists: u32,
) -> bool {
    let new = changed.range(next..).count() as u64;
    let given_out = marks.uid_next.map(|now| u64::from(now.value().saturating_sub(next.value())));
    let are_all_named = given_out.is_none_or(|count| count <= new);
    are_all_named && u64::from(since.known) + new == u64::from(exists)
}

/// What is gone: nothing where the counts agree, else what a search does not find. `None` where there are messages that
/// the changes should have named and did not: then only a whole listing can be believed.
async fn gone(
    session: &mut Session,
    mailbox: &MailboxName,
    since: Since,
    marks: &Marks,
    changed: &BTreeMap<Uid, Listed>,
) -> Result<Option<Gone>, Error> {
    let Some(next) = since.marks.uid_next else { return Ok(None) };
    if is_nothing_gone(&since, next, marks, changed, session.exists()) {
        return Ok(Some(Gone::Nothing));
    }
    let present = present(session, mailbox).await?;
    // Counted no further than makes a difference: a hostile set has four thousand million members.
    let known = u64::from(since.known);
    let counted = usize::try_from(known + 1).unwrap_or(usize::MAX);
    let old = present.iter().take_while(|&uid| uid < next).take(counted).count() as u64;
    let named = changed.range(next..).filter(|&(&uid, _)| present.contains(uid)).count() as u64;
    let is_known = old <= known && present.len() - old == named;
    Ok(is_known.then_some(Gone::AllBut(present)))
}

/// Every UID there is.
async fn present(session: &mut Session, mailbox: &MailboxName) -> Result<UidSet, Error> {
    let present = search(session, "ALL").await?;
    let exists = session.exists();
    if present.len() != u64::from(exists) {
        let reason = format!("a search found {} of {exists} messages", present.len());
        return Err(contradiction(mailbox, reason));
    }
    Ok(present)
}

async fn search(session: &mut Session, criterion: &str) -> Result<UidSet, Error> {
    let esearch = if session.capabilities().has("ESEARCH") { "RETURN (ALL) " } else { "" };
    let mut found = UidSet::new();
    let on = |data| {
        if let Response::Search(answer) = data {
            found = answer;
        }
    };
    session.run("UID SEARCH", format!("UID SEARCH {esearch}{criterion}"), on).await?;
    Ok(found)
}

/// Every message. Sizes only at the first time, so that scanning for flags stays small.
async fn everything(
    session: &mut Session,
    mailbox: &MailboxName,
    flags_only: bool,
    before: u32,
) -> Result<BTreeMap<Uid, Listed>, Error> {
    let mut listing = BTreeMap::new();
    if session.exists() == 0 {
        // One number in one line would otherwise empty the mailbox on the other side.
        present(session, mailbox).await?;
        return Ok(listing);
    }
    let command = |items| format!("UID FETCH 1:* (UID FLAGS{items})");
    let sized = command(if flags_only { "" } else { " RFC822.SIZE" });
    let listed = session.run("UID FETCH", sized, |data| note(&mut listing, data)).await;
    match listed {
        // One message whose size cannot be told must not hide the others.
        Err(refusal) if !flags_only && refusal.class() == Class::RETRY && !refusal.is_fatal() => {
            listing.clear();
            session.run("UID FETCH", command(""), |data| note(&mut listing, data)).await?;
        }
        listed => drop(listed?),
    }
    let count = u32::try_from(listing.len()).unwrap_or(u32::MAX);
    // Messages that came or went meanwhile may or may not be listed: either count is a complete listing.
    if count != session.exists() && count != before {
        let reason = format!("{count} of {} messages were listed", session.exists());
        return Err(contradiction(mailbox, reason));
    }
    Ok(listing)
}

/// UIDNEXT must be above every UID, unless messages came since it was told.
fn check_uid_next(
    session: &Session,
    mailbox: &MailboxName,
    marks: &Marks,
    listing: &Listing,
) -> Result<(), Error> {
    let (Listing::Full(listed) | Listing::Changes { changed: listed, .. }) = listing;
    let last = listed.last_key_value().map(|(&uid, _)| uid);
    let is_quiet = session.exists() <= marks.messages;
    match (last, marks.uid_next) {
        (Some(last), Some(next)) if last >= next && is_quiet => {
            Err(contradiction(mailbox, format!("UIDNEXT is {next} although there is UID {last}")))
        }
        _ => Ok(()),
    }
}
