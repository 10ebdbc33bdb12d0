//! An access token on its way through the control socket, to another process of the same user. Pure.
//!
//! The socket is 0600 and the peer's uid is checked (`server`), so the token reaches nobody who could not read the token
//! file. It has no Debug and no Display that would show it; only the line on the socket holds it.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An access token and when it ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lease {
    /// The token.
    #[serde(serialize_with = "say", deserialize_with = "hear")]
    pub secret: SecretString,
    /// When the authorization server says that it ends.
    pub expires: Option<Timestamp>,
}

impl PartialEq for Lease {
    fn eq(&self, other: &Lease) -> bool {
        self.secret.expose_secret() == other.secret.expose_secret() && self.expires == other.expires
    }
}

impl Eq for Lease {}

fn say<S: Serializer>(secret: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose_secret())
}

fn hear<'a, D: Deserializer<'a>>(from: D) -> Result<SecretString, D::Error> {
    String::deserialize(from).map(SecretString::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_on_the_wire_and_in_no_debug_text() {
        let lease = Lease { secret: "canary".into(), expires: None };
        let line = serde_json::to_string(&lease).unwrap();
        assert!(line.contains("canary"));
        assert_eq!(serde_json::from_str::<Lease>(&line).unwrap(), lease);
        assert!(!format!("{lease:?}").contains("canary"));
    }
}
