//! Logging in (RFC 4954), always in two steps: the mechanism, then the secret on its own line.
//!
//! The two-step form keeps every command line short (Microsoft's tokens are 1.5 to 4 kB, RFC 5321 allows 512 octets) and
//! works with every server. XOAUTH2 never falls back to PLAIN. A server that refuses a token sends a challenge first
//! and waits for an empty line; only then comes its 535 (Gmail, Dovecot). Exchange answers 535 at once.

use super::capabilities::Capabilities;
use super::error::{Error, Stage};
use super::wire::Wire;
use crate::mail::sasl;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

/// What an account logs in with.
#[derive(Clone)]
pub enum Credentials {
    /// An OAuth2 access token, by XOAUTH2.
    Bearer {
        /// The mailbox.
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

    /// The one message of the mechanism, encoded.
    fn message(&self) -> SecretString {
        let message = match self {
            Credentials::Bearer { user, token } => sasl::xoauth2(user, token.expose_secret()),
            Credentials::Password { user, password } => sasl::plain(user, password.expose_secret()),
        };
        STANDARD.encode(message).into()
    }

    /// What to say to a further challenge, so that the server comes to its verdict: XOAUTH2 wants an empty line,
    /// PLAIN knows no challenge and is cancelled (RFC 4954 §4).
    fn answer_to_challenge(&self) -> &'static str {
        match self {
            Credentials::Bearer { .. } => "",
            Credentials::Password { .. } => "*",
        }
    }
}

/// The user and the kind; never the secret.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Credentials::Bearer { user, .. } | Credentials::Password { user, .. }) = self;
        write!(out, "Credentials({} for {user})", self.mechanism())
    }
}

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
        reply = wire.command(stage, credentials.message().expose_secret()).await?;
        if reply.is_success() {
            return Ok(());
        }
    }
    if reply.code() == 334 {
        reply = wire.command(stage, credentials.answer_to_challenge()).await?;
    }
    if reply.is_temporary() || reply.is_permanent() {
        Err(Error::Refused { stage, reply })
    } else {
        Err(Error::Unexpected { stage, reply })
    }
}
