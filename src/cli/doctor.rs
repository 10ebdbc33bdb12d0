//! `posthaste doctor`: every step from DNS to MAIL FROM, with what to do about each that fails.
//!
//! Accounts are examined side by side and shown in the order of the configuration. A running daemon is asked for its
//! status and its access tokens first, so that an examination costs it nothing.

use super::error::{CommandError, Exit};
use super::token::lent;
use super::{Context, chart, direct, output, status};
use crate::config::{Account, Auth, Config};
use crate::control::client::Error;
use crate::control::{Code, Refusal};
use crate::doctor::{self, Complaint, Daemon, Examination, Surroundings, redact};
use crate::error::Class;
use crate::ledger::Ledger;
use crate::task::{self, off_reactor};
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// What a check may take at most, unless said otherwise.
const PATIENCE: u64 = 30;
/// The daemon answers at once, or after a request to the token endpoint.
const ANSWER: Duration = Duration::from_secs(40);

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// The account; all of them without
    pub account: Option<String>,
    /// Print the documented JSON
    #[arg(long)]
    pub json: bool,
    /// Write a report for a help desk, without secrets and names, to FILE [default: posthaste-report-TIME.json]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub report: Option<Option<PathBuf>>,
    /// How long a check may take
    #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
}

impl Doctor {
    /// An examination of one account, for a person.
    pub fn of(account: &str) -> Doctor {
        Doctor { account: Some(account.to_owned()), json: false, report: None, timeout: PATIENCE }
    }

    /// Examines, prints, and fails if a check did.
    pub async fn run(&self, context: &Context) -> Result<(), CommandError> {
        let examination = self.look(context).await?;
        match examination.ok {
            true => Ok(()),
            false => Err(CommandError::new(Exit::Failed, chart::sum(&examination))),
        }
    }

    /// Examines and prints.
    pub async fn look(&self, context: &Context) -> Result<Examination, CommandError> {
        let accounts = direct::chosen(context, self.account.as_slice())?;
        let surroundings = Arc::new(Surroundings {
            state_dir: context.environment.state_dir.clone(),
            patience: Duration::from_secs(self.timeout),
            keepers: context.keepers.clone(),
            daemon: daemon(&context.socket(), &accounts).await,
        });
        let examination = self.examine(context, accounts, &surroundings).await?;
        if self.json {
            let json = serde_json::to_string(&examination).map_err(|cause| unwritable(&cause.into()))?;
            let _ = output::print(&format!("{json}\n"))?;
        }
        if let Some(file) = &self.report {
            let file = file.clone().unwrap_or_else(usual_file);
            self.report(context, &examination, &surroundings, &file).await?;
        }
        Ok(examination)
    }

    /// Examines all side by side; each is shown when it and those before it are done.
    async fn examine(
        &self,
        context: &Context,
        accounts: Vec<Account>,
        surroundings: &Arc<Surroundings>,
    ) -> Result<Examination, CommandError> {
        let under_way: Vec<_> = accounts
            .into_iter()
            .map(|account| {
                let surroundings = Arc::clone(surroundings);
                tokio::spawn(async move { doctor::examine(&account, &surroundings).await })
            })
            .collect();
        let style = chart::Style {
            in_colour: context.environment.allows_colour && output::is_read_by_a_person(),
            width: output::width(),
        };
        let show = |text: String| if self.json { Ok(()) } else { output::print(&text).map(drop) };
        let machine = doctor::examine_machine(surroundings).await;
        show(chart::steps("this machine", &machine, style))?;
        let mut examined = Vec::new();
        for account in under_way {
            let account = task::outcome(account).await;
            show(chart::steps(&account.name, &account.steps, style))?;
            examined.push(account);
        }
        Ok(Examination::new(machine, examined))
    }

    async fn report(
        &self,
        context: &Context,
        examination: &Examination,
        surroundings: &Surroundings,
        file: &Path,
    ) -> Result<(), CommandError> {
        let config = context.configuration()?;
        let text = report(context, &config, examination, surroundings).await?;
        write_new(file, &text).map_err(|cause| {
            CommandError::io(&format!("cannot write the report {}", file.display()), &cause)
        })?;
        output::complain(&format!("report written to {}: read it before you give it away", file.display()));
        Ok(())
    }
}

/// What the running daemon says; `None` where none answers.
async fn daemon(socket: &Path, accounts: &[Account]) -> Option<Daemon> {
    let status = timeout(ANSWER, status::ask(socket)).await.ok()?.ok()?;
    let with_token = accounts.iter().filter(|account| matches!(account.auth, Auth::OAuth2(_)));
    let asked = with_token.map(|account| async {
        let answer = timeout(ANSWER, lent(socket, &account.name)).await.ok()?;
        let told = match answer {
            Ok(token) => Ok(token?),
            Err(Error::Refused(refusal)) => {
                let Refusal { code, message, hint } = refusal;
                let text = message.strip_prefix(&format!("account {}: ", account.name)).unwrap_or(&message);
                Err(Complaint { class: lasting(code)?, text: text.to_owned(), hint })
            }
            Err(_) => return None,
        };
        Some((account.name.clone(), told))
    });
    let tokens = join_all(asked).await.into_iter().flatten().collect();
    Some(Daemon { status, tokens })
}

/// What kind of trouble with the login it is. Whatever may pass, and an account that the daemon does not run, is tried
/// here.
fn lasting(code: Code) -> Option<Class> {
    match code {
        Code::NeedsLogin => Some(Class::NeedsLogin),
        Code::Denied => Some(Class::Denied),
        Code::Configuration => Some(Class::Configuration),
        _ => None,
    }
}

/// The report as text: what was found, and what it was found on.
async fn report(
    context: &Context,
    config: &Config,
    examination: &Examination,
    surroundings: &Surroundings,
) -> Result<String, CommandError> {
    let mailboxes = mailboxes(config, examination, surroundings).await;
    let environment = &context.environment;
    // The log names accounts that are no more.
    let gone = surroundings.daemon.iter().flat_map(|daemon| &daemon.status.stranded);
    let gone = gone.map(|one| one.account.as_str()).filter(|name| config.account(name).is_none());
    let others: Vec<&str> = environment.user.as_deref().into_iter().chain(gone).collect();
    let redactor = redact::Redactor::new(&config.accounts, mailboxes, &others, &environment.home);
    let kernel = rustix::system::uname();
    let value = serde_json::json!({
        "schema": doctor::record::SCHEMA,
        "written": jiff::Timestamp::now().round(jiff::Unit::Second).ok(),
        "version": env!("CARGO_PKG_VERSION"),
        "system": distribution(),
        "kernel": kernel.release().to_string_lossy(),
        "config": redact::config(config),
        "doctor": examination,
        "status": surroundings.daemon.as_ref().map(|daemon| redact::status(daemon.status.clone(), &redactor)),
        "log": doctor::journal().await,
    });
    let text = serde_json::to_string_pretty(&redactor.value(value));
    text.map(|text| text + "\n").map_err(|cause| unwritable(&cause.into()))
}

/// Every mailbox that the report could name: those that the servers tell now, those that the daemon keeps, and those that
/// stand in the ledgers, because the log goes further back.
async fn mailboxes(
    config: &Config,
    examination: &Examination,
    surroundings: &Surroundings,
) -> BTreeSet<String> {
    let told = examination.accounts.iter().flat_map(|account| account.mailboxes.clone());
    let status = surroundings.daemon.iter().flat_map(|daemon| &daemon.status.accounts);
    let kept = status.flat_map(|account| &account.mailboxes).map(|mailbox| mailbox.name.clone());
    let of = |account: &Account| surroundings.state_dir.join(&account.name).join("ledger.db");
    let ledgers: Vec<PathBuf> = config.accounts.iter().map(of).collect();
    // An account that was never run has no ledger.
    let read = move || -> Vec<String> {
        ledgers.iter().flat_map(|ledger| Ledger::mailbox_names(ledger).unwrap_or_default()).collect()
    };
    let known = off_reactor(read).await;
    told.chain(kept).chain(known).collect()
}

/// The name of the distribution (os-release(5)).
fn distribution() -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

fn usual_file() -> PathBuf {
    PathBuf::from(format!("posthaste-report-{}.json", jiff::Zoned::now().strftime("%Y%m%d-%H%M%S")))
}

/// Writes a file that is not there yet, for the user alone.
fn write_new(file: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())
}

fn unwritable(cause: &std::io::Error) -> CommandError {
    CommandError::io("cannot write the examination", cause)
}
