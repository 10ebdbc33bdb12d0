//! `posthaste add`: from an address to an account that works.
//!
//! The story: find the provider, write the account, name the client or password, log in, have the doctor look, say what is
//! next. Each step is skipped when it is done already, so that the command is run again after whatever stood in its way;
//! options that it is then given change the account. Invariant: without a terminal nothing is asked; what is missing is an
//! error that names it. How the file is changed is the configuration's business.

mod checklist;
mod client;
mod options;
mod place;
mod secret;
mod server;

pub use options::{Add, Fetch};

use super::doctor::Doctor;
use super::error::{CommandError, Exit};
use super::{Context, ask, direct, login, output, reload};
use crate::config::edit::{self, Change, Draft};
use crate::config::{self, Account, Auth};
use crate::control::client as control;
use crate::doctor::Examination;
use crate::error::{Class, Classified};
use crate::net;
use crate::provider::Table;
use crate::task::off_reactor;
use secret::{Kind, Secret};
use std::path::Path;

impl Add {
    /// Adds, or goes on where the last run ended.
    pub async fn run(self, context: &Context) -> Result<(), CommandError> {
        self.check_protocol()?;
        if let Some(ca) = self.ca() {
            net::check_anchor(&ca).map_err(|error| CommandError::of_driver("--ca", &error))?;
        }
        let known = if context.config_file.exists() { context.configuration()?.accounts } else { Vec::new() };
        let providers = config::providers(&context.config_file)?;
        let name = match self.known(&known)? {
            Some(account) => self.amend(context, account).await?,
            None => self.write(context, &known, &providers).await?,
        };
        client::complete(&self, context, &name, &providers).await?;
        let account = account(context, &name)?;
        if let Auth::OAuth2(_) = &account.auth {
            self.log_in(context, &name).await?;
        }
        let is_running = tell_daemon(context).await?;
        // A secret that was corrected stands in a file of its own: the configuration may be the same as before.
        login::tell(context, &name).await?;
        let examination = Doctor::of(&name).look(context).await?;
        if examination.ok {
            return output::print(&next(&account, is_running, &context.environment.home)).map(drop);
        }
        Err(self.unfinished(&account, &examination, is_running))
    }

    /// The account that has the address already.
    fn known<'a>(&self, accounts: &'a [Account]) -> Result<Option<&'a Account>, CommandError> {
        let is_same = |account: &&Account| account.address.eq_ignore_ascii_case(&self.address);
        if let Some(account) = accounts.iter().find(is_same) {
            return Ok(Some(account));
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
        let place = place::find(self, &name, context, known, providers).await?;
        if let Some(provider) = &place.draft.provider {
            say(context, &format!("{} is served by {}", self.address, title(providers, provider)));
        }
        if let (Some(why), Some(option)) = (&place.password, self.option_of_tokens()) {
            return Err(CommandError::new(Exit::Usage, format!("{option} has no use here: {why}")));
        }
        let password = match (Kind::Password.of_options(self, context, &name).await?, &place.password) {
            (None, Some(why)) => Some(self.ask_password(context, &name, why).await?),
            (named, _) => named,
        };
        let client_secret = Kind::ClientSecret.of_options(self, context, &name).await?;
        let left_out = left_out(&place.draft);
        let _ = change(context, Change::Add, place.draft, password, client_secret).await?;
        say(context, &format!("account {name} is written to {}", context.config_file.display()));
        if let Some(left_out) = left_out {
            say(context, &left_out);
        }
        Ok(name)
    }

    /// The password without which the account cannot be written.
    async fn ask_password(&self, context: &Context, name: &str, why: &str) -> Result<Secret, CommandError> {
        let missing = || {
            let hint = format!(
                "posthaste add {} --password-command 'pass mail/name' with the command that prints it, or --password with the \
                 password itself on stdin or typed",
                self.address
            );
            CommandError { hint: Some(hint), ..CommandError::new(Exit::Configuration, why.to_owned()) }
        };
        if !ask::is_possible() {
            return Err(missing());
        }
        output::complain(&format!("{why}."));
        Kind::Password.asked(context, name).await?.ok_or_else(missing)
    }

    /// Gives an account that is there what the options say; its name.
    async fn amend(&self, context: &Context, account: &Account) -> Result<String, CommandError> {
        let (name, draft) = (account.name.clone(), self.amendment(account)?);
        let password = Kind::Password.of_options(self, context, &name).await?;
        let client_secret = Kind::ClientSecret.of_options(self, context, &name).await?;
        let line = match set(context, draft, password, client_secret).await? {
            true => format!("account {name} is changed in {}", context.config_file.display()),
            false => format!("account {name} has the address {} and stays as it is", account.address),
        };
        say(context, &line);
        if self.autoconfig.is_some() {
            say(context, "--autoconfig counts for a new account only");
        }
        Ok(name)
    }

    /// Logs in, unless a login is there that works.
    async fn log_in(&self, context: &Context, name: &str) -> Result<(), CommandError> {
        let (account, keeper) = login::keeper_of(context, name).await?;
        if !self.way.is_named() {
            match keeper.token().await {
                Ok(_) => {
                    say(context, &format!("account {name} is logged in already"));
                    return Ok(());
                }
                Err(error) if error.class() != Class::NeedsLogin => {
                    let failed = CommandError::of_driver(&format!("account {name}"), &error);
                    return Err(self.again(name, failed));
                }
                Err(_) if !output::is_seen_by_a_person() => return Err(self.nobody_there(name)),
                Err(_) => {}
            }
        }
        let outcome = login::log_in(context, &account, &keeper, self.way).await;
        outcome.map_err(|error| self.again(name, error))
    }

    fn nobody_there(&self, name: &str) -> CommandError {
        let hint = format!(
            "posthaste login {name} --browser, --device, --paste or --import; then posthaste add {}",
            self.address
        );
        let message = format!("account {name} is written and needs a login");
        CommandError { hint: Some(hint), ..CommandError::new(Exit::NeedsLogin, message) }
    }

    /// A failure after which the command is run again.
    fn again(&self, name: &str, error: CommandError) -> CommandError {
        output::complain(&format!(
            "account {name} is written; when this is mended: posthaste add {} (what was given wrong is given again by an \
             option: posthaste add --help)",
            self.address
        ));
        error
    }

    /// The doctor found something: what works all the same, and how to go on.
    fn unfinished(&self, account: &Account, examination: &Examination, is_running: bool) -> CommandError {
        let steps = examination.accounts.iter().flat_map(|account| &account.steps);
        let failed = || steps.clone().filter(|step| step.has_failed());
        let name = &account.name;
        if failed().count() > 0 && failed().all(|step| step.name.starts_with("smtp.")) {
            let begin = match is_running {
                true => "the running daemon fetches it",
                false => "start it now, mail arrives: systemctl --user enable --now posthaste",
            };
            output::complain(&format!(
                "account {name} reads mail, and cannot send yet: {begin}. What is dropped into {} waits until sending works.",
                account.outbox.display()
            ));
        }
        self.again(name, CommandError::new(Exit::Failed, super::chart::sum(examination)))
    }
}

/// The account as it is now.
fn account(context: &Context, name: &str) -> Result<Account, CommandError> {
    Ok(direct::chosen(context, &[name.to_owned()])?.remove(0))
}

/// Sets keys of an account; whether that changed anything.
async fn set(
    context: &Context,
    draft: Draft,
    password: Option<Secret>,
    client_secret: Option<Secret>,
) -> Result<bool, CommandError> {
    change(context, Change::Set, draft, password, client_secret).await
}

/// Makes the change, and then keeps the secrets that it speaks of.
async fn change(
    context: &Context,
    change: fn(Box<Draft>) -> Change,
    mut draft: Draft,
    password: Option<Secret>,
    client_secret: Option<Secret>,
) -> Result<bool, CommandError> {
    draft.password_command = password.as_ref().map(|secret| secret.command.clone());
    draft.client.secret_command = match &client_secret {
        Some(secret) => Some(secret.command.clone()),
        None => draft.client.secret_command,
    };
    let change = change(Box::new(draft));
    let (file, environment) = (context.config_file.clone(), context.environment.clone());
    let edit = move || edit::edit(&file, environment.variables.into_iter(), &environment.home, &change);
    let mut is_changed = off_reactor(edit).await?;
    for secret in [password, client_secret].into_iter().flatten() {
        is_changed |= secret.keep(context).await?;
    }
    Ok(is_changed)
}

/// Has a running daemon read the configuration again; whether there is one.
async fn tell_daemon(context: &Context) -> Result<bool, CommandError> {
    match reload::reload(context).await {
        Err(control::Error::Absent) => Ok(false),
        outcome => Ok(outcome.map(|()| true)?),
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

/// Which mailboxes the account begins without.
fn left_out(draft: &Draft) -> Option<String> {
    let names: Vec<&str> = draft.mailboxes.iter().filter_map(|glob| glob.strip_prefix('!')).collect();
    let name = &draft.name;
    (!names.is_empty()).then(|| {
        format!(
            "not fetched, because most of it is in other mailboxes too: {}. What the provider keeps only there, as Gmail does \
             with archived mail, does not come; `mailboxes` in [accounts.{name}] decides",
            names.join(", ")
        )
    })
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
