//! How an account proves who it is: an access token from the keeper, or a password from a command.
//!
//! A refused token causes exactly one forced refresh and one more attempt; then the account needs a login. A token is
//! given only for the hosts that its provider lists.

use crate::config::{self, Account, Auth, ClientSecret, OAuth2};
use crate::error::{Class, Classified};
use crate::mail::sasl::Credentials;
use crate::net::Endpoint;
use crate::oauth::flow::app::App;
use crate::oauth::{self, AccessToken, Keeper, KeeperConfig};
use jiff::Timestamp;
use secrecy::SecretString;
use std::path::{Path, PathBuf};

/// How often the token file is looked at while an account waits for a login; costs one stat.
const LOOK: std::time::Duration = std::time::Duration::from_secs(5);

/// What a server may ask for.
#[derive(Clone)]
pub(super) enum Proof {
    Token(AccessToken),
    Password(SecretString),
}

impl Proof {
    /// When it ends.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        match self {
            Proof::Token(token) => token.expires,
            Proof::Password(_) => None,
        }
    }
}

/// The login of one account; clones share the token.
#[derive(Clone, Debug)]
pub struct Login {
    user: String,
    source: Source,
    token_hosts: Vec<String>,
    store: PathBuf,
}

#[derive(Clone, Debug)]
enum Source {
    Keeper(Keeper),
    Command(String),
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token endpoint, the token file or the command.
    #[error(transparent)]
    Token(#[from] oauth::Error),
    /// No application is registered.
    #[error("no client_id is set")]
    NoClient {
        /// The account.
        account: String,
    },
    /// The host is not one that the provider lists.
    #[error("refusing to send the token of account {account} to {host}: it is not a host of its provider")]
    ForeignHost {
        /// The account.
        account: String,
        /// The host.
        host: String,
    },
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Error::Token(error) => error.class(),
            Error::NoClient { .. } => Class::NeedsLogin,
            Error::ForeignHost { .. } => Class::Configuration,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Token(error) => error.hint(),
            Error::NoClient { account } => {
                Some(format!("set client_id in [accounts.{account}.oauth] of the configuration"))
            }
            Error::ForeignHost { .. } => Some("correct the host in the configuration".into()),
        }
    }
}

impl Login {
    /// The login of `account`, whose token is kept in `state_dir`.
    pub async fn new(account: &Account, state_dir: &Path) -> Result<Login, Error> {
        let (source, token_hosts) = match &account.auth {
            Auth::Password { command } => (Source::Command(command.clone()), Vec::new()),
            Auth::OAuth2(oauth) => {
                (Source::Keeper(keeper(account, oauth, state_dir).await?), oauth.token_hosts.clone())
            }
        };
        Ok(Login { user: account.user.clone(), source, token_hosts, store: token_file(state_dir) })
    }

    /// The keeper of the token; `None` for a password.
    pub fn keeper(&self) -> Option<&Keeper> {
        match &self.source {
            Source::Keeper(keeper) => Some(keeper),
            Source::Command(_) => None,
        }
    }

    /// After a login or logout by another process: what was logged out here too is forgotten, and a token that was not to
    /// be had is asked for again, since what stood against it may be mended.
    pub(super) async fn look_again(&self) {
        let Source::Keeper(keeper) = &self.source else { return };
        keeper.reconsider();
        if matches!(tokio::fs::try_exists(&self.store).await, Ok(false))
            && let Err(error) = keeper.forget().await
        {
            tracing::warn!(%error, "cannot forget the token");
        }
    }

    /// A proof as the protocols want it.
    pub(super) fn credentials(&self, proof: &Proof) -> Credentials {
        let user = self.user.clone();
        match proof {
            Proof::Token(token) => Credentials::Bearer { user, token: token.secret.clone() },
            Proof::Password(password) => Credentials::Password { user, password: password.clone() },
        }
    }

    /// Waits until another process replaces the token file without telling.
    pub(super) async fn changed_on_disk(&self) {
        let stamp = || async { tokio::fs::metadata(&self.store).await.and_then(|file| file.modified()).ok() };
        let before = stamp().await;
        while stamp().await == before {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A proof for this server.
    pub(super) async fn proof(&self, endpoint: &Endpoint, account: &str) -> Result<Proof, Error> {
        match &self.source {
            Source::Keeper(keeper) => {
                self.check_host(endpoint, account)?;
                Ok(Proof::Token(keeper.token().await?))
            }
            Source::Command(command) => Ok(Proof::Password(oauth::password::run(command).await?)),
        }
    }

    /// Another proof after a refusal; `None` where there is no other.
    pub(super) async fn another(&self, refused: &Proof) -> Result<Option<Proof>, Error> {
        match (&self.source, refused) {
            (Source::Keeper(keeper), Proof::Token(token)) => {
                Ok(Some(Proof::Token(keeper.renew(token).await?)))
            }
            _ => Ok(None),
        }
    }

    fn check_host(&self, endpoint: &Endpoint, account: &str) -> Result<(), Error> {
        let host = endpoint.host.to_ascii_lowercase();
        let is_listed = self.token_hosts.iter().any(|listed| listed.eq_ignore_ascii_case(&host));
        let foreign = || Error::ForeignHost { account: account.to_owned(), host };
        if is_listed { Ok(()) } else { Err(foreign()) }
    }
}

fn token_file(state_dir: &Path) -> PathBuf {
    state_dir.join("token.json")
}

async fn keeper(account: &Account, oauth: &OAuth2, state_dir: &Path) -> Result<Keeper, Error> {
    let no_client = || Error::NoClient { account: account.name.clone() };
    let client_id = match &oauth.app {
        // Its key file says who it is.
        Some(config::App::ServiceAccount { .. }) => oauth.client_id.clone().unwrap_or_default(),
        _ => oauth.client_id.clone().ok_or_else(no_client)?,
    };
    let client_secret = match &oauth.client_secret {
        None => None,
        Some(ClientSecret::Value(secret)) => Some(secret.secret().clone()),
        Some(ClientSecret::Command(command)) => Some(oauth::password::run(command).await?),
    };
    Ok(Keeper::new(KeeperConfig {
        account: account.name.clone(),
        client_id,
        client_secret,
        token_url: oauth.token_url.clone(),
        scopes: oauth.scopes.clone(),
        store: token_file(state_dir),
        app: oauth.app.as_ref().map(app),
    }))
}

/// As the keeper wants it; drivers do not know each other's types.
fn app(app: &config::App) -> App {
    match app {
        config::App::Secret => App::Secret,
        config::App::Certificate { certificate, key } => {
            App::Certificate { certificate: certificate.clone(), key: key.clone() }
        }
        config::App::ServiceAccount { key, subject } => {
            App::ServiceAccount { key: key.clone(), subject: subject.clone() }
        }
    }
}
