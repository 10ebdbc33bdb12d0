//! The device authorization flow (RFC 8628): a code on this screen, the login on any other one.
//!
//! Invariants: the token endpoint is asked no more often than it said, 5 s less often for each `slow_down`, and half as
//! often after each failure of the network in a row; for the last time shortly before the code ends, and not at all
//! afterwards. An address that is not https is never shown to a person. Rejected: the polling of oauth2, which loses `Retry-After` and looks at a clock of its own.

use super::{Error, Granted, complete};
use crate::oauth::answer::{Answer, life, words};
use crate::oauth::endpoint::{self, Raw};
use crate::oauth::keeper::KeeperConfig;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// RFC 8628 §3.2, where the server names none.
const USUAL_INTERVAL: Duration = Duration::from_secs(5);
/// A server that says 0 is asked this often.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// RFC 8628 §3.5.
const SLOWER: Duration = Duration::from_secs(5);
/// The longest pause of our own choice: somebody who has logged in is waiting.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So long before its end a code is asked for once more: the request has to arrive.
const LAST_LOOK: Duration = Duration::from_secs(2);
/// Where the server does not say how long its code is good.
const USUAL_LIFE: Duration = Duration::from_secs(900);
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What a person needs to log in elsewhere.
#[derive(Debug)]
pub struct Invitation {
    /// The code to be typed in, cleaned.
    pub user_code: String,
    /// Where to type it; https.
    pub address: Url,
    /// The same address with the code in it, for a camera.
    pub direct: Option<Url>,
    /// How long the code is good.
    pub life: Duration,
    device_code: SecretString,
    interval: Duration,
}

/// RFC 8628 §3.2; Google writes `verification_url`.
#[derive(Deserialize)]
struct Body {
    device_code: String,
    user_code: String,
    #[serde(alias = "verification_url")]
    verification_uri: Url,
    verification_uri_complete: Option<Url>,
    expires_in: Option<Value>,
    interval: Option<Value>,
}

/// Begins a login: asks the device authorization endpoint for a code.
pub async fn begin(config: &KeeperConfig, device_url: &Url) -> Result<Invitation, Error> {
    endpoint::check_safe(device_url)?;
    endpoint::check_safe(&config.token_url)?;
    let scopes = config.scopes.join(" ");
    let mut form = client(config);
    form.push(("scope", &scopes));
    let raw = endpoint::post(device_url, &form, endpoint::DEADLINE).await;
    let raw = raw.map_err(|cause| unavailable(config, &cause))?;
    if raw.status != 200 {
        return Err(match complete(raw.classified(), config) {
            Err(error) => error,
            Ok(_) => unavailable(config, "the device endpoint makes no sense"),
        });
    }
    let body: Body = serde_json::from_slice(&raw.body)
        .map_err(|_| unavailable(config, "the device endpoint answered without a code"))?;
    for address in
        [Some(&body.verification_uri), body.verification_uri_complete.as_ref()].into_iter().flatten()
    {
        endpoint::check_safe(address)?;
    }
    Ok(Invitation {
        user_code: words(&body.user_code),
        address: body.verification_uri,
        direct: body.verification_uri_complete,
        life: body.expires_in.as_ref().and_then(life).unwrap_or(USUAL_LIFE),
        device_code: body.device_code.into(),
        interval: body.interval.as_ref().and_then(life).unwrap_or(USUAL_INTERVAL).max(LEAST_INTERVAL),
    })
}

impl Invitation {
    /// Waits until the person has logged in elsewhere, or the code has ended.
    pub async fn wait(self, config: &KeeperConfig) -> Result<Granted, Error> {
        self.wait_by(&System(Instant::now()), config).await
    }

    async fn wait_by(self, clock: &impl Clock, config: &KeeperConfig) -> Result<Granted, Error> {
        let end = clock.now().saturating_add(self.life);
        let mut pace = Pace { interval: self.interval, least: self.interval, pause: self.interval };
        let mut ended = Error::Expired;
        loop {
            let left = end.saturating_sub(clock.now());
            let nap = pace.pause.min(left.saturating_sub(LAST_LOOK)).max(pace.least);
            if nap >= left {
                clock.sleep(left).await;
                return Err(ended);
            }
            clock.sleep(nap).await;
            let said = self.ask(config).await;
            pace = pace.after(&said);
            ended = match said {
                Said::Pending | Said::SlowDown => Error::Expired,
                // The person may well have used the code.
                Said::Trouble { cause, .. } => unavailable(config, &cause),
                Said::Expired => return Err(Error::Expired),
                Said::Answer(answer) => return complete(answer, config),
            };
        }
    }

    /// One look whether the person is done (RFC 8628 §3.4).
    async fn ask(&self, config: &KeeperConfig) -> Said {
        let mut form = client(config);
        form.extend([("grant_type", GRANT), ("device_code", self.device_code.expose_secret())]);
        match endpoint::post(&config.token_url, &form, endpoint::DEADLINE).await {
            Ok(raw) => meaning(&raw),
            Err(cause) => Said::Trouble { after: None, cause },
        }
    }
}

/// What the token endpoint says to a device that asks.
#[derive(Debug)]
enum Said {
    Pending,
    SlowDown,
    Expired,
    Trouble { after: Option<Duration>, cause: String },
    Answer(Answer),
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
}

fn meaning(raw: &Raw) -> Said {
    let refusal =
        serde_json::from_slice::<Refusal>(&raw.body).ok().filter(|_| (400..500).contains(&raw.status));
    match refusal.as_ref().map(|refusal| refusal.error.as_str()) {
        Some("authorization_pending") => Said::Pending,
        Some("slow_down") => Said::SlowDown,
        // The second is Microsoft's of old.
        Some("expired_token" | "code_expired") => Said::Expired,
        Some("access_denied" | "authorization_declined") => Said::Answer(Answer::NeedsLogin {
            error: "access_denied".into(),
            description: words(&refusal.map(|refusal| refusal.error_description).unwrap_or_default()),
        }),
        _ => match raw.classified() {
            Answer::Retry { after, cause } => Said::Trouble { after, cause },
            other => Said::Answer(other),
        },
    }
}

/// How often is asked.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// As the server wants it in general.
    interval: Duration,
    /// As it wants it this time.
    least: Duration,
    /// As we do it.
    pause: Duration,
}

impl Pace {
    /// RFC 8628 §3.5.
    fn after(self, said: &Said) -> Pace {
        let steady = |interval| Pace { interval, least: interval, pause: interval };
        match said {
            Said::SlowDown => steady(self.interval.saturating_add(SLOWER)),
            Said::Trouble { after, .. } => {
                let least = self.interval.max(after.unwrap_or_default());
                let pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE).max(least);
                Pace { least, pause, ..self }
            }
            Said::Pending | Said::Expired | Said::Answer(_) => steady(self.interval),
        }
    }
}

fn client(config: &KeeperConfig) -> Vec<(&str, &str)> {
    let secret = config.client_secret.as_ref().map(|secret| ("client_secret", secret.expose_secret()));
    std::iter::once(("client_id", config.client_id.as_str())).chain(secret).collect()
}

fn unavailable(config: &KeeperConfig, cause: &str) -> Error {
    Error::Token(crate::oauth::Error::unavailable(&config.account, cause, None))
}

/// Time as a test can make it pass.
trait Clock {
    /// Since some moment.
    fn now(&self) -> Duration;
    fn sleep(&self, span: Duration) -> impl Future<Output = ()> + Send;
}

struct System(Instant);

impl Clock for System {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, span: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(span)
    }
}

#[cfg(test)]
mod tests;
