//! `posthaste login`: by the browser, by a code on another device, by a pasted address, or with a refresh token at hand.
//!
//! Each way ends with the keeper, which has saved the login before anybody is told of it; then a running daemon is told,
//! so that an account that needs a login goes on at once. Without a terminal nothing is begun that nobody would see:
//! there the way has to be named. How a flow works is the library's business; what is said to the person is here.

mod browser;
mod device;
mod import;
mod paste;

use super::error::{CommandError, Exit};
use super::{Context, direct, output};
use crate::account::{Adviser, Login as AccountLogin};
use crate::config::{Account, Auth, MissingKey, OAuth2};
use crate::control::Request;
use crate::control::client::{self, Error};
use crate::error::Classified;
use crate::oauth::Keeper;
use crate::oauth::flow;
use crate::oauth::flow::code::Authorize;
use crate::provider::Flow;
use crate::provider::answers::Stage;

/// Arguments of `login`.
#[derive(Debug, clap::Args)]
pub struct Login {
    /// The account
    pub account: String,
    /// How.
    #[command(flatten)]
    pub way: Way,
}

/// The way to log in; without one, the browser.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[group(multiple = false)]
pub struct Way {
    /// In the browser of this machine: the usual way, to be named where there is no terminal
    #[arg(long)]
    pub browser: bool,
    /// On any other device, with a code that is shown here
    #[arg(long)]
    pub device: bool,
    /// In a browser elsewhere; the address that it ends at is pasted here
    #[arg(long)]
    pub paste: bool,
    /// With a refresh token from stdin
    #[arg(long)]
    pub import: bool,
}

impl Way {
    /// Whether one is named.
    pub(super) fn is_named(self) -> bool {
        self.browser || self.device || self.paste || self.import
    }
}

impl Login {
    /// Logs in, and tells a running daemon.
    pub async fn run(self, context: &Context) -> Result<(), CommandError> {
        let (account, keeper) = keeper_of(context, &self.account).await?;
        log_in(context, &account, &keeper, self.way).await
    }
}

/// Logs an account in and tells a running daemon.
pub(super) async fn log_in(
    context: &Context,
    account: &Account,
    keeper: &Keeper,
    way: Way,
) -> Result<(), CommandError> {
    let subject = Subject::new(account, keeper)?;
    if keeper.config().app.is_some() {
        return prove(context, &subject, way).await;
    }
    if !way.is_named() && !output::is_seen_by_a_person() {
        return Err(nobody_there(&account.name));
    }
    if way.import {
        import::log_in(&subject).await?;
    } else if way.device {
        subject.check(Flow::Device)?;
        device::log_in(context, &subject).await?;
    } else {
        subject.check(Flow::Code)?;
        match way.paste {
            true => paste::log_in(&subject).await?,
            false => browser::log_in(context, &subject).await?,
        }
    }
    tell_daemon(context, &account.name).await?;
    if !context.is_quiet {
        output::complain(&format!("account {} is logged in", account.name));
    }
    Ok(())
}

/// An account that logs in as a program needs no person: only whether it works can be said.
async fn prove(context: &Context, subject: &Subject<'_>, way: Way) -> Result<(), CommandError> {
    let name = &subject.account.name;
    if way.is_named() {
        let message = format!("account {name} logs in by itself (flow = \"client\"), in no other way");
        return Err(CommandError::new(Exit::Usage, message));
    }
    let token = subject.keeper.token().await;
    token.map_err(|error| CommandError::of_driver(&format!("account {name}"), &error))?;
    tell_daemon(context, name).await?;
    if !context.is_quiet {
        output::complain(&format!("account {name} logs in by itself, and was given a token"));
    }
    Ok(())
}

/// Whose login, and where.
struct Subject<'a> {
    account: &'a Account,
    keeper: &'a Keeper,
    oauth: &'a OAuth2,
}

impl<'a> Subject<'a> {
    fn new(account: &'a Account, keeper: &'a Keeper) -> Result<Subject<'a>, CommandError> {
        match &account.auth {
            Auth::OAuth2(oauth) => Ok(Subject { account, keeper, oauth }),
            Auth::Password { .. } => Err(password(&account.name)),
        }
    }

    /// Refuses a way that cannot work at this provider, before anybody is sent off.
    fn check(&self, flow: Flow) -> Result<(), CommandError> {
        let name = &self.account.name;
        if let Some(why) = self.oauth.refused.get(&flow) {
            let way = if flow == Flow::Device { "--device" } else { "a login in the browser" };
            let hint = Some(format!("run: posthaste login {name}")).filter(|_| flow == Flow::Device);
            let message = format!("account {name}: {way} is not possible: {why}");
            return Err(CommandError { hint, ..CommandError::new(Exit::Usage, message) });
        }
        if let Some(MissingKey { key, remedy }) = self.oauth.missing() {
            let message = format!("account {name}: no {key} is set");
            return Err(CommandError {
                hint: Some(remedy),
                ..CommandError::new(Exit::Configuration, message)
            });
        }
        Ok(())
    }

    /// What the browser is sent off with.
    fn authorize(&self) -> Result<Authorize, flow::Error> {
        let url = self.oauth.authorize_url.clone();
        Ok(Authorize {
            url: url.ok_or(flow::Error::NoEndpoint { key: "authorize_url" })?,
            login_hint: self.login_hint(),
            extra: self.oauth.parameters.clone().into_iter().collect(),
        })
    }

    /// Who is to log in: for a shared mailbox its user, who has an account of his own.
    fn login_hint(&self) -> String {
        let Account { address, user, login, .. } = self.account;
        if user == login { address.clone() } else { login.clone() }
    }

    /// How a login that failed is told.
    fn failed(&self, error: &flow::Error) -> CommandError {
        let failed = CommandError::of_driver(&format!("account {}", self.account.name), error);
        let message = output::harmless(&failed.message);
        let hint = Adviser::new(self.account).hint(Stage::OAuth, error.class(), &message, failed.hint);
        CommandError { hint, ..CommandError::new(failed.exit, message) }
    }

    fn adopted(
        &self,
        outcome: Result<crate::oauth::AccessToken, crate::oauth::Error>,
    ) -> Result<(), CommandError> {
        let what = format!("account {}: the login cannot be saved", self.account.name);
        outcome.map(drop).map_err(|error| CommandError::of_driver(&what, &error))
    }
}

fn nobody_there(account: &str) -> CommandError {
    let hint = format!(
        "name the way: posthaste login {account} --browser, --device or --paste; \
         or --import with a refresh token on stdin"
    );
    CommandError {
        hint: Some(hint),
        ..CommandError::new(Exit::Usage, "there is no terminal on which to log in")
    }
}

/// The keeper of an account's token.
pub(super) async fn keeper_of(context: &Context, name: &str) -> Result<(Account, Keeper), CommandError> {
    let account = direct::chosen(context, &[name.to_owned()])?.remove(0);
    let login = AccountLogin::new(&account, &context.state_of(name), &context.keepers).await;
    let login = login.map_err(|error| CommandError::of_driver(&format!("account {name}"), &error))?;
    match (login.keeper(), login.impossible()) {
        (Some(keeper), _) => Ok((account, keeper.clone())),
        (None, Some(error)) => Err(CommandError::of_driver(&format!("account {name}"), &error)),
        (None, None) => Err(password(name)),
    }
}

fn password(account: &str) -> CommandError {
    CommandError::new(Exit::Usage, format!("account {account} logs in with a password, not a token"))
}

/// Tells a running daemon that the token on disk is another one: to every account that logs in by it.
pub(super) async fn tell_daemon(context: &Context, account: &str) -> Result<(), CommandError> {
    let configuration = context.configuration()?;
    let token_of = |account: &Account| match &account.auth {
        Auth::OAuth2(oauth) => Some(oauth.token_of.clone()),
        Auth::Password { .. } => None,
    };
    let changed = configuration.account(account).and_then(token_of);
    for account in configuration.accounts.iter().filter(|account| token_of(account) == changed) {
        tell(context, &account.name).await?;
    }
    Ok(())
}

/// Lets a running daemon try the login of this account again.
pub(super) async fn tell(context: &Context, account: &str) -> Result<(), CommandError> {
    let request = Request::TokenChanged { account: account.to_owned() };
    match client::request(&context.socket(), &request).await {
        Err(Error::Absent) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(mut responses) => {
            while responses.next().await?.is_some() {}
            Ok(())
        }
    }
}
