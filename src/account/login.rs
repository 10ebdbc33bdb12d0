//! How an account proves who it is: an access token from the keeper, or a password from a command.
//!
//! A refused token causes exactly one forced refresh and one more attempt; then the account needs a login. A token is
//! given only for the hosts that its provider lists.

use super::keepers::Keepers;
use crate::application::App;
use crate::config::{Account, Auth, Credential, MissingKey, OAuth2, Secret, TokenStore};
use crate::error::{Class, Classified};
use crate::mail::sasl::Credentials;
use crate::net::Endpoint;
use crate::oauth::{self, AccessToken, Keeper, KeeperConfig};
use jiff::Timestamp;
use secrecy::SecretString;
use std::path::{Path, PathBuf};

/// How often the token file is looked at while an account waits for a login; costs one stat.
const LOOK: std::time::Duration = std::time::Duration::from_secs(5);

/// In the state directory of the account whose token it is.
const TOKEN_FILE: &str = "token.json";

/// What a server may ask for.
#[derive(Clone)]
pub enum Proof {
    /// An access token.
    Token(AccessToken),
    /// A password.
    Password(SecretString),
}

impl Proof {
    /// When it ends.
    pub fn expires(&self) -> Option<Timestamp> {
        match self {
            Proof::Token(token) => token.expires,
            Proof::Password(_) => None,
        }
    }
}

/// The login of one account; clones share the token.
#[derive(Clone, Debug)]
pub struct Login {
    /// The account's name.
    account: String,
    /// Whose mailbox.
    user: String,
    /// Whose token or password.
    login: String,
    /// Whether the token is another account's, which tells of its troubles.
    is_guest: bool,
    source: Source,
    /// The secret of the client that asks for tokens.
    client_secret: Option<Secret>,
    /// What must be set before anybody can log in.
    missing: Option<MissingKey>,
    token_hosts: Vec<String>,
    store: PathBuf,
}

#[derive(Clone, Debug)]
enum Source {
    Keeper(Keeper),
    Secret(Secret),
    /// No client is named.
    Nothing,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token endpoint, the token file or the command.
    #[error(transparent)]
    Token(#[from] oauth::Error),
    /// There is no login, and none can be made.
    #[error("no {} is set", .0.key)]
    NotSet(MissingKey),
    /// The host is not one that the provider lists.
    #[error("refusing to send the token of account {account} to {host}: it is not a host of its provider")]
    ForeignHost {
        /// The account.
        account: String,
        /// The host.
        host: String,
    },
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Error::Token(error) => error.class(),
            Error::NotSet(_) => Class::NeedsLogin,
            Error::ForeignHost { .. } => Class::Configuration,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Token(error) => error.hint(),
            Error::NotSet(missing) => Some(missing.remedy.clone()),
            Error::ForeignHost { .. } => Some("correct the host in the configuration".into()),
        }
    }
}

impl Login {
    /// The login of `account`, whose state is in `state_dir`; accounts that log in by the same token share a keeper.
    pub async fn new(account: &Account, state_dir: &Path, keepers: &Keepers) -> Result<Login, Error> {
        let (name, user, login) = (account.name.clone(), account.user.clone(), account.login.clone());
        match &account.auth {
            Auth::Password { secret } => Ok(Login {
                account: name,
                user,
                login,
                is_guest: false,
                source: Source::Secret(secret.clone()),
                client_secret: None,
                missing: None,
                token_hosts: Vec::new(),
                store: state_dir.join(TOKEN_FILE),
            }),
            Auth::OAuth2(oauth) => {
                let store = token_file(&oauth.token_of, state_dir);
                let keeper = keeper(oauth, store.clone(), keepers).await?;
                Ok(Login {
                    account: name,
                    user,
                    login,
                    is_guest: oauth.token_of != account.name,
                    source: keeper.map_or(Source::Nothing, Source::Keeper),
                    client_secret: oauth.client_secret.clone(),
                    missing: oauth.missing(),
                    token_hosts: oauth.token_hosts.clone(),
                    store,
                })
            }
        }
    }

    /// The keeper of the token; `None` for a password, and where no client is named.
    pub fn keeper(&self) -> Option<&Keeper> {
        match &self.source {
            Source::Keeper(keeper) => Some(keeper),
            Source::Secret(_) | Source::Nothing => None,
        }
    }

    /// Why nobody can log in before the configuration is completed.
    pub fn impossible(&self) -> Option<Error> {
        self.missing.clone().map(Error::NotSet)
    }

    /// After a login or logout by another process: what was logged out here too is forgotten, and a token that was not to
    /// be had is asked for again, since what stood against it may be mended. The file is that process's: the next login
    /// may be on its way into it.
    pub(super) async fn look_again(&self) {
        let Source::Keeper(keeper) = &self.source else { return };
        keeper.reconsider();
        if matches!(tokio::fs::try_exists(&self.store).await, Ok(false)) {
            keeper.forget();
        }
    }

    /// Whether the token is another account's, which tells of its troubles.
    pub(super) fn is_guest(&self) -> bool {
        self.is_guest
    }

    /// A proof as the server of the mailbox wants it: a shared mailbox is opened by its own name.
    pub fn to_mailbox(&self, proof: &Proof) -> Credentials {
        credentials(self.user.clone(), proof)
    }

    /// A proof as the submission server wants it: whoever sends for a shared mailbox logs in as himself.
    pub fn to_submission(&self, proof: &Proof) -> Credentials {
        credentials(self.login.clone(), proof)
    }

    /// Waits until another process replaces the token file without telling. A rotation by this process is no news: accounts
    /// that share a token would wake each other with it for ever.
    pub(super) async fn changed_on_disk(&self) {
        match &self.source {
            Source::Keeper(keeper) => keeper.changed_by_others(LOOK).await,
            Source::Secret(_) | Source::Nothing => std::future::pending().await,
        }
    }

    /// A proof for this server.
    pub async fn proof(&self, endpoint: &Endpoint) -> Result<Proof, Error> {
        match &self.source {
            Source::Keeper(keeper) => {
                self.check_host(endpoint)?;
                Ok(Proof::Token(self.token_of(keeper).await?))
            }
            Source::Secret(secret) => Ok(Proof::Password(reveal(secret).await?)),
            Source::Nothing => {
                Err(self.unproved(oauth::Error::NotLoggedIn { account: self.account.clone() }))
            }
        }
    }

    /// Another proof after a refusal; `None` where there is no other.
    pub async fn another(&self, refused: &Proof) -> Result<Option<Proof>, Error> {
        match (&self.source, refused) {
            (Source::Keeper(keeper), Proof::Token(token)) => {
                let renewed = match keeper.renew(&self.account, token).await {
                    Err(oauth::Error::Client { .. }) => {
                        self.look_at_secret(keeper).await;
                        keeper.renew(&self.account, token).await
                    }
                    outcome => outcome,
                };
                Ok(renewed.map_err(|error| self.unproved(error))?.map(Proof::Token))
            }
            _ => Ok(None),
        }
    }

    /// The access token at hand, or a new one; `None` for a password.
    pub(super) async fn token(&self) -> Option<Result<AccessToken, Error>> {
        Some(self.token_of(self.keeper()?).await)
    }

    async fn token_of(&self, keeper: &Keeper) -> Result<AccessToken, Error> {
        let lent = match keeper.token().await {
            Err(oauth::Error::Client { .. }) => {
                self.look_at_secret(keeper).await;
                keeper.token().await
            }
            outcome => outcome,
        };
        lent.map_err(|error| self.unproved(error))
    }

    /// Why there is no token: who needs a login is told first what a login needs.
    fn unproved(&self, error: oauth::Error) -> Error {
        let impossible = self.impossible().filter(|_| error.class() == Class::NeedsLogin);
        impossible.unwrap_or(Error::Token(error))
    }

    /// After the endpoint refused the client: its secret may be another one by now, which changes no configuration. Where
    /// it is not to be had (an agent is locked), there is only the one of before.
    async fn look_at_secret(&self, keeper: &Keeper) {
        let Some(secret) = &self.client_secret else { return };
        match reveal(secret).await {
            Ok(secret) => keeper.use_client_secret(Some(secret)),
            Err(error) => tracing::debug!(account = %self.account, %error, "no other client secret"),
        }
    }

    fn check_host(&self, endpoint: &Endpoint) -> Result<(), Error> {
        let host = endpoint.host.to_ascii_lowercase();
        let is_listed = self.token_hosts.iter().any(|listed| listed.eq_ignore_ascii_case(&host));
        let foreign = || Error::ForeignHost { account: self.account.clone(), host };
        if is_listed { Ok(()) } else { Err(foreign()) }
    }
}

fn credentials(user: String, proof: &Proof) -> Credentials {
    match proof {
        Proof::Token(token) => Credentials::Bearer { user, token: token.secret.clone() },
        Proof::Password(password) => Credentials::Password { user, password: password.clone() },
    }
}

/// The token file of the account `owner`: its state directory stands beside the one of every other account.
fn token_file(owner: &str, state_dir: &Path) -> PathBuf {
    state_dir.with_file_name(owner).join(TOKEN_FILE)
}

/// The keeper of the account's token; `None` where no client is named.
async fn keeper(oauth: &OAuth2, store: PathBuf, keepers: &Keepers) -> Result<Option<Keeper>, Error> {
    let client_id = match (&oauth.app, &oauth.client_id) {
        // Its key file says who it is.
        (Some(App::ServiceAccount { .. }), id) => id.clone().unwrap_or_default(),
        (_, Some(id)) => id.clone(),
        (_, None) => return Ok(None),
    };
    let client_secret = match &oauth.client_secret {
        None => None,
        Some(secret) => Some(reveal(secret).await?),
    };
    Ok(Some(keepers.keeper(KeeperConfig {
        account: oauth.token_of.clone(),
        client_id,
        client_secret,
        token_url: oauth.token_url.clone(),
        scopes: oauth.scopes.clone(),
        store,
        is_sealed: oauth.token_store == TokenStore::SecretService,
        app: oauth.app.clone(),
    })))
}

/// The secret itself. A command has ten seconds and a process of its own.
async fn reveal(secret: &Secret) -> Result<SecretString, oauth::Error> {
    match secret {
        Secret::Value(secret) => Ok(secret.secret().clone()),
        Secret::Command(command) => oauth::password::run(command).await,
        Secret::Credential(Credential { name, directory }) => {
            oauth::credential::read(name, directory.as_deref()).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::oauth::flow::scripted::Script;
    use rustix::fs::{FlockOperation, flock};

    /// An account at this token endpoint, whose secret a command reads from the file `secret` and notes that it ran.
    fn account(home: &Path, script: &Script) -> Account {
        let file = home.join("config.toml");
        let command = format!("cd '{}' && echo run >> runs && cat secret", home.display());
        let oauth = format!("client_id = \"c\", client_secret_command = {command:?}");
        std::fs::write(&file, format!("[accounts.lab]\naddress = \"a@gmail.com\"\noauth = {{ {oauth} }}"))
            .unwrap();
        let mut account = Config::load(&file, std::iter::empty(), home).unwrap().accounts.remove(0);
        let Auth::OAuth2(oauth) = &mut account.auth else { panic!() };
        oauth.token_url = script.url.clone();
        account
    }

    #[tokio::test]
    async fn the_command_for_a_client_secret_runs_once_while_the_endpoint_takes_what_it_gave() {
        let home = tempfile::tempdir().unwrap();
        let granted = r#"{"token_type":"Bearer","access_token":"a","expires_in":3600}"#;
        let script = Script::start([(200, granted), (200, granted), (200, granted)]).await;
        let account = account(home.path(), &script);
        std::fs::write(home.path().join("secret"), "s").unwrap();
        let login = Login::new(&account, &home.path().join("lab"), &Keepers::default()).await.unwrap();
        let keeper = login.keeper().unwrap();
        keeper.import("r".into()).await.unwrap();
        keeper.forget();
        let proof = login.proof(account.incoming.server()).await.unwrap();
        assert!(login.another(&proof).await.unwrap().is_some());
        assert_eq!(script.count(), 3);
        assert_eq!(std::fs::read_to_string(home.path().join("runs")).unwrap(), "run\n");
    }

    #[tokio::test]
    async fn a_client_secret_that_is_changed_in_its_place_is_used_at_the_next_attempt() {
        let home = tempfile::tempdir().unwrap();
        let secret = home.path().join("secret");
        let granted = r#"{"token_type":"Bearer","access_token":"a","expires_in":3600}"#;
        let refused = r#"{"error":"invalid_client"}"#;
        let script = Script::start([(200, granted), (401, refused), (200, granted)]).await;
        let account = account(home.path(), &script);
        std::fs::write(&secret, "old").unwrap();
        let login = Login::new(&account, &home.path().join("lab"), &Keepers::default()).await.unwrap();
        let token = login.keeper().unwrap().import("r".into()).await.unwrap();
        let error = login.another(&Proof::Token(token)).await.map(drop).unwrap_err();
        assert_eq!(error.class(), Class::Configuration, "{error}");
        std::fs::write(&secret, "new").unwrap();
        login.proof(account.incoming.server()).await.map(drop).unwrap();
        assert_eq!([1, 2].map(|request| script.form(request)["client_secret"].clone()), ["old", "new"]);
    }

    #[tokio::test]
    async fn a_logout_elsewhere_is_taken_note_of_without_a_hand_on_the_file_of_the_next_login() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config.toml");
        std::fs::write(&file, "[accounts.lab]\naddress = \"a@gmail.com\"\noauth.client_id = \"c\"").unwrap();
        let account = Config::load(&file, std::iter::empty(), home.path()).unwrap().accounts.remove(0);
        let state_dir = home.path().join("lab");
        std::fs::create_dir(&state_dir).unwrap();
        let login = Login::new(&account, &state_dir, &Keepers::default()).await.unwrap();
        // The next login has the lock, and its token is saved while this process looks.
        let lock = std::fs::File::create(state_dir.join("token.lock")).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let mut looking = Box::pin(login.look_again());
        let looked = tokio::time::timeout(std::time::Duration::from_secs(1), &mut looking).await;
        std::fs::write(login.store.clone(), "the next login").unwrap();
        drop(lock);
        if looked.is_err() {
            looking.await;
        }
        assert!(login.store.exists());
    }
}
