//! The SASL messages that IMAP and SMTP share, raw: the drivers encode them in base64 and know the dialogue.
//!
//! XOAUTH2 is Google's and Microsoft's mechanism (no RFC), PLAIN is RFC 4616. What is returned is a secret: it must
//! never reach a log. Pure; knows neither protocol nor where a token comes from.

use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// What an account logs in with.
#[derive(Clone)]
pub enum Credentials {
    /// An OAuth2 access token, by XOAUTH2.
    Bearer {
        /// The login name.
        user: String,
        /// The access token.
        token: SecretString,
    },
    /// A password, by PLAIN.
    Password {
        /// The login name.
        user: String,
        /// The password.
        password: SecretString,
    },
}

impl Credentials {
    /// The SASL mechanism, as the server must offer it.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Credentials::Bearer { .. } => "XOAUTH2",
            Credentials::Password { .. } => "PLAIN",
        }
    }

    /// The one message of the mechanism, raw.
    pub fn message(&self) -> SecretString {
        match self {
            Credentials::Bearer { user, token } => xoauth2(user, token.expose_secret()),
            Credentials::Password { user, password } => plain(user, password.expose_secret()),
        }
        .into()
    }
}

/// The mechanism and the user; never the secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Credentials::Bearer { user, .. } | Credentials::Password { user, .. }) = self;
        write!(out, "Credentials({} for {user})", self.mechanism())
    }
}

/// The one message of XOAUTH2: the mailbox `user` and the access token that opens it.
fn xoauth2(user: &str, token: &str) -> String {
    format!("user={user}\x01auth=Bearer {token}\x01\x01")
}

/// The one message of PLAIN, without an authorization identity (RFC 4616 §2).
fn plain(user: &str, password: &str) -> String {
    format!("\0{user}\0{password}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn credentials_do_not_show_their_secret() {
        let bearer = Credentials::Bearer { user: "u".into(), token: "s3cret".to_owned().into() };
        let password = Credentials::Password { user: "u".into(), password: "s3cret".to_owned().into() };
        assert_eq!(format!("{bearer:?} {password:?}"), "Credentials(XOAUTH2 for u) Credentials(PLAIN for u)");
    }

    #[test]
    fn microsofts_published_example() {
        assert_eq!(
            STANDARD
                .encode(xoauth2("test@contoso.onmicrosoft.com", "EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA")),
            "dXNlcj10ZXN0QGNvbnRvc28ub25taWNyb3NvZnQuY29tAWF1dGg9QmVhcmVyIEV3QkFBbDNCQUFVRkZwVUFvN0ozVmUwYmpM\
             QldaV0NjbFJDM0VvQUEBAQ=="
        );
    }

    #[test]
    fn googles_published_example() {
        assert_eq!(
            STANDARD.encode(xoauth2("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg")),
            "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1s\
             emRHRXVZMjl0Q2cBAQ=="
        );
    }

    #[test]
    fn plain_has_an_empty_authorization_identity() {
        assert_eq!(plain("tim", "tanstaaftanstaaf"), "\0tim\0tanstaaftanstaaf");
    }
}
