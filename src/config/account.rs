//! An account as meant: everything its worker needs, checked, with defaults applied.
//!
//! Invariant: paths are absolute, hosts that would see a secret are named, plain text goes to loopback only. Two values
//! are equal exactly if a reload need not touch the worker.

use super::mailboxes::Mailboxes;
use super::secret::Hidden;
use crate::application::App;
use crate::keeping::{DeletionLimit, Layout, LineEndings, OnDelete};
use crate::mail::{MailboxName, SpecialUse};
use crate::net::Endpoint;
use crate::provider::Flow;
use crate::provider::Protocol;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name: letters, digits, `.`, `_`, `-`, not beginning with a dot; fit for a directory name.
    pub name: String,
    /// The mail address.
    pub address: String,
    /// The login name that opens the mailbox.
    pub user: String,
    /// Whose token or password it is: `user`, unless the mailbox is shared. Submission logs in by this name.
    pub login: String,
    /// The provider whose row in the table was used.
    pub provider: Option<String>,
    /// How to log in.
    pub auth: Auth,
    /// Where mail comes from.
    pub incoming: Incoming,
    /// Where mail is submitted; `None` where the account only receives.
    pub smtp: Option<Endpoint>,
    /// Capabilities of the server that mail comes from that are not to be used, because the provider's are known to fail.
    pub disable: BTreeSet<String>,
    /// Special uses by names of mailboxes in lower case, where the provider's servers tell none.
    pub special_use: BTreeMap<String, SpecialUse>,
    /// Where mail is kept.
    pub maildir: PathBuf,
    /// Where files to be sent are dropped.
    pub outbox: PathBuf,
    /// How the hierarchy of mailboxes is laid out on disk.
    pub layout: Layout,
    /// Which mailboxes are wanted.
    pub mailboxes: Mailboxes,
    /// Mailboxes whose changes are pushed by IDLE; each of them is wanted. Without effect under `poll_only`.
    pub idle: Vec<MailboxName>,
    /// How often the mailboxes that are not pushed are looked at.
    pub sweep: Duration,
    /// What a local deletion does on the server.
    pub on_delete: OnDelete,
    /// Who files the copy of a sent message.
    pub sent: Sent,
    /// Never IDLE, only sweep.
    pub poll_only: bool,
    /// How many deletions at once need no approval.
    pub deletion_limit: DeletionLimit,
    /// Line ends of the files in the Maildir.
    pub line_endings: LineEndings,
}

/// Where mail comes from, and by which protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// Every mailbox, in both directions.
    Imap(Endpoint),
    /// A maildrop, fetched into INBOX.
    Pop(Pop),
}

/// A POP3 maildrop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pop {
    /// The server.
    pub server: Endpoint,
    /// How long after a message is here its copy on the server is deleted; `None` for never.
    pub delete_after: Option<Duration>,
}

impl Incoming {
    /// The server, whatever it speaks.
    pub fn server(&self) -> &Endpoint {
        match self {
            Incoming::Imap(server) | Incoming::Pop(Pop { server, .. }) => server,
        }
    }

    /// What a token must be good for.
    pub fn protocol(&self) -> Protocol {
        match self {
            Incoming::Imap(_) => Protocol::Imap,
            Incoming::Pop(_) => Protocol::Pop,
        }
    }

    /// The name of its table in the configuration.
    pub fn table(&self) -> &'static str {
        match self {
            Incoming::Imap(_) => "imap",
            Incoming::Pop(_) => "pop",
        }
    }
}

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// XOAUTH2 or OAUTHBEARER with an access token.
    OAuth2(Box<OAuth2>),
    /// A password.
    Password {
        /// Where it comes from.
        secret: Secret,
    },
}

/// How tokens are obtained and where they may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth2 {
    /// The registered client; without one the account cannot log in, and every other account still can.
    pub client_id: Option<String>,
    /// The client's secret, for clients that have one.
    pub client_secret: Option<Secret>,
    /// How the program logs in by itself; `None` where a person does.
    pub app: Option<App>,
    /// The tenant, at a provider that has such; it is part of the URLs.
    pub tenant: Option<String>,
    /// The provider's installation, where it is not the global one.
    pub cloud: Option<String>,
    /// Where tokens come from.
    pub token_url: Url,
    /// Where the browser goes.
    pub authorize_url: Option<Url>,
    /// Where the device flow begins.
    pub device_url: Option<Url>,
    /// Where a refresh token is revoked (RFC 7009).
    pub revoke_url: Option<Url>,
    /// Where an administrator lets the client in.
    pub consent_url: Option<Url>,
    /// The page where a client is registered.
    pub register_url: Option<String>,
    /// The loopback redirect without its port, exactly as written: providers compare it letter by letter.
    pub redirect: String,
    /// Whether the provider takes it with any path behind it.
    pub any_path: bool,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// The scopes of an application that acts without a person; empty where nothing is known of that.
    pub app_scopes: Vec<String>,
    /// What is added to the authorization request.
    pub parameters: BTreeMap<String, String>,
    /// The ways to a token that cannot work, and why, as a clause without a full stop.
    pub refused: BTreeMap<Flow, String>,
    /// Whether the token endpoint takes only clients with a secret.
    pub needs_secret: bool,
    /// The hosts that an access token may be sent to.
    pub token_hosts: Vec<String>,
    /// The account in whose state directory the token is kept, and that is named in logins: this one, unless several
    /// log in as the same user with the same client and scopes. Of those it is the account of that user's own mailbox.
    pub token_of: String,
    /// How the saved login rests.
    pub token_store: TokenStore,
}

/// A key without which nobody can log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingKey {
    /// Its name in `[accounts.NAME.oauth]`.
    pub key: &'static str,
    /// What to do about it, with the page where its value is to be had.
    pub remedy: String,
}

impl OAuth2 {
    /// What must be set before anybody can log in, if something must; it is named for the account whose token it is.
    pub fn missing(&self) -> Option<MissingKey> {
        let key = match (&self.app, &self.client_id) {
            // Its key file says who it is.
            (Some(App::ServiceAccount { .. }), _) => return None,
            (_, None) => "client_id",
            (None, Some(_)) if self.needs_secret && self.client_secret.is_none() => "client_secret",
            _ => return None,
        };
        let wanted = match key {
            "client_id" => "set `client_id`",
            _ => "clients of its provider have a secret: set `client_secret_command` or `client_secret`",
        };
        let page = self.register_url.as_ref().map(|page| format!("; a client is registered at {page}"));
        let remedy = format!("{wanted} in [accounts.{}.oauth]{}", self.token_of, page.unwrap_or_default());
        Some(MissingKey { key, remedy })
    }
}

/// How saved logins rest in their files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenStore {
    /// As they are, readable to their owner alone.
    #[default]
    File,
    /// Sealed with a key that the Secret Service keeps.
    SecretService,
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// It stands in the configuration.
    Value(Hidden),
    /// A command prints it.
    Command(String),
    /// The service manager hands it over.
    Credential(Credential),
}

/// A secret in a file that the service manager hands over (systemd.exec(5), "Credentials").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its name, one file name.
    pub name: String,
    /// `$CREDENTIALS_DIRECTORY`, where this process has one.
    pub directory: Option<PathBuf>,
}

/// Who files the copy of a sent message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// We do.
    Append,
    /// The submission server does.
    Server,
    /// Nobody.
    None,
}
