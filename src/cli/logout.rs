//! `posthaste logout`: revokes the login where the provider can, and forgets it here; mail stays.
//!
//! The login is forgotten even where it cannot be revoked: what the person asked for happens as far as it can, and the
//! rest is said with what to do about it (RFC 7009).

use super::error::{CommandError, Exit};
use super::login::{keeper_of, tell_daemon};
use super::{Context, output};
use crate::config::{Account, Auth};
use crate::error::{Classified, chain};
use crate::oauth::{self, LoggedOut};
use url::Url;

/// Arguments of `logout`.
#[derive(Debug, clap::Args)]
pub struct Logout {
    /// The account
    pub account: String,
}

impl Logout {
    /// Revokes the login, and forgets it here, on disk and in a running daemon.
    pub async fn run(self, context: &Context) -> Result<(), CommandError> {
        let (account, keeper) = keeper_of(context, &self.account).await?;
        let what = format!("account {}", account.name);
        if keeper.config().app.is_some() {
            return Err(CommandError {
                hint: Some(
                    "remove the account from the configuration, or the application's access at the provider"
                        .into(),
                ),
                ..CommandError::new(
                    Exit::Usage,
                    format!("{what} logs in by itself: there is no login to forget"),
                )
            });
        }
        let url = revoke_url(&account);
        let logged_out = keeper.log_out(url).await;
        let LoggedOut { revoked } = logged_out.map_err(|error| CommandError::of_driver(&what, &error))?;
        tell_daemon(context, &account.name).await?;
        let rest = match (url, revoked) {
            (None, _) => NO_WAY,
            (Some(_), Ok(true)) => " and the login is revoked",
            (Some(_), Ok(false)) => "",
            (Some(_), Err(error)) => {
                warn(&error);
                ""
            }
        };
        if !context.is_quiet {
            output::complain(&format!("{what} is logged out{rest}; its mail stays"));
        }
        Ok(())
    }
}

/// What to add to the farewell where nobody can be told.
const NO_WAY: &str = " here (its provider has no way to revoke a login from here; the application's access can be \
                      withdrawn in the settings of the provider account)";

fn warn(error: &oauth::Error) {
    let hint = error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    output::complain(&format!("posthaste: warning: {}{hint}", output::harmless(&chain(error))));
}

fn revoke_url(account: &Account) -> Option<&Url> {
    match &account.auth {
        Auth::OAuth2(oauth) => oauth.revoke_url.as_ref(),
        Auth::Password { .. } => None,
    }
}
