//! The commands: the only place that prints or reads the environment.
//!
//! One file per command; this one knows the arguments that all share and turns every outcome into an exit code. What
//! is said on stdout is the answer, everything else goes to stderr, so that answers can be piped. Only `add` asks
//! questions, and only at a terminal; `login` reads what it was asked to wait for. A command is listed in [`Command`] only once it works.

pub mod add;
mod alike;
mod ask;
pub mod chart;
pub mod completions;
pub mod config;
pub mod direct;
pub mod doctor;
pub mod environment;
pub mod error;
pub mod held;
pub mod logging;
pub mod login;
pub mod logout;
pub mod output;
pub mod progress;
pub mod reload;
pub mod render;
pub mod run;
pub mod status;
pub mod stranded;
pub mod sync;
pub mod token;

use crate::account::Keepers;
use crate::daemon::signals;
use clap::{Parser, Subcommand};
use environment::Environment;
use error::{CommandError, Exit};
use futures_util::StreamExt;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing::Level;

/// Keeps mailboxes in Maildir and sends what is dropped in an outbox.
#[derive(Debug, Parser)]
#[command(name = "posthaste", version, arg_required_else_help = true)]
pub struct Arguments {
    /// What all commands share.
    #[command(flatten)]
    pub shared: Shared,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Arguments that every command takes.
#[derive(Debug, clap::Args)]
pub struct Shared {
    /// Say more; twice: even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say less
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "verbose")]
    pub quiet: u8,
    /// Configuration file [default: $POSTHASTE_CONFIG or ~/.config/posthaste/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// From a mail address to an account that works
    Add(Box<add::Add>),
    /// The daemon, in the foreground
    Run(run::Run),
    /// Have the running daemon read its configuration again
    Reload(reload::Reload),
    /// One complete two-way pass, now
    Sync(sync::Sync),
    /// What every account is doing, what waits, and what it needs from you
    Status(status::Status),
    /// Log an account in: in a browser, or by a code, a pasted address or a refresh token
    Login(login::Login),
    /// Forget the token of an account; mail stays
    Logout(logout::Logout),
    /// An access token on stdout, for other tools
    Token(token::Token),
    /// Check every step from the server's name to the permission to send, and say what to do
    Doctor(doctor::Doctor),
    /// Deletions that were held back, and copies in quarantine
    Held(held::Held),
    /// Check or show the configuration, or print an example
    Config(config::Config),
    /// Print the completion script of a shell
    Completions(completions::Completions),
}

/// What a command works with.
#[derive(Debug)]
pub struct Context {
    /// The user's environment.
    pub environment: Environment,
    /// The configuration file.
    pub config_file: PathBuf,
    /// Whether the user wants to hear less.
    pub is_quiet: bool,
    /// The keepers of tokens, which the end of the command waits for.
    pub keepers: Keepers,
}

/// Parses the arguments, runs the command and says how it went.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too; where nobody reads them there is nothing left to say.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8));
        }
    };
    match execute(arguments) {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            output::complain(&error.to_string());
            error.exit.into()
        }
    }
}

fn execute(arguments: Arguments) -> Result<(), CommandError> {
    let Arguments { shared, command } = arguments;
    let environment = Environment::of_process()?;
    let usual = if matches!(command, Command::Run(_)) { Level::INFO } else { Level::WARN };
    logging::start(&environment, logging::level(usual, &shared))?;
    let config_file = shared.config.as_deref().unwrap_or(&environment.config_file);
    let context = Context {
        config_file: std::path::absolute(config_file)
            .map_err(|cause| CommandError::io("cannot find the configuration", &cause))?,
        is_quiet: shared.quiet > 0,
        keepers: Keepers::default(),
        environment,
    };
    match command {
        Command::Run(run) => on_runtime(run.run(&context))?,
        Command::Add(add) => block_on(&context, add.run(&context)),
        Command::Login(login) => block_on(&context, login.run(&context)),
        Command::Logout(logout) => block_on(&context, logout.run(&context)),
        Command::Token(token) => block_on(&context, token.run(&context)),
        Command::Reload(reload) => block_on(&context, reload.run(&context)),
        Command::Sync(sync) => block_on(&context, sync.run(&context)),
        Command::Status(status) => block_on(&context, status.run(&context)),
        Command::Doctor(doctor) => block_on(&context, doctor.run(&context)),
        Command::Held(held) => block_on(&context, held.run(&context)),
        Command::Config(config) => config.run(&context),
        Command::Completions(completions) => completions.run(),
    }
}

impl Context {
    /// The socket of the running daemon.
    pub fn socket(&self) -> PathBuf {
        self.environment.runtime_dir.join("control.sock")
    }

    /// The configuration as meant.
    pub fn configuration(&self) -> Result<crate::config::Config, CommandError> {
        let Environment { variables, home, .. } = &self.environment;
        Ok(crate::config::Config::load(&self.config_file, variables.iter().cloned(), home)?)
    }

    /// The configuration as meant; it has an account, and the files that it names can be used.
    pub fn checked_configuration(&self) -> Result<crate::config::Config, CommandError> {
        let Environment { variables, home, .. } = &self.environment;
        let config = crate::config::Config::check(&self.config_file, variables.iter().cloned(), home)?;
        match config.accounts.is_empty() {
            true => Err(self.no_account()),
            false => Ok(config),
        }
    }

    /// There is nothing to work on.
    pub fn no_account(&self) -> CommandError {
        let file = self.config_file.display();
        let hint = "posthaste add you@example.org adds one; `posthaste config example` prints every key";
        CommandError {
            hint: Some(hint.to_owned()),
            ..CommandError::new(Exit::Configuration, format!("{file}: no account is configured"))
        }
    }

    /// Where an account keeps its state.
    pub fn state_of(&self, account: &str) -> PathBuf {
        self.environment.state_dir.join(account)
    }
}

/// Threads for the network. The disk is what a sync waits for, and each thread more costs memory on machines with many
/// cores (a stack and a malloc arena), however few accounts there are.
const WORKERS: usize = 2;
/// Time for disk work in other threads to end after a command; what hangs longer is left behind.
const FAREWELL: std::time::Duration = std::time::Duration::from_millis(500);

/// What a person sees who interrupts a command in the wrong moment.
const WAITING: &str = "posthaste: a login is being renewed: waiting for the answer, so that it is not lost; \
                       Ctrl-C again ends at once";

/// Runs a command that waits for something. It can be interrupted at any moment, except that a login which is being
/// renewed is saved first; a second signal does not wait for that either.
fn block_on(
    context: &Context,
    command: impl Future<Output = Result<(), CommandError>>,
) -> Result<(), CommandError> {
    on_runtime(async {
        let mut interruptions =
            signals::interruptions().map_err(|cause| CommandError::io("cannot listen to signals", &cause))?;
        let ended = tokio::select! {
            outcome = command => Ok(outcome),
            Some(interruption) = interruptions.next() => Err(interruption),
        };
        context.keepers.close(|| output::complain(WAITING)).await;
        ended.unwrap_or_else(|interruption| {
            interruption.end();
            Err(CommandError::new(Exit::Failed, "interrupted"))
        })
    })?
}

/// Runs a future to its end.
fn on_runtime<T>(work: impl Future<Output = T>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.map_err(|cause| CommandError::io("cannot start the runtime", &cause))?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(FAREWELL);
    Ok(outcome)
}

#[cfg(test)]
mod tests;
