//! The unique-ids of a POP3 maildrop, beside the base of its one mailbox: INBOX.
//!
//! A row of this table outlives its message on the server: servers hide messages for a time. It ends long after both
//! sides have lost the message. The moment at which a message was seen durable is kept here, because only from then on
//! may the server's copy be deleted.

use super::{Error, Ledger, commit, rows, visit};
use crate::mail::{Fingerprint, Identity, MailboxName, Uid, Uidl, UniqueName};
use crate::sync::maildrop::{Enrolled, Maildrop, Note};
use crate::sync::{Likeness, Outcome, RowState};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::time::Duration;

/// How long a unique-id is kept after both sides lost its message.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// A message that was fetched long enough ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its UID.
    pub uid: Uid,
    /// Its file; `None` where the user deleted it.
    pub name: Option<UniqueName>,
    /// How it is recognised.
    pub likeness: Likeness,
}

impl Ledger {
    /// All that is known of the maildrop.
    pub async fn maildrop(&mut self) -> Outcome<Maildrop> {
        self.run(|connection| read(connection).map_err(Error::sql("read"))).await
    }

    /// Writes notes in one durable transaction.
    pub async fn note(&mut self, notes: Vec<Note>) -> Outcome<()> {
        self.run(move |connection| note(connection, &notes).map_err(Error::sql("write"))).await
    }

    /// Notes for every message whose file and pair are durable since when that is known, and forgets unique-ids of
    /// messages that both sides lost long ago. How many of those messages are shorter than the server listed them.
    pub async fn note_durable(&mut self) -> Outcome<u32> {
        self.run(|connection| note_durable(connection).map_err(Error::sql("write"))).await
    }

    /// Messages that the server may delete: known to be durable for so long, not missing there, and beyond doubt. They
    /// have a Message-ID, no other size was listed since they were fetched, and no octet of that is missing here.
    pub async fn due(&mut self, after: Duration) -> Outcome<Vec<Due>> {
        self.run(move |connection| due(connection, after).map_err(Error::sql("read"))).await
    }
}

pub(super) fn read(connection: &Connection) -> rusqlite::Result<Maildrop> {
    let inbox = rows::id(connection, &MailboxName::inbox())?;
    let mut select = connection.prepare_cached(
        "SELECT uidl.uidl, uidl.uid, uidl.size, missing IS NOT NULL, identity, strong, suspect, fingerprint FROM uidl
         LEFT JOIN message ON message.mailbox = ? AND message.uid = uidl.uid",
    )?;
    let enrolled = select.query_map([inbox], |row| {
        let digest: Option<[u8; 16]> = row.get(4)?;
        let identity = match digest {
            Some(digest) => Some(Identity::from_parts(digest, row.get(5)?)),
            None => None,
        };
        Ok(Enrolled {
            uidl: Uidl::from_stored(row.get(0)?),
            uid: uid(row.get(1)?)?,
            size: row.get::<_, i64>(2)?.cast_unsigned(),
            is_missing: row.get(3)?,
            is_suspect: row.get(6)?,
            identity,
            fingerprint: row.get::<_, Option<_>>(7)?.map(Fingerprint::from_digest),
        })
    })?;
    let enrolled = enrolled.collect::<rusqlite::Result<_>>()?;
    let last: i64 = connection.query_row(
        "SELECT max(coalesce((SELECT max(uid) FROM uidl), 0),
                    coalesce((SELECT max(uid) FROM message WHERE mailbox = ?), 0))",
        [inbox],
        |row| row.get(0),
    )?;
    Ok(Maildrop { enrolled, next: uid(last + 1)? })
}

fn note(connection: &mut Connection, notes: &[Note]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Ids may go round in a circle: every message that gets another one gives up its own first. No id begins with a
    // blank.
    for note in notes {
        if let Note::Rename { uid, .. } = note {
            transaction
                .prepare_cached("UPDATE uidl SET uidl = ' ' || uid WHERE uid = ?")?
                .execute([uid.value()])?;
        }
    }
    notes.iter().try_for_each(|note| take(&transaction, note))?;
    transaction.commit()
}

fn take(transaction: &Transaction<'_>, note: &Note) -> rusqlite::Result<()> {
    match note {
        Note::Enrol { uidl, uid, size } => transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO uidl (uidl, uid, size, first_size) VALUES (?1, ?2, ?3, ?3)",
            )?
            .execute(params![uidl.as_str(), uid.value(), size.cast_signed()])?,
        Note::Confirm { uidl, size } => transaction
            .prepare_cached("UPDATE uidl SET size = ?2, missing = NULL WHERE uidl = ?1")?
            .execute(params![uidl.as_str(), size.cast_signed()])?,
        Note::Rename { uid, uidl } => transaction
            .prepare_cached("UPDATE OR REPLACE uidl SET uidl = ?2, missing = NULL WHERE uid = ?1")?
            .execute(params![uid.value(), uidl.as_str()])?,
        Note::Sent { uid, fingerprint } => transaction
            .prepare_cached("UPDATE uidl SET fingerprint = ?2 WHERE uid = ?1")?
            .execute(params![uid.value(), fingerprint.digest()])?,
        Note::Miss(uidl) => transaction
            .prepare_cached("UPDATE uidl SET missing = ?2 WHERE uidl = ?1")?
            .execute(params![uidl.as_str(), visit::clock(transaction)?])?,
        Note::Forget(uidl) => transaction.execute("DELETE FROM uidl WHERE uidl = ?", [uidl.as_str()])?,
        Note::Suspect(uidl) => {
            let is_again = "UPDATE visit SET broken = coalesce((SELECT suspect FROM uidl WHERE uidl = ?), 0)";
            transaction.execute(is_again, [uidl.as_str()])?;
            transaction.execute("UPDATE uidl SET suspect = 1 WHERE uidl = ?", [uidl.as_str()])?
        }
    };
    Ok(())
}

fn note_durable(connection: &mut Connection) -> rusqlite::Result<u32> {
    let Some(inbox) = rows::id(connection, &MailboxName::inbox())? else { return Ok(0) };
    let (arriving, kept) = (commit::state(RowState::Arriving), commit::state(RowState::Kept));
    let transaction = connection.transaction()?;
    let clock = visit::clock(&transaction)?;
    let long_ago = clock.saturating_sub(visit::millis(KEPT));
    let short = transaction.query_row(
        "SELECT count(*) FROM uidl JOIN message ON message.mailbox = ?1 AND message.uid = uidl.uid
         WHERE durable IS NULL AND state <> ?2 AND message.size < first_size",
        params![inbox, arriving],
        |row| row.get(0),
    )?;
    transaction.execute(
        "UPDATE uidl SET durable = ?1 WHERE durable IS NULL
             AND uid IN (SELECT uid FROM message WHERE mailbox = ?2 AND state <> ?3)",
        params![clock, inbox, arriving],
    )?;
    transaction.execute(
        "DELETE FROM message WHERE mailbox = ?1 AND state = ?2
             AND uid IN (SELECT uid FROM uidl WHERE missing < ?3)",
        params![inbox, kept, long_ago],
    )?;
    transaction.execute(
        "DELETE FROM uidl WHERE missing < ?1 AND uid NOT IN (SELECT uid FROM message WHERE mailbox = ?2)",
        params![long_ago, inbox],
    )?;
    transaction.commit()?;
    Ok(short)
}

fn due(connection: &Connection, after: Duration) -> rusqlite::Result<Vec<Due>> {
    let Some(inbox) = rows::id(connection, &MailboxName::inbox())? else { return Ok(Vec::new()) };
    let moment = visit::clock(connection)?.saturating_sub(visit::millis(after));
    let (arriving, kept) = (commit::state(RowState::Arriving), commit::state(RowState::Kept));
    let mut select = connection.prepare_cached(
        "SELECT identity, strong, message.size, message.uid, name, state = ?4 FROM uidl
         JOIN message ON message.mailbox = ?1 AND message.uid = uidl.uid
         WHERE durable <= ?2 AND missing IS NULL AND state <> ?3
             AND strong AND uidl.size = first_size AND message.size >= first_size",
    )?;
    let due = select.query_map(params![inbox, moment, arriving, kept], |row| {
        let name = UniqueName::new(row.get::<_, String>(4)?);
        let is_kept: bool = row.get(5)?;
        Ok(Due { uid: uid(row.get(3)?)?, name: (!is_kept).then_some(name), likeness: rows::likeness(row)? })
    })?;
    due.collect()
}

fn uid(number: i64) -> rusqlite::Result<Uid> {
    let uid = u32::try_from(number).ok().and_then(Uid::new);
    uid.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number))
}
