//! Changes to the configuration file that the program makes for its user: an account is added, or some of its keys change.
//!
//! Invariants: every byte that stood in the file stays, comments and order included, but for what is changed; the new
//! text is read by the same parser as a start reads it, and only then replaces the old one, whole and durable; nobody
//! else changes it meanwhile. A new file is private, because a secret may come to stand in it. Rejected: serialising the
//! configuration anew.

mod draft;
mod file;

pub use draft::{Client, Draft, Server};

use super::error::Error;
use super::source::Source;
use super::{Config, providers, read};
use file::Held;
use secrecy::{ExposeSecret, SecretString};
use std::io;
use std::path::Path;
use toml_edit::{DocumentMut, Item, Table, TableLike};

/// What to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An account joins.
    Add(Box<Draft>),
    /// Keys of an account are set. One that gets a password logs in by that from now on, and one that gets a client by
    /// OAuth2: the keys of the other way go.
    Set(Box<Draft>),
}

impl Change {
    fn draft(&self) -> &Draft {
        match self {
            Change::Add(draft) | Change::Set(draft) => draft,
        }
    }
}

/// Makes the change, if the file is right before and after it; whether there was anything to change. A missing file
/// counts as an empty one. Reads and writes the disk, and waits for another one that does: call it off the reactor.
///
/// # Errors
/// Mistakes in the file as it is, or that the change would make in it; a disk that refuses.
pub fn edit(
    path: &Path,
    environment: impl Iterator<Item = (String, String)>,
    home: &Path,
    change: &Change,
) -> Result<bool, Error> {
    let refused = |source: io::Error| {
        let wanted = change.draft().to_toml();
        Error::Write { path: path.to_owned(), source, wanted }
    };
    let file = Held::wait(path).map_err(refused)?;
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
    if changed != text {
        file.replace(&changed).map_err(refused)?;
    }
    Ok(changed != text)
}

/// Keeps a secret in a file of its own, which only its owner can read. Call it off the reactor.
///
/// # Errors
/// A disk that refuses.
pub fn keep_secret(path: &Path, secret: &SecretString) -> io::Result<()> {
    Held::wait(path)?.replace_privately(secret.expose_secret())
}

/// The text with the change made.
fn applied(path: &Path, text: &str, change: &Change) -> Result<String, Error> {
    let unfit = |message: String| {
        let place = Source { file: path, text }.place(0..0);
        Error::File { place, message }
    };
    let mut document: DocumentMut = text.parse().map_err(|error| unfit(format!("{error}")))?;
    match change {
        Change::Add(draft) => join(&mut document, draft).map_err(unfit)?,
        Change::Set(draft) => {
            let account = accounts(&mut document).and_then(|accounts| accounts.get_mut(&draft.name));
            let account = account.and_then(Item::as_table_like_mut);
            let account = account.ok_or_else(|| unfit(format!("no account is called {}", draft.name)))?;
            turn(account, draft).map_err(unfit)?;
            lay(&draft.table(), account);
        }
    }
    Ok(document.to_string())
}

/// Adds the account behind all that is there.
fn join(document: &mut DocumentMut, draft: &Draft) -> Result<(), String> {
    let mut account = draft.table();
    account.set_position(Some(isize::MAX));
    if let Some(oauth) = account.get_mut("oauth").and_then(Item::as_table_mut) {
        oauth.set_position(Some(isize::MAX));
    }
    // What follows the last table belongs to it: the new one comes after. In an inline table it would get lost.
    if document.get("accounts").is_none_or(Item::is_table) {
        let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
        let gap = if document.is_empty() && trailing.is_empty() { "" } else { "\n" };
        account.decor_mut().set_prefix(format!("{trailing}{gap}"));
        document.set_trailing("");
    }
    let accounts = accounts(document).ok_or("`accounts` is no table")?;
    accounts.insert(&draft.name, Item::Table(account));
    Ok(())
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

/// Takes out what stands against the way to log in that the draft names.
fn turn(account: &mut dyn TableLike, draft: &Draft) -> Result<(), String> {
    let is_password = account.get("auth").and_then(Item::as_str) == Some("password");
    if draft.password_command.is_some() {
        let oauth = account.get("oauth").and_then(Item::as_table_like);
        if oauth.is_some_and(|oauth| oauth.contains_key("client_secret")) {
            let name = &draft.name;
            return Err(format!(
                "[accounts.{name}.oauth] holds a `client_secret`, which would be lost: take the table out first"
            ));
        }
        account.remove("oauth");
        account.remove("password_credential");
    } else if draft.client.id.is_some() && is_password {
        for key in ["auth", "password_command", "password_credential"] {
            account.remove(key);
        }
    }
    let oauth = account.get_mut("oauth").and_then(Item::as_table_like_mut);
    if let Some(oauth) = oauth.filter(|_| draft.client.secret_command.is_some()) {
        oauth.remove("client_secret");
        oauth.remove("client_secret_credential");
    }
    Ok(())
}

/// Lays a table over another: its values win, whatever else stands there stays.
fn lay(over: &dyn TableLike, onto: &mut dyn TableLike) {
    for (key, item) in over.iter() {
        if let Some(over) = item.as_table_like()
            && let Some(onto) = onto.get_mut(key).and_then(Item::as_table_like_mut)
        {
            lay(over, onto);
        } else {
            put(onto, key, item);
        }
    }
}

/// Sets a key; comments around a value that stood there stay.
fn put(table: &mut dyn TableLike, key: &str, item: &Item) {
    match (table.get_mut(key).and_then(Item::as_value_mut), item.as_value()) {
        (Some(old), Some(new)) if old.as_str().is_some() && old.as_str() == new.as_str() => {}
        (Some(old), Some(new)) => {
            let decor = old.decor().clone();
            *old = new.clone();
            *old.decor_mut() = decor;
        }
        _ => {
            table.insert(key, item.clone());
        }
    }
}

#[cfg(test)]
mod tests;
