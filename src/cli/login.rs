//! `posthaste login`: obtains a refresh token for an account.

/// Arguments of `login`; without a flag the browser is used, on a loopback redirect.
#[derive(Debug, clap::Args)]
pub struct Login {
    /// The account
    pub account: String,
    /// Log in on another device with a code (RFC 8628)
    #[arg(long, conflicts_with_all = ["paste", "import"])]
    pub device: bool,
    /// Paste the URL that the browser was redirected to
    #[arg(long, conflicts_with = "import")]
    pub paste: bool,
    /// Read a refresh token from stdin
    #[arg(long)]
    pub import: bool,
}
