//! What an account keeps on disk: its Maildir, its ledger, and the watch on the Maildir.

use super::board::Complaint;
use crate::config::{Account, Incoming};
use crate::error::{Class, Classified};
use crate::keeping::{Layout, LineEndings};
use crate::ledger::{self, Ledger};
use crate::mail::MailboxName;
use crate::maildir::{self, Hints, Maildir, MaildirWatch};
use crate::sync::MailboxRecord;
use crate::task::off_reactor;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The Maildir and the ledger of one account.
pub(super) struct Stores {
    pub(super) maildir: Maildir,
    pub(super) ledger: Ledger,
}

/// Why the stores cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Maildir.
    #[error(transparent)]
    Maildir(#[from] maildir::Error),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// A dry run after the login or the server was changed.
    #[error(
        "the mailboxes of {before} were synchronised last, and those of {now} have to be paired anew first"
    )]
    OtherOwner {
        /// Login and server of the base.
        before: String,
        /// Login and server of the account.
        now: String,
        /// The account.
        account: String,
    },
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Error::Maildir(error) => error.class(),
            Error::Ledger(error) => error.class(),
            Error::OtherOwner { .. } => Class::GiveUp,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Maildir(error) => error.hint(),
            Error::Ledger(error) => error.hint(),
            Error::OtherOwner { account, .. } => Some(format!("run: posthaste sync {account}")),
        }
    }
}

impl Stores {
    /// Opens both, off the reactor.
    pub(super) async fn open(account: &Account, state_dir: &Path) -> Result<Stores, Error> {
        let (account, path) = (account.clone(), state_dir.join("ledger.db"));
        let open = move || -> Result<Stores, Error> {
            Ok(Stores { maildir: maildir(&account, Maildir::open)?, ledger: Ledger::open(&path)? })
        };
        off_reactor(open).await
    }

    /// The base is of this account's login. To be called when the login has succeeded: a slip in the name of a server or a
    /// user must not cost the base. A dry run changes nothing and cannot foresee what another login brings.
    pub(super) async fn claim(&self, account: &Account, is_dry_run: bool) -> Result<(), Complaint> {
        let owner = owner(account);
        let before = self.ledger.owner().await.map_err(|trouble| Complaint::of_trouble(&trouble))?;
        match before {
            Some(before) if before == owner => Ok(()),
            Some(before) if is_dry_run => {
                Err(Complaint::new(&Error::OtherOwner { before, now: owner, account: account.name.clone() }))
            }
            None if is_dry_run => Ok(()),
            _ => self.ledger.claim(&owner).await.map_err(|trouble| Complaint::of_trouble(&trouble)),
        }
    }
}

/// Whose mailboxes an account synchronises. The UIDs of a maildrop are our own: the same server's by IMAP are others.
fn owner(account: &Account) -> String {
    let by = match account.incoming {
        Incoming::Imap(_) => "",
        Incoming::Pop(_) => " by POP3",
    };
    format!("{} at {}{by}", account.user, account.incoming.server().host)
}

/// The Maildir of an account as configured, opened by `open`.
pub(super) fn maildir<T>(account: &Account, open: impl FnOnce(PathBuf, Layout, LineEndings) -> T) -> T {
    open(account.maildir.clone(), account.layout, account.line_endings)
}

/// The watch on the Maildir. Where the kernel refuses watches, directories are scanned instead.
pub(super) struct Watched {
    watch: Option<MaildirWatch>,
    pub(super) hints: Option<Hints>,
    followed: BTreeSet<MailboxName>,
}

impl Watched {
    pub(super) fn start(maildir: &Maildir) -> Watched {
        let begun = MaildirWatch::new().and_then(|(mut watch, hints)| {
            watch.follow_directories(maildir.root())?;
            Ok((watch, hints))
        });
        match begun {
            Ok((watch, hints)) => {
                Watched { watch: Some(watch), hints: Some(hints), followed: BTreeSet::new() }
            }
            Err(error) => Watched::blind(&error),
        }
    }

    fn blind(error: &maildir::Error) -> Watched {
        tracing::warn!(%error, "local changes are found by scanning only");
        Watched { watch: None, hints: None, followed: BTreeSet::new() }
    }

    /// Follows mailboxes that are new, and gives their names: what happened there before is unseen.
    pub(super) fn follow(&mut self, maildir: &Maildir, records: &[&MailboxRecord]) -> Vec<MailboxName> {
        let mut new = Vec::new();
        for record in records {
            let Some(watch) = &mut self.watch else { break };
            if self.followed.contains(&record.name) {
                continue;
            }
            let followed = maildir.directory(&record.name).and_then(|directory| {
                if directory.is_dir() {
                    watch.follow(&record.name, &directory).map(|()| true)
                } else {
                    Ok(false)
                }
            });
            match followed {
                Ok(true) => {
                    self.followed.insert(record.name.clone());
                    new.push(record.name.clone());
                }
                Ok(false) => {}
                Err(error) => *self = Watched::blind(&error),
            }
        }
        new
    }

    /// Forgets a mailbox whose directory was made anew, so that it is followed again.
    pub(super) fn unfollow(&mut self, maildir: &Maildir, mailbox: &MailboxName) {
        if let (true, Some(watch), Ok(directory)) =
            (self.followed.remove(mailbox), &mut self.watch, maildir.directory(mailbox))
        {
            watch.unfollow(&directory);
        }
    }

    /// Mailboxes in which no change can go unseen.
    pub(super) fn followed(&self) -> &BTreeSet<MailboxName> {
        &self.followed
    }
}
