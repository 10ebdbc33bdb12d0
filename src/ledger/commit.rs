//! Writing steps of the base: one transaction, so all of them or none.

use super::rows;
use crate::keeping::Side;
use crate::mail::{MailboxName, Uid, UidSet, UidValidity, UniqueName};
use crate::sync::{Entry, Held, Likeness, Loose, Marks, Row, RowState};
use rusqlite::{Connection, Params, Transaction, TransactionBehavior, params};

pub(super) fn commit(connection: &mut Connection, entries: &[(MailboxName, Entry)]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (mailbox, entry) in entries {
        Step { transaction: &transaction, mailbox: known(&transaction, mailbox)? }.take(entry)?;
    }
    transaction.commit()
}

/// The id of a mailbox, which is made known where it was not.
fn known(transaction: &Transaction<'_>, mailbox: &MailboxName) -> rusqlite::Result<i64> {
    if let Some(id) = rows::id(transaction, mailbox)? {
        return Ok(id);
    }
    transaction.prepare_cached("INSERT INTO mailbox (name) VALUES (?)")?.insert([mailbox.as_str()])
}

struct Step<'a> {
    transaction: &'a Transaction<'a>,
    mailbox: i64,
}

impl Step<'_> {
    fn take(&self, entry: &Entry) -> rusqlite::Result<()> {
        let mailbox = self.mailbox;
        match entry {
            Entry::Known { special_use, directory } => self.run(
                "UPDATE mailbox SET special_use = ?2, device = coalesce(?3, device), inode = coalesce(?4, inode),
                     absent = 0 WHERE id = ?1",
                params![
                    mailbox,
                    special_use.and_then(rows::use_name),
                    directory.map(|directory| directory.device.cast_signed()),
                    directory.map(|directory| directory.inode.cast_signed())
                ],
            ),
            Entry::Absent(absent) => {
                self.run("UPDATE mailbox SET absent = ?2 WHERE id = ?1", params![mailbox, absent])
            }
            Entry::Generation(uid_validity) => self.generation(*uid_validity),
            Entry::Pair(row) => self.pair(row),
            Entry::Settle(uids) => self.settle(uids),
            Entry::Agree(uid, flags) => self.run(
                "UPDATE message SET flags = ?3 WHERE mailbox = ?1 AND uid = ?2",
                params![mailbox, uid.value(), flags.bits()],
            ),
            Entry::Rename(uid, name) => self.run(
                "UPDATE message SET name = ?3 WHERE mailbox = ?1 AND uid = ?2",
                params![mailbox, uid.value(), name.as_str()],
            ),
            Entry::Forget(uid) => self.forget(*uid),
            Entry::Loosen(name, kind, likeness) => self.loosen(name, *kind, likeness),
            Entry::Unloosen(name) => self.unloosen(name),
            Entry::Marks(Some(marks)) => self.marks(marks),
            Entry::Marks(None) => {
                self.run("UPDATE mailbox SET marks_uid_validity = NULL WHERE id = ?", [mailbox])
            }
            Entry::Held(held) => self.held(held),
        }
    }

    /// Rows become orphans; their UIDs mean nothing any more, nor do the marks. A message whose copy the user deleted (kept)
    /// has no file to be an orphan of; an arriving one may have.
    fn generation(&self, uid_validity: UidValidity) -> rusqlite::Result<()> {
        self.run(
            "INSERT OR REPLACE INTO loose (mailbox, name, kind, identity, strong, size)
             SELECT mailbox, name, ?2, identity, strong, size FROM message WHERE mailbox = ?1 AND state <> ?3",
            params![self.mailbox, kind(Loose::Orphan), state(RowState::Kept)],
        )?;
        self.run("DELETE FROM message WHERE mailbox = ?", [self.mailbox])?;
        self.run(
            "UPDATE mailbox SET uid_validity = ?2, marks_uid_validity = NULL WHERE id = ?1",
            params![self.mailbox, uid_validity.value()],
        )
    }

    /// What is fetched again is durable only from then on: until that, a maildrop's copy may be the only one.
    fn forget(&self, uid: Uid) -> rusqlite::Result<()> {
        self.run("DELETE FROM message WHERE mailbox = ?1 AND uid = ?2", params![self.mailbox, uid.value()])?;
        self.run(
            "UPDATE uidl SET durable = NULL
             WHERE uid = ?2 AND EXISTS (SELECT 1 FROM mailbox WHERE id = ?1 AND name = ?3)",
            params![self.mailbox, uid.value(), MailboxName::inbox().as_str()],
        )
    }

    fn pair(&self, row: &Row) -> rusqlite::Result<()> {
        self.unloosen(&row.name)?;
        self.run(
            "INSERT OR REPLACE INTO message (mailbox, uid, name, flags, size, identity, strong, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                self.mailbox,
                row.uid.value(),
                row.name.as_str(),
                row.flags.bits(),
                row.likeness.size.cast_signed(),
                row.likeness.identity.digest(),
                row.likeness.identity.is_strong(),
                state(row.state)
            ],
        )
    }

    /// Sets come from rows that were committed before, so their size is known to be small.
    fn settle(&self, uids: &UidSet) -> rusqlite::Result<()> {
        uids.iter().try_for_each(|uid| {
            self.run(
                "UPDATE message SET state = ?3 WHERE mailbox = ?1 AND uid = ?2 AND state = ?4",
                params![self.mailbox, uid.value(), state(RowState::Settled), state(RowState::Arriving)],
            )
        })
    }

    fn loosen(&self, name: &UniqueName, why: Loose, likeness: &Likeness) -> rusqlite::Result<()> {
        self.run(
            "INSERT OR REPLACE INTO loose (mailbox, name, kind, identity, strong, size)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                self.mailbox,
                name.as_str(),
                kind(why),
                likeness.identity.digest(),
                likeness.identity.is_strong(),
                likeness.size.cast_signed()
            ],
        )
    }

    fn unloosen(&self, name: &UniqueName) -> rusqlite::Result<()> {
        self.run("DELETE FROM loose WHERE mailbox = ?1 AND name = ?2", params![self.mailbox, name.as_str()])
    }

    fn marks(&self, marks: &Marks) -> rusqlite::Result<()> {
        self.run(
            "UPDATE mailbox SET marks_uid_validity = ?2, marks_uid_next = ?3, marks_messages = ?4,
                 marks_modseq = ?5 WHERE id = ?1",
            params![
                self.mailbox,
                marks.uid_validity.value(),
                marks.uid_next.map(|uid| uid.value()),
                marks.messages,
                marks.modseq.map(|modseq| modseq.value().cast_signed())
            ],
        )
    }

    fn held(&self, held: &[Held]) -> rusqlite::Result<()> {
        self.run("DELETE FROM held WHERE mailbox = ?", [self.mailbox])?;
        held.iter().try_for_each(|held| {
            self.run(
                "INSERT INTO held (mailbox, side, count, total, approved) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![self.mailbox, side(held.side), held.count, held.of, held.approved],
            )
        })
    }

    fn run(&self, sql: &str, parameters: impl Params) -> rusqlite::Result<()> {
        self.transaction.prepare_cached(sql)?.execute(parameters).map(drop)
    }
}

pub(super) fn state(state: RowState) -> u8 {
    match state {
        RowState::Arriving => 0,
        RowState::Settled => 1,
        RowState::Kept => 2,
    }
}

fn kind(kind: Loose) -> u8 {
    match kind {
        Loose::Uploading => 0,
        Loose::Orphan => 1,
        Loose::Uploaded => 2,
        Loose::Stranger => 3,
    }
}

fn side(side: Side) -> u8 {
    match side {
        Side::Remote => 0,
        Side::Local => 1,
    }
}
