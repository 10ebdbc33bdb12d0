//! A redirect that a person brings by hand, from a browser on another machine. Pure.
//!
//! The address is judged as if the browser had come itself: place, state and issuer alike. Rejected: taking a bare code,
//! because it proves nothing about the login that it belongs to.

use super::callback::{self, Callback, Expected};
use super::error::Error;
use url::Url;

/// More is no address.
const LONGEST: usize = 16 * 1024;

/// Reads the address that the browser ended at; `redirect` is the one that this login named.
pub fn read(pasted: &str, redirect: &str, expected: &Expected) -> Result<Callback, Error> {
    let pasted = pasted.trim();
    let (Ok(found), Ok(place)) = (Url::parse(pasted), Url::parse(redirect)) else {
        return Err(Error::NoRedirect);
    };
    if pasted.len() > LONGEST || found.origin() != place.origin() || found.path() != place.path() {
        return Err(Error::NoRedirect);
    }
    callback::read(found.query().unwrap_or_default(), expected).ok_or(Error::OtherLogin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    const REDIRECT: &str = "http://localhost:4711";

    fn paste(text: &str) -> Result<Callback, Error> {
        let authorize_url = "https://login.test/authorize".parse().unwrap();
        read(text, REDIRECT, &Expected { state: "right".into(), authorize_url })
    }

    #[test]
    fn the_whole_address_is_taken_with_blanks_around_it() {
        let Callback::Code(code) = paste(" http://localhost:4711/?code=c1&state=right#x\r\n").unwrap() else {
            panic!()
        };
        assert_eq!(code.expose_secret(), "c1");
        let denied = paste("http://localhost:4711/?error=access_denied&state=right").unwrap();
        assert!(matches!(denied, Callback::Denied { .. }));
    }

    #[test]
    fn a_bare_code_and_another_address_are_no_redirect() {
        for text in [
            "",
            "c1",
            "code=c1&state=right",
            "https://login.test/authorize?code=c1&state=right",
            "http://localhost:4712/?code=c1&state=right",
            "http://localhost:4711/other?code=c1&state=right",
        ] {
            assert!(matches!(paste(text), Err(Error::NoRedirect)), "{text}");
        }
    }

    #[test]
    fn the_redirect_of_another_login_is_refused() {
        for text in ["http://localhost:4711/?code=c1&state=wrong", "http://localhost:4711/?code=c1"] {
            assert!(matches!(paste(text), Err(Error::OtherLogin)), "{text}");
        }
    }
}
