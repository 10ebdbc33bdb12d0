//! The unique-ids of a POP3 maildrop, beside the base of its one mailbox: INBOX.
//!
//! A row of this table outlives its message on the server: servers hide messages for a time. It ends long after both
//! sides have lost the message. The moment at which a message was seen durable is kept here, because only from then on
//! may the server's copy be deleted.

use super::{Error, Ledger, commit, rows};
use crate::mail::{Identity, MailboxName, Uid, Uidl, UniqueName};
use crate::sync::maildrop::{Enrolled, Maildrop, Note};
use crate::sync::{Likeness, Outcome, RowState};
use rusqlite::{Connection, TransactionBehavior, params};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

    /// Writes notes in one durable transaction; `now` is when the missing ones were missed.
    pub async fn note(&mut self, notes: Vec<Note>, now: SystemTime) -> Outcome<()> {
        self.run(move |connection| note(connection, &notes, millis(now)).map_err(Error::sql("write"))).await
    }

    /// Notes for every message whose file and pair are durable since when that is known, and forgets unique-ids of
    /// messages that both sides lost long ago.
    pub async fn note_durable(&mut self, now: SystemTime) -> Outcome<()> {
        self.run(move |connection| note_durable(connection, now).map_err(Error::sql("write"))).await
    }

    /// Messages known to be durable since `moment` or before, and not missing on the server.
    pub async fn due(&mut self, moment: SystemTime) -> Outcome<Vec<Due>> {
        self.run(move |connection| due(connection, millis(moment)).map_err(Error::sql("read"))).await
    }
}

pub(super) fn read(connection: &Connection) -> rusqlite::Result<Maildrop> {
    let inbox = rows::id(connection, &MailboxName::inbox())?;
    let mut select = connection.prepare_cached(
        "SELECT uidl.uidl, uidl.uid, uidl.size, missing IS NOT NULL, identity, strong FROM uidl
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
            identity,
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

fn note(connection: &mut Connection, notes: &[Note], now: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for note in notes {
        match note {
            Note::Enrol { uidl, uid, size } => transaction
                .prepare_cached("INSERT OR REPLACE INTO uidl (uidl, uid, size) VALUES (?, ?, ?)")?
                .execute(params![uidl.as_str(), uid.value(), size.cast_signed()])?,
            Note::Confirm { uidl, size } => transaction
                .prepare_cached("UPDATE uidl SET size = ?2, missing = NULL WHERE uidl = ?1")?
                .execute(params![uidl.as_str(), size.cast_signed()])?,
            Note::Miss(uidl) => transaction
                .prepare_cached("UPDATE uidl SET missing = ?2 WHERE uidl = ?1")?
                .execute(params![uidl.as_str(), now])?,
            Note::Forget(uidl) => transaction.execute("DELETE FROM uidl WHERE uidl = ?", [uidl.as_str()])?,
        };
    }
    transaction.commit()
}

fn note_durable(connection: &mut Connection, now: SystemTime) -> rusqlite::Result<()> {
    let Some(inbox) = rows::id(connection, &MailboxName::inbox())? else { return Ok(()) };
    let (arriving, kept) = (commit::state(RowState::Arriving), commit::state(RowState::Kept));
    let long_ago = millis(now.checked_sub(KEPT).unwrap_or(UNIX_EPOCH));
    let transaction = connection.transaction()?;
    transaction.execute(
        "UPDATE uidl SET durable = ?1 WHERE durable IS NULL
             AND uid IN (SELECT uid FROM message WHERE mailbox = ?2 AND state <> ?3)",
        params![millis(now), inbox, arriving],
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
    transaction.commit()
}

fn due(connection: &Connection, moment: i64) -> rusqlite::Result<Vec<Due>> {
    let Some(inbox) = rows::id(connection, &MailboxName::inbox())? else { return Ok(Vec::new()) };
    let (arriving, kept) = (commit::state(RowState::Arriving), commit::state(RowState::Kept));
    let mut select = connection.prepare_cached(
        "SELECT identity, strong, message.size, message.uid, name, state = ?4 FROM uidl
         JOIN message ON message.mailbox = ?1 AND message.uid = uidl.uid
         WHERE durable <= ?2 AND missing IS NULL AND state <> ?3",
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

fn millis(moment: SystemTime) -> i64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    i64::try_from(since).unwrap_or(i64::MAX)
}
