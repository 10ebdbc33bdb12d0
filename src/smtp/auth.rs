//! Logging in (RFC 4954), always in two steps: the mechanism, then the secret on its own line.
//!
//! The two-step form keeps every command line short (Microsoft's tokens are 1.5 to 4 kB, RFC 5321 allows 512 octets) and
//! works with every server. XOAUTH2 never falls back to PLAIN. A server that refuses a token sends a challenge first
//! and waits for an empty line; only then comes its 535 (Gmail, Dovecot). Exchange answers 535 at once.

use super::capabilities::Capabilities;
use super::error::{Error, Stage};
use super::wire::Wire;
use crate::mail::sasl::Credentials;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

/// The AUTH dialogue.
pub(super) async fn log_in(
    wire: &mut Wire,
    offers: &Capabilities,
    credentials: &Credentials,
) -> Result<(), Error> {
    let mechanism = credentials.mechanism();
    if !offers.offers_mechanism(mechanism) {
        return Err(Error::NoMechanism { wanted: mechanism, offered: offers.mechanisms.join(" ") });
    }
    let stage = Stage::Auth;
    let mut reply = wire.command(stage, &format!("AUTH {mechanism}")).await?;
    if reply.code() == 334 {
        let message = SecretString::from(STANDARD.encode(credentials.message().expose_secret()));
        reply = wire.command(stage, message.expose_secret()).await?;
        if reply.is_success() {
            return Ok(());
        }
    }
    if reply.code() == 334 {
        reply = wire.command(stage, answer_to_challenge(credentials)).await?;
    }
    if reply.is_temporary() || reply.is_permanent() {
        Err(Error::Refused { stage, reply })
    } else {
        Err(Error::Unexpected { stage, reply })
    }
}

/// What to say to a further challenge, so that the server comes to its verdict: XOAUTH2 wants an empty line, PLAIN knows
/// no challenge and is cancelled (RFC 4954 §4).
fn answer_to_challenge(credentials: &Credentials) -> &'static str {
    match credentials {
        Credentials::Bearer { .. } => "",
        Credentials::Password { .. } => "*",
    }
}
