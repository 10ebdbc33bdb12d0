//! The visits to a POP3 maildrop: when the last one was, and the time that counts.
//!
//! Invariant: the time that counts goes forward from visit to visit and never jumps. A machine that starts with a slow
//! clock and is set right later must not find that everything has been here for years: between two visits at most
//! [`LONGEST`] counts, whatever the clock of the machine says.

use super::{Error, Ledger};
use crate::sync::Outcome;
use rusqlite::{Connection, OptionalExtension, params};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest `sweep`: a longer pause is a machine that was off, or a clock that was set.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The last visit.
#[derive(Clone, Copy)]
pub(super) struct Visit {
    login: i64,
    delay: i64,
    clock: i64,
    is_broken: bool,
}

impl Ledger {
    /// A visit begins: a login succeeded at `now`, and the server wants to be left alone for `delay` after it. Whether
    /// the visit before ended at a message that had broken an earlier one already.
    pub async fn begin_visit(&mut self, now: SystemTime, delay: Duration) -> Outcome<bool> {
        self.run(move |connection| begin(connection, since_1970(now), delay).map_err(Error::sql("write")))
            .await
    }

    /// How long the server still wants to be left alone.
    pub async fn left_alone(&mut self, now: SystemTime) -> Outcome<Duration> {
        let visit = self.run(|connection| read(connection).map_err(Error::sql("read"))).await?;
        let left = visit.map_or(0, |visit| {
            // A clock that was set back must not make it longer.
            visit.login.saturating_add(visit.delay).saturating_sub(since_1970(now)).min(visit.delay)
        });
        Ok(Duration::from_millis(u64::try_from(left).unwrap_or_default()))
    }
}

pub(super) fn read(connection: &Connection) -> rusqlite::Result<Option<Visit>> {
    let mut select = connection.prepare_cached("SELECT login, delay, clock, broken FROM visit")?;
    let visit = select.query_row([], |row| {
        Ok(Visit { login: row.get(0)?, delay: row.get(1)?, clock: row.get(2)?, is_broken: row.get(3)? })
    });
    visit.optional()
}

/// The time that counts, as of the last visit.
pub(super) fn clock(connection: &Connection) -> rusqlite::Result<i64> {
    Ok(read(connection)?.map_or(0, |visit| visit.clock))
}

fn begin(connection: &Connection, now: i64, delay: Duration) -> rusqlite::Result<bool> {
    let before = read(connection)?;
    let clock = before.map_or(now, |visit| {
        visit.clock.saturating_add(now.saturating_sub(visit.login).clamp(0, millis(LONGEST)))
    });
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO visit (id, login, delay, clock, broken) VALUES (1, ?, ?, ?, 0)",
        )?
        .execute(params![now, millis(delay), clock])?;
    Ok(before.is_some_and(|visit| visit.is_broken))
}

pub(super) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn since_1970(moment: SystemTime) -> i64 {
    millis(moment.duration_since(UNIX_EPOCH).unwrap_or_default())
}
