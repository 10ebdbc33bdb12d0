//! `posthaste add`: from an address to an account that works.
//!
//! The story: find the provider, write the account, name the client, log in, have the doctor look, say what is next.
//! Each step is skipped when it is done already, so that the command is run again after whatever stood in its way.
//! Invariant: without a terminal nothing is asked; what is missing is an error that names it. How the file is changed is
//! the configuration's business.

mod ask;
mod checklist;
mod place;

use super::doctor::Doctor;
use super::error::{CommandError, Exit};
use super::login::{self, Way};
use super::{Context, direct, output};
use crate::config::edit::{self, Change, Client};
use crate::config::{self, Account, Auth, OAuth2, Secret};
use crate::control::Request;
use crate::control::client;
use crate::provider::Table;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Arguments of `add`.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// The mail address
    pub address: String,
    /// The provider [default: found from the address, or from who receives mail for its domain]
    #[arg(long)]
    pub provider: Option<String>,
    /// What to call the account [default: after the domain]
    #[arg(long)]
    pub name: Option<String>,
    /// The address is a shared mailbox: who logs in for it
    #[arg(long, value_name = "ADDRESS", conflicts_with = "password_command")]
    pub login_as: Option<String>,
    /// A file in Mozilla's autoconfig format that names the servers
    #[arg(long, value_name = "FILE", conflicts_with = "provider")]
    pub autoconfig: Option<PathBuf>,
    /// The client that you registered with the provider
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// A command that prints the secret of that client
    #[arg(long, value_name = "COMMAND")]
    pub client_secret_command: Option<String>,
    /// A command that prints an app password: log in with that instead of OAuth2
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["client_id", "client_secret_command"])]
    pub password_command: Option<String>,
    /// How to log in.
    #[command(flatten)]
    pub way: Way,
    /// Ask this resolver in place of the system's
    #[arg(long, value_name = "ADDRESS:PORT", hide = true)]
    pub dns: Option<SocketAddr>,
}

impl Add {
    /// Adds, or goes on where the last run ended.
    pub async fn run(self, context: &Context) -> Result<(), CommandError> {
        let known = if context.config_file.exists() { context.configuration()?.accounts } else { Vec::new() };
        let providers = config::providers(&context.config_file)?;
        let name = match self.known(&known)? {
            Some(name) => {
                say(context, &format!("account {name} has the address {} and stays as it is", self.address));
                self.turn_to_password(context, &name).await?;
                name
            }
            None => self.write(context, &known, &providers).await?,
        };
        self.name_client(context, &name, &providers).await?;
        let is_running = reload(context).await?;
        let account = direct::chosen(context, std::slice::from_ref(&name))?.remove(0);
        if let Auth::OAuth2(_) = &account.auth {
            self.log_in(context, &name).await?;
        }
        if let Err(error) = Doctor::of(&name).run(context).await {
            output::complain(&format!(
                "account {name} is written; when this is mended: posthaste add {}",
                self.address
            ));
            return Err(error);
        }
        output::print(&next(&account, is_running, &context.environment.home)).map(drop)
    }

    /// The account that has the address already.
    fn known(&self, accounts: &[Account]) -> Result<Option<String>, CommandError> {
        let is_same = |account: &&Account| account.address.eq_ignore_ascii_case(&self.address);
        if let Some(account) = accounts.iter().find(is_same) {
            return Ok(Some(account.name.clone()));
        }
        match accounts.iter().find(|account| Some(&account.name) == self.name.as_ref()) {
            Some(other) => Err(CommandError::new(
                Exit::Usage,
                format!("account {} has the address {}; choose another --name", other.name, other.address),
            )),
            None => Ok(None),
        }
    }

    /// Writes the account; its name.
    async fn write(
        &self,
        context: &Context,
        known: &[Account],
        providers: &Table,
    ) -> Result<String, CommandError> {
        let name = self.name.clone().unwrap_or_else(|| place::name(&self.address, known));
        let draft = place::draft(self, &name, context, providers).await?;
        if let Some(provider) = &draft.provider {
            say(context, &format!("{} is served by {}", self.address, title(providers, provider)));
        }
        change(context, Change::Add(Box::new(draft))).await?;
        say(context, &format!("account {name} is written to {}", context.config_file.display()));
        Ok(name)
    }

    /// An account that cannot log in by OAuth2 yet takes a password if one is named now.
    async fn turn_to_password(&self, context: &Context, name: &str) -> Result<(), CommandError> {
        let account = direct::chosen(context, &[name.to_owned()])?.remove(0);
        match (&account.auth, &self.password_command) {
            (Auth::OAuth2(oauth), Some(command)) if oauth.client_id.is_none() => {
                let change_to = Change::Password { account: name.to_owned(), command: command.clone() };
                change(context, change_to).await
            }
            _ => Ok(()),
        }
    }

    /// Writes the client that was given or asked for, unless the account has one. Where it is missing the way to one is
    /// shown.
    async fn name_client(
        &self,
        context: &Context,
        name: &str,
        providers: &Table,
    ) -> Result<(), CommandError> {
        let account = direct::chosen(context, &[name.to_owned()])?.remove(0);
        let Auth::OAuth2(oauth) = &account.auth else { return Ok(()) };
        if oauth.client_id.is_some() || oauth.app.is_some() {
            return Ok(());
        }
        let client = match (&self.client_id, client_of_another(context, oauth)?) {
            (Some(id), _) => {
                Client { id: Some(id.clone()), secret_command: self.client_secret_command.clone() }
            }
            (None, Some(client)) => client,
            (None, None) => {
                let _ = output::print(&checklist::text(&account, oauth, providers, &context.config_file))?;
                ask_for_client(oauth)?.ok_or_else(|| no_client(&account, &self.address))?
            }
        };
        change(context, Change::Name { account: name.to_owned(), client }).await
    }

    /// Logs in, unless a login is there that works.
    async fn log_in(&self, context: &Context, name: &str) -> Result<(), CommandError> {
        let (account, keeper) = login::keeper_of(context, name).await?;
        if !self.way.is_named() {
            if keeper.token().await.is_ok() {
                say(context, &format!("account {name} is logged in already"));
                return Ok(());
            }
            if !output::is_seen_by_a_person() {
                let hint = format!(
                    "posthaste login {name} --browser, --device, --paste or --import; then posthaste add {}",
                    self.address
                );
                let message = format!("account {name} is written and needs a login");
                return Err(CommandError {
                    hint: Some(hint),
                    ..CommandError::new(Exit::NeedsLogin, message)
                });
            }
        }
        login::log_in(context, &account, &keeper, self.way).await
    }
}

/// The client of another account at the same issuer: one registration serves all accounts of a person. A secret that
/// stands in the file is not copied.
fn client_of_another(context: &Context, wanted: &OAuth2) -> Result<Option<Client>, CommandError> {
    let accounts = context.configuration()?.accounts;
    Ok(accounts.into_iter().find_map(|account| {
        let Auth::OAuth2(oauth) = account.auth else { return None };
        let secret_command = match oauth.client_secret {
            None => None,
            Some(Secret::Command(command)) => Some(command),
            Some(_) => return None,
        };
        let fits = oauth.token_url == wanted.token_url && oauth.app.is_none() && oauth.client_id.is_some();
        fits.then_some(Client { id: oauth.client_id, secret_command })
    }))
}

/// The id and the command for the secret, from the person; `None` where nobody can be asked or nothing is said.
fn ask_for_client(oauth: &OAuth2) -> Result<Option<Client>, CommandError> {
    if !ask::is_possible() {
        return Ok(None);
    }
    let Some(id) = ask::for_line("Client id (empty: later)", None)? else { return Ok(None) };
    let secret_command = match oauth.needs_secret {
        true => ask::for_line("Command that prints the client secret, like `pass mail/client`", None)?,
        false => None,
    };
    Ok(Some(Client { id: Some(id), secret_command }))
}

fn no_client(account: &Account, address: &str) -> CommandError {
    let message =
        format!("account {} is written and needs a client of your own before it can log in", account.name);
    let hint = format!("when you have one: posthaste add {address} --client-id ID");
    CommandError { hint: Some(hint), ..CommandError::new(Exit::NeedsLogin, message) }
}

async fn change(context: &Context, change: Change) -> Result<(), CommandError> {
    let (file, environment) = (context.config_file.clone(), context.environment.clone());
    let edit = move || edit::edit(&file, environment.variables.into_iter(), &environment.home, &change);
    let done = tokio::task::spawn_blocking(edit).await;
    done.map_err(|_| CommandError::new(Exit::TryLater, "interrupted"))?.map_err(CommandError::from)
}

/// Has a running daemon read the configuration again; whether there is one.
async fn reload(context: &Context) -> Result<bool, CommandError> {
    match client::request(&context.socket(), &Request::Reload).await {
        Err(client::Error::Absent) => Ok(false),
        Err(error) => Err(error.into()),
        Ok(mut responses) => {
            while responses.next().await?.is_some() {}
            Ok(true)
        }
    }
}

fn title<'a>(providers: &'a Table, name: &'a str) -> &'a str {
    providers.by_name(name).map_or(name, |provider| provider.title.as_str())
}

fn say(context: &Context, line: &str) {
    if !context.is_quiet {
        output::complain(line);
    }
}

/// What is left to do, and where everything will be.
fn next(account: &Account, is_running: bool, home: &Path) -> String {
    let name = &account.name;
    let begin = match is_running {
        true => "The running daemon has taken it over.".to_owned(),
        false => {
            "Next: systemctl --user enable --now posthaste   (without systemd: posthaste run)".to_owned()
        }
    };
    let sending = match &account.smtp {
        Some(_) => format!("\nA message dropped into {} is sent.", short(&account.outbox, home)),
        None => String::new(),
    };
    format!(
        "account {name} works. {begin}\nMail will be in {}.{sending}\nposthaste status shows how far it is.\n",
        short(&account.maildir, home)
    )
}

fn short(path: &Path, home: &Path) -> String {
    match path.strip_prefix(home) {
        Ok(below) => format!("~/{}", below.display()),
        Err(_) => path.display().to_string(),
    }
}
