//! A secret that stands in the configuration.
//!
//! Invariant: it never shows in Debug, and there is no Display and no Serialize. Unlike a bare `SecretString` it can be
//! compared, because a reload has to see that it changed.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// A secret value.
#[derive(Clone)]
pub struct Hidden(SecretString);

impl Hidden {
    /// The secret, for the one who sends it.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

impl From<String> for Hidden {
    fn from(value: String) -> Hidden {
        Hidden(SecretString::from(value))
    }
}

impl PartialEq for Hidden {
    fn eq(&self, other: &Hidden) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for Hidden {}

impl fmt::Debug for Hidden {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("(hidden)")
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Hidden, D::Error> {
        String::deserialize(from).map(Hidden::from)
    }
}
