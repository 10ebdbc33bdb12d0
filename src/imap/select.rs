//! Opening a mailbox, and knowing which one is open.
//!
//! Invariant: a mailbox counts as open only after the tagged OK of its SELECT. What the server says before that OK about
//! messages belongs to the mailbox that was open before, and is not told to anybody.

use super::batch::Batch;
use super::error::Error;
use super::parse::Response;
use super::selected::Selected;
use super::session::{Event, Session};
use crate::mail::{MailboxName, UidValidity};
use crate::sync::At;

/// A mailbox just opened.
#[derive(Debug)]
pub(super) struct Opened {
    /// What SELECT said; later data is not in it.
    pub(super) state: Selected,
    /// How many messages SELECT said there are.
    pub(super) exists: u32,
    /// How the command that was sent on its heels ended, if there was one.
    pub(super) then: Option<Result<(), Error>>,
}

impl Session {
    /// Opens a mailbox with `SELECT` or `EXAMINE`.
    pub(super) async fn select(
        &mut self,
        mailbox: &MailboxName,
        verb: &'static str,
    ) -> Result<Opened, Error> {
        self.select_then(mailbox, verb, None, |_| {}).await
    }

    /// Opens a mailbox, with a `UID FETCH` sent on its heels whose data goes to `on`.
    pub(super) async fn select_then(
        &mut self,
        mailbox: &MailboxName,
        verb: &'static str,
        then: Option<String>,
        mut on: impl FnMut(Response),
    ) -> Result<Opened, Error> {
        let parameters = if self.capabilities().has("CONDSTORE") { " (CONDSTORE)" } else { "" };
        let select = format!("{verb} {}{parameters}", self.wire_name(mailbox).await?);
        self.selected = Some(Selected::default());
        let mut batch = Batch::new([select].into_iter().chain(then));
        let mut first = None;
        let mut second = None;
        while let Some(event) = self.advance(&mut batch).await? {
            match event {
                Event::Data(response) if first.is_some() => on(response),
                Event::Done(tag, _) if batch.is_overtaken_by(tag) => {
                    return Err(self.lost(Error::Protocol("it answers before the mailbox is open")));
                }
                Event::Done(_, completion) if first.is_none() => {
                    first = Some(completion.ok(verb).map(|_| self.selected.clone().unwrap_or_default()));
                }
                Event::Done(_, completion) => second = Some(completion.ok("UID FETCH").map(|_| ())),
                _ => {}
            }
        }
        let state = first.unwrap_or(Err(Error::Unusable)).inspect_err(|error| {
            self.selected = None;
            if error.is_bad() {
                // Offered and then not understood: the next attempt goes without.
                self.withdraw("CONDSTORE");
            }
        })?;
        let exists = state.exists.ok_or_else(|| contradiction(mailbox, "no EXISTS".to_owned()))?;
        if let Some(selected) = self.selected.as_mut() {
            selected.name = Some(mailbox.clone());
        }
        Ok(Opened { state, exists, then: second })
    }

    /// Opens a mailbox read-only (RFC 9051 §6.3.3), which changes nothing; how many messages it has.
    pub async fn examine(&mut self, mailbox: &MailboxName) -> Result<u32, Error> {
        Ok(self.select(mailbox, "EXAMINE").await?.exists)
    }

    /// Makes sure that this mailbox is open in this generation.
    pub(super) async fn ensure(&mut self, at: &At) -> Result<(), Error> {
        let is_open = |it: &Selected| it.name.as_ref() == Some(&at.mailbox);
        if !self.selected.as_ref().is_some_and(is_open) {
            self.select(&at.mailbox, "SELECT").await?;
        }
        let generation = self.selected.as_ref().and_then(|it| it.uid_validity).and_then(UidValidity::new);
        match generation {
            Some(generation) if generation == at.uid_validity => Ok(()),
            _ => Err(Error::Generation { mailbox: at.mailbox.to_string() }),
        }
    }

    /// How many messages the open mailbox has by now.
    pub(super) fn exists(&self) -> u32 {
        self.selected.as_ref().and_then(|selected| selected.exists).unwrap_or(0)
    }

    /// The name as a command's argument; asks for the hierarchy delimiter where that is needed and not known.
    pub(super) async fn wire_name(&mut self, mailbox: &MailboxName) -> Result<String, Error> {
        if !self.names.is_delimiter_known() && !mailbox.is_inbox() {
            let mut delimiter = Some('/');
            let on = |response| {
                if let Response::List(list) = response {
                    delimiter = list.delimiter;
                }
            };
            self.run("LIST", "LIST \"\" \"\"".to_owned(), on).await?;
            self.names.learn_delimiter(delimiter);
        }
        self.names.quoted(mailbox)
    }
}

/// The server contradicts itself about this mailbox.
pub(super) fn contradiction(mailbox: &MailboxName, reason: impl Into<String>) -> Error {
    Error::Contradiction { mailbox: mailbox.to_string(), reason: reason.into() }
}
