//! What can go wrong with a token, and what the user can do about it.
//!
//! Causes are kept as text or shared, so that one failure can be told to every caller that waited for it. No variant
//! has room for a secret: server words are cleaned before they come here, and bodies and commands never do.

use crate::error::{Class, Classified};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Why there is no token.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nobody has logged in yet, or somebody logged out.
    #[error("not logged in")]
    NotLoggedIn {
        /// The account.
        account: String,
    },
    /// The token endpoint refuses the refresh token.
    #[error("the login of account {account} is no longer accepted ({error}): {description}")]
    Refused {
        /// The account.
        account: String,
        /// The code, RFC 6749 §5.2.
        error: String,
        /// The server's words, cleaned.
        description: String,
    },
    /// The stored login belongs to another token endpoint or client, and is not sent to this one.
    #[error("the saved login of account {account} belongs to client {client_id} at {issuer}")]
    OtherClient {
        /// The account.
        account: String,
        /// The client that it was issued to.
        client_id: String,
        /// The token endpoint that issued it.
        issuer: String,
    },
    /// The token file holds something else; only a login writes it anew.
    #[error("{path} does not hold a saved login")]
    Corrupt {
        /// The account.
        account: String,
        /// The file.
        path: PathBuf,
    },
    /// The key of a sealed login is not to be had.
    #[error("the keyring {complaint}")]
    Keyring {
        /// Why.
        complaint: String,
    },
    /// The token endpoint refuses the client.
    #[error("the token endpoint refuses the client of account {account} ({error}): {description}")]
    Client {
        /// The account.
        account: String,
        /// The code.
        error: String,
        /// The server's words, cleaned.
        description: String,
        /// Which setting to look at.
        advice: &'static str,
    },
    /// The token endpoint cannot be reached or makes no sense now.
    #[error("no access token for account {account}: {cause}")]
    Unavailable {
        /// The account.
        account: String,
        /// What happened.
        cause: String,
        /// The least time to wait before the next attempt.
        after: Option<Duration>,
    },
    /// The token endpoint would be asked in the clear.
    #[error("refusing to send a token to {url}: it is neither https nor a loopback address")]
    Insecure {
        /// The endpoint.
        url: String,
    },
    /// Other users can get at the file or directory.
    #[error("{path} is open to other users (mode {mode:04o})")]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// The file or directory belongs to somebody else, or is not what it should be.
    #[error("{path} belongs to user {owner}, not to you")]
    NotOurs {
        /// The file or directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// The file system refuses.
    #[error("cannot {deed} {path}")]
    Io {
        /// What was tried.
        deed: &'static str,
        /// On which file.
        path: PathBuf,
        /// The cause.
        source: Arc<io::Error>,
    },
    /// A secret that the service manager should have handed over.
    #[error("the credential {name} {complaint}")]
    NoCredential {
        /// Its name.
        name: String,
        /// What is wrong with it; never its content.
        complaint: String,
    },
    /// A file that should hold a key or certificate does not.
    #[error("cannot use {path}: {complaint}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong; never a part of it.
        complaint: String,
    },
    /// The server did not forget the login.
    #[error("the login of account {account} is not revoked: {cause}")]
    NotRevoked {
        /// The account.
        account: String,
        /// What happened.
        cause: String,
    },
    /// A password or secret command that the shell cannot run.
    #[error("the password command {complaint}")]
    NoCommand {
        /// How it failed; never the command, which may hold a secret itself.
        complaint: String,
    },
    /// A password or secret command gave none. That may pass: the agent that it asks may be locked or not up yet.
    #[error("the password command {complaint}")]
    Command {
        /// How it failed; never the command, which may hold a secret itself.
        complaint: String,
    },
}

/// The command that mends a login that is missing or refused.
pub fn login_hint(account: &str) -> String {
    format!("run: posthaste login {account}")
}

impl Error {
    pub(super) fn io(deed: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Error {
        Error::Io { deed, path: path.into(), source: Arc::new(source) }
    }

    pub(super) fn unavailable(account: &str, cause: &str, after: Option<Duration>) -> Error {
        Error::Unavailable { account: account.to_owned(), cause: cause.to_owned(), after }
    }
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Error::NotLoggedIn { .. }
            | Error::Refused { .. }
            | Error::OtherClient { .. }
            | Error::Corrupt { .. } => Class::NeedsLogin,
            Error::Unavailable { after, .. } => Class::Retry { after: *after },
            Error::Io { .. } | Error::Command { .. } | Error::NotRevoked { .. } | Error::Keyring { .. } => {
                Class::RETRY
            }
            Error::Client { .. }
            | Error::Key { .. }
            | Error::Insecure { .. }
            | Error::NoCommand { .. }
            | Error::NoCredential { .. } => Class::Configuration,
            Error::Exposed { .. } | Error::NotOurs { .. } => Class::GiveUp,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::NotLoggedIn { account }
            | Error::Refused { account, .. }
            | Error::OtherClient { account, .. }
            | Error::Corrupt { account, .. } => Some(login_hint(account)),
            Error::Client { account, advice, .. } => Some(format!("in [accounts.{account}.oauth]: {advice}")),
            Error::Exposed { path, wanted, .. } => {
                Some(format!("run `chmod {wanted:o} '{}'`, then reload", path.display()))
            }
            Error::NotOurs { path, .. } => {
                Some(format!("run posthaste as the owner of '{}', or move it away", path.display()))
            }
            Error::Insecure { .. } => Some("set an https:// `token_url`".into()),
            Error::NoCredential { name, .. } => Some(format!(
                "the unit needs `LoadCredential={name}:/path/to/the/secret` (systemctl --user edit posthaste); a command by hand: systemd-run --user --pipe --wait -p LoadCredential={name}:/path/to/the/secret posthaste …"
            )),
            Error::NoCommand { .. } => Some(
                "correct the command in the configuration, or install the program that it names where the daemon finds it"
                    .into(),
            ),
            Error::Command { .. } => Some("run the command by hand to see what it says".into()),
            Error::Keyring { .. } => Some(
                "unlock the keyring of your desktop session; or set token_store = \"file\" and log in again"
                    .into(),
            ),
            Error::Key { .. } => Some("name the right file in the account's `oauth` table".into()),
            Error::NotRevoked { .. } => {
                Some("withdraw the application's access in the settings of your provider account".into())
            }
            Error::Unavailable { .. } | Error::Io { .. } => None,
        }
    }
}
