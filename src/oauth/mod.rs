//! Tokens: who keeps them, where they rest, and what the token endpoint's answers mean.
//!
//! [`Keeper`] hands out access tokens and refreshes them; [`token`] and [`answer`] are its pure half; the store is the
//! only file with a secret in it. Invariants: one refresh at a time per token, in this process and between processes;
//! a rotated refresh token is durable before its access token is returned; after a refusal no request is made until
//! the stored refresh token changes; a secret goes to the token endpoint and nowhere else, and never into a message.
//! This module knows no IMAP and no SMTP: what an access token is used for is the worker's business.
//! RFC 6749 §5–6, RFC 9700. Rejected: one keeper for all accounts, because one lost login must not touch another.

pub mod answer;
pub mod credential;
mod endpoint;
mod error;
pub mod flow;
mod gate;
mod keeper;
pub mod password;
mod store;
mod time;
pub mod token;
mod vault;

pub use answer::words;
pub use error::{Error, login_hint};
pub use keeper::{Keeper, KeeperConfig, LoggedOut};
pub use time::server_time;
pub use token::AccessToken;
