//! Reading the base. What a row says is checked when it becomes a type: a value that cannot be (a zero UID, an
//! unknown state) is an error of the read, never a panic and never a guess.

use crate::keeping::Side;
use crate::mail::{Flags, Identity, MailboxName, ModSeq, SpecialUse, Uid, UidValidity, UniqueName};
use crate::sync::{Base, DirectoryId, Held, Likeness, Loose, MailboxRecord, Marks, Row, RowState};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, types::Type};
use std::collections::{BTreeMap, BTreeSet};

/// The names of special uses on disk.
const USES: [(SpecialUse, &str); 7] = [
    (SpecialUse::All, "all"),
    (SpecialUse::Archive, "archive"),
    (SpecialUse::Drafts, "drafts"),
    (SpecialUse::Flagged, "flagged"),
    (SpecialUse::Junk, "junk"),
    (SpecialUse::Sent, "sent"),
    (SpecialUse::Trash, "trash"),
];

pub(super) fn use_name(special_use: SpecialUse) -> Option<&'static str> {
    USES.iter().find(|(known, _)| *known == special_use).map(|&(_, name)| name)
}

pub(super) fn mailboxes(connection: &Connection) -> rusqlite::Result<Vec<MailboxRecord>> {
    let mut select = connection.prepare_cached(
        "SELECT id, name, special_use, device, inode, uid_validity, marks_uid_validity, marks_uid_next,
             marks_messages, marks_modseq, absent, (SELECT count(*) FROM message WHERE mailbox = mailbox.id)
         FROM mailbox ORDER BY name",
    )?;
    let records = select.query_map([], |row| {
        let special_use: Option<String> = row.get(2)?;
        Ok(MailboxRecord {
            name: MailboxName::new(row.get::<_, String>(1)?),
            special_use: special_use
                .and_then(|name| USES.iter().find(|(_, known)| *known == name).map(|u| u.0)),
            directory: directory(row)?,
            uid_validity: row.get::<_, Option<u32>>(5)?.and_then(UidValidity::new),
            marks: marks(row)?,
            absent: row.get(10)?,
            held: held(connection, row.get(0)?)?,
            messages: row.get(11)?,
        })
    })?;
    records.collect()
}

pub(super) fn holders(
    connection: &Connection,
    identities: &[Identity],
) -> rusqlite::Result<BTreeSet<MailboxName>> {
    let mut select = connection.prepare_cached(
        "SELECT DISTINCT mailbox.name FROM message JOIN mailbox ON mailbox.id = message.mailbox WHERE identity = ?",
    )?;
    let mut holders = BTreeSet::new();
    for identity in identities {
        let names = select.query_map([identity.digest()], |row| row.get::<_, String>(0))?;
        for name in names {
            holders.insert(MailboxName::new(name?));
        }
    }
    Ok(holders)
}

pub(super) fn base(connection: &Connection, mailbox: &MailboxName) -> rusqlite::Result<Base> {
    let Some(id) = id(connection, mailbox)? else { return Ok(Base::default()) };
    let mut select = connection.prepare_cached(
        "SELECT identity, strong, size, uid, name, flags, state FROM message WHERE mailbox = ? ORDER BY uid",
    )?;
    let rows = select.query_map([id], message)?.collect::<rusqlite::Result<_>>()?;
    let mut select = connection
        .prepare_cached("SELECT identity, strong, size, name, kind FROM loose WHERE mailbox = ?")?;
    let loose = select.query_map([id], |row| {
        let kind = match row.get(4)? {
            0 => Loose::Uploading,
            1 => Loose::Orphan,
            2 => Loose::Uploaded,
            3 => Loose::Stranger,
            other => return Err(rusqlite::Error::IntegralValueOutOfRange(4, other)),
        };
        Ok((UniqueName::new(row.get::<_, String>(3)?), (kind, likeness(row)?)))
    })?;
    Ok(Base { rows, loose: loose.collect::<rusqlite::Result<BTreeMap<_, _>>>()? })
}

pub(super) fn id(connection: &Connection, mailbox: &MailboxName) -> rusqlite::Result<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT id FROM mailbox WHERE name = ?")?;
    select.query_row([mailbox.as_str()], |row| row.get(0)).optional()
}

fn message(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let uid: u32 = row.get(3)?;
    let state = match row.get(6)? {
        0 => RowState::Arriving,
        1 => RowState::Settled,
        2 => RowState::Kept,
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(6, other)),
    };
    Ok(Row {
        uid: Uid::new(uid).ok_or(rusqlite::Error::IntegralValueOutOfRange(3, i64::from(uid)))?,
        name: UniqueName::new(row.get::<_, String>(4)?),
        flags: Flags::from_bits(row.get(5)?),
        likeness: likeness(row)?,
        state,
    })
}

/// From the first three columns.
pub(super) fn likeness(row: &SqlRow<'_>) -> rusqlite::Result<Likeness> {
    let digest: [u8; 16] = row.get(0)?;
    let size: i64 = row.get(2)?;
    Ok(Likeness { identity: Identity::from_parts(digest, row.get(1)?), size: size.cast_unsigned() })
}

/// Device and inode are kept bit by bit: SQLite's integers are signed.
fn directory(row: &SqlRow<'_>) -> rusqlite::Result<Option<DirectoryId>> {
    let (device, inode): (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
    let pair = device.zip(inode);
    Ok(pair
        .map(|(device, inode)| DirectoryId { device: device.cast_unsigned(), inode: inode.cast_unsigned() }))
}

fn marks(row: &SqlRow<'_>) -> rusqlite::Result<Option<Marks>> {
    let Some(uid_validity) = row.get::<_, Option<u32>>(6)?.and_then(UidValidity::new) else {
        return Ok(None);
    };
    let modseq: Option<i64> = row.get(9)?;
    Ok(Some(Marks {
        uid_validity,
        uid_next: row.get::<_, Option<u32>>(7)?.and_then(Uid::new),
        messages: row.get(8)?,
        modseq: modseq.and_then(|modseq| u64::try_from(modseq).ok()).and_then(ModSeq::new),
    }))
}

fn held(connection: &Connection, id: i64) -> rusqlite::Result<Vec<Held>> {
    let mut select = connection
        .prepare_cached("SELECT side, count, total, approved FROM held WHERE mailbox = ? ORDER BY side")?;
    let held = select.query_map([id], |row| {
        let side = match row.get::<_, i64>(0)? {
            0 => Side::Remote,
            1 => Side::Local,
            _ => return Err(rusqlite::Error::InvalidColumnType(0, "side".into(), Type::Integer)),
        };
        Ok(Held { side, count: row.get(1)?, of: row.get(2)?, approved: row.get(3)? })
    })?;
    held.collect()
}
