//! `posthaste sync`: one complete two-way pass, with progress on a terminal.
//!
//! A running daemon makes the pass, because it holds the accounts' locks and connections; else it is made here. The pass counts as failed
//! when any account or mailbox of it failed: a script must not take half a pass for a whole one.

use super::error::{CommandError, Exit};
use super::progress::Bar;
use super::{Context, direct, output, render};
use crate::control::client;
use crate::control::{Request, Response};
use crate::daemon::fleet::wish_to_sync;

/// Arguments of `sync`.
#[derive(Debug, clap::Args)]
pub struct Sync {
    /// Accounts [default: all]
    #[arg(value_name = "ACCOUNT")]
    accounts: Vec<String>,
    /// Only mailboxes that match
    #[arg(long, value_name = "GLOB")]
    mailbox: Option<String>,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Shows the answers of a pass as they come.
#[derive(Debug)]
pub struct View {
    bar: Bar,
    is_quiet: bool,
    errors: usize,
}

impl Sync {
    /// Has the pass made and shows it.
    pub async fn run(self, context: &Context) -> Result<(), CommandError> {
        let Sync { accounts, mailbox, dry_run } = self;
        let mut view = View::new(context.is_quiet);
        let request = Request::Sync { accounts: accounts.clone(), mailbox: mailbox.clone(), dry_run };
        let mut responses = match client::request(&context.socket(), &request).await {
            Err(client::Error::Absent) => {
                let wish = wish_to_sync(mailbox, dry_run)?;
                let mut failure: Option<CommandError> = None;
                for account in direct::chosen(context, &accounts)? {
                    let done =
                        direct::carry_out(context, account, wish.clone(), |response| view.show(response))
                            .await;
                    // One account in trouble must not keep the others waiting, nor their trouble from being told.
                    if let Err(error) = done
                        && let Some(earlier) = failure.replace(error)
                    {
                        output::complain(&earlier.to_string());
                    }
                }
                return failure.map_or_else(|| view.end(), Err);
            }
            outcome => outcome?,
        };
        if let Err(error) = context.configuration() {
            output::complain(&format!("{error}\nthe running daemon goes on with the former configuration"));
        }
        while let Some(response) = responses.next().await? {
            view.show(response)?;
        }
        view.end()
    }
}

impl View {
    /// Nothing shown yet.
    pub fn new(is_quiet: bool) -> View {
        View { bar: Bar::new(is_quiet), is_quiet, errors: 0 }
    }

    /// Shows one answer. Where nobody reads stdout the pass goes on all the same.
    pub fn show(&mut self, response: Response) -> Result<(), CommandError> {
        match response {
            Response::Progress { account, progress } => self.bar.update(&account, &progress),
            Response::Plan { account, text, summary } => {
                self.bar.clear();
                self.errors += summary.errors.len();
                let _ = output::print(&render::plan(&account, &text, &summary))?;
            }
            Response::Report { account, summary } => {
                self.bar.clear();
                self.errors += summary.errors.len();
                if !self.is_quiet || !summary.errors.is_empty() {
                    let _ = output::print(&render::report(&account, &summary))?;
                }
            }
            Response::Status(_)
            | Response::Held { .. }
            | Response::Token(_)
            | Response::Done
            | Response::Error(_) => {}
        }
        Ok(())
    }

    /// Whether all of it went well.
    pub fn end(mut self) -> Result<(), CommandError> {
        self.bar.clear();
        match self.errors {
            0 => Ok(()),
            errors => {
                let count = if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") };
                Err(CommandError::new(Exit::Failed, format!("the pass is not complete: {count}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Summary;

    fn summary(errors: &[&str]) -> Summary {
        Summary { errors: errors.iter().map(|&error| error.to_owned()).collect(), ..Summary::default() }
    }

    #[test]
    fn a_pass_with_an_error_is_a_failed_command() {
        let report = |errors| Response::Report { account: "lab".into(), summary: summary(errors) };
        let mut view = View::new(true);
        view.show(report(&[])).unwrap();
        view.show(report(&["INBOX: lost"])).unwrap();
        assert_eq!(view.end().unwrap_err().exit, Exit::Failed);
        let mut view = View::new(true);
        view.show(report(&[])).unwrap();
        assert_eq!(view.end(), Ok(()));
    }

    #[test]
    fn a_plan_that_misses_a_mailbox_is_a_failed_command() {
        let summary = summary(&["INBOX: lost"]);
        let mut view = View::new(true);
        view.show(Response::Plan { account: "lab".into(), text: String::new(), summary }).unwrap();
        assert_eq!(view.end().unwrap_err().exit, Exit::Failed);
    }
}
