//! `posthaste run`: the daemon, in the foreground.

/// Arguments of `run`: none of its own.
#[derive(Debug, clap::Args)]
pub struct Run {}
