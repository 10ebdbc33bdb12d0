//! `posthaste sync`: one complete two-way pass, with progress on a terminal.
//!
//! A running daemon makes the pass, because it holds the accounts' locks and connections; else it is made here. The pass counts as failed
//! when any account or mailbox of it failed: a script must not take half a pass for a whole one.

use super::error::{CommandError, Exit};
use super::progress::Bar;
use super::{Context, direct, output, render};
use crate::config::suggestion;
use crate::control::client;
use crate::control::{Request, Response};
use crate::daemon::fleet::wish_to_sync;
use crate::status::{self, Summary};
use std::collections::BTreeSet;

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
    /// The glob of the mailboxes that are asked for.
    wanted: Option<String>,
    /// Whether an account has such a mailbox.
    is_matched: bool,
    /// The mailboxes of accounts that have none.
    others: Option<BTreeSet<String>>,
}

impl Sync {
    /// Has the pass made and shows it.
    pub async fn run(self, context: &Context) -> Result<(), CommandError> {
        let Sync { accounts, mailbox, dry_run } = self;
        let mut view = View { wanted: mailbox.clone(), ..View::new(context.is_quiet) };
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
        // Its own word: it may read another file than this command.
        if let Ok(status::Status { notice: Some(notice), .. }) = super::status::ask(&context.socket()).await {
            output::complain(&notice);
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
        View { bar: Bar::new(is_quiet), is_quiet, errors: 0, wanted: None, is_matched: false, others: None }
    }

    /// Shows one answer. Where nobody reads stdout the pass goes on all the same.
    pub fn show(&mut self, response: Response) -> Result<(), CommandError> {
        match response {
            Response::Progress { account, progress } => self.bar.update(&account, &progress),
            Response::Plan { summary, .. } | Response::Report { summary, .. }
                if summary.unmatched.is_some() && summary.errors.is_empty() =>
            {
                self.others.get_or_insert_default().extend(summary.unmatched.into_iter().flatten());
            }
            Response::Plan { account, text, summary } => {
                self.bar.clear();
                self.count(&summary);
                let _ = output::print(&render::plan(&account, &text, &summary))?;
            }
            Response::Report { account, summary } => {
                self.bar.clear();
                self.count(&summary);
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

    fn count(&mut self, summary: &Summary) {
        self.is_matched = true;
        self.errors += summary.errors.iter().collect::<BTreeSet<_>>().len();
    }

    /// Whether all of it went well, and over what was asked for.
    pub fn end(mut self) -> Result<(), CommandError> {
        self.bar.clear();
        match (self.errors, self.wanted.zip(self.others)) {
            (0, Some((wanted, others))) if !self.is_matched => Err(CommandError {
                hint: Some(suggestion(&wanted, others.iter().map(String::as_str))),
                ..CommandError::new(Exit::Usage, format!("no mailbox matches {wanted}"))
            }),
            (0, _) => Ok(()),
            (errors, _) => {
                let count = if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") };
                Err(CommandError::new(Exit::Failed, format!("the pass is not complete: {count}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(errors: &[&str]) -> Summary {
        Summary { errors: errors.iter().map(|&error| error.to_owned()).collect(), ..Summary::default() }
    }

    #[test]
    fn a_pass_with_an_error_is_a_failed_command() {
        let report = |errors| Response::Report { account: "lab".into(), summary: summary(errors) };
        let mut view = View::new(true);
        view.show(report(&[])).unwrap();
        view.show(report(&["INBOX: lost", "INBOX: lost"])).unwrap();
        let error = view.end().unwrap_err();
        assert_eq!((error.exit, error.message.as_str()), (Exit::Failed, "the pass is not complete: 1 error"));
        let mut view = View::new(true);
        view.show(report(&[])).unwrap();
        assert_eq!(view.end(), Ok(()));
    }

    #[test]
    fn a_mailbox_of_one_account_is_enough() {
        let report = |unmatched: Option<&[&str]>| {
            let unmatched = unmatched.map(|names| names.iter().map(|&name| name.to_owned()).collect());
            Response::Report { account: "lab".into(), summary: Summary { unmatched, ..summary(&[]) } }
        };
        let view = || View { wanted: Some("Archiv".into()), ..View::new(true) };
        let mut none = view();
        none.show(report(Some(&["INBOX"]))).unwrap();
        none.show(report(Some(&["INBOX", "Archive"]))).unwrap();
        let error = none.end().unwrap_err();
        assert_eq!((error.exit, error.hint.as_deref()), (Exit::Usage, Some("did you mean `Archive`?")));
        let mut one = view();
        one.show(report(Some(&["INBOX"]))).unwrap();
        one.show(report(None)).unwrap();
        assert_eq!(one.end(), Ok(()));
    }

    #[test]
    fn a_plan_that_misses_a_mailbox_is_a_failed_command() {
        let summary = summary(&["INBOX: lost"]);
        let mut view = View::new(true);
        view.show(Response::Plan { account: "lab".into(), text: String::new(), summary }).unwrap();
        assert_eq!(view.end().unwrap_err().exit, Exit::Failed);
    }
}
