//! Logging in (RFC 5034, RFC 1939 §7), always in two steps: the mechanism, then the secret on its own line.
//!
//! Exchange requires the two steps, and they keep the command line short (RFC 5034 allows 255 octets). OAUTHBEARER where
//! it is listed (RFC 7628), else XOAUTH2; a token never falls back to a password's ways. A server that refuses a token
//! may send a challenge first and wait for an answer; only then comes its `-ERR`.

use super::capabilities::Capabilities;
use super::error::Error;
use super::reply::Reply;
use super::wire::Wire;
use crate::mail::sasl::Credentials;
use crate::net::Endpoint;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

/// The answer to the challenge of a refused OAUTHBEARER: a single 0x01 (RFC 7628 §3.2.3).
const ACKNOWLEDGED: &str = "AQ==";

/// Logs in; the name of the way that was taken.
pub(super) async fn log_in(
    wire: &mut Wire,
    offers: &Capabilities,
    endpoint: &Endpoint,
    credentials: &Credentials,
) -> Result<&'static str, Error> {
    match credentials {
        Credentials::Bearer { user, token } if offers.offers_mechanism("OAUTHBEARER") => {
            let message = oauthbearer(user, endpoint, token.expose_secret());
            sasl(wire, "OAUTHBEARER", &message.into(), ACKNOWLEDGED).await
        }
        Credentials::Password { user, password } if !offers.offers_mechanism("PLAIN") => {
            if !offers.may_have("USER") {
                return Err(Error::NoMechanism("a login by password (SASL PLAIN, USER)"));
            }
            user_and_pass(wire, user, password.expose_secret()).await
        }
        _ if !offers.offers_mechanism(credentials.mechanism()) => {
            Err(Error::NoMechanism(credentials.mechanism()))
        }
        // XOAUTH2 wants an empty line as the answer to a challenge; PLAIN knows none, and gives up.
        Credentials::Bearer { .. } => sasl(wire, "XOAUTH2", &credentials.message(), "").await,
        Credentials::Password { .. } => sasl(wire, "PLAIN", &credentials.message(), "*").await,
    }
}

/// The one message of OAUTHBEARER (RFC 7628 §3.1); comma and equals sign in the name are escaped (RFC 5801 §4).
fn oauthbearer(user: &str, endpoint: &Endpoint, token: &str) -> String {
    let user = user.replace('=', "=3D").replace(',', "=2C");
    let Endpoint { host, port, .. } = endpoint;
    format!("n,a={user},\x01host={host}\x01port={port}\x01auth=Bearer {token}\x01\x01")
}

async fn sasl(
    wire: &mut Wire,
    mechanism: &'static str,
    message: &SecretString,
    to_challenge: &str,
) -> Result<&'static str, Error> {
    let mut reply = wire.command(&format!("AUTH {mechanism}")).await?;
    if reply != Reply::Challenge {
        return finish(wire, reply, false, mechanism);
    }
    let message = SecretString::from(STANDARD.encode(message.expose_secret()));
    reply = wire.command(message.expose_secret()).await?;
    let is_challenged = reply == Reply::Challenge;
    // What a second challenge may want is unknown: it is given up (RFC 5034 §4).
    for answer in [to_challenge, "*"] {
        if reply == Reply::Challenge {
            reply = wire.command(answer).await?;
        }
    }
    finish(wire, reply, !is_challenged, mechanism)
}

/// The verdict; success counts only right after the message.
fn finish(
    wire: &mut Wire,
    reply: Reply,
    may_succeed: bool,
    mechanism: &'static str,
) -> Result<&'static str, Error> {
    match reply {
        Reply::Ok(_) if may_succeed => Ok(mechanism),
        Reply::Err(refusal) => Err(Error::login(refusal)),
        Reply::Ok(_) | Reply::Challenge => Err(wire.lost(Error::Protocol("the login has no end"))),
    }
}

/// For servers without SASL. A line break in the password would be a command of its own.
async fn user_and_pass(wire: &mut Wire, user: &str, password: &str) -> Result<&'static str, Error> {
    if [user, password].iter().any(|word| word.contains(char::is_control)) {
        return Err(Error::Password);
    }
    let reply = wire.command(&format!("USER {user}")).await?;
    if let Reply::Err(refusal) = reply {
        return Err(Error::login(refusal));
    }
    let line = SecretString::from(format!("PASS {password}"));
    let reply = wire.command(line.expose_secret()).await?;
    finish(wire, reply, true, "USER")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Tls;

    /// The example of RFC 7628 §4.1, with another name to escape.
    #[test]
    fn the_published_example_of_oauthbearer() {
        let endpoint =
            Endpoint { host: "server.example.com".into(), port: 143, tls: Tls::Implicit, ca: None };
        let message =
            oauthbearer("user@example.com", &endpoint, "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
        assert_eq!(
            STANDARD.encode(message),
            "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
        );
        assert!(oauthbearer("a,b=c", &endpoint, "t").starts_with("n,a=a=2Cb=3Dc,\x01"));
    }
}
