//! Orders carried out in this process, where no daemon runs: with the same locks, so that one cannot start meanwhile.

use super::Context;
use super::error::{CommandError, Exit};
use crate::account::{self, Order, Wish};
use crate::config::{Account, suggestion};
use crate::control::Response;
use crate::daemon::fleet::response;
use crate::lock::Lock;
use crate::task::off_reactor;
use tokio::sync::mpsc;

/// The configured accounts of these names, at least one; all for none.
pub fn chosen(context: &Context, names: &[String]) -> Result<Vec<Account>, CommandError> {
    let configuration = context.configuration()?;
    if names.is_empty() {
        return match configuration.accounts.is_empty() {
            true => Err(context.no_account()),
            false => Ok(configuration.accounts),
        };
    }
    let find = |name: &String| {
        let known = configuration.accounts.iter().map(|account| account.name.as_str());
        configuration.account(name).cloned().ok_or_else(|| unknown(name, known))
    };
    names.iter().map(find).collect()
}

/// The refusal of a name that no account has.
pub(super) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> CommandError {
    CommandError {
        hint: Some(suggestion(name, known)),
        ..CommandError::new(Exit::Usage, format!("no account is called {name}"))
    }
}

/// Has one account carry out `wish` and shows what it tells.
pub async fn carry_out(
    context: &Context,
    account: Account,
    wish: Wish,
    mut show: impl FnMut(Response) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let (name, state_dir) = (account.name.clone(), context.state_of(&account.name));
    let _lock = lock(context, &name).await?;
    let (to, mut told) = mpsc::unbounded_channel();
    let run = account::carry_out(account, state_dir, Order { wish, to }, &context.keepers);
    let tell = async {
        while let Some(told) = told.recv().await {
            show(response(&name, told)?)?;
        }
        Ok::<(), CommandError>(())
    };
    let (ran, shown) = tokio::join!(run, tell);
    ran.map_err(|error| CommandError::of_driver(&format!("account {name}"), &error))?;
    shown
}

async fn lock(context: &Context, account: &str) -> Result<Lock, CommandError> {
    let (state_dir, account) = (context.environment.state_dir.clone(), account.to_owned());
    let locked = off_reactor(move || Lock::account(&state_dir, &account)).await;
    locked.map_err(|error| CommandError::of_driver("cannot begin", &error))
}
