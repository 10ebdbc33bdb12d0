//! Why a login did not come to its end, and what the person can do about it.
//!
//! No variant has room for a secret: words of a server are cleaned before they come here, and neither codes nor states
//! ever do.

use crate::error::{Class, Classified};
use crate::oauth::answer;
use std::io;
use std::time::Duration;

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token endpoint, or the token file.
    #[error(transparent)]
    Token(#[from] crate::oauth::Error),
    /// An endpoint that the flow needs is not configured.
    #[error("no `{key}` is configured")]
    NoEndpoint {
        /// The key in the account's `oauth` table.
        key: &'static str,
    },
    /// The redirect is not one that ends at this machine.
    #[error("`{redirect}` is no redirect to this machine")]
    Redirect {
        /// The redirect.
        redirect: String,
    },
    /// The redirect cannot be waited for.
    #[error("cannot listen for the browser on this machine")]
    Listen {
        /// The cause.
        source: io::Error,
    },
    /// Nobody finished the login.
    #[error("the login was not finished within {} minutes", patience.as_secs() / 60)]
    TimedOut {
        /// How long was waited.
        patience: Duration,
    },
    /// The authorization server said no.
    #[error("the login was refused ({error}){}", said(description))]
    Denied {
        /// The code, RFC 6749 §4.1.2.1 or RFC 8628 §3.5.
        error: String,
        /// The server's words, cleaned.
        description: String,
    },
    /// The answer is another server's (RFC 9207 §2.4).
    #[error("the answer comes from {issuer}, which was not asked")]
    OtherIssuer {
        /// Who says that it answered.
        issuer: String,
    },
    /// What was pasted is not the address that the browser ended at.
    #[error("this is not the address that the browser ended at")]
    NoRedirect,
    /// What was pasted belongs to another login.
    #[error("this address does not belong to this login")]
    OtherLogin,
    /// Not everything that was asked for was granted.
    #[error("access was given, but not to mail: {} is missing", missing.join(" "))]
    MissingScope {
        /// The scopes that were not granted.
        missing: Vec<String>,
    },
    /// The login would end with the first access token.
    #[error("the provider gave no refresh token, so the login would end within the hour")]
    NoRefreshToken,
    /// The code on the screen was not used in time (RFC 8628 §3.5).
    #[error("the code was not used in time")]
    Expired,
}

fn said(description: &str) -> String {
    if description.is_empty() { String::new() } else { format!(": {description}") }
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Error::Token(error) => error.class(),
            Error::Listen { .. } => Class::RETRY,
            // The client is refused, not the person.
            Error::Denied { error, .. } if answer::advice(error).is_some() => Class::Configuration,
            Error::NoEndpoint { .. } | Error::Redirect { .. } | Error::NoRefreshToken => Class::Configuration,
            Error::TimedOut { .. }
            | Error::Denied { .. }
            | Error::OtherIssuer { .. }
            | Error::NoRedirect
            | Error::OtherLogin
            | Error::MissingScope { .. }
            | Error::Expired => Class::NeedsLogin,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Token(error) => return error.hint(),
            Error::NoEndpoint { key } => format!("set `{key}` in the account's `oauth` table, or log in another way"),
            Error::Denied { error, .. } if error == "access_denied" => {
                "log in again and agree; where your organisation decides, ask its administrator".into()
            }
            Error::Denied { error, .. } => answer::advice(error).unwrap_or("log in again").to_owned(),
            Error::OtherIssuer { .. } => "log in again; if it stays so, check `authorize_url`".into(),
            Error::NoRedirect => {
                "copy the whole address from the address bar; it begins with http:// and contains code=".into()
            }
            Error::OtherLogin => "open the address shown above, log in there, and paste what comes of it".into(),
            Error::MissingScope { .. } => {
                "log in again and tick the box for mail where the provider asks what to allow".into()
            }
            Error::NoRefreshToken => {
                "without a provider, add `offline_access` to `scopes` in the account's `oauth` table where the server knows it, \
                 and parameters = { prompt = \"consent\" } where it speaks OpenID Connect; else withdraw the application's access \
                 in the settings of your provider account; then log in again"
                    .into()
            }
            Error::TimedOut { .. } | Error::Expired => "log in again".into(),
            Error::Redirect { .. } => "set `redirect` to http://127.0.0.1 or http://localhost".into(),
            Error::Listen { .. } => return None,
        })
    }
}
