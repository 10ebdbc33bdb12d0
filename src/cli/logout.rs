//! `posthaste logout`: forgets the token of an account; mail stays.

use super::error::CommandError;
use super::login::{keeper_of, tell_daemon};
use super::{Context, output};

/// Arguments of `logout`.
#[derive(Debug, clap::Args)]
pub struct Logout {
    /// The account
    pub account: String,
}

impl Logout {
    /// Forgets the token here, on disk and in a running daemon.
    pub async fn run(self, context: &Context) -> Result<(), CommandError> {
        let (account, keeper) = keeper_of(context, &self.account).await?;
        let what = format!("account {}", account.name);
        keeper.forget().await.map_err(|error| CommandError::of_driver(&what, &error))?;
        tell_daemon(context, &account.name).await?;
        if !context.is_quiet {
            output::complain(&format!("{what} is logged out; its mail stays"));
        }
        Ok(())
    }
}
