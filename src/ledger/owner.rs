//! Whose mailboxes the base is of: one login on one server.
//!
//! A base says nothing of another login or another server, whose UIDs may be the same by chance. Where the owner changed,
//! every mailbox begins a new generation, in which files are paired by what they are and nothing is deleted.

use rusqlite::{Connection, OptionalExtension};

pub(super) fn read(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT name FROM owner", [], |row| row.get(0)).optional()
}

pub(super) fn claim(connection: &mut Connection, owner: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    if let Some(before) = read(&transaction)? {
        tracing::warn!(before, now = owner, "another login or server; all mailboxes are paired anew");
        transaction.execute("UPDATE mailbox SET uid_validity = NULL, marks_uid_validity = NULL", [])?;
        transaction.execute_batch("DELETE FROM uidl; DELETE FROM visit")?;
    }
    transaction.execute("INSERT OR REPLACE INTO owner (id, name) VALUES (1, ?)", [owner])?;
    transaction.commit()
}
