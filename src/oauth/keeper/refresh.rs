//! One refresh: the lock, the saved token, the request, and all that follows from the answer.
//!
//! The file is read anew before each request: another process may have logged in or rotated the token. A rotated token
//! is durable before its access token is handed out; where the disk refuses, both are kept in memory until it takes
//! them, and so is the lock: the token in the file is dead, and another process that sends it is taken for a thief. A
//! refused refresh token is never sent a second time, and nothing is asked while the pause after a failure lasts.
//! Callers have the keeper's turn; this file must not know who waits for it.

use super::{KeeperConfig, LoggedOut};
use crate::application::App;
use crate::backoff::Backoff;
use crate::error::{Class, Classified};
use crate::oauth::answer::{Answer, words};
use crate::oauth::endpoint;
use crate::oauth::error::Error;
use crate::oauth::flow::app;
use crate::oauth::flow::{self, Granted};
use crate::oauth::gate::Gate;
use crate::oauth::store::{Grant, Lock, Store};
use crate::oauth::token::{AccessToken, Lease, Moment};
use crate::task::off_reactor;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use url::Url;

/// Refreshes that the mail server of one account forces by refusing a token, in [`FORCED_SPAN`]: one that refuses every
/// token must not make us hammer the token endpoint. More than one: a token may be revoked twice in a minute. Each
/// account of a shared token has its own, so that one that is refused for ever leaves the others theirs.
const FORCED: usize = 4;
const FORCED_SPAN: Duration = Duration::from_secs(3600);
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
    /// The client's secret as it is now.
    pub(super) client_secret: Mutex<Option<SecretString>>,
    pub(super) store: Store,
    /// Refreshes pass it; what rotates nothing needs not be waited for.
    pub(super) gate: Gate,
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
    /// For which account the last refreshes were forced, and when; at most [`FORCED`] for each.
    pub(super) forced: Vec<(String, Moment)>,
    /// What the disk refused.
    pub(super) unsaved: Option<Unsaved>,
}

/// A rotated token that is not in the file yet, and the access token that came with it.
#[derive(Clone, Debug)]
pub(super) struct Unsaved {
    next: Grant,
    lease: Lease,
    /// Held until it is saved.
    lock: Lock,
}

impl Inner {
    pub(super) fn new(config: KeeperConfig, deadline: Duration) -> Inner {
        let store = Store::new(config.store.clone(), config.account.clone(), config.is_sealed);
        let client_secret = Mutex::new(config.client_secret.clone());
        Inner { config, client_secret, store, gate: Gate::default(), deadline, state: Mutex::default() }
    }

    /// Proves a refresh token by a refresh, and only then saves it.
    pub(super) async fn import(&self, refresh_token: SecretString) -> Result<AccessToken, flow::Error> {
        endpoint::check_safe(&self.config.token_url)?;
        let lock = self.lock().await?;
        let (grant, held) = (self.grant(refresh_token.clone()), lock.clone());
        // The answer may end this token: there must be room for the next one before anything is asked.
        self.on_disk(move |store| store.try_out(&held, &grant)).await?;
        let trip = self.gate.trip();
        let answer = endpoint::refresh(&self.client(), &refresh_token, self.deadline, &trip).await;
        let granted = flow::complete(answer.or_refresh(refresh_token), &self.config)?;
        Ok(self.save_login(&lock, granted).await?)
    }

    /// Saves what a login gave.
    pub(super) async fn adopt(&self, granted: Granted) -> Result<AccessToken, Error> {
        let lock = self.lock().await?;
        self.save_login(&lock, granted).await
    }

    /// Durable before its access token is handed out.
    async fn save_login(&self, lock: &Lock, granted: Granted) -> Result<AccessToken, Error> {
        let Granted { access, life, refresh } = granted;
        let written = self.write(lock, self.grant(refresh)).await;
        written.map_err(|error| self.failed(error))?;
        self.state().missing_scopes.clear();
        Ok(self.granted(Lease::new(access, life, now(), fastrand::f64())))
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

    /// Whether a refresh may be forced for this account, which counts as one.
    pub(super) fn may_force(&self, account: String) -> bool {
        let now = now();
        let forced = &mut self.state().forced;
        forced.retain(|(_, then)| !now.has_reached(then.after(FORCED_SPAN)));
        let is_allowed = forced.iter().filter(|(by, _)| *by == account).count() < FORCED;
        if is_allowed {
            forced.push((account, now));
        }
        is_allowed
    }

    /// A new access token by the saved login, unless a pause or a refusal stands against it.
    pub(super) async fn refresh(&self) -> Result<AccessToken, Error> {
        if self.save_unsaved().await?
            && let Some(token) = self.fresh()
        {
            return Ok(token);
        }
        self.check_pause()?;
        if let Some(app) = &self.config.app {
            return self.obtain(app).await;
        }
        let lock = self.lock().await?;
        let saved = self.on_disk(|store| store.load()).await?;
        let saved = saved.ok_or_else(|| Error::NotLoggedIn { account: self.config.account.clone() })?;
        self.check_owner(&saved)?;
        self.check_refusal(&saved)?;
        self.exchange(&lock, saved).await
    }

    /// Tries once more to save what the disk refused; whether there was something.
    pub(super) async fn save_unsaved(&self) -> Result<bool, Error> {
        let unsaved = self.state().unsaved.clone();
        let Some(Unsaved { next, lease, lock }) = unsaved else { return Ok(false) };
        self.write(&lock, next).await?;
        self.granted(lease);
        Ok(true)
    }

    /// A new access token for a program that logs in as itself: nothing is saved, and a refusal is no person's to mend.
    async fn obtain(&self, app: &App) -> Result<AccessToken, Error> {
        let account = self.config.account.clone();
        let error = match app::request(&self.client(), app, self.deadline).await {
            Ok(Answer::Granted { access, expires_in, .. }) => {
                return Ok(self.granted(Lease::new(access, expires_in, now(), fastrand::f64())));
            }
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

    /// Forgets the login here and on disk, and before that has the server forget it. Under one lock: nobody else finds a
    /// token in the file that is revoked already.
    pub(super) async fn log_out(&self, revoke_url: Option<&Url>) -> Result<LoggedOut, Error> {
        let lock = self.lock().await?;
        let revoked = match revoke_url {
            Some(url) => self.revoke(url).await,
            None => Ok(false),
        };
        *self.state() = State::default();
        self.on_disk(move |store| store.forget(&lock)).await?;
        Ok(LoggedOut { revoked })
    }

    /// Has the server forget the refresh token (RFC 7009 §2); `false` where there is none.
    async fn revoke(&self, url: &Url) -> Result<bool, Error> {
        endpoint::check_safe(url)?;
        let unsaved = self.state().unsaved.as_ref().map(|unsaved| unsaved.next.clone());
        let current = match unsaved {
            Some(next) => next,
            None => match self.on_disk(|store| store.load()).await? {
                Some(saved) => saved,
                None => return Ok(false),
            },
        };
        self.check_owner(&current)?;
        let (token, client) = (current.refresh_token.expose_secret(), self.client());
        let mut form = vec![
            ("token", token),
            ("token_type_hint", "refresh_token"),
            ("client_id", &self.config.client_id),
        ];
        if let Some(secret) = &client.client_secret {
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

    /// One request with what the file holds, and all that follows from its answer.
    async fn exchange(&self, lock: &Lock, saved: Grant) -> Result<AccessToken, Error> {
        endpoint::check_safe(&self.config.token_url)?;
        let account = self.config.account.clone();
        let trip = self.gate.trip();
        let answer = endpoint::refresh(&self.client(), &saved.refresh_token, self.deadline, &trip).await;
        let error = match answer {
            Answer::Granted { access, expires_in, refresh, scope } => {
                self.state().missing_scopes = flow::missing(&self.config.scopes, scope.as_deref());
                let lease = Lease::new(access, expires_in, now(), fastrand::f64());
                let next = refresh.filter(|token| !is_same(token, &saved.refresh_token));
                return match next {
                    Some(token) => self.rotate(lock, self.grant(token), lease).await,
                    None => Ok(self.granted(lease)),
                };
            }
            Answer::NeedsLogin { error, description } => {
                let refused = Error::Refused { account, error, description };
                let mut state = self.state();
                state.lease = None;
                state.refusal = Some((saved.refresh_token, refused.clone()));
                return Err(refused);
            }
            Answer::Retry { after, cause } => Error::unavailable(&account, &cause, after),
            Answer::GiveUp { error, description, advice } => {
                Error::Client { account, error, description, advice }
            }
        };
        Err(self.failed(error))
    }

    /// Makes a rotated token durable, and only then hands out the access token that came with it.
    async fn rotate(&self, lock: &Lock, next: Grant, lease: Lease) -> Result<AccessToken, Error> {
        if let Err(error) = self.write(lock, next.clone()).await {
            self.state().unsaved = Some(Unsaved { next, lease, lock: lock.clone() });
            return Err(self.failed(error));
        }
        Ok(self.granted(lease))
    }

    async fn write(&self, lock: &Lock, grant: Grant) -> Result<(), Error> {
        let lock = lock.clone();
        self.on_disk(move |store| store.save(&lock, &grant, Timestamp::now())).await
    }

    /// All is well: this access token serves, and what stood before is over.
    fn granted(&self, lease: Lease) -> AccessToken {
        let token = lease.token.clone();
        let mut state = self.state();
        let State { missing_scopes, forced, .. } = std::mem::take(&mut *state);
        *state = State { lease: Some(lease), missing_scopes, forced, ..State::default() };
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
            // A wait only where the server named one: nobody asked for a pause of our own.
            Error::Unavailable { account, cause, after } => {
                Error::Unavailable { account, cause, after: after.and(Some(wait)) }
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
            // With its path: tenants of one host differ in nothing else.
            issuer: format!("{}{}", saved.issuer.origin().ascii_serialization(), saved.issuer.path()),
        })
    }

    /// The refusal again, while the file still holds the token that was refused.
    fn check_refusal(&self, saved: &Grant) -> Result<(), Error> {
        match &self.state().refusal {
            Some((token, error)) if is_same(token, &saved.refresh_token) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    pub(super) fn grant(&self, refresh_token: SecretString) -> Grant {
        let issuer = self.config.token_url.clone();
        Grant { refresh_token, issuer, client_id: self.config.client_id.clone() }
    }

    async fn lock(&self) -> Result<Lock, Error> {
        let held = self.state().unsaved.as_ref().map(|unsaved| unsaved.lock.clone());
        if let Some(held) = held {
            return Ok(held);
        }
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
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.store.clone();
        off_reactor(move || work(&store)).await
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
