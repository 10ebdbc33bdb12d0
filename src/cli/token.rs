//! `posthaste token`: a fresh access token on stdout, for other tools.

use super::error::CommandError;
use super::login::keeper_of;
use super::{Context, output};
use secrecy::ExposeSecret;

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
        let (account, keeper) = keeper_of(context, &self.account).await?;
        let token = keeper.token().await;
        let token =
            token.map_err(|error| CommandError::of_driver(&format!("account {}", account.name), &error))?;
        let _ = output::print(&format!("{}\n", token.secret.expose_secret()))?;
        Ok(())
    }
}
