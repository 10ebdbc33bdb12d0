//! What a redirect back from the authorization server says (RFC 6749 §4.1.2, RFC 9207). Pure.
//!
//! Invariants: without the state of this very login nothing is believed, not even a refusal, so that no other program
//! or page can end a login or slip its own account in; states are compared in constant time; a parameter that comes
//! twice makes the whole redirect void (RFC 6749 §3.1). Browser and pasted address are judged here alike.

use crate::oauth::answer::words;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use url::Url;

/// What belongs to one login.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The random value that was sent along.
    pub state: SecretString,
    /// The authorization endpoint; an issuer that is named must be at home there.
    pub authorize_url: Url,
}

/// What the authorization server said.
#[derive(Debug)]
pub enum Callback {
    /// A code to be redeemed.
    Code(SecretString),
    /// No.
    Denied {
        /// The code, RFC 6749 §4.1.2.1.
        error: String,
        /// The server's words, cleaned.
        description: String,
    },
    /// The answer comes from another server than the one that was asked (RFC 9207 §2.4).
    OtherIssuer {
        /// Who says that it answered, cleaned.
        issuer: String,
    },
}

/// Reads the query of a redirect; `None` unless it belongs to this login.
pub(super) fn read(query: &str, expected: &Expected) -> Option<Callback> {
    let mut named = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if named.insert(name.into_owned(), value.into_owned()).is_some() {
            return None;
        }
    }
    if !is_same(named.get("state")?, expected.state.expose_secret()) {
        return None;
    }
    if let Some(issuer) = named.get("iss").filter(|issuer| !is_at_home(issuer, &expected.authorize_url)) {
        return Some(Callback::OtherIssuer { issuer: words(issuer) });
    }
    match (named.remove("code"), named.get("error")) {
        (Some(code), None) if !code.is_empty() => Some(Callback::Code(code.into())),
        (None, Some(error)) => {
            let description = named.get("error_description").map(|text| words(text)).unwrap_or_default();
            Some(Callback::Denied { error: words(error), description })
        }
        _ => None,
    }
}

/// In a time that does not tell how much of them is the same; their length is no secret.
fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len() && openssl::memcmp::eq(one.as_bytes(), other.as_bytes())
}

/// The issuer of a server and its endpoint share an origin at every provider known; its full name is in no table.
fn is_at_home(issuer: &str, authorize_url: &Url) -> bool {
    Url::parse(issuer).is_ok_and(|issuer| issuer.origin() == authorize_url.origin())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Option<Callback> {
        let expected = Expected {
            state: "right".into(),
            authorize_url: "https://login.test/realm/authorize?x=1".parse().unwrap(),
        };
        super::read(query, &expected)
    }

    #[test]
    fn a_code_is_taken_with_the_state_and_from_the_server_that_was_asked() {
        for query in [
            "code=c%2F1&state=right",
            "state=right&iss=https%3A%2F%2Flogin.test%2Frealm&session_state=x&code=c/1",
        ] {
            let Some(Callback::Code(code)) = read(query) else { panic!("{query}") };
            assert_eq!(code.expose_secret(), "c/1");
        }
    }

    #[test]
    fn without_the_state_nothing_is_believed() {
        for query in [
            "",
            "code=c",
            "code=c&state=",
            "code=c&state=wrong",
            "code=c&state=righT",
            "code=c&state=right2",
            "code=c&state=right&state=right",
            "error=access_denied&state=wrong",
            "error=access_denied",
            "iss=https://evil.test&code=c&state=wrong",
        ] {
            assert!(read(query).is_none(), "{query}");
        }
    }

    #[test]
    fn what_is_neither_code_nor_refusal_is_nothing() {
        for query in
            ["state=right", "state=right&code=", "state=right&code=c&error=e", "state=right&code=c&code=d"]
        {
            assert!(read(query).is_none(), "{query}");
        }
    }

    #[test]
    fn another_issuer_is_named_and_its_code_dropped() {
        for issuer in
            ["https://evil.test", "http://login.test/realm", "https://login.test:444/", "login.test", ""]
        {
            let found = read(&format!("code=c&state=right&iss={issuer}"));
            assert!(matches!(found, Some(Callback::OtherIssuer { .. })), "{issuer}");
        }
    }

    #[test]
    fn a_refusal_keeps_its_code_and_loses_what_could_harm_a_terminal() {
        let found = read("error=access_denied&error_description=no%1b%5B2J+thanks&state=right");
        let Some(Callback::Denied { error, description }) = found else { panic!() };
        assert_eq!((error.as_str(), description.as_str()), ("access_denied", "no[2J thanks"));
    }
}
