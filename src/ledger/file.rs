//! The ledger's file: opening it, knowing its version, and moving a broken one aside.

use super::{Error, maildrop, owner, rows, visit};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The version this program writes.
const VERSION: i64 = 4;
/// What brings a file from one version to the next; the first begins it.
const STEPS: [&str; VERSION as usize] = [
    include_str!("schema.sql"),
    include_str!("uidl.sql"),
    include_str!("visit.sql"),
    include_str!("fingerprint.sql"),
];
/// Statements kept prepared: one per kind of entry and then some.
const STATEMENTS: usize = 32;
/// Another program may look inside (`sqlite3`); it must not make a commit fail.
const BUSY: Duration = Duration::from_secs(5);
/// File systems on which SQLite's locks and shared memory cannot be trusted: NFS, SMB, CIFS, SMB2.
const NETWORK: [u32; 4] = [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42];

/// Opens the ledger; a broken one is moved aside with a warning and a fresh one begun.
pub(super) fn open(path: &Path) -> Result<Connection, Error> {
    match try_open(path) {
        Err(Error::Sql { source, .. }) if is_broken(&source) => {
            let aside = move_aside(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
            tracing::warn!(ledger = %path.display(), aside = %aside.display(), error = %source,
                "the ledger is broken and was moved aside; all mailboxes are paired anew");
            try_open(path)
        }
        done => done,
    }
}

/// The names of all mailboxes that the file knows, also of those that are gone. Changes nothing, and so may look on while
/// another process owns the ledger.
pub(super) fn mailbox_names(path: &Path) -> rusqlite::Result<Vec<String>> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(BUSY)?;
    let mut select = connection.prepare("SELECT name FROM mailbox ORDER BY name")?;
    select.query_map([], |row| row.get(0))?.collect()
}

fn try_open(path: &Path) -> Result<Connection, Error> {
    let fail = |source| Error::Open { path: path.to_owned(), source };
    // SQLite would make the file readable for all; its WAL gets the mode of the file.
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(fail)?;
    let is_network = rustix::fs::statfs(path).is_ok_and(|stat| NETWORK.contains(&(stat.f_type as u32)));
    if is_network {
        tracing::warn!(ledger = %path.display(), "the ledger is on a network file system, where SQLite is not safe");
    }
    let mut connection = Connection::open(path).map_err(Error::sql("open"))?;
    prepare(&connection).map_err(Error::sql("open"))?;
    let found: i64 =
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(Error::sql("open"))?;
    if found > VERSION {
        return Err(Error::Newer { path: path.to_owned(), found, known: VERSION });
    }
    let steps = usize::try_from(found).ok().and_then(|found| STEPS.get(found..)).unwrap_or_default();
    begin(&mut connection, steps).map_err(senseless).map_err(Error::sql("begin"))?;
    readable(&connection).map_err(senseless).map_err(Error::sql("read"))?;
    Ok(connection)
}

/// Reads every row once. SQLite's own check knows pages and types; a flipped bit can also make a value that cannot be
/// (an unknown state, a name that is not UTF-8), and no retry of a pass would ever get past it.
fn readable(connection: &Connection) -> rusqlite::Result<()> {
    maildrop::read(connection)?;
    visit::read(connection)?;
    owner::read(connection)?;
    let mailboxes = rows::mailboxes(connection)?;
    mailboxes.iter().try_for_each(|record| rows::base(connection, &record.name).map(drop))
}

/// An error that is not the disk's or another program's: what stands in the file makes no sense.
fn senseless(error: rusqlite::Error) -> rusqlite::Error {
    match error.sqlite_error_code() {
        Some(code) if code != ErrorCode::Unknown => error,
        _ => broken(error.to_string()),
    }
}

/// Brings the file up to date, from nothing or from an older version.
fn begin(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    if steps.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    steps.iter().try_for_each(|step| transaction.execute_batch(step))?;
    transaction.commit()
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // 1 MiB of cache: many accounts share a small budget of memory, and the kernel caches the file anyway.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -1024;",
    )?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(broken(verdict))
}

fn broken(verdict: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), Some(verdict))
}

fn is_broken(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Renames the file and its companions to the first free `NAME.broken-N`.
fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let free = (1_u32..).map(|number| format!(".broken-{number}")).find(|suffix| !with(suffix).exists());
    let suffix = free.unwrap_or_default();
    // The companions first: a fresh file beside an old log would be another kind of broken.
    for companion in ["-wal", "-shm"] {
        match std::fs::rename(with(companion), with(&format!("{suffix}{companion}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::rename(path, with(&suffix))?;
    Ok(with(&suffix))
}
