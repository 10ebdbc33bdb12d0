//! One refresh: the lock, the saved token, the request, and all that follows from the answer.
//!
//! The file is read anew before each request: another process may have logged in or rotated the token. A rotated token
//! is durable before its access token is handed out; where the disk refuses, it is kept in memory and tried again,
//! since the old one may be dead. A refused refresh token is never sent a second time, and nothing is asked while the
//! pause after a failure lasts. Callers have the keeper's turn; this file must not know who waits for it.

use super::KeeperConfig;
use crate::backoff::Backoff;
use crate::error::{Class, Classified};
use crate::oauth::answer::{Answer, words};
use crate::oauth::endpoint;
use crate::oauth::error::Error;
use crate::oauth::flow::app::{self, App};
use crate::oauth::flow::{self, Granted};
use crate::oauth::store::{Grant, Lock, Store};
use crate::oauth::token::{AccessToken, Lease, Moment};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use url::Url;

/// Between forced refreshes: a server that refuses every token must not make us hammer the token endpoint.
const FORCED_PAUSE: Duration = Duration::from_secs(10);
/// For the lock of another process: longer than its request may take.
const LOCK_PATIENCE: Duration = Duration::from_secs(45);
/// For a program whose own login is refused.
const APP_ADVICE: &str =
    "check the key, this machine's clock, and that the administrator allowed the application for this person";
/// Between looks at that lock; flock has no deadline of its own.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// What the clones of a keeper share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) config: KeeperConfig,
    pub(super) store: Store,
    deadline: Duration,
    state: Mutex<State>,
}

/// What is remembered between refreshes.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) lease: Option<Lease>,
    /// What was asked for and not given with it.
    pub(super) missing_scopes: Vec<String>,
    /// The refresh token that was refused, and how.
    refusal: Option<(SecretString, Error)>,
    /// The last failure, when it is over, and how many came in a row.
    pub(super) failure: Option<(Error, Moment)>,
    failures: u32,
    /// No forced refresh before this.
    pub(super) force_after: Option<Moment>,
    /// A rotated token that the disk refused, and the one in the file that it replaces.
    unsaved: Option<(SecretString, Grant)>,
}

impl Inner {
    pub(super) fn new(config: KeeperConfig, deadline: Duration) -> Inner {
        let store = Store::new(config.store.clone(), config.account.clone(), config.is_sealed);
        Inner { config, store, deadline, state: Mutex::default() }
    }

    /// Forgets the login here and on disk.
    pub(super) async fn forget(&self) -> Result<(), Error> {
        let lock = self.lock().await?;
        *self.state() = State::default();
        self.on_disk(move |store| store.forget(&lock)).await
    }

    /// Proves a refresh token by a refresh, and only then saves it.
    pub(super) async fn import(&self, refresh_token: SecretString) -> Result<AccessToken, Error> {
        let lock = self.lock().await?;
        self.exchange(&lock, &self.grant(refresh_token), None).await
    }

    /// Saves what a login gave; durable before its access token is handed out.
    pub(super) async fn adopt(&self, granted: Granted) -> Result<AccessToken, Error> {
        let Granted { access, life, refresh } = granted;
        let lock = self.lock().await?;
        self.keep(&lock, self.grant(refresh), None).await?;
        Ok(self.granted(access, life))
    }

    /// The token at hand while it is not due.
    pub(super) fn fresh(&self) -> Option<AccessToken> {
        let now = now();
        self.state().lease.as_ref().filter(|lease| !lease.is_due(now)).map(|lease| lease.token.clone())
    }

    /// Makes a token of another process the one at hand, for the rest of its life.
    pub(super) fn lend(&self, token: AccessToken) {
        let left =
            |end: Timestamp| Duration::try_from(end.duration_since(Timestamp::now())).unwrap_or_default();
        let life = token.expires.map(left);
        self.state().lease.get_or_insert_with(|| Lease::new(token.secret, life, now(), fastrand::f64()));
    }

    /// The token at hand while the server still takes it.
    pub(super) fn unexpired(&self) -> Option<AccessToken> {
        let now = now();
        self.state().lease.as_ref().filter(|lease| !lease.is_over(now)).map(|lease| lease.token.clone())
    }

    /// Drops the token at hand and refreshes, but not again and again.
    pub(super) async fn force(&self) -> Result<AccessToken, Error> {
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

    /// A new access token by the saved login, unless a pause or a refusal stands against it.
    pub(super) async fn refresh(&self) -> Result<AccessToken, Error> {
        self.check_pause()?;
        if let Some(app) = &self.config.app {
            return self.obtain(app).await;
        }
        let lock = self.lock().await?;
        let saved = self.on_disk(|store| store.load()).await?;
        let saved = saved.ok_or_else(|| Error::NotLoggedIn { account: self.config.account.clone() })?;
        self.check_owner(&saved)?;
        self.check_refusal(&saved)?;
        let current = self.newest(&saved);
        self.exchange(&lock, &current, Some(saved)).await
    }

    /// A new access token for a program that logs in as itself: nothing is saved, and a refusal is no person's to mend.
    async fn obtain(&self, app: &App) -> Result<AccessToken, Error> {
        let account = self.config.account.clone();
        let error = match app::request(&self.config, app, self.deadline).await {
            Ok(Answer::Granted { access, expires_in, .. }) => return Ok(self.granted(access, expires_in)),
            Ok(Answer::Retry { after, cause }) => Error::unavailable(&account, &cause, after),
            Ok(Answer::GiveUp { error, description, advice }) => {
                Error::Client { account, error, description, advice }
            }
            Ok(Answer::NeedsLogin { error, description }) => {
                Error::Client { account, error, description, advice: APP_ADVICE }
            }
            Err(error) => error,
        };
        Err(self.failed(error))
    }

    /// Has the server forget the saved refresh token (RFC 7009 §2); `false` where none is saved.
    pub(super) async fn revoke(&self, url: &Url) -> Result<bool, Error> {
        endpoint::check_safe(url)?;
        let _lock = self.lock().await?;
        let Some(saved) = self.on_disk(|store| store.load()).await? else { return Ok(false) };
        self.check_owner(&saved)?;
        let current = self.newest(&saved);
        let token = current.refresh_token.expose_secret();
        let mut form = vec![
            ("token", token),
            ("token_type_hint", "refresh_token"),
            ("client_id", &self.config.client_id),
        ];
        if let Some(secret) = &self.config.client_secret {
            form.push(("client_secret", secret.expose_secret()));
        }
        let cause = match endpoint::post(url, &form, self.deadline).await {
            Ok(raw) if raw.status == 200 || raw.error().as_deref() == Some("invalid_token") => {
                return Ok(true);
            }
            Ok(raw) => match raw.error() {
                Some(error) => format!("the revocation endpoint refuses ({})", words(&error)),
                None => format!("the revocation endpoint answered {}", raw.status),
            },
            Err(cause) => cause,
        };
        Err(Error::NotRevoked { account: self.config.account.clone(), cause })
    }

    /// One request with `grant`, and all that follows from its answer; `saved` is what stands in the file.
    async fn exchange(&self, lock: &Lock, grant: &Grant, saved: Option<Grant>) -> Result<AccessToken, Error> {
        endpoint::check_safe(&self.config.token_url)?;
        let account = self.config.account.clone();
        let error = match endpoint::refresh(&self.config, &grant.refresh_token, self.deadline).await {
            Answer::Granted { access, expires_in, refresh, scope } => {
                self.state().missing_scopes = flow::missing(&self.config.scopes, scope.as_deref());
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
        let mut state = self.state();
        match (&written, saved) {
            (Ok(()), _) => state.unsaved = None,
            (Err(_), Some(saved)) => state.unsaved = Some((saved.refresh_token, next)),
            (Err(_), None) => {}
        }
        drop(state);
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
            // A changed configuration helps, and makes another keeper; or a change at the provider, and then a login.
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

    pub(super) fn grant(&self, refresh_token: SecretString) -> Grant {
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

    pub(super) fn unavailable(&self, cause: &str, after: Option<Duration>) -> Error {
        Error::unavailable(&self.config.account, cause, after)
    }

    /// Never held across an await. A poisoned lock is taken over: every change to the state is a plain assignment.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
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
pub(super) fn now() -> Moment {
    let boot = Duration::from_secs(u64::try_from(rustix::system::sysinfo().uptime).unwrap_or_default());
    Moment { wall: Timestamp::now(), boot }
}
