//! `posthaste token`: a fresh access token on stdout, for other tools.

/// Arguments of `token`.
#[derive(Debug, clap::Args)]
pub struct Token {
    /// The account
    pub account: String,
    /// The token for submission, where it is another one than for IMAP
    #[arg(long)]
    pub smtp: bool,
}
