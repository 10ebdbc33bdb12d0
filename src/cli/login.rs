//! `posthaste login`: takes over a refresh token for an account.
//!
//! The token is proved by a refresh before it is saved, and a running daemon is told, so that an account that needs a
//! login goes on at once.

use super::error::{CommandError, Exit};
use super::{Context, direct, output};
use crate::account::{Keepers, Login as AccountLogin};
use crate::config::{Account, Auth};
use crate::control::Request;
use crate::control::client::{self, Error};
use crate::oauth::Keeper;
use secrecy::SecretString;
use std::io::Read;

/// More is no token.
const MAX_TOKEN: u64 = 64 * 1024;

/// Arguments of `login`.
#[derive(Debug, clap::Args)]
pub struct Login {
    /// The account
    pub account: String,
    /// Read a refresh token from stdin; the only way in this version
    #[arg(long, required = true)]
    pub import: bool,
}

impl Login {
    /// Reads, proves and saves the token.
    pub async fn run(self, context: &Context) -> Result<(), CommandError> {
        let (account, keeper) = keeper_of(context, &self.account).await?;
        let token = tokio::task::spawn_blocking(read_token).await;
        let token = token.map_err(|_| CommandError::new(Exit::Failed, "interrupted"))??;
        keeper.import(token).await.map_err(|error| {
            CommandError::of_driver(&format!("account {}: the token was not taken", account.name), &error)
        })?;
        tell_daemon(context, &account.name).await?;
        if !context.is_quiet {
            output::complain(&format!("account {} is logged in", account.name));
        }
        Ok(())
    }
}

/// The keeper of an account's token.
pub(super) async fn keeper_of(context: &Context, name: &str) -> Result<(Account, Keeper), CommandError> {
    let account = direct::chosen(context, &[name.to_owned()])?.remove(0);
    let login = AccountLogin::new(&account, &context.state_of(name), &Keepers::default()).await;
    let login = login.map_err(|error| CommandError::of_driver(&format!("account {name}"), &error))?;
    match login.keeper() {
        Some(keeper) => Ok((account, keeper.clone())),
        None => Err(CommandError::new(
            Exit::Usage,
            format!("account {name} logs in with a password, not a token"),
        )),
    }
}

/// Tells a running daemon that the token on disk is another one: to every account that logs in by it.
pub(super) async fn tell_daemon(context: &Context, account: &str) -> Result<(), CommandError> {
    let configuration = context.configuration()?;
    let token_of = |account: &Account| match &account.auth {
        Auth::OAuth2(oauth) => Some(oauth.token_of.clone()),
        Auth::Password { .. } => None,
    };
    let changed = configuration.account(account).and_then(token_of);
    for account in configuration.accounts.iter().filter(|account| token_of(account) == changed) {
        tell(context, &account.name).await?;
    }
    Ok(())
}

async fn tell(context: &Context, account: &str) -> Result<(), CommandError> {
    let request = Request::TokenChanged { account: account.to_owned() };
    match client::request(&context.socket(), &request).await {
        Err(Error::Absent) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(mut responses) => {
            while responses.next().await?.is_some() {}
            Ok(())
        }
    }
}

fn read_token() -> Result<SecretString, CommandError> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_TOKEN).read_to_string(&mut text);
    read.map_err(|cause| CommandError::io("cannot read the token from stdin", &cause))?;
    let token = text.trim();
    let is_token = !token.is_empty() && !token.contains(char::is_whitespace);
    is_token.then(|| SecretString::from(token)).ok_or_else(|| CommandError {
        hint: Some("give the refresh token alone, on one line".to_owned()),
        ..CommandError::new(Exit::Usage, "stdin holds no refresh token")
    })
}
