//! What an answer of the token endpoint means (RFC 6749 §5). Pure.
//!
//! The decision hangs on the HTTP status and on `error`, never on `error_description` or the numbers in it: those
//! change without notice. A login is declared lost only by a well-formed error object under a 4xx status; anything
//! that a broken network, a captive portal or an overloaded server could have said is [`Answer::Retry`]. Words of the
//! server are shortened and cleaned before they may be shown, because some servers echo what they were sent.
//! Rejected: the parser of the oauth2 crate; it refuses `expires_in` as a string and its errors print the body.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// Longest life believed: it also makes an account refresh weekly, long before the 90 days of idleness (Microsoft)
/// or 6 months (Google) after which a refresh token dies.
const LONGEST_LIFE: Duration = Duration::from_secs(7 * 86_400);
/// Longest wait that a server may ask for; a user would notice more.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);
/// Server text worth showing; a correlation id fits.
const WORDS: usize = 300;
/// A single word longer than this is no prose but a token; a UUID has 36.
const WORD: usize = 40;

/// What the token endpoint said.
#[derive(Debug)]
pub enum Answer {
    /// A new access token.
    Granted {
        /// The token.
        access: SecretString,
        /// Its life, if named.
        expires_in: Option<Duration>,
        /// The new refresh token where the server rotates them; else the old one stays good.
        refresh: Option<SecretString>,
        /// The scopes granted, where they are named; else those asked for (RFC 6749 §5.1).
        scope: Option<String>,
    },
    /// The refresh token is dead: only a login helps.
    NeedsLogin {
        /// The code, RFC 6749 §5.2 or OpenID Connect Core §3.1.2.6.
        error: String,
        /// The server's words, cleaned.
        description: String,
    },
    /// Passing trouble; the refresh token is as good as before.
    Retry {
        /// The least time to wait, if the server named one.
        after: Option<Duration>,
        /// What was wrong with the answer.
        cause: String,
    },
    /// The request itself is refused; repeating it cannot help.
    GiveUp {
        /// The code.
        error: String,
        /// The server's words, cleaned.
        description: String,
        /// Which setting to look at.
        advice: &'static str,
    },
}

impl Answer {
    /// The same with `token` as the refresh token where the server gave no new one: the old one stays good.
    pub(super) fn or_refresh(self, token: SecretString) -> Answer {
        match self {
            Answer::Granted { access, expires_in, refresh, scope } => {
                Answer::Granted { access, expires_in, refresh: refresh.or(Some(token)), scope }
            }
            other => other,
        }
    }
}

/// The members that matter, each as loosely typed as servers send it.
#[derive(Deserialize)]
struct Body {
    access_token: Option<String>,
    token_type: Option<Value>,
    expires_in: Option<Value>,
    refresh_token: Option<String>,
    scope: Option<Value>,
    error: Option<Value>,
    error_description: Option<Value>,
    correlation_id: Option<Value>,
}

/// Reads an answer: its status, its `Retry-After` header, its body, and the time it came at.
pub fn classify(status: u16, retry_after: Option<&str>, body: &[u8], now: Timestamp) -> Answer {
    let retry = |cause: String| Answer::Retry { after: retry_after.and_then(|text| wait(text, now)), cause };
    let json = serde_json::from_slice::<Body>(body);
    match (status, json) {
        (200, Ok(body)) => granted(body).unwrap_or_else(|cause| retry(cause.into())),
        (200, Err(_)) => retry("the token endpoint answered with something that is not JSON; does the network ask for a login page?".into()),
        (429, _) => retry("the token endpoint asks to slow down".into()),
        (400..=499, Ok(body)) => refused(&body).unwrap_or_else(|| retry(unknown(status, &body))),
        _ => retry(format!("the token endpoint answered {status}")),
    }
}

fn granted(body: Body) -> Result<Answer, &'static str> {
    let Some(access) = body.access_token.filter(|token| !token.is_empty()) else {
        return Err("the token endpoint answered without an access token");
    };
    if body.token_type.is_some_and(|kind| !kind.as_str().is_some_and(|k| k.eq_ignore_ascii_case("bearer"))) {
        return Err("the token endpoint gave a token that is no bearer token");
    }
    Ok(Answer::Granted {
        access: access.into(),
        expires_in: body.expires_in.as_ref().and_then(life),
        refresh: body.refresh_token.filter(|token| !token.is_empty()).map(SecretString::from),
        scope: body.scope.as_ref().and_then(Value::as_str).map(str::to_owned),
    })
}

fn refused(body: &Body) -> Option<Answer> {
    let error = body.error.as_ref()?.as_str()?;
    let description = described(body);
    match (error, advice(error)) {
        ("invalid_grant" | "interaction_required" | "consent_required" | "login_required", _) => {
            Some(Answer::NeedsLogin { error: error.to_owned(), description })
        }
        (_, Some(advice)) => Some(Answer::GiveUp { error: error.to_owned(), description, advice }),
        _ => None,
    }
}

/// A refusal that is not known to be permanent, with its code if there is one.
fn unknown(status: u16, body: &Body) -> String {
    let description = described(body);
    match body.error.as_ref().and_then(Value::as_str).map(words) {
        Some(code) if !code.is_empty() && description.is_empty() => {
            format!("the token endpoint answered {status} ({code})")
        }
        Some(code) if !code.is_empty() => {
            format!("the token endpoint answered {status} ({code}): {description}")
        }
        _ => format!("the token endpoint answered {status} without an error code"),
    }
}

/// The description, with the identifier by which an administrator finds the attempt: Microsoft sends it as a member too,
/// and the description is often longer than what is kept of it.
fn described(body: &Body) -> String {
    let text =
        |member: &Option<Value>| member.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
    let (description, id) = (words(&text(&body.error_description)), text(&body.correlation_id));
    let is_id = id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    match is_id && !description.contains(&id) {
        true => format!("{description} Correlation ID: {id}"),
        false => description,
    }
}

/// Which setting to look at; codes that are missing here are not known to be permanent.
pub(super) fn advice(error: &str) -> Option<&'static str> {
    Some(match error {
        "invalid_client" => {
            "check `client_id` and `client_secret`: the secret is wrong or expired, or must be left out"
        }
        "unauthorized_client" => {
            "check `client_id` and `tenant`: an administrator may have to approve the application"
        }
        "invalid_scope" => "check `scopes`",
        "unsupported_grant_type" => "check `token_url`: it does not take refresh tokens",
        "invalid_request" => "check `token_url` and `tenant`",
        "deleted_client" | "disabled_client" => "check `client_id`: the application no longer exists",
        "redirect_uri_mismatch" => "check `redirect`, and that the client is one of a desktop application",
        "disallowed_useragent" => "log in with a full browser, not inside another program",
        "admin_policy_enforced" | "org_internal" => {
            "ask the administrator of your organisation to allow the application"
        }
        _ => return None,
    })
}

/// `expires_in` as number or string; what makes no sense is no life at all, or one within bounds.
pub(super) fn life(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse::<f64>().ok().filter(|seconds| !seconds.is_nan())?,
        _ => return None,
    };
    Some(Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_LIFE.as_secs_f64())))
}

/// `Retry-After` as seconds or as a date (RFC 9110 §10.2.3).
fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let named = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(date.duration_since(now)).unwrap_or_default()
        }
    };
    Some(named.min(LONGEST_WAIT))
}

/// Foreign text made fit to be shown: one line, bounded, no control characters, nothing that could be a token.
pub fn words(text: &str) -> String {
    let mut shown = String::new();
    for word in text.split_whitespace() {
        if shown.len() + word.len().min(WORD) >= WORDS {
            shown.push_str(" …");
            break;
        }
        if !shown.is_empty() {
            shown.push(' ');
        }
        match word.chars().count() {
            0..=WORD => shown.extend(word.chars().filter(|c| !c.is_control())),
            _ => shown.push('…'),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn now() -> Timestamp {
        "2026-11-22T08:00:00Z".parse().unwrap()
    }

    fn read(status: u16, body: &str) -> Answer {
        classify(status, None, body.as_bytes(), now())
    }

    fn life_of(expires_in: &str) -> Option<Duration> {
        match read(200, &format!(r#"{{"access_token":"a","expires_in":{expires_in}}}"#)) {
            Answer::Granted { expires_in, .. } => expires_in,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_grant_may_or_may_not_rotate() {
        let Answer::Granted { access, expires_in, refresh, scope } = read(
            200,
            r#"{"token_type":"Bearer","access_token":"a1","expires_in":3599,"refresh_token":"r2","scope":"x"}"#,
        ) else {
            panic!()
        };
        assert_eq!(access.expose_secret(), "a1");
        assert_eq!(expires_in, Some(Duration::from_secs(3599)));
        assert_eq!(refresh.unwrap().expose_secret(), "r2");
        assert_eq!(scope.as_deref(), Some("x"));
        let kept = read(200, r#"{"access_token":"a1","refresh_token":""}"#);
        assert!(matches!(kept, Answer::Granted { refresh: None, expires_in: None, scope: None, .. }));
    }

    #[test]
    fn expires_in_is_taken_in_every_form_seen_and_clamped() {
        assert_eq!(life_of("3600"), Some(Duration::from_secs(3600)));
        assert_eq!(life_of("\"3600\""), Some(Duration::from_secs(3600)));
        assert_eq!(life_of("3600.0"), Some(Duration::from_secs(3600)));
        assert_eq!(life_of("-5"), Some(Duration::ZERO));
        assert_eq!(life_of("1e300"), Some(LONGEST_LIFE));
        assert_eq!(life_of("\"inf\""), Some(LONGEST_LIFE));
        for nonsense in ["null", "\"soon\"", "\"NaN\"", "{}", "[1]", "true"] {
            assert_eq!(life_of(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn only_a_well_formed_refusal_costs_the_login() {
        for error in ["invalid_grant", "interaction_required", "consent_required", "login_required"] {
            let body = format!(r#"{{"error":"{error}","error_description":"AADSTS700082: expired"}}"#);
            let Answer::NeedsLogin { error: code, description } = read(400, &body) else { panic!("{error}") };
            assert_eq!((code.as_str(), description.as_str()), (error, "AADSTS700082: expired"));
            for status in [200, 302, 429, 500, 503] {
                assert!(matches!(read(status, &body), Answer::Retry { .. }), "{status} {error}");
            }
        }
        let misleading =
            r#"{"error":"temporarily_unavailable","error_description":"invalid_grant AADSTS70008"}"#;
        assert!(matches!(read(400, misleading), Answer::Retry { .. }));
    }

    #[test]
    fn the_correlation_id_outlives_a_long_description() {
        let id = "01234567-89ab-cdef-0123-456789abcdef";
        let told = |text: &str, id: &str| {
            let body = format!(
                r#"{{"error":"invalid_grant","error_description":"{text}","correlation_id":"{id}"}}"#
            );
            match read(400, &body) {
                Answer::NeedsLogin { description, .. } => description,
                other => panic!("{other:?}"),
            }
        };
        let long = told(&format!("AADSTS53003: {} Correlation ID: {id}", "words ".repeat(100)), id);
        assert!(long.ends_with(&format!("… Correlation ID: {id}")), "{long}");
        assert_eq!(told(&format!("Correlation ID: {id}"), id), format!("Correlation ID: {id}"));
        assert_eq!(told("short", "a token that is not an identifier..."), "short");
    }

    #[test]
    fn a_refused_client_names_the_setting() {
        for (error, field) in [
            ("invalid_client", "client_secret"),
            ("unauthorized_client", "tenant"),
            ("invalid_scope", "scopes"),
            ("unsupported_grant_type", "token_url"),
        ] {
            let Answer::GiveUp { advice, .. } = read(401, &format!(r#"{{"error":"{error}"}}"#)) else {
                panic!("{error}")
            };
            assert!(advice.contains(field), "{advice}");
        }
    }

    #[test]
    fn noise_is_retried() {
        for (status, body) in [
            (200, "<html>Please log in to the hotel</html>"),
            (200, ""),
            (200, "{}"),
            (200, "[]"),
            (200, r#"{"access_token":""}"#),
            (200, r#"{"access_token":7}"#),
            (200, r#"{"access_token":"a","token_type":"mac"}"#),
            (302, ""),
            (307, "{}"),
            (400, "<html>"),
            (400, r#"{"error":{"code":400}}"#),
            (400, r#"{"error":"something_new"}"#),
            (404, "not found"),
            (429, "{}"),
            (500, "{\"error\":\"server_error\"}"),
            (0, ""),
            (65535, "\u{0}"),
        ] {
            assert!(matches!(read(status, body), Answer::Retry { after: None, .. }), "{status} {body}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_within_a_day() {
        let after = |text: &str| match classify(503, Some(text), b"", now()) {
            Answer::Retry { after, .. } => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        assert_eq!(after("Sun, 22 Nov 2026 08:02:00 GMT"), Some(Duration::from_secs(120)));
        assert_eq!(after("Sun, 22 Nov 2020 08:02:00 GMT"), Some(Duration::ZERO));
        assert_eq!(after("99999999999"), Some(LONGEST_WAIT));
        assert_eq!(after("-3"), None);
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn words_shown_hold_no_token_and_no_control_character() {
        let token = "1//0gCANARY".repeat(6);
        assert_eq!(words(&format!("bad\ttoken {token}\r\nat \u{1b}[2Jhost")), "bad token … at [2Jhost");
        assert!(words(&"word ".repeat(1000)).len() <= WORDS + 8);
    }
}
