//! How a program proves who it is where no person logs in: said in the configuration, done by the token keeper.

use std::path::PathBuf;

/// The proof of a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum App {
    /// By the client's secret (RFC 6749 §4.4).
    Secret,
    /// By the key of a registered certificate (RFC 7523 §2.2).
    Certificate {
        /// The certificate, PEM.
        certificate: PathBuf,
        /// Its RSA key, PEM, readable by nobody else.
        key: PathBuf,
    },
    /// As a service account with domain-wide delegation (RFC 7523 §2.1).
    ServiceAccount {
        /// The key file as Google gives it, JSON, readable by nobody else.
        key: PathBuf,
        /// The person for whom it acts.
        subject: String,
    },
}
