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
use super::flow::{self, Granted};
use super::token::AccessToken;
use crate::application::App;
use crate::error::{Class, Classified, chain};
use crate::task;
use jiff::Timestamp;
use refresh::{Inner, State};
use secrecy::{ExposeSecret, SecretString};
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};
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

/// How a logout went; the login is forgotten here in any case.
#[derive(Debug)]
pub struct LoggedOut {
    /// Whether the server has forgotten it as well; `false` where there was nothing to forget, or nobody to ask.
    pub revoked: Result<bool, Error>,
}

impl KeeperConfig {
    /// But for the client's secret, of which there is only one that is good.
    fn is_same(&self, other: &KeeperConfig) -> bool {
        self.account == other.account
            && self.client_id == other.client_id
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

    /// Whether anybody holds it but who asks, or it has what the disk refused: the token in the file is dead then.
    pub fn is_held(&self) -> bool {
        Arc::strong_count(&self.inner) > 1 || self.inner.state().unsaved.is_some()
    }

    /// Whether it keeps the same token, for the same client, in the same file.
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

    /// Takes over the client's secret as it is now. Where it is another one, that the endpoint refused the client stands
    /// against nothing any more.
    pub fn use_client_secret(&self, secret: Option<SecretString>) {
        let exposed = |secret: &Option<SecretString>| secret.as_ref().map(|it| it.expose_secret().to_owned());
        let before = std::mem::replace(&mut *self.inner.secret(), secret.clone());
        if exposed(&before) != exposed(&secret) {
            self.inner.state().failure.take_if(|(error, _)| matches!(error, Error::Client { .. }));
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

    /// A token other than the one that a mail server just refused to `account`. Refreshes only if nobody did so since;
    /// `None` where this account had that done often of late: then it is not the token.
    pub async fn renew(&self, account: &str, refused: &AccessToken) -> Result<Option<AccessToken>, Error> {
        let (account, refused) = (account.to_owned(), refused.clone());
        self.in_turn(|inner| async move {
            match inner.fresh() {
                Some(token) if !token.is_same(&refused) => return Ok(Some(token)),
                Some(_) if !inner.may_force(account) => return Ok(None),
                // What is not at hand, or due, is asked for as ever: there the endpoint tells of a login that is lost.
                _ => {}
            }
            inner.state().lease = None;
            inner.refresh().await.map(Some)
        })
        .await
    }

    /// Takes over a refresh token after a login: proves by a refresh that it gives all that is needed, and only then saves
    /// it.
    pub async fn import(&self, refresh_token: SecretString) -> Result<AccessToken, flow::Error> {
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

    /// Forgets the login here and on disk; where there is a `revoke_url`, has the server forget it too (RFC 7009).
    pub async fn log_out(&self, revoke_url: Option<&Url>) -> Result<LoggedOut, Error> {
        let url = revoke_url.cloned();
        self.in_turn(|inner| async move { inner.log_out(url.as_ref()).await }).await
    }

    /// Asks again at the next need, whatever stands against it: somebody has just logged in elsewhere.
    pub fn reconsider(&self) {
        let mut state = self.inner.state();
        state.failure = None;
        state.forced.clear();
    }

    /// Waits until another than this keeper changes the token file, with a look every so often; a look costs one stat.
    pub async fn changed_by_others(&self, look: Duration) {
        let changes = || self.inner.on_disk(|store| Ok(store.changes()));
        let before = changes().await.ok();
        while changes().await.ok() == before {
            tokio::time::sleep(look).await;
        }
    }

    /// Forgets what is remembered here: somebody logged out elsewhere. What the file holds is asked for at the next need.
    pub fn forget(&self) {
        *self.inner.state() = State::default();
    }

    /// When the access token at hand ends, if there is one and the server said so.
    pub fn expires(&self) -> Option<Timestamp> {
        self.inner.state().lease.as_ref().and_then(|lease| lease.token.expires)
    }

    /// Lets no more refresh tokens out: the program is ending. Whether one is on its way, which [`Keeper::settle`] waits
    /// for.
    pub fn close(&self) -> bool {
        self.inner.gate.close()
    }

    /// Waits for the answer to a refresh token that is on its way, and until what came of it is saved, so that ending the
    /// program cannot lose a rotated token. Bounded by the deadline of the request.
    pub async fn settle(&self) {
        if self.inner.gate.is_out() || self.inner.state().unsaved.is_some() {
            self.save_unsaved("the renewed login is lost: log in again").await;
        }
    }

    /// Tries the disk once more where it refused a rotated token, which stays here and locked where it still does.
    pub async fn save(&self) {
        if self.inner.state().unsaved.is_some() {
            self.save_unsaved("the renewed login cannot be saved yet").await;
        }
    }

    /// Waits for its turn and tries the disk; `otherwise` is what it means that the disk refuses again.
    async fn save_unsaved(&self, otherwise: &str) {
        let saved: Result<bool, Error> =
            self.in_turn(|inner| async move { inner.save_unsaved().await }).await;
        if let Err(error) = saved {
            let account = &self.inner.config.account;
            tracing::warn!(%account, error = %chain(&error), "{otherwise}");
        }
    }

    /// Runs `work` when all others had their turn, in a task of its own: the caller may be cancelled, the work not.
    async fn in_turn<T, E, F>(&self, work: impl FnOnce(Arc<Inner>) -> F) -> Result<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let work = work(Arc::clone(&self.inner));
        let task = tokio::spawn(async move {
            let outcome = work.await;
            drop(turn);
            outcome
        });
        task::outcome(task).await
    }
}

impl Inner {
    /// The configuration with the secret as it is now.
    fn client(&self) -> KeeperConfig {
        KeeperConfig { client_secret: self.secret().clone(), ..self.config.clone() }
    }

    fn secret(&self) -> MutexGuard<'_, Option<SecretString>> {
        self.client_secret.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
