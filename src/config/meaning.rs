//! From the configuration as written to the configuration as meant: defaults applied, contradictions refused.
//!
//! Pure: the home directory is passed in and no file is looked at. A refusal names the path of keys that is to blame;
//! the caller knows which line or variable that is.

use super::account::{Account, Sent, TokenStore};
use super::mailboxes::Mailboxes;
use super::servers::{self, Servers};
use super::typed::{self, SentKind};
use super::{duration, logins, paths, pop, tokens};
use crate::keeping::{DeletionLimit, Layout, LineEndings, OnDelete};
use crate::mail::MailboxName;
use crate::provider::{Filing, Table};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often mailboxes that are not pushed are looked at.
const SWEEP: Duration = Duration::from_secs(60);
/// A mailbox that is looked at less than once a day is a mistake of units.
const LONGEST_SWEEP: Duration = Duration::from_secs(24 * 3600);

/// A contradiction: which keys, and what is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) path: Vec<String>,
    pub(super) message: String,
}

/// An account as written, together with what is around it.
pub(super) struct Written<'a> {
    pub(super) name: &'a str,
    pub(super) account: &'a typed::Account,
    pub(super) file: &'a typed::File,
    pub(super) home: &'a Path,
    /// Where the service manager puts credentials.
    pub(super) credentials: Option<&'a Path>,
    pub(super) providers: &'a Table,
}

/// Every account, by name.
pub(super) fn accounts(
    file: &typed::File,
    home: &Path,
    credentials: Option<&Path>,
    providers: &Table,
) -> Result<Vec<Account>, Refusal> {
    check_token_store(file)?;
    let written = |(name, account)| Written { name, account, file, home, credentials, providers };
    let all = file.accounts.iter().map(|(name, account)| written((name.as_str(), account)).meant());
    let mut accounts = all.collect::<Result<Vec<_>, _>>()?;
    logins::share(&mut accounts);
    paths::refuse_overlaps(&accounts)?;
    Ok(accounts)
}

/// A keyring that this program cannot speak to is no place for the key of a login.
fn check_token_store(file: &typed::File) -> Result<(), Refusal> {
    if cfg!(feature = "secret-service") || file.token_store != Some(TokenStore::SecretService) {
        return Ok(());
    }
    let message = "this program was built without the feature secret-service, expected `file`";
    Err(Refusal { path: vec!["token_store".to_owned()], message: message.to_owned() })
}

impl Written<'_> {
    /// A refusal that blames keys of this account.
    pub(super) fn refuse(&self, keys: &[&str], message: impl Into<String>) -> Refusal {
        let path = ["accounts", self.name].iter().chain(keys).map(|&key| key.to_owned()).collect();
        Refusal { path, message: message.into() }
    }

    fn meant(&self) -> Result<Account, Refusal> {
        let account = self.account;
        self.check_name()?;
        pop::check(self)?;
        let address = self.address()?;
        let servers = servers::choose(self, &address)?;
        let mailboxes = self.mailboxes()?;
        let user = self.user(&address)?;
        Ok(Account {
            name: self.name.to_owned(),
            login: logins::login(self, &user)?,
            user,
            auth: tokens::auth(self, &servers)?,
            maildir: self.path(
                "maildir",
                account.maildir.as_deref(),
                "maildir_root",
                self.file.maildir_root.as_deref(),
            )?,
            outbox: self.path(
                "outbox",
                account.outbox.as_deref(),
                "outbox_root",
                self.file.outbox_root.as_deref(),
            )?,
            layout: account.layout.unwrap_or(Layout::Nested),
            idle: self.idle(&mailboxes)?,
            mailboxes,
            sweep: self.sweep()?,
            on_delete: account.on_delete.unwrap_or(self.default_on_delete()),
            sent: self.sent(&servers),
            poll_only: account.poll_only.unwrap_or(self.is_pop()),
            deletion_limit: self.deletion_limit()?,
            line_endings: account.line_endings.unwrap_or(LineEndings::Lf),
            provider: servers.provider,
            incoming: servers.incoming,
            disable: servers.disable,
            special_use: servers.special_use,
            smtp: servers.smtp,
            address,
        })
    }

    /// The name becomes a directory in the state directory and an argument of commands.
    fn check_name(&self) -> Result<(), Refusal> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let begins_well = !self.name.is_empty() && !self.name.starts_with(['.', '-']);
        if begins_well && self.name.bytes().all(allowed) {
            return Ok(());
        }
        let expected = "expected letters, digits, `.`, `_` and `-`, not beginning with `.` or `-`";
        Err(self.refuse(&[], format!("`{}` is no account name, {expected}", self.name.escape_debug())))
    }

    fn address(&self) -> Result<String, Refusal> {
        let Some(address) = &self.account.address else {
            return Err(self.refuse(&[], format!("account `{}` has no `address`", self.name)));
        };
        read_address(address).map_err(|wrong| self.refuse(&["address"], wrong))
    }

    /// Control characters are refused: they separate the parts of a SASL message (RFC 7628 §3.1).
    fn user(&self, address: &str) -> Result<String, Refusal> {
        let user = self.account.user.as_deref().unwrap_or(address);
        match user.is_empty() || user.contains(char::is_control) {
            true => {
                Err(self
                    .refuse(&["user"], "a login name has at least one character and no control characters"))
            }
            false => Ok(user.to_owned()),
        }
    }

    /// A directory of this account: named, or with the account's name below the root.
    fn path(
        &self,
        key: &str,
        own: Option<&str>,
        root_key: &str,
        root: Option<&str>,
    ) -> Result<PathBuf, Refusal> {
        match (own, root) {
            (Some(own), _) => paths::absolute(own, self.home).map_err(|wrong| self.refuse(&[key], wrong)),
            (None, root) => paths::absolute(root.unwrap_or_default(), self.home)
                .map(|root| root.join(self.name))
                .map_err(|message| Refusal { path: vec![root_key.to_owned()], message }),
        }
    }

    fn mailboxes(&self) -> Result<Mailboxes, Refusal> {
        match &self.account.mailboxes {
            Some(globs) => Mailboxes::new(globs),
            None if self.is_pop() => Mailboxes::new(&["INBOX"]),
            None => Mailboxes::new(&["*"]),
        }
        .map_err(|wrong| self.refuse(&["mailboxes"], wrong))
    }

    /// INBOX is pushed unless told otherwise; a mailbox that is named must be wanted.
    fn idle(&self, wanted: &Mailboxes) -> Result<Vec<MailboxName>, Refusal> {
        if self.is_pop() {
            return Ok(Vec::new());
        }
        let Some(named) = &self.account.idle else {
            return Ok(Some(MailboxName::inbox()).filter(|inbox| wanted.wants(inbox)).into_iter().collect());
        };
        let named: Vec<MailboxName> = named.iter().map(MailboxName::new).collect();
        match named.iter().find(|mailbox| !wanted.wants(mailbox)) {
            Some(unwanted) => {
                Err(self.refuse(&["idle"], format!("`{unwanted}` is not among the wanted `mailboxes`")))
            }
            None => Ok(named),
        }
    }

    /// A maildrop only ever loses messages by its own rule.
    fn default_on_delete(&self) -> OnDelete {
        if self.is_pop() { OnDelete::Keep } else { OnDelete::Trash }
    }

    fn sweep(&self) -> Result<Duration, Refusal> {
        let Some(text) = &self.account.sweep else { return Ok(SWEEP) };
        let sweep = duration::parse(text).map_err(|wrong| self.refuse(&["sweep"], wrong))?;
        match sweep.is_zero() || sweep > LONGEST_SWEEP {
            true => Err(self.refuse(&["sweep"], format!("`{text}` is out of range, expected 1s to 24h"))),
            false => Ok(sweep),
        }
    }

    fn sent(&self, servers: &Servers) -> Sent {
        match (self.account.sent.unwrap_or(SentKind::Auto), servers.filing) {
            (SentKind::Auto, Some(Filing::Server)) | (SentKind::Server, _) => Sent::Server,
            (SentKind::Auto, Some(Filing::Append) | None) | (SentKind::Append, _) => Sent::Append,
            (SentKind::None, _) => Sent::None,
        }
    }

    fn deletion_limit(&self) -> Result<DeletionLimit, Refusal> {
        let usual = DeletionLimit::default();
        let Some(written) = &self.account.deletion_limit else { return Ok(usual) };
        let percent = written.percent.unwrap_or(usual.percent);
        match percent > 100 {
            true => Err(self.refuse(&["deletion_limit", "percent"], "a share is at most 100 percent")),
            false => Ok(DeletionLimit { messages: written.messages.unwrap_or(usual.messages), percent }),
        }
    }
}

/// A mail address as somebody typed it; what is wrong with it.
pub fn read_address(text: &str) -> Result<String, String> {
    let is_plain = !text.contains(|character: char| character.is_whitespace() || character.is_control());
    match text.rsplit_once('@') {
        Some((local, domain)) if is_plain && !local.is_empty() && !domain.is_empty() => Ok(text.to_owned()),
        _ => Err("this is no mail address, expected something like \"alice@example.org\"".to_owned()),
    }
}
