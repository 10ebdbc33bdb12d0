//! `posthaste token`: an access token on stdout, for other tools.
//!
//! A running daemon lends the one that it has. Without it every call refreshes, because access tokens are in memory only:
//! the token file holds what they are made from, and no more secrets than that.

use super::error::CommandError;
use super::login::keeper_of;
use super::{Context, direct, output};
use crate::control::client::{self, Error};
use crate::control::{Code, Lease, Request, Response};
use crate::oauth::AccessToken;
use secrecy::ExposeSecret;
use std::path::Path;

/// Arguments of `token`.
#[derive(Debug, clap::Args)]
pub struct Token {
    /// The account
    pub account: String,
    /// For submission: the same token, because both protocols are asked for together
    #[arg(long)]
    pub smtp: bool,
}

impl Token {
    /// Prints the token: the user asked for this secret.
    pub async fn run(self, context: &Context) -> Result<(), CommandError> {
        let token = self.token(context).await?;
        let _ = output::print(&format!("{}\n", token.secret.expose_secret()))?;
        Ok(())
    }

    async fn token(&self, context: &Context) -> Result<AccessToken, CommandError> {
        direct::chosen(context, std::slice::from_ref(&self.account))?;
        match lent(&context.socket(), &self.account).await {
            Ok(Some(token)) => return Ok(token),
            Err(Error::Refused(refusal)) if refusal.code == Code::NeedsLogin => {
                return Err(Error::Refused(refusal).into());
            }
            // Whatever may pass, and an account that the daemon does not run as configured now, is tried here.
            _ => {}
        }
        let (account, keeper) = keeper_of(context, &self.account).await?;
        let token = keeper.token().await;
        token.map_err(|error| CommandError::of_driver(&format!("account {}", account.name), &error))
    }
}

/// The access token of a running daemon.
pub(super) async fn lent(socket: &Path, account: &str) -> Result<Option<AccessToken>, Error> {
    let mut responses = client::request(socket, &Request::Token { account: account.to_owned() }).await?;
    let mut token = None;
    while let Some(response) = responses.next().await? {
        if let Response::Token(Lease { secret, expires }) = response {
            token = Some(AccessToken { secret, expires });
        }
    }
    Ok(token)
}
