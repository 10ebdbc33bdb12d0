//! The device flow: RFC 8628 with its interval, `slow_down`, expiry, and the page where a person types the code.

use std::time::{Duration, Instant};

use super::http::{Answer, Request};
use super::state::State;

/// A device that waits for its person.
pub(super) struct Device {
    user_code: String,
    client: String,
    scope: Vec<String>,
    expires: Instant,
    interval: Duration,
    polled: Option<Instant>,
    decision: Decision,
}

enum Decision {
    Open,
    Allowed(String, Vec<String>),
    Denied,
}

impl State {
    /// `POST /device` (RFC 8628 §3.1) of a known client.
    pub(super) fn begin_device(&mut self, request: &Request, client: &str) -> Result<Answer, Answer> {
        self.failure("/device").map_or(Ok(()), Err)?;
        let scope: Vec<String> = request.posted("scope").split_whitespace().map(str::to_owned).collect();
        let (code, user_code) = (self.secret("device"), user_code());
        let verification = format!("{}/activate", self.base);
        let answer = Answer::json(
            200,
            &serde_json::json!({
                "device_code": code,
                "user_code": user_code,
                "verification_uri": verification,
                "verification_uri_complete": format!("{verification}?user_code={user_code}"),
                "expires_in": self.device_lifetime.as_secs(),
                "interval": self.device_interval,
            }),
        );
        let device = Device {
            user_code,
            client: client.to_owned(),
            scope,
            expires: Instant::now() + self.device_lifetime,
            interval: Duration::from_secs(self.device_interval),
            polled: None,
            decision: Decision::Open,
        };
        self.devices.insert(code, device);
        Ok(answer)
    }

    /// `GET /activate`: the page for the person (RFC 8628 §3.3).
    pub(super) fn activation_page(&self, request: &Request) -> Answer {
        let code = request.asked("user_code").replace(['"', '<', '>'], "");
        let body = format!(
            "<p>Type the code that your device shows.<form method=post action=/activate>\
             <p><label>Code <input name=user_code value=\"{code}\"></label>\
             <p><label>Account <input name=user value=alice></label>\
             <p><button name=decision value=allow>Allow</button> <button name=decision value=deny>Deny</button></form>"
        );
        Answer::page(200, "Connect a device", &body)
    }

    /// `POST /activate`: what the person decided.
    pub(super) fn activate(&mut self, request: &Request) -> Answer {
        let typed = request.posted("user_code");
        let found = self.devices.values_mut().find(|device| device.user_code == typed);
        let Some(device) = found else { return Answer::page(400, "Unknown code", "<p>Look again.") };
        if device.expires <= Instant::now() {
            return Answer::page(400, "Too late", "<p>The code has expired.");
        }
        if request.posted("decision") != "allow" {
            device.decision = Decision::Denied;
            return Answer::page(200, "Denied", "<p>The device gets no access.");
        }
        device.decision = Decision::Allowed(request.posted("user").to_owned(), device.scope.clone());
        Answer::page(200, "Device connected", "<p>You may close this page.")
    }

    /// `grant_type=device_code` (RFC 8628 §3.4, §3.5).
    pub(super) fn poll(&mut self, request: &Request, client: &str) -> Result<Answer, Answer> {
        let now = Instant::now();
        self.polls.push(now);
        self.count(client)?;
        let key = request.posted("device_code");
        let Some(device) = self.devices.get_mut(key).filter(|device| device.client == client) else {
            return Err(Answer::error(400, "invalid_grant", "AADSTS70000: the device code is unknown"));
        };
        if device.expires <= now {
            return Err(Answer::error(400, "expired_token", "AADSTS70019: the verification code expired"));
        }
        let last = device.polled.replace(now);
        if last.is_some_and(|last| now - last < device.interval) {
            device.interval += Duration::from_secs(5);
            return Err(Answer::error(400, "slow_down", "polled too often"));
        }
        let (user, scope) = match &device.decision {
            Decision::Open => {
                let words = "AADSTS70016: OAuth 2.0 device flow error. Authorization is pending.";
                return Err(Answer::error(400, "authorization_pending", words));
            }
            Decision::Denied => return Err(Answer::error(400, "access_denied", "The user said no.")),
            Decision::Allowed(user, scope) => (user.clone(), scope.clone()),
        };
        self.count(&user)?;
        self.devices.remove(key);
        let grant = self.grant(&user, client, scope);
        Ok(self.issued(grant.clone(), Some(grant)))
    }
}

/// Eight consonants: no words, no look-alikes (RFC 8628 §6.1).
fn user_code() -> String {
    const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";
    let letters = |count: usize| -> String {
        (0..count).map(|_| char::from(LETTERS[fastrand::usize(..LETTERS.len())])).collect()
    };
    format!("{}-{}", letters(4), letters(4))
}
