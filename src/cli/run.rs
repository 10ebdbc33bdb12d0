//! `posthaste run`: the daemon, in the foreground.

use super::Context;
use super::error::{CommandError, Exit};
use crate::config;
use crate::control::server;
use crate::daemon::fleet::Accounts;
use crate::daemon::{self, Places};
use crate::lock;

/// Arguments of `run`: none of its own.
#[derive(Debug, clap::Args)]
pub struct Run {}

impl Run {
    /// Runs until a signal ends it.
    pub async fn run(self, context: &Context) -> Result<(), CommandError> {
        let places = Places { socket: context.socket(), state_dir: context.environment.state_dir.clone() };
        let (file, environment) = (context.config_file.clone(), context.environment.clone());
        let load = move || {
            let variables = environment.variables.iter().cloned();
            Ok(config::Config::load(&file, variables, &environment.home)?)
        };
        daemon::run(Accounts::new(Box::new(load)), places).await.map_err(start_failed)
    }
}

/// The exit code follows from what failed.
fn start_failed(error: anyhow::Error) -> CommandError {
    let error = match error.downcast::<config::Error>() {
        Ok(error) => return error.into(),
        Err(error) => error,
    };
    if let Some(held) = error.downcast_ref::<lock::Error>() {
        return CommandError::of_driver("cannot start", held);
    }
    if let Some(socket) = error.downcast_ref::<server::Error>() {
        return CommandError::of_driver("cannot start", socket);
    }
    CommandError::new(Exit::Failed, format!("cannot start: {error:#}"))
}
