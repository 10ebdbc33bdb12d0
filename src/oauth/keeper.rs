//! The keeper of one account's token: hands out access tokens, refreshes them, remembers refusals.
//!
//! Refreshes take turns and run in tasks of their own, so that many callers cost one request and a caller that goes
//! away loses nothing. While the endpoint is in trouble, an access token that is due but not over still serves. What
//! one refresh does is in [`refresh`]. It must not know what access tokens are used for.
//! Rejected: sharing the result of a flight through a channel; the remembered failure and the cached token answer
//! those who waited just as well.

mod refresh;

use super::endpoint;
use super::error::Error;
use super::flow::Granted;
use super::flow::app::App;
use super::token::AccessToken;
use crate::error::{Class, Classified};
use jiff::Timestamp;
use refresh::Inner;
use secrecy::{ExposeSecret, SecretString};
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;
use url::Url;

/// Whose token, from where, kept where.
#[derive(Clone, Debug)]
pub struct KeeperConfig {
    /// The account's name, for messages.
    pub account: String,
    /// The registered application.
    pub client_id: String,
    /// Its secret, where the provider gives one to native applications.
    pub client_secret: Option<SecretString>,
    /// The token endpoint; https, or loopback.
    pub token_url: Url,
    /// What the token is for; may be empty.
    pub scopes: Vec<String>,
    /// The file `token.json` in the account's state directory.
    pub store: PathBuf,
    /// Whether what is saved there is sealed with a key of the keyring.
    pub is_sealed: bool,
    /// How the program logs in as itself; `None` where a person does.
    pub app: Option<App>,
}

/// Keeps one account's token. Clones share it.
#[derive(Clone, Debug)]
pub struct Keeper {
    inner: Arc<Inner>,
    /// The turn to refresh. Held across awaits on purpose: it guards no value, it is the single flight itself.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// A keeper for as long as somebody else holds it.
#[derive(Clone, Debug)]
pub struct WeakKeeper {
    inner: Weak<Inner>,
    turn: Weak<tokio::sync::Mutex<()>>,
}

impl WeakKeeper {
    /// The keeper, if it is still held.
    pub fn upgrade(&self) -> Option<Keeper> {
        Some(Keeper { inner: self.inner.upgrade()?, turn: self.turn.upgrade()? })
    }
}

impl KeeperConfig {
    fn is_same(&self, other: &KeeperConfig) -> bool {
        let secret = |config: &KeeperConfig| {
            config.client_secret.as_ref().map(|secret| secret.expose_secret().to_owned())
        };
        let names = |config: &KeeperConfig| (config.account.clone(), config.client_id.clone());
        names(self) == names(other)
            && secret(self) == secret(other)
            && self.token_url == other.token_url
            && self.scopes == other.scopes
            && self.store == other.store
            && self.is_sealed == other.is_sealed
            && self.app == other.app
    }
}

impl Keeper {
    /// A keeper; touches neither disk nor network.
    pub fn new(config: KeeperConfig) -> Keeper {
        Keeper::with_deadline(config, endpoint::DEADLINE)
    }

    fn with_deadline(config: KeeperConfig, deadline: Duration) -> Keeper {
        Keeper { inner: Arc::new(Inner::new(config, deadline)), turn: Arc::default() }
    }

    /// The same keeper, without keeping it alive.
    pub fn downgrade(&self) -> WeakKeeper {
        WeakKeeper { inner: Arc::downgrade(&self.inner), turn: Arc::downgrade(&self.turn) }
    }

    /// Whether it keeps the same token, for the same client with the same secret, in the same file.
    pub fn serves(&self, config: &KeeperConfig) -> bool {
        self.inner.config.is_same(config)
    }

    /// An access token that is good for a while: the one at hand, or a new one.
    pub async fn token(&self) -> Result<AccessToken, Error> {
        if let Some(token) = self.inner.fresh() {
            return Ok(token);
        }
        let refreshed = self.in_turn(|inner| async move {
            match inner.fresh() {
                Some(token) => Ok(token),
                None => inner.refresh().await,
            }
        });
        match refreshed.await {
            Err(error) if matches!(error.class(), Class::Retry { .. }) => self.inner.unexpired().ok_or(error),
            outcome => outcome,
        }
    }

    /// The scopes that were asked for and not given with the last refresh (RFC 6749 §5.1).
    pub fn missing_scopes(&self) -> Vec<String> {
        self.inner.state().missing_scopes.clone()
    }

    /// Takes over an access token that another process was granted with the same login, where none is at hand.
    pub fn lend(&self, token: AccessToken) {
        self.inner.lend(token);
    }

    /// A token other than the one that a mail server just refused. Refreshes only if nobody did so since.
    pub async fn renew(&self, refused: &AccessToken) -> Result<AccessToken, Error> {
        let refused = refused.clone();
        self.in_turn(|inner| async move {
            match inner.fresh() {
                Some(token) if !token.is_same(&refused) => Ok(token),
                _ => inner.force().await,
            }
        })
        .await
    }

    /// Takes over a refresh token after a login: proves it by a refresh, and only then saves it.
    pub async fn import(&self, refresh_token: SecretString) -> Result<AccessToken, Error> {
        self.in_turn(|inner| async move { inner.import(refresh_token).await }).await
    }

    /// Takes over what a login gave, and saves it.
    pub async fn adopt(&self, granted: Granted) -> Result<AccessToken, Error> {
        self.in_turn(|inner| async move { inner.adopt(granted).await }).await
    }

    /// Whose token, from where, kept where: what a login needs to know.
    pub fn config(&self) -> &KeeperConfig {
        &self.inner.config
    }

    /// Has the server forget the saved login (RFC 7009); `false` where none is saved.
    pub async fn revoke(&self, revoke_url: &Url) -> Result<bool, Error> {
        let url = revoke_url.clone();
        self.in_turn(|inner| async move { inner.revoke(&url).await }).await
    }

    /// Asks again at the next need, whatever pause stands after a failure: somebody has just logged in elsewhere.
    pub fn reconsider(&self) {
        self.inner.state().failure = None;
    }

    /// Forgets the login here and on disk; does not revoke it at the server.
    pub async fn forget(&self) -> Result<(), Error> {
        self.in_turn(|inner| async move { inner.forget().await }).await
    }

    /// When the access token at hand ends, if there is one and the server said so.
    pub fn expires(&self) -> Option<Timestamp> {
        self.inner.state().lease.as_ref().and_then(|lease| lease.token.expires)
    }

    /// Waits until no refresh is running, so that ending the program cannot lose a rotated token.
    pub async fn settle(&self) {
        drop(self.turn.lock().await);
    }

    /// Runs `work` when all others had their turn, in a task of its own: the caller may be cancelled, the work not.
    async fn in_turn<T, F>(&self, work: impl FnOnce(Arc<Inner>) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let work = work(Arc::clone(&self.inner));
        let task = tokio::spawn(async move {
            let outcome = work.await;
            drop(turn);
            outcome
        });
        task.await.unwrap_or_else(|_| Err(self.inner.unavailable("the refresh was interrupted", None)))
    }
}

#[cfg(test)]
mod tests;
