//! `posthaste logout`: forgets the token of an account; mail stays.

/// Arguments of `logout`.
#[derive(Debug, clap::Args)]
pub struct Logout {
    /// The account
    pub account: String,
}
