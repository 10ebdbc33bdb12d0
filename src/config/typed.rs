//! The configuration as written: one serde structure per table, every key optional, nothing interpreted.
//!
//! Invariant: a key stands here only if the program acts on it; anything else is refused by `deny_unknown_fields`.
//! Whether a key is required, and what its absence means, is decided in `meaning`, because a layer on its own (the
//! file, one environment variable) is allowed to be incomplete. `flatten` is not used: it would switch the refusal of
//! unknown keys off.

use super::account::TokenStore;
use super::secret::Hidden;
use crate::keeping::{Layout, LineEndings, OnDelete};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) maildir_root: Option<String>,
    pub(super) outbox_root: Option<String>,
    pub(super) token_store: Option<TokenStore>,
    #[serde(default)]
    pub(super) hooks: Hooks,
    #[serde(default)]
    pub(super) accounts: BTreeMap<String, Account>,
}

/// `[hooks]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hooks {
    pub(super) needs_login: Option<String>,
}

/// `[accounts.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    pub(super) address: Option<String>,
    pub(super) user: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) auth: Option<AuthKind>,
    pub(super) protocol: Option<Protocol>,
    pub(super) login_as: Option<String>,
    pub(super) password_command: Option<String>,
    pub(super) password_credential: Option<String>,
    pub(super) maildir: Option<String>,
    pub(super) outbox: Option<String>,
    pub(super) layout: Option<Layout>,
    pub(super) mailboxes: Option<Vec<String>>,
    pub(super) idle: Option<Vec<String>>,
    pub(super) sweep: Option<String>,
    pub(super) on_delete: Option<OnDelete>,
    pub(super) sent: Option<SentKind>,
    pub(super) poll_only: Option<bool>,
    pub(super) deletion_limit: Option<DeletionLimit>,
    pub(super) line_endings: Option<LineEndings>,
    pub(super) imap: Option<Server>,
    pub(super) pop: Option<Pop>,
    pub(super) smtp: Option<Server>,
    pub(super) oauth: Option<OAuth>,
}

/// `auth`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AuthKind {
    OAuth2,
    Password,
}

/// `protocol`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Protocol {
    Imap,
    Pop3,
}

/// `sent`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SentKind {
    Auto,
    Append,
    Server,
    None,
}

/// `deletion_limit`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeletionLimit {
    pub(super) messages: Option<u32>,
    pub(super) percent: Option<u8>,
}

/// `[accounts.NAME.imap]` and `[accounts.NAME.smtp]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) tls: Option<TlsKind>,
    pub(super) ca: Option<String>,
}

/// `tls`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TlsKind {
    Implicit,
    StartTls,
    None,
}

/// `[accounts.NAME.pop]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pop {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) tls: Option<TlsKind>,
    pub(super) ca: Option<String>,
    pub(super) delete_after: Option<String>,
}

/// `flow`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FlowKind {
    Login,
    Client,
}

/// `[accounts.NAME.oauth]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OAuth {
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<Hidden>,
    pub(super) client_secret_command: Option<String>,
    pub(super) client_secret_credential: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) cloud: Option<String>,
    pub(super) authorize_url: Option<String>,
    pub(super) token_url: Option<String>,
    pub(super) device_url: Option<String>,
    pub(super) revoke_url: Option<String>,
    pub(super) flow: Option<FlowKind>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) service_account: Option<String>,
    pub(super) redirect: Option<String>,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) parameters: Option<BTreeMap<String, String>>,
}
