//! Who logs in for an account, with which secret, and which accounts log in by the same token.
//!
//! A shared mailbox is opened by its own name with the token of a user who has access to it (`login_as`). One token
//! may thus serve several accounts; what tells tokens apart is issuer, client, login, scopes and the way to log in, never
//! the mailbox.
//! Pure; the directory of credentials is passed in.

use super::account::{Account, Auth, Credential, OAuth2, Secret};
use super::meaning::{Refusal, Written};
use super::secret::Hidden;
use super::typed::AuthKind;
use crate::application::App;
use std::collections::BTreeMap;
use std::path::Path;

/// Whose token or password it is.
pub(super) fn login(written: &Written<'_>, user: &str) -> Result<String, Refusal> {
    let Some(login) = &written.account.login_as else { return Ok(user.to_owned()) };
    if written.account.auth == Some(AuthKind::Password) {
        return Err(written.refuse(&["login_as"], "`login_as` has no meaning with auth = \"password\""));
    }
    match login.is_empty() || login.contains(char::is_control) {
        true => Err(written
            .refuse(&["login_as"], "a login name has at least one character and no control characters")),
        false => Ok(login.clone()),
    }
}

/// A secret as it may be written: the value itself, a command that prints it, a credential of the service manager.
pub(super) struct Ways<'a> {
    /// The tables that lead to the keys.
    pub(super) tables: &'a [&'a str],
    /// What the keys begin with.
    pub(super) key: &'a str,
    pub(super) value: Option<&'a Hidden>,
    pub(super) command: Option<&'a String>,
    pub(super) credential: Option<&'a String>,
}

impl Ways<'_> {
    /// The one that is written, if one is.
    pub(super) fn secret(&self, written: &Written<'_>) -> Result<Option<Secret>, Refusal> {
        let (command_key, credential_key) =
            (format!("{}_command", self.key), format!("{}_credential", self.key));
        let refuse = |key: &str, message: String| {
            let path: Vec<&str> = self.tables.iter().copied().chain([key]).collect();
            Err(written.refuse(&path, message))
        };
        let twice = |other: &str| format!("`{other}` is set as well; leave one of both out");
        match (self.value, self.command, self.credential) {
            (Some(_), Some(_), _) => refuse(&command_key, twice(self.key)),
            (Some(_), _, Some(_)) => refuse(&credential_key, twice(self.key)),
            (_, Some(_), Some(_)) => refuse(&credential_key, twice(&command_key)),
            (Some(value), None, None) => Ok(Some(Secret::Value(value.clone()))),
            (None, Some(command), None) if command.trim().is_empty() => {
                refuse(&command_key, "expected a command".to_owned())
            }
            (None, Some(command), None) => Ok(Some(Secret::Command(command.clone()))),
            (None, None, Some(name)) if !is_file_name(name) => refuse(
                &credential_key,
                "expected the name of a credential, as in LoadCredential=NAME:…, and no path".to_owned(),
            ),
            (None, None, Some(name)) => Ok(Some(Secret::Credential(Credential {
                name: name.clone(),
                directory: written.credentials.map(Path::to_owned),
            }))),
            (None, None, None) => Ok(None),
        }
    }
}

/// The characters that systemd allows, and no way out of the directory.
fn is_file_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain)
}

/// Finds the accounts that log in by the same token, and gives it to the one whose own mailbox the login opens, or to
/// the first by name. The others ask for it with the order of scopes of that one, and all with its secret, or with the
/// first that one of them has.
pub(super) fn share(accounts: &mut [Account]) {
    let mut owners: BTreeMap<(String, Option<App>), Box<OAuth2>> = BTreeMap::new();
    for is_own in [true, false] {
        for account in accounts.iter().filter(|account| (account.user == account.login) == is_own) {
            let Auth::OAuth2(oauth) = &account.auth else { continue };
            let owner = owners.entry(identity(&account.login, oauth)).or_insert_with(|| oauth.clone());
            owner.client_secret = owner.client_secret.take().or_else(|| oauth.client_secret.clone());
        }
    }
    for account in accounts {
        let Auth::OAuth2(oauth) = &mut account.auth else { continue };
        let Some(owner) = owners.get(&identity(&account.login, oauth)) else { continue };
        oauth.token_of.clone_from(&owner.token_of);
        oauth.client_secret.clone_from(&owner.client_secret);
        oauth.scopes.clone_from(&owner.scopes);
    }
}

/// What tells one token from another. Without a client there is none: such accounts keep to themselves.
fn identity(login: &str, oauth: &OAuth2) -> (String, Option<App>) {
    let client = oauth.client_id.as_deref().unwrap_or(&oauth.token_of);
    let mut scopes = oauth.scopes.clone();
    scopes.sort();
    let words = [oauth.token_url.as_str(), client, &login.to_ascii_lowercase(), &scopes.join(" ")].join("\n");
    (words, oauth.app.clone())
}
