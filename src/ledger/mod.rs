//! The base on disk: one SQLite file per account.
//!
//! Invariant: a commit is one transaction and durable when it returns (WAL, `synchronous=FULL`); it happens whole or
//! not at all. One thread owns the connection, so no SQL runs on the reactor and commits have one order. A file that
//! is not a database is moved aside, never repaired by guessing: a lost ledger costs a new pairing, not mail. A file
//! of a newer version is left alone and refused.
//!
//! Knows no server and no Maildir. Rejected: an append-only log of our own (compaction and torn tails to get right),
//! redb and fjall (slower single commits, no tool to look inside).

mod commit;
mod file;
mod maildrop;
mod owner;
mod rows;
#[cfg(test)]
mod tests;
mod visit;

pub use maildrop::Due;

use crate::error::{Class, Classified};
use crate::mail::{Identity, MailboxName};
use crate::sync::{self, Base, Entry, MailboxRecord, Outcome, Scope, Trouble};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Why the ledger failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be made, opened or moved aside.
    #[error("cannot open the ledger {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file was written by a newer program.
    #[error("the ledger {path} has version {found}, this program knows version {known}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// SQLite refused.
    #[error("cannot {action} the ledger")]
    Sql {
        /// What was tried.
        action: &'static str,
        /// The cause.
        source: rusqlite::Error,
    },
}

impl Error {
    fn sql(action: &'static str) -> impl FnOnce(rusqlite::Error) -> Error {
        move |source| Error::Sql { action, source }
    }
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Error::Newer { .. } => Class::GiveUp,
            Error::Open { .. } | Error::Sql { .. } => Class::RETRY,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Newer { path, .. } => Some(format!(
                "start the newer program again, or move {} away to have all mailboxes paired anew",
                path.display()
            )),
            Error::Sql { source, .. }
                if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) =>
            {
                Some("the disk or your quota is full: free some space".into())
            }
            _ => None,
        }
    }
}

/// Work for the thread that owns the connection.
type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The ledger of one account.
#[derive(Debug)]
pub struct Ledger {
    /// Taken only when dropped.
    jobs: Option<mpsc::UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Ledger {
    /// Opens the ledger, or begins one where there is none. Blocks. The caller holds the account's lock.
    ///
    /// # Errors
    /// When the file cannot be opened or is of a newer version.
    pub fn open(path: &Path) -> Result<Ledger, Error> {
        let mut connection = file::open(path)?;
        // Unbounded by type, bounded by use: every caller waits for its answer before it asks again.
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        let thread = std::thread::Builder::new().name("ledger".into()).spawn(move || {
            while let Some(job) = queue.blocking_recv() {
                job(&mut connection);
            }
        });
        let thread = thread.map_err(|source| Error::Open { path: path.to_owned(), source })?;
        Ok(Ledger { jobs: Some(jobs), thread: Some(thread) })
    }

    /// The names of all mailboxes that the ledger there knows, also of those that are gone. Blocks. For who does not hold
    /// the account's lock and only looks.
    ///
    /// # Errors
    /// When there is no ledger, or SQLite refuses.
    pub fn mailbox_names(path: &Path) -> Result<Vec<String>, Error> {
        file::mailbox_names(path).map_err(Error::sql("read"))
    }

    /// Whose mailboxes the base is of; none before the first login.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub async fn owner(&self) -> Outcome<Option<String>> {
        self.run(|connection| owner::read(connection).map_err(Error::sql("read"))).await
    }

    /// From now on the base is of this owner. What it says of another's mailboxes is void: they are paired anew.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub async fn claim(&self, owner: &str) -> Outcome<()> {
        let owner = owner.to_owned();
        self.run(move |connection| owner::claim(connection, &owner).map_err(Error::sql("claim"))).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Error> + Send + 'static,
    ) -> Outcome<T> {
        let (answer, outcome) = oneshot::channel();
        let job = Box::new(move |connection: &mut Connection| {
            // A caller that went away does not need its answer.
            let _ = answer.send(catch_unwind(AssertUnwindSafe(|| work(connection))));
        });
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(job));
        let done = outcome.await.unwrap_or_else(|_gone| Err(Box::new("the thread of the ledger is gone")));
        // A defect is the caller's: a transaction that it cut short is rolled back, and the account begins anew.
        done.unwrap_or_else(|panic| resume_unwind(panic)).map_err(|error| Trouble::new(Scope::Pass, error))
    }
}

/// Waits for the last commit and for the file to be closed, so that it can be opened again at once.
impl Drop for Ledger {
    fn drop(&mut self) {
        self.jobs = None;
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

impl sync::Ledger for Ledger {
    async fn mailboxes(&mut self) -> Outcome<Vec<MailboxRecord>> {
        self.run(|connection| rows::mailboxes(connection).map_err(Error::sql("read"))).await
    }

    async fn base(&mut self, mailbox: &MailboxName) -> Outcome<Base> {
        let mailbox = mailbox.clone();
        self.run(move |connection| rows::base(connection, &mailbox).map_err(Error::sql("read"))).await
    }

    async fn holders(&mut self, identities: &[Identity]) -> Outcome<BTreeSet<MailboxName>> {
        let identities = identities.to_vec();
        self.run(move |connection| rows::holders(connection, &identities).map_err(Error::sql("read"))).await
    }

    async fn commit(&mut self, entries: Vec<(MailboxName, Entry)>) -> Outcome<()> {
        self.run(move |connection| commit::commit(connection, &entries).map_err(Error::sql("write"))).await
    }
}
