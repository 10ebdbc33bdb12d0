//! `posthaste held`: deletions that the guard held back, and copies in quarantine.
//!
//! An ID is `ACCOUNT/MAILBOX`; account names have no slash, so the first one separates.

use super::error::{CommandError, Exit};
use super::output::harmless;
use super::sync::View;
use super::{Context, direct, output};
use crate::account::Wish;
use crate::control::client;
use crate::control::{Deletions, HeldRequest, Quarantined, Request, Response};
use crate::keeping::Side;
use crate::mail::MailboxName;
use std::str::FromStr;

/// Arguments of `held`.
#[derive(Debug, clap::Args)]
pub struct Held {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show them, with their IDs
    List,
    /// Carry the deletions out with the next pass
    Approve {
        /// ACCOUNT/MAILBOX, as `list` shows it
        id: Id,
    },
    /// Bring the copies back from quarantine
    Restore {
        /// ACCOUNT/MAILBOX, as `list` shows it
        id: Id,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Id {
    account: String,
    mailbox: String,
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Id, String> {
        match text.split_once('/') {
            Some((account, mailbox)) if !account.is_empty() && !mailbox.is_empty() => {
                Ok(Id { account: account.to_owned(), mailbox: mailbox.to_owned() })
            }
            _ => Err("expected ACCOUNT/MAILBOX, as `posthaste held` shows it".to_owned()),
        }
    }
}

impl Held {
    /// Asks the daemon and prints.
    pub async fn run(self, context: &Context) -> Result<(), CommandError> {
        let request = match self.action.unwrap_or(Action::List) {
            Action::List => HeldRequest::List,
            Action::Approve { id: Id { account, mailbox } } => HeldRequest::Approve { account, mailbox },
            Action::Restore { id: Id { account, mailbox } } => HeldRequest::Restore { account, mailbox },
        };
        let is_list = request == HeldRequest::List;
        let mut responses = match client::request(&context.socket(), &Request::Held(request.clone())).await {
            Err(client::Error::Absent) => return here(context, request).await,
            outcome => outcome?,
        };
        let (mut is_shown, mut view) = (false, View::new(context.is_quiet));
        while let Some(response) = responses.next().await? {
            match response {
                Response::Held { deletions, quarantined } => {
                    is_shown = true;
                    let _ = output::print(&listed(&deletions, &quarantined))?;
                }
                other => view.show(other)?,
            }
        }
        match is_list && !is_shown {
            true => Err(CommandError::new(Exit::Failed, "the daemon gave no list")),
            false => view.end(),
        }
    }
}

/// The same without a daemon.
async fn here(context: &Context, request: HeldRequest) -> Result<(), CommandError> {
    let (names, wish) = match request {
        HeldRequest::List => (Vec::new(), Wish::ListHeld),
        HeldRequest::Approve { account, mailbox } => {
            (vec![account], Wish::Approve(MailboxName::new(mailbox)))
        }
        HeldRequest::Restore { account, mailbox } => {
            (vec![account], Wish::Restore(MailboxName::new(mailbox)))
        }
    };
    let (mut all_deletions, mut all_copies) = (Vec::new(), Vec::new());
    let is_list = matches!(wish, Wish::ListHeld);
    let (mut view, mut failure) = (View::new(context.is_quiet), None);
    for account in direct::chosen(context, &names)? {
        let show = |response| match response {
            Response::Held { deletions, quarantined } => {
                all_deletions.extend(deletions);
                all_copies.extend(quarantined);
                Ok(())
            }
            response => view.show(response),
        };
        let done = direct::carry_out(context, account, wish.clone(), show).await;
        // One account in trouble must not hide the others.
        failure = failure.or(done.err());
    }
    if is_list {
        let _ = output::print(&listed(&all_deletions, &all_copies))?;
    }
    failure.map_or_else(|| view.end(), Err)
}

/// Deletions held back and copies in quarantine, each with the command that decides.
fn listed(deletions: &[Deletions], quarantined: &[Quarantined]) -> String {
    let mut text = String::new();
    for Deletions { account, mailbox, side, count, of, approved } in deletions {
        let gone_from = match side {
            Side::Remote => "the server",
            Side::Local => "the Maildir",
        };
        let id = harmless(&format!("{account}/{mailbox}"));
        text.push_str(&format!("{id}: {count} of {of} messages disappeared from {gone_from}\n"));
        text.push_str(&match approved {
            true => "  approved: the next pass deletes them on the other side\n".to_owned(),
            false => format!("  to delete them on the other side: posthaste held approve '{id}'\n"),
        });
    }
    for Quarantined { account, mailbox, count } in quarantined {
        let id = harmless(&format!("{account}/{mailbox}"));
        text.push_str(&format!("{id}: {count} copies in quarantine\n"));
        text.push_str(&format!("  to bring them back: posthaste held restore '{id}'\n"));
    }
    match text.is_empty() {
        true => "nothing is held back and nothing is in quarantine\n".to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_deletions_come_with_the_command_that_decides() {
        let deletions = Deletions {
            account: "lab".into(),
            mailbox: "INBOX".into(),
            side: Side::Local,
            count: 30,
            of: 40,
            approved: false,
        };
        let copies = Quarantined { account: "lab".into(), mailbox: "Old mail".into(), count: 2 };
        assert_eq!(
            listed(&[deletions], &[copies]),
            "lab/INBOX: 30 of 40 messages disappeared from the Maildir\n  \
             to delete them on the other side: posthaste held approve 'lab/INBOX'\n\
             lab/Old mail: 2 copies in quarantine\n  to bring them back: posthaste held restore 'lab/Old mail'\n"
        );
        assert!(listed(&[], &[]).starts_with("nothing"));
    }

    #[test]
    fn an_id_is_split_at_its_first_slash() {
        let id: Id = "lab/Archive/2024".parse().unwrap();
        assert_eq!((id.account.as_str(), id.mailbox.as_str()), ("lab", "Archive/2024"));
        for wrong in ["", "lab", "lab/", "/INBOX"] {
            assert!(wrong.parse::<Id>().is_err(), "{wrong}");
        }
    }
}
