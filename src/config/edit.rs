//! Changes to the configuration file that the program makes for its user: an account is added, a client is named.
//!
//! Invariants: every byte that stood in the file stays, comments and order included; the new text is read by the same
//! parser as a start reads it, and only then replaces the old one, whole and durable; mode and symbolic link stay. A new
//! file is private, because a secret may come to stand in it. Rejected: serialising the configuration anew.

use super::error::Error;
use super::source::Source;
use super::{Config, providers, read};
use crate::net::{Endpoint, Tls};
use crate::provider::Issuer;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value, value};

/// An account to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// Its name.
    pub name: String,
    /// The mail address.
    pub address: String,
    /// The login name, where it is not the address.
    pub user: Option<String>,
    /// Whose login opens it, where the mailbox is shared.
    pub login_as: Option<String>,
    /// The provider.
    pub provider: Option<String>,
    /// The provider's installation.
    pub cloud: Option<String>,
    /// The command that prints the password; without it the account logs in by OAuth2.
    pub password_command: Option<String>,
    /// The IMAP server, without a provider.
    pub imap: Option<Endpoint>,
    /// The submission server, without a provider.
    pub smtp: Option<Endpoint>,
    /// Where tokens come from, without a provider.
    pub issuer: Option<Issuer>,
    /// The registered client.
    pub client: Client,
}

/// A registered client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Its id.
    pub id: Option<String>,
    /// The command that prints its secret.
    pub secret_command: Option<String>,
}

/// What to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An account joins.
    Add(Box<Draft>),
    /// An account logs in with a password from now on.
    Password {
        /// The account.
        account: String,
        /// The command that prints it.
        command: String,
    },
    /// An account's client is named.
    Name {
        /// The account.
        account: String,
        /// The client.
        client: Client,
    },
}

/// Makes the change, if the file is right before and after it. A missing file counts as an empty one. Reads and writes
/// the disk: call it off the reactor.
///
/// # Errors
/// Mistakes in the file as it is, or that the change would make in it; a disk that refuses.
pub fn edit(
    path: &Path,
    environment: impl Iterator<Item = (String, String)>,
    home: &Path,
    change: &Change,
) -> Result<(), Error> {
    let text = match read(path) {
        Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => String::new(),
        outcome => outcome?,
    };
    let environment: Vec<(String, String)> = environment.collect();
    let providers = providers(path)?;
    let check =
        |text: &str| Config::from_text(path, text, environment.iter().cloned(), home, &providers, |_| Ok(()));
    check(&text)?;
    let changed = applied(path, &text, change)?;
    check(&changed)?;
    replace(path, &changed).map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// The text with the change made.
fn applied(path: &Path, text: &str, change: &Change) -> Result<String, Error> {
    let unfit = |message: String| {
        let place = Source { file: path, text }.place(0..0);
        Error::File { place, message }
    };
    let missing = |account: &str| unfit(format!("no account is called {account}"));
    let mut document: DocumentMut = text.parse().map_err(|error| unfit(format!("{error}")))?;
    match change {
        Change::Add(draft) => {
            let mut account = draft.table();
            // What follows the last table belongs to it: the new one comes after.
            let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
            let gap = if document.is_empty() && trailing.is_empty() { "" } else { "\n" };
            account.decor_mut().set_prefix(format!("{trailing}{gap}"));
            document.set_trailing("");
            let accounts = accounts(&mut document);
            let accounts = accounts.ok_or_else(|| unfit("`accounts` is no table".to_owned()))?;
            accounts.insert(&draft.name, Item::Table(account));
        }
        Change::Password { account, command } => {
            let table = named(&mut document, account).ok_or_else(|| missing(account))?;
            put(table, "auth", "password");
            put(table, "password_command", command);
        }
        Change::Name { account, client } => {
            let table = named(&mut document, account).ok_or_else(|| missing(account))?;
            if table.get("oauth").is_none() {
                table.insert("oauth", Item::Table(Table::new()));
            }
            let oauth = table.get_mut("oauth").and_then(Item::as_table_like_mut);
            let oauth = oauth.ok_or_else(|| unfit("`oauth` is no table".to_owned()))?;
            for (key, text) in client.keys() {
                put(oauth, key, text);
            }
        }
    }
    Ok(document.to_string())
}

/// The table of accounts, made where it is missing.
fn accounts(document: &mut DocumentMut) -> Option<&mut dyn TableLike> {
    let new = || {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    };
    document.entry("accounts").or_insert_with(new).as_table_like_mut()
}

fn named<'a>(document: &'a mut DocumentMut, account: &str) -> Option<&'a mut dyn TableLike> {
    accounts(document)?.get_mut(account)?.as_table_like_mut()
}

/// Sets a key; comments around a value that stood there stay.
fn put(table: &mut dyn TableLike, key: &str, text: &str) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = Value::from(text);
            *old.decor_mut() = decor;
        }
        None => {
            table.insert(key, value(text));
        }
    }
}

impl Client {
    fn keys(&self) -> Vec<(&'static str, &str)> {
        let id = self.id.as_deref().map(|id| ("client_id", id));
        let secret = self.secret_command.as_deref().map(|command| ("client_secret_command", command));
        id.into_iter().chain(secret).collect()
    }
}

impl Draft {
    /// As it stands in a file, for a person to read.
    pub fn to_toml(&self) -> String {
        applied(Path::new(""), "", &Change::Add(Box::new(self.clone()))).unwrap_or_default()
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        // After everything that is there.
        table.set_position(Some(isize::MAX));
        let mut put = |key: &str, text: Option<&str>| {
            if let Some(text) = text {
                table.insert(key, value(text));
            }
        };
        put("address", Some(&self.address));
        put("user", self.user.as_deref());
        put("provider", self.provider.as_deref());
        put("login_as", self.login_as.as_deref());
        if let Some(command) = &self.password_command {
            put("auth", Some("password"));
            put("password_command", Some(command));
        }
        for (key, server) in [("imap", &self.imap), ("smtp", &self.smtp)] {
            if let Some(server) = server {
                table.insert(key, value(inline(server)));
            }
        }
        let oauth = self.oauth();
        if !oauth.is_empty() {
            table.insert("oauth", Item::Table(oauth));
        }
        table
    }

    fn oauth(&self) -> Table {
        let mut oauth = Table::new();
        oauth.set_position(Some(isize::MAX));
        for (key, text) in self.client.keys() {
            oauth.insert(key, value(text));
        }
        if let Some(cloud) = &self.cloud {
            oauth.insert("cloud", value(cloud));
        }
        if let Some(issuer) = &self.issuer {
            oauth.insert("authorize_url", value(issuer.authorize_url.as_str()));
            oauth.insert("token_url", value(issuer.token_url.as_str()));
            oauth.insert("scopes", value(issuer.scopes.iter().collect::<Array>()));
        }
        oauth
    }
}

fn inline(server: &Endpoint) -> InlineTable {
    let tls = match server.tls {
        Tls::Implicit => "implicit",
        Tls::StartTls => "starttls",
        Tls::None => "none",
    };
    let mut table = InlineTable::new();
    table.insert("host", Value::from(server.host.as_str()));
    table.insert("port", Value::from(i64::from(server.port)));
    table.insert("tls", Value::from(tls));
    if let Some(ca) = &server.ca {
        table.insert("ca", Value::from(ca.to_string_lossy().as_ref()));
    }
    table
}

/// Puts the text in the place of the file: written beside it, made durable, renamed over it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // A link to a file elsewhere stays a link.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mode = path.metadata().map_or(0o600, |found| found.mode() & 0o7777);
    let fresh = directory.join(format!(".config.toml.{:016x}", fastrand::u64(..)));
    let written = write_durably(&fresh, text, mode).and_then(|()| std::fs::rename(&fresh, &path));
    if written.is_err() {
        // Nothing is lost by it; the cause of the failure is told.
        let _ = std::fs::remove_file(&fresh);
    }
    written?;
    File::open(directory)?.sync_all()
}

fn write_durably(fresh: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(fresh)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
