//! How the authorization server fails when a test wants it to, with the words of real servers.

use std::time::Duration;

use super::http::Answer;

/// How an endpoint fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 400 `invalid_grant`: the user must log in again.
    InvalidGrant,
    /// A refusal in a server's own words.
    Refusal(Refusal),
    /// 500 with an empty body.
    Internal,
    /// 503 with `Retry-After` in seconds.
    Unavailable(u32),
    /// 429 with `Retry-After` in seconds.
    TooMany(u32),
    /// 200 with a web page, as a captive portal answers.
    Html,
    /// 200 with half a JSON object.
    BrokenJson,
    /// The right answer, so much later.
    Slow(Duration),
    /// A body that ends before its announced length.
    Cut,
    /// No answer; the connection stays open until the client gives up.
    Stall,
    /// The connection is closed without an answer.
    Close,
}

/// An error object (RFC 6749 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// `error`, the only member that a client may branch on.
    pub error: &'static str,
    /// `error_description`.
    pub description: &'static str,
}

/// Refusals as the big providers word them (numbers and phrases from their public error lists), with the state that
/// an account must end in.
pub const REFUSALS: &[(Refusal, &str)] = &[
    refusal(400, "invalid_grant", "Token has been expired or revoked.", "needs-login"),
    refusal(
        400,
        "invalid_grant",
        "AADSTS700082: The refresh token has expired due to inactivity. The token was inactive for 90.00:00:00.",
        "needs-login",
    ),
    refusal(
        400,
        "invalid_grant",
        "AADSTS50173: The provided grant has expired due to it being revoked, a fresh auth token is needed.",
        "needs-login",
    ),
    refusal(
        400,
        "invalid_grant",
        "AADSTS50076: Due to a configuration change made by your administrator, you must use multi-factor authentication.",
        "needs-login",
    ),
    refusal(
        400,
        "interaction_required",
        "AADSTS53003: Access has been blocked by Conditional Access policies.",
        "needs-login",
    ),
    refusal(
        400,
        "consent_required",
        "AADSTS65001: The user or administrator has not consented to use the application.",
        "needs-login",
    ),
    refusal(400, "login_required", "AADSTS50097: Device authentication is required.", "needs-login"),
    refusal(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.", "stopped"),
    refusal(401, "invalid_client", "AADSTS7000222: The provided client secret keys are expired.", "stopped"),
    refusal(
        400,
        "unauthorized_client",
        "AADSTS700016: Application was not found in the directory.",
        "stopped",
    ),
    refusal(
        400,
        "invalid_scope",
        "AADSTS70011: The provided value for the input parameter 'scope' is not valid.",
        "stopped",
    ),
    refusal(
        503,
        "temporarily_unavailable",
        "AADSTS90033: A transient error has occurred. Please try again.",
        "waiting",
    ),
    refusal(500, "server_error", "AADSTS90006: The service is temporarily unavailable.", "waiting"),
    refusal(
        400,
        "admin_policy_enforced",
        "Access to your account data is restricted by policies within your organization.",
        "stopped",
    ),
    refusal(403, "org_internal", "This client is restricted to users within its organization.", "stopped"),
    refusal(401, "deleted_client", "The OAuth client was deleted.", "stopped"),
];

const fn refusal(
    status: u16,
    error: &'static str,
    description: &'static str,
    state: &'static str,
) -> (Refusal, &'static str) {
    (Refusal { status, error, description }, state)
}

impl Failure {
    pub(super) fn answer(self) -> Answer {
        let after = |seconds: u32| Some(("Retry-After", seconds.to_string()));
        let empty = |status: u16, header| Answer::Http(status, header, "text/plain", String::new());
        match self {
            Failure::InvalidGrant => Answer::refused(),
            Failure::Refusal(Refusal { status, error, description }) => {
                Answer::error(status, error, description)
            }
            Failure::Internal | Failure::Slow(_) => empty(500, None),
            Failure::Unavailable(seconds) => empty(503, after(seconds)),
            Failure::TooMany(seconds) => empty(429, after(seconds)),
            Failure::Html => Answer::Http(200, None, "text/html", "<html>Welcome, guest</html>".to_owned()),
            Failure::BrokenJson => Answer::Http(200, None, "application/json", r#"{"access_to"#.to_owned()),
            Failure::Cut => Answer::Cut,
            Failure::Stall => Answer::Stall,
            Failure::Close => Answer::Close,
        }
    }
}
