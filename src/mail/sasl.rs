//! The SASL messages that IMAP, POP and SMTP share, raw: the drivers encode them in base64 and know the dialogue.
//!
//! OAUTHBEARER is RFC 7628, XOAUTH2 is Google's and Microsoft's mechanism (no RFC), PLAIN is RFC 4616. Invariant: a
//! token goes by one of the first two or not at all, a password by PLAIN; what the server offers never changes which
//! secret leaves. What is returned by [`Credentials::message`] is a secret: it must never reach a log. Pure; knows
//! neither protocol nor where a token comes from.

use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// What an account logs in with.
#[derive(Clone)]
pub enum Credentials {
    /// An OAuth2 access token, by OAUTHBEARER or XOAUTH2.
    Bearer {
        /// The login name; of a shared mailbox its address, while the token is its user's.
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

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 7628.
    OAuthBearer,
    /// The one that Google and Microsoft specified before.
    XOAuth2,
    /// RFC 4616.
    Plain,
}

impl Credentials {
    /// The mechanism to use: the first of ours that the server offers.
    ///
    /// # Errors
    /// What the server would have to offer, for a message.
    pub fn choose(&self, is_offered: impl Fn(&str) -> bool) -> Result<Mechanism, &'static str> {
        let (ours, wanted): (&[Mechanism], _) = match self {
            Credentials::Bearer { .. } => {
                (&[Mechanism::OAuthBearer, Mechanism::XOAuth2], "OAUTHBEARER or XOAUTH2")
            }
            Credentials::Password { .. } => (&[Mechanism::Plain], "PLAIN"),
        };
        ours.iter().copied().find(|mechanism| is_offered(mechanism.name())).ok_or(wanted)
    }

    /// The one message of the mechanism that [`choose`](Credentials::choose) gave, raw, for the server that was dialled. A
    /// password has one form and a token has two, whatever is asked for.
    pub fn message(&self, mechanism: Mechanism, host: &str, port: u16) -> SecretString {
        match self {
            Credentials::Bearer { user, token } if mechanism == Mechanism::OAuthBearer => {
                oauthbearer(user, token.expose_secret(), host, port)
            }
            Credentials::Bearer { user, token } => xoauth2(user, token.expose_secret()),
            Credentials::Password { user, password } => plain(user, password.expose_secret()),
        }
        .into()
    }
}

impl Mechanism {
    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::OAuthBearer => "OAUTHBEARER",
            Mechanism::XOAuth2 => "XOAUTH2",
            Mechanism::Plain => "PLAIN",
        }
    }

    /// What to say, in base64, to a challenge after the message, which carries the reason of a refusal: one octet 0x01
    /// (RFC 7628 §3.2.3), or nothing (XOAUTH2). PLAIN knows no challenge and is given up with `*`.
    pub fn acknowledgement(self) -> &'static str {
        match self {
            Mechanism::OAuthBearer => "AQ==",
            Mechanism::XOAuth2 => "",
            Mechanism::Plain => "*",
        }
    }
}

/// The kind and the user; never the secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::Bearer { user, .. } => write!(out, "Credentials(token for {user})"),
            Credentials::Password { user, .. } => write!(out, "Credentials(password for {user})"),
        }
    }
}

/// RFC 7628 §3.1: the GS2 header with the user as authorization identity, the server as it was dialled, and the token. Host
/// and port are optional there, but some servers want them. In the identity `=` and `,` are written as codes (RFC 5801 §4).
fn oauthbearer(user: &str, token: &str, host: &str, port: u16) -> String {
    let user = user.replace('=', "=3D").replace(',', "=2C");
    format!("n,a={user},\x01host={host}\x01port={port}\x01auth=Bearer {token}\x01\x01")
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

    fn bearer() -> Credentials {
        Credentials::Bearer { user: "u".into(), token: "s3cret".to_owned().into() }
    }

    fn password() -> Credentials {
        Credentials::Password { user: "u".into(), password: "s3cret".to_owned().into() }
    }

    #[test]
    fn credentials_do_not_show_their_secret() {
        let shown = format!("{:?} {:?}", bearer(), password());
        assert_eq!(shown, "Credentials(token for u) Credentials(password for u)");
    }

    #[test]
    fn the_standard_mechanism_is_preferred_and_a_token_never_goes_by_plain() {
        let choose = |credentials: Credentials, offered: &str| {
            credentials.choose(|name| offered.split(' ').any(|offer| offer == name))
        };
        assert_eq!(choose(bearer(), "PLAIN XOAUTH2 OAUTHBEARER"), Ok(Mechanism::OAuthBearer));
        assert_eq!(choose(bearer(), "PLAIN XOAUTH2"), Ok(Mechanism::XOAuth2));
        assert_eq!(choose(bearer(), "PLAIN LOGIN"), Err("OAUTHBEARER or XOAUTH2"));
        assert_eq!(choose(password(), "XOAUTH2 PLAIN"), Ok(Mechanism::Plain));
        assert_eq!(choose(password(), "XOAUTH2 OAUTHBEARER"), Err("PLAIN"));
    }

    #[test]
    fn oauthbearer_names_the_user_and_escapes_what_separates() {
        let message = bearer().message(Mechanism::OAuthBearer, "h", 1);
        assert_eq!(message.expose_secret(), "n,a=u,\x01host=h\x01port=1\x01auth=Bearer s3cret\x01\x01");
        let escaped = oauthbearer("a,b=c", "t", "h", 1);
        assert_eq!(escaped, "n,a=a=2Cb=3Dc,\x01host=h\x01port=1\x01auth=Bearer t\x01\x01");
        assert_eq!(STANDARD.encode("\x01"), Mechanism::OAuthBearer.acknowledgement());
    }

    /// RFC 7628 §4.1 (IMAP) and §4.4 (submission).
    #[test]
    fn the_examples_of_the_standard() {
        let message = |port| {
            let token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";
            STANDARD.encode(oauthbearer("user@example.com", token, "server.example.com", port))
        };
        assert_eq!(
            message(143),
            "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyI\
             HZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
        );
        assert_eq!(
            message(587),
            "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9NTg3AWF1dGg9QmVhcmVyI\
             HZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
        );
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
