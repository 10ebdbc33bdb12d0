//! Logging in (RFC 5034, RFC 1939 §7), always in two steps: the mechanism, then the secret on its own line.
//!
//! Exchange requires the two steps, and they keep the command line short (RFC 5034 allows 255 octets). OAUTHBEARER where
//! it is listed (RFC 7628), else XOAUTH2; a token never falls back to a password's ways. A server that refuses a token
//! may send a challenge first and wait for an answer; only then comes its `-ERR`.

use super::capabilities::Capabilities;
use super::error::Error;
use super::reply::Reply;
use super::wire::Wire;
use crate::mail::sasl::{Credentials, Mechanism};
use crate::net::Endpoint;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

/// Logs in; the name of the way that was taken.
pub(super) async fn log_in(
    wire: &mut Wire,
    offers: &Capabilities,
    credentials: &Credentials,
    endpoint: &Endpoint,
) -> Result<&'static str, Error> {
    match (credentials.choose(|name| offers.offers_mechanism(name)), credentials) {
        (Ok(mechanism), _) => sasl(wire, mechanism, credentials, endpoint).await,
        (Err(_), Credentials::Password { user, password }) if offers.may_have("USER") => {
            user_and_pass(wire, user, password.expose_secret()).await
        }
        (Err(wanted), _) => Err(Error::NoMechanism(wanted)),
    }
}

async fn sasl(
    wire: &mut Wire,
    mechanism: Mechanism,
    credentials: &Credentials,
    Endpoint { host, port, .. }: &Endpoint,
) -> Result<&'static str, Error> {
    let name = mechanism.name();
    let mut reply = wire.command(&format!("AUTH {name}")).await?;
    if reply != Reply::Challenge {
        return finish(wire, reply, false, name);
    }
    let message = credentials.message(mechanism, host, *port);
    let message = SecretString::from(STANDARD.encode(message.expose_secret()));
    reply = wire.command(message.expose_secret()).await?;
    let is_challenged = reply == Reply::Challenge;
    // What a second challenge may want is unknown: it is given up (RFC 5034 §4).
    for answer in [mechanism.acknowledgement(), "*"] {
        if reply == Reply::Challenge {
            reply = wire.command(answer).await?;
        }
    }
    finish(wire, reply, !is_challenged, name)
}

/// The verdict; success counts only right after the message.
fn finish(
    wire: &mut Wire,
    reply: Reply,
    may_succeed: bool,
    way: &'static str,
) -> Result<&'static str, Error> {
    match reply {
        Reply::Ok(_) if may_succeed => Ok(way),
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
