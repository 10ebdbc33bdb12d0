//! The configuration: TOML as written, layered with the environment, turned into accounts as meant.
//!
//! Rows of `providers.toml` beside the file are part of it. Two steps, so that each is simple: `typed` holds what is written and refuses what it does not know; `meaning`
//! applies defaults and refuses contradictions. Every refusal names file, line and column, or the variable. Nothing
//! here reads the real environment, and a load asks the disk about nothing but these two files; both are passed in, which
//! makes a reload the same as a start.

mod account;
mod anchors;
mod app;
mod duration;
pub mod edit;
mod endpoints;
mod error;
mod hooks;
mod layers;
mod logins;
mod mailboxes;
mod meaning;
mod meant;
mod paths;
mod pop;
mod secret;
mod servers;
mod show;
mod source;
mod tokens;
mod typed;
mod words;

pub use account::{Account, Auth, Credential, Incoming, MissingKey, OAuth2, Pop, Secret, Sent, TokenStore};
pub use error::{Error, Place};
pub use hooks::Hooks;
pub use mailboxes::Mailboxes;
pub use meaning::read_address;
pub use meant::suggestion;
pub use secret::Hidden;

use crate::provider::{self, Table};
use layers::Override;
use meaning::Refusal;
use source::Source;
use std::io;
use std::path::Path;

/// The commented example, which is also documentation.
pub const EXAMPLE: &str = include_str!("../../contrib/config.toml");

/// The variable that names the directory of credentials (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// The configuration as meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Every account, by name.
    pub accounts: Vec<Account>,
    /// What is run when something happens.
    pub hooks: Hooks,
    /// How saved logins rest.
    pub token_store: TokenStore,
}

impl Config {
    /// Reads the file, overrides it with `POSTHASTE_…` variables among `environment`, and finds the meaning; credentials
    /// are in its `CREDENTIALS_DIRECTORY`. Reads the disk: call it off the reactor.
    pub fn load(
        path: &Path,
        environment: impl Iterator<Item = (String, String)>,
        home: &Path,
    ) -> Result<Config, Error> {
        Config::from_text(path, &read(path)?, environment, home, &providers(path)?, |_| Ok(()))
    }

    /// [`Config::load`], and then looks whether the files that it names can be used. A start does not: what is wrong
    /// with one account must not keep the others down.
    pub fn check(
        path: &Path,
        environment: impl Iterator<Item = (String, String)>,
        home: &Path,
    ) -> Result<Config, Error> {
        Config::from_text(path, &read(path)?, environment, home, &providers(path)?, anchors::check)
    }

    /// All of it as TOML, without secrets: what `config show` prints.
    pub fn to_toml(&self) -> String {
        let store = match self.token_store {
            TokenStore::File => "",
            TokenStore::SecretService => "token_store = \"secret-service\"\n",
        };
        let tables = std::iter::once(self.hooks.to_toml()).chain(self.accounts.iter().map(Account::to_toml));
        let tables: Vec<String> = tables.filter(|table| !table.is_empty()).collect();
        format!("{store}{}", tables.join("\n"))
    }

    /// The account of that name.
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == name)
    }

    fn from_text(
        path: &Path,
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
        home: &Path,
        providers: &Table,
        inspect: fn(&[Account]) -> Result<(), Refusal>,
    ) -> Result<Config, Error> {
        let environment: Vec<(String, String)> = environment.collect();
        let credentials =
            environment.iter().find(|(name, _)| name == CREDENTIALS).map(|(_, path)| Path::new(path));
        let source = Source { file: path, text };
        let written = source.parse()?;
        let names: Vec<&String> = written.accounts.keys().collect();
        let overrides = layers::overrides(environment.iter().cloned(), &names);
        let layered = layers::merge(text, &overrides)?;
        let accounts = meaning::accounts(&layered, home, credentials, providers)
            .and_then(|accounts| inspect(&accounts).map(|()| accounts));
        let accounts = accounts.map_err(|refusal| blame(refusal, &source, &written, &overrides))?;
        let token_store = layered.token_store.unwrap_or_default();
        Ok(Config { accounts, hooks: Hooks::meant(&layered.hooks), token_store })
    }
}

/// The providers that a configuration file can name: the built-in rows below those of `providers.toml` beside it. Reads
/// the disk.
///
/// # Errors
/// What is wrong with `providers.toml`, with its place.
pub fn providers(config_file: &Path) -> Result<Table, Error> {
    let path = config_file.with_file_name("providers.toml");
    let text = match read(&path) {
        Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => String::new(),
        outcome => outcome?,
    };
    Table::with_user_rows(&text).map_err(|error| match error {
        provider::Error::Written { span, message } => {
            Source { file: &path, text: &text }.refused(&message, span)
        }
        broken @ provider::Error::BuiltIn(_) => broken.into(),
    })
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// Finds the variable or the line that a refusal is about. An account that the file does not know is the variables'.
fn blame(refusal: Refusal, source: &Source<'_>, written: &typed::File, overrides: &[Override]) -> Error {
    let Refusal { path, message } = refusal;
    let in_file = path.get(1).is_none_or(|account| written.accounts.contains_key(account));
    let is_about =
        |single: &&Override| single.path == path || (!in_file && single.path.get(..2) == path.get(..2));
    match overrides.iter().find(is_about) {
        Some(single) => Error::Environment { variable: single.variable.clone(), message },
        None => Error::File { place: source.locate(&path), message },
    }
}

#[cfg(test)]
mod tests;
