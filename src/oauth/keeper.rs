//! The keeper of one account's token: hands out access tokens, refreshes them, remembers refusals.
//!
//! Refreshes take turns and run in tasks of their own, so that many callers cost one request and a caller that goes
//! away loses nothing. The file is read anew before each request: another process may have logged in or rotated the
//! token. A rotated token is durable before its access token is handed out; where the disk refuses, it is kept in
//! memory and tried again, since the old one may be dead. A refused refresh token is never sent a second time.
//! While the endpoint is in trouble, an access token that is due but not over still serves.
//! It must not know what access tokens are used for. Rejected: sharing the result of a flight through a channel; the
//! remembered failure and the cached token answer those who waited just as well.

use super::answer::Answer;
use super::endpoint;
use super::error::Error;
use super::store::{Grant, Lock, Store};
use super::token::{AccessToken, Lease, Moment};
use crate::backoff::Backoff;
use crate::error::{Class, Classified};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use url::Url;

/// Between forced refreshes: a server that refuses every token must not make us hammer the token endpoint.
const FORCED_PAUSE: Duration = Duration::from_secs(10);
/// For the lock of another process: longer than its request may take.
const LOCK_PATIENCE: Duration = Duration::from_secs(45);
/// Between looks at that lock; flock has no deadline of its own.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

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
}

/// Keeps one account's token. Clones share it.
#[derive(Clone, Debug)]
pub struct Keeper {
    inner: Arc<Inner>,
    /// The turn to refresh. Held across awaits on purpose: it guards no value, it is the single flight itself.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Inner {
    config: KeeperConfig,
    store: Store,
    deadline: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lease: Option<Lease>,
    /// The refresh token that was refused, and how.
    refusal: Option<(SecretString, Error)>,
    /// The last failure, when it is over, and how many came in a row.
    failure: Option<(Error, Moment)>,
    failures: u32,
    /// No forced refresh before this.
    force_after: Option<Moment>,
    /// A rotated token that the disk refused, and the one in the file that it replaces.
    unsaved: Option<(SecretString, Grant)>,
}

impl Keeper {
    /// A keeper; touches neither disk nor network.
    pub fn new(config: KeeperConfig) -> Keeper {
        Keeper::with_deadline(config, endpoint::DEADLINE)
    }

    fn with_deadline(config: KeeperConfig, deadline: Duration) -> Keeper {
        let store = Store::new(config.store.clone(), config.account.clone());
        let inner = Inner { config, store, deadline, state: Mutex::default() };
        Keeper { inner: Arc::new(inner), turn: Arc::default() }
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
        self.in_turn(|inner| async move {
            let lock = inner.lock().await?;
            inner.exchange(&lock, &inner.grant(refresh_token), None).await
        })
        .await
    }

    /// Forgets the login here and on disk; does not revoke it at the server.
    pub async fn forget(&self) -> Result<(), Error> {
        self.in_turn(|inner| async move {
            let lock = inner.lock().await?;
            *inner.state() = State::default();
            inner.on_disk(move |store| store.forget(&lock)).await
        })
        .await
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

impl Inner {
    /// The token at hand while it is not due.
    fn fresh(&self) -> Option<AccessToken> {
        let now = now();
        self.state().lease.as_ref().filter(|lease| !lease.is_due(now)).map(|lease| lease.token.clone())
    }

    /// The token at hand while the server still takes it.
    fn unexpired(&self) -> Option<AccessToken> {
        let now = now();
        self.state().lease.as_ref().filter(|lease| !lease.is_over(now)).map(|lease| lease.token.clone())
    }

    /// Drops the token at hand and refreshes, but not again and again.
    async fn force(&self) -> Result<AccessToken, Error> {
        let now = now();
        {
            let mut state = self.state();
            if let Some(wait) = state.force_after.and_then(|then| remaining(now, then)) {
                return Err(self.unavailable("the new token is refused like the old one", Some(wait)));
            }
            state.force_after = Some(now.after(FORCED_PAUSE));
            state.lease = None;
        }
        self.refresh().await
    }

    async fn refresh(&self) -> Result<AccessToken, Error> {
        self.check_pause()?;
        let lock = self.lock().await?;
        let saved = self.on_disk(|store| store.load()).await?;
        let saved = saved.ok_or_else(|| Error::NotLoggedIn { account: self.config.account.clone() })?;
        self.check_owner(&saved)?;
        self.check_refusal(&saved)?;
        let current = self.newest(&saved);
        self.exchange(&lock, &current, Some(saved)).await
    }

    /// One request with `grant`, and all that follows from its answer; `saved` is what stands in the file.
    async fn exchange(&self, lock: &Lock, grant: &Grant, saved: Option<Grant>) -> Result<AccessToken, Error> {
        if !endpoint::is_safe(&self.config.token_url) {
            return Err(Error::Insecure { url: self.config.token_url.origin().ascii_serialization() });
        }
        let account = self.config.account.clone();
        let error = match endpoint::refresh(&self.config, &grant.refresh_token, self.deadline).await {
            Answer::Granted { access, expires_in, refresh } => {
                let next = refresh.map_or_else(|| grant.clone(), |token| self.grant(token));
                self.keep(lock, next, saved).await?;
                return Ok(self.granted(access, expires_in));
            }
            Answer::NeedsLogin { error, description } => {
                let refused = Error::Refused { account, error, description };
                // An import that fails leaves the saved login as it was.
                if let Some(saved) = saved {
                    let mut state = self.state();
                    state.lease = None;
                    state.refusal = Some((saved.refresh_token, refused.clone()));
                }
                return Err(refused);
            }
            Answer::Retry { after, cause } => Error::unavailable(&account, &cause, after),
            Answer::GiveUp { error, description, advice } => {
                Error::Client { account, error, description, advice }
            }
        };
        Err(self.failed(error))
    }

    /// Makes `next` durable if it is not what the file holds.
    async fn keep(&self, lock: &Lock, next: Grant, saved: Option<Grant>) -> Result<(), Error> {
        if saved.as_ref().is_some_and(|saved| is_same(&saved.refresh_token, &next.refresh_token)) {
            return Ok(());
        }
        let lock = lock.clone();
        let grant = next.clone();
        let written = self.on_disk(move |store| store.save(&lock, &grant, Timestamp::now())).await;
        self.state().unsaved = match (&written, saved) {
            (Err(_), Some(saved)) => Some((saved.refresh_token, next)),
            _ => None,
        };
        written.map_err(|error| self.failed(error))
    }

    fn granted(&self, access: SecretString, life: Option<Duration>) -> AccessToken {
        let lease = Lease::new(access, life, now(), fastrand::f64());
        let token = lease.token.clone();
        let mut state = self.state();
        state.lease = Some(lease);
        state.refusal = None;
        state.failure = None;
        state.failures = 0;
        token
    }

    /// Remembers a failure, so that nobody asks again before its pause is over.
    fn failed(&self, error: Error) -> Error {
        let mut state = self.state();
        let pause = Backoff::CONNECTION.delay(state.failures, fastrand::f64());
        let asked = match error.class() {
            Class::Retry { after } => after.unwrap_or_default(),
            // Only a changed configuration helps, and that makes another keeper.
            _ => Backoff::CONNECTION.ceiling,
        };
        state.failures = state.failures.saturating_add(1);
        state.failure = Some((error.clone(), now().after(pause.max(asked))));
        error
    }

    /// The last failure again, while its pause lasts.
    fn check_pause(&self) -> Result<(), Error> {
        let now = now();
        let Some((error, then)) = self.state().failure.clone() else { return Ok(()) };
        let Some(wait) = remaining(now, then) else { return Ok(()) };
        Err(match error {
            Error::Unavailable { account, cause, .. } => {
                Error::Unavailable { account, cause, after: Some(wait) }
            }
            other => other,
        })
    }

    /// A refresh token is sent only to the endpoint that issued it, as the client that it was issued to.
    fn check_owner(&self, saved: &Grant) -> Result<(), Error> {
        if saved.issuer == self.config.token_url && saved.client_id == self.config.client_id {
            return Ok(());
        }
        Err(Error::OtherClient {
            account: self.config.account.clone(),
            client_id: saved.client_id.clone(),
            issuer: saved.issuer.origin().ascii_serialization(),
        })
    }

    /// The refusal again, while the file still holds the token that was refused.
    fn check_refusal(&self, saved: &Grant) -> Result<(), Error> {
        match &self.state().refusal {
            Some((token, error)) if is_same(token, &saved.refresh_token) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// The rotated token that the disk refused, unless the file has moved on; else what the file holds.
    fn newest(&self, saved: &Grant) -> Grant {
        match &self.state().unsaved {
            Some((replaced, next)) if is_same(replaced, &saved.refresh_token) => next.clone(),
            _ => saved.clone(),
        }
    }

    fn grant(&self, refresh_token: SecretString) -> Grant {
        let issuer = self.config.token_url.clone();
        Grant { refresh_token, issuer, client_id: self.config.client_id.clone() }
    }

    async fn lock(&self) -> Result<Lock, Error> {
        let asked = tokio::time::Instant::now();
        loop {
            if let Some(lock) = self.on_disk(|store| store.try_lock()).await? {
                return Ok(lock);
            }
            if asked.elapsed() > LOCK_PATIENCE {
                return Err(self.unavailable("another process has been refreshing the token for long", None));
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
    }

    /// Runs file work off the reactor.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|_| Err(self.unavailable("the program is ending", None)))
    }

    fn unavailable(&self, cause: &str, after: Option<Duration>) -> Error {
        Error::unavailable(&self.config.account, cause, after)
    }

    /// Never held across an await. A poisoned lock is taken over: every change to the state is a plain assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

/// How long until `then`; nothing once either clock has reached it.
fn remaining(now: Moment, then: Moment) -> Option<Duration> {
    (!now.has_reached(then)).then(|| then.boot.saturating_sub(now.boot))
}

/// Both clocks. The boot clock has whole seconds, which is enough for lives of minutes.
fn now() -> Moment {
    let boot = Duration::from_secs(u64::try_from(rustix::system::sysinfo().uptime).unwrap_or_default());
    Moment { wall: Timestamp::now(), boot }
}

#[cfg(test)]
mod tests;
