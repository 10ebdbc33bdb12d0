//! The ways to a login: each of them ends in the same [`Granted`], which the keeper takes over.
//!
//! [`code`] in a browser (RFC 6749 §4.1 with PKCE), caught by a [`listener`] on this machine or [`paste`]d; [`device`]
//! on another one (RFC 8628). Programs that log in as themselves are in [`app`]. Invariants: what is granted is compared
//! with what was asked before anything is saved; a login without a refresh token is an error now and not in an hour;
//! a password never passes through here (RFC 9700 §2.4). This module prints nothing and asks nobody.

pub mod app;
pub mod code;
pub mod device;
mod error;
pub mod listener;
mod page;
pub mod paste;

mod callback;
#[cfg(test)]
pub(crate) mod scripted;

pub use callback::{Callback, Expected};
pub use error::Error;
pub use page::Page;

use super::answer::Answer;
use super::keeper::KeeperConfig;
use secrecy::SecretString;
use std::time::Duration;

/// A person who has gone to look for a telephone is back by then.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// What a login gave.
#[derive(Debug)]
pub struct Granted {
    /// The access token.
    pub(super) access: SecretString,
    /// Its life, where it is named.
    pub(super) life: Option<Duration>,
    /// What new access tokens come from.
    pub(super) refresh: SecretString,
}

/// Takes an answer of the token endpoint for a login, if it gives all that was asked for.
pub(super) fn complete(answer: Answer, config: &KeeperConfig) -> Result<Granted, Error> {
    let (access, life, refresh, scope) = match answer {
        Answer::Granted { access, expires_in, refresh, scope } => (access, expires_in, refresh, scope),
        Answer::NeedsLogin { error, description } => return Err(Error::Denied { error, description }),
        Answer::Retry { after, cause } => {
            return Err(Error::Token(super::Error::unavailable(&config.account, &cause, after)));
        }
        Answer::GiveUp { error, description, advice } => {
            let account = config.account.clone();
            return Err(Error::Token(super::Error::Client { account, error, description, advice }));
        }
    };
    let missing = missing(&config.scopes, scope.as_deref());
    if !missing.is_empty() {
        return Err(Error::MissingScope { missing });
    }
    Ok(Granted { access, life, refresh: refresh.ok_or(Error::NoRefreshToken)? })
}

/// Scopes that say how a login works or who logs in; servers do not list them among those granted.
const NO_RESOURCE: &[&str] = &["offline_access", "openid", "profile", "email"];

/// The scopes that were asked for and not granted. A server that names none granted them all (RFC 6749 §5.1).
pub(super) fn missing(asked: &[String], granted: Option<&str>) -> Vec<String> {
    let Some(granted) = granted else { return Vec::new() };
    // Google separates by blanks, some others by commas.
    let granted: Vec<&str> = granted.split([' ', ',']).filter(|scope| !scope.is_empty()).collect();
    let is_missing = |scope: &&String| {
        !NO_RESOURCE.contains(&scope.as_str()) && !granted.iter().any(|one| one.eq_ignore_ascii_case(scope))
    };
    asked.iter().filter(is_missing).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Class, Classified};
    use secrecy::ExposeSecret;

    const MAIL: &str = "https://mail.test/imap";

    fn config() -> KeeperConfig {
        let scopes = vec![MAIL.into(), "https://mail.test/smtp".into(), "offline_access".into()];
        KeeperConfig { scopes, ..scripted::config(&"https://login.test/token".parse().unwrap()) }
    }

    fn granted(refresh: Option<&str>, scope: Option<&str>) -> Result<Granted, Error> {
        let answer = Answer::Granted {
            access: "a1".into(),
            expires_in: None,
            refresh: refresh.map(Into::into),
            scope: scope.map(str::to_owned),
        };
        complete(answer, &config())
    }

    #[test]
    fn all_that_was_asked_for_is_a_login() {
        for scope in [
            None,
            Some("https://mail.test/imap https://mail.test/smtp"),
            Some("openid https://mail.test/SMTP,https://mail.test/imap"),
        ] {
            assert_eq!(granted(Some("r1"), scope).unwrap().refresh.expose_secret(), "r1");
        }
    }

    #[test]
    fn a_box_that_was_not_ticked_is_named_with_what_to_do() {
        for scope in [
            "",
            "openid email",
            "https://mail.test/smtp",
            "https://mail.test/imap/read https://mail.test/smtp",
        ] {
            let error = granted(Some("r1"), Some(scope)).unwrap_err();
            assert!(error.to_string().contains(MAIL), "{error}");
            assert!(error.hint().unwrap().contains("tick the box"), "{error}");
            assert_eq!(error.class(), Class::NeedsLogin);
        }
    }

    #[test]
    fn without_a_refresh_token_there_is_no_login() {
        let error = granted(None, None).unwrap_err();
        assert!(matches!(error, Error::NoRefreshToken), "{error}");
        assert!(error.hint().unwrap().contains("offline_access"));
    }

    #[test]
    fn refusals_of_the_token_endpoint_keep_their_class() {
        let refused = Answer::NeedsLogin { error: "invalid_grant".into(), description: "used".into() };
        assert_eq!(complete(refused, &config()).unwrap_err().class(), Class::NeedsLogin);
        let client =
            Answer::GiveUp { error: "invalid_client".into(), description: String::new(), advice: "look" };
        assert_eq!(complete(client, &config()).unwrap_err().class(), Class::Configuration);
        let down = Answer::Retry { after: None, cause: "down".into() };
        assert_eq!(complete(down, &config()).unwrap_err().class(), Class::RETRY);
    }
}
