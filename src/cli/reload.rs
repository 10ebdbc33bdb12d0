//! `posthaste reload`: the running daemon reads its configuration again, and says whether it could.
//!
//! SIGHUP does the same and gives no answer: the unit reloads by this command, so that `systemctl reload` fails too.

use super::Context;
use super::error::CommandError;
use crate::control::Request;
use crate::control::client::{self, Error};

/// Arguments of `reload`.
#[derive(Debug, clap::Args)]
pub struct Reload {}

impl Reload {
    /// Waits until the configuration is in force, or refused.
    pub async fn run(self, context: &Context) -> Result<(), CommandError> {
        Ok(reload(context).await?)
    }
}

/// Has the running daemon read the configuration again.
pub(super) async fn reload(context: &Context) -> Result<(), Error> {
    let mut responses = client::request(&context.socket(), &Request::Reload).await?;
    while responses.next().await?.is_some() {}
    Ok(())
}
