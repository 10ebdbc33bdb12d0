//! Logging in (RFC 4954), always in two steps: the mechanism, then the secret on its own line.
//!
//! The two-step form keeps every command line short (Microsoft's tokens are 1.5 to 4 kB, RFC 5321 allows 512 octets) and
//! works with every server. A token never falls back to PLAIN. A server that refuses a token sends a challenge first
//! and waits for its acknowledgement; only then comes its 535 (Gmail, Dovecot). Exchange answers 535 at once.

use super::capabilities::Capabilities;
use super::error::{Error, Stage};
use super::wire::Wire;
use crate::mail::sasl::Credentials;
use crate::net::Endpoint;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

/// The AUTH dialogue.
pub(super) async fn log_in(
    wire: &mut Wire,
    offers: &Capabilities,
    credentials: &Credentials,
    Endpoint { host, port, .. }: &Endpoint,
) -> Result<(), Error> {
    let mechanism = credentials.choose(|name| offers.offers_mechanism(name));
    let mechanism =
        mechanism.map_err(|wanted| Error::NoMechanism { wanted, offered: offers.mechanisms.join(" ") })?;
    let stage = Stage::Auth;
    let mut reply = wire.command(stage, &format!("AUTH {}", mechanism.name())).await?;
    if reply.code() == 334 {
        let message = credentials.message(mechanism, host, *port);
        let message = SecretString::from(STANDARD.encode(message.expose_secret()));
        reply = wire.command(stage, message.expose_secret()).await?;
        if reply.is_success() {
            return Ok(());
        }
    }
    if reply.code() == 334 {
        reply = wire.command(stage, mechanism.acknowledgement()).await?;
    }
    if reply.is_temporary() || reply.is_permanent() {
        Err(Error::Refused { stage, reply })
    } else {
        Err(Error::Unexpected { stage, reply })
    }
}
