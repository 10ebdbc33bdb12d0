//! What stands until whoever told it takes it back, and which of it the status shows.
//!
//! Each loop tells its own trouble and none knows the others', so a pass over one mailbox cannot wipe away what stands in
//! another. Pure.

use super::board::Complaint;
use crate::mail::MailboxName;
use crate::status::State;
use crate::sync::MailboxRecord;
use crate::sync::report::{INCOMPLETE, MailboxReport, Report};
use std::collections::BTreeMap;

/// What is wrong with an account, by who tells it.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// What keeps the account from its server or its Maildir.
    pub(super) account: Option<Complaint>,
    /// What keeps single mailboxes from being in step.
    mailboxes: BTreeMap<MailboxName, Complaint>,
    /// Mailboxes of which messages stay on the server for good; known anew only where both sides are compared.
    left: BTreeMap<MailboxName, Complaint>,
    /// What stands in the way of submission.
    pub(super) outbox: Option<Complaint>,
    /// Mailboxes whose new mail is not pushed, and why.
    pub(super) unwatched: BTreeMap<MailboxName, String>,
    /// What to do about deletions held back.
    pub(super) held: Option<String>,
    /// How new mail is learnt of.
    pub(super) push: Option<&'static str>,
}

impl Standing {
    /// What a pass met, mailbox by mailbox. What it did not look at stays as it was, unless it is gone. A name of which there
    /// is no record (its directory is that of another mailbox) is met only where everything is listed.
    /// `advised` adds the help for known answers.
    pub(super) fn passed(
        &mut self,
        records: &[MailboxRecord],
        report: &Report,
        advised: impl Fn(Complaint) -> Complaint,
    ) {
        let is_kept = |name: &MailboxName| {
            let is_there = match records.iter().find(|record| record.name == *name) {
                Some(record) => !record.absent,
                None => !report.listed,
            };
            is_there || report.mailboxes.contains_key(name)
        };
        self.mailboxes.retain(|name, _| is_kept(name));
        self.left.retain(|name, _| is_kept(name));
        for (name, done) in &report.mailboxes {
            match complaint(name, done) {
                Some(complaint) => self.mailboxes.insert(name.clone(), advised(complaint)),
                None => self.mailboxes.remove(name),
            };
            match &done.left {
                Some(left) => drop(self.left.insert(name.clone(), advised(Complaint::of_trouble(left)))),
                None if done.compared => drop(self.left.remove(name)),
                None => {}
            }
        }
    }

    /// Why messages of a mailbox stay on the server.
    pub(super) fn left(&self, mailbox: &MailboxName) -> Option<String> {
        self.left.get(mailbox).map(|left| left.text.clone())
    }

    /// The worst of it, in words, and what the user can do.
    pub(super) fn shown(&self) -> (Option<String>, Option<String>) {
        if let Some(complaint) = &self.account {
            return (Some(complaint.text.clone()), complaint.hint.clone());
        }
        let mailbox = self.mailboxes.values().chain(self.left.values()).next().cloned();
        let complaint = mailbox.or_else(|| {
            let complaint = self.outbox.clone()?;
            Some(Complaint { text: format!("submission: {}", complaint.text), ..complaint })
        });
        match complaint {
            Some(complaint) => (Some(complaint.text), complaint.hint.or_else(|| self.held.clone())),
            None => {
                let unwatched = self.unwatched.iter().next();
                (unwatched.map(|(name, why)| format!("watching {name}: {why}")), self.held.clone())
            }
        }
    }

    /// How new mail is learnt of in this state: not at all where nobody listens.
    pub(super) fn push(&self, state: State) -> Option<String> {
        self.push.filter(|_| is_served(state)).map(str::to_owned)
    }
}

/// Whether an account in this state is logged in and looked after.
pub(super) fn is_served(state: State) -> bool {
    matches!(state, State::Watching | State::Syncing | State::Held)
}

fn complaint(mailbox: &MailboxName, done: &MailboxReport) -> Option<Complaint> {
    match &done.trouble {
        Some(trouble) => Some(Complaint::of_trouble(trouble)),
        None if done.incomplete => {
            let text = format!("mailbox {mailbox}: {INCOMPLETE}");
            Some(Complaint::passing(text, None))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{Scope, Trouble};

    fn record(name: &str) -> MailboxRecord {
        MailboxRecord {
            name: MailboxName::new(name),
            special_use: None,
            directory: None,
            uid_validity: None,
            marks: None,
            absent: false,
            held: Vec::new(),
            messages: 0,
        }
    }

    fn trouble(text: &str) -> MailboxReport {
        let trouble =
            Trouble { hint: Some("mend it".into()), ..Trouble::new(Scope::Mailbox, Broken(text.into())) };
        MailboxReport { trouble: Some(trouble), ..MailboxReport::default() }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Broken(String);

    impl crate::error::Classified for Broken {
        fn class(&self) -> crate::error::Class {
            crate::error::Class::RETRY
        }
    }

    fn report(mailboxes: Vec<(&str, MailboxReport)>) -> Report {
        let named = mailboxes.into_iter().map(|(name, done)| (MailboxName::new(name), done));
        Report { mailboxes: named.collect(), ..Report::default() }
    }

    fn pass(standing: &mut Standing, records: &[MailboxRecord], report: &Report) {
        standing.passed(records, report, |complaint| complaint);
    }

    fn shown(standing: &Standing) -> (String, String) {
        let (error, hint) = standing.shown();
        (error.unwrap_or_default(), hint.unwrap_or_default())
    }

    #[test]
    fn trouble_in_a_mailbox_stands_until_that_mailbox_is_well_or_gone() {
        let (all, mut standing) = ([record("a"), record("b")], Standing::default());
        pass(&mut standing, &all, &report(vec![("a", trouble("lost")), ("b", MailboxReport::default())]));
        assert_eq!(shown(&standing), ("lost".into(), "mend it".into()));
        pass(&mut standing, &all, &report(vec![("b", MailboxReport::default())]));
        assert_eq!(shown(&standing), ("lost".into(), "mend it".into()), "a pass over another mailbox");
        pass(
            &mut standing,
            &all,
            &report(vec![("b", MailboxReport { incomplete: true, ..MailboxReport::default() })]),
        );
        pass(&mut standing, &all, &report(vec![("a", MailboxReport::default())]));
        assert!(shown(&standing).0.starts_with("mailbox b: "), "{standing:?}");
        pass(&mut standing, &all[..1], &Report::default());
        assert!(shown(&standing).0.starts_with("mailbox b: "), "a pass that listed nothing: {standing:?}");
        pass(&mut standing, &all[..1], &Report { listed: true, ..Report::default() });
        assert_eq!(standing.shown(), (None, None), "what is gone");
    }

    #[test]
    fn what_is_too_large_is_named_until_the_mailbox_is_compared_again() {
        let (all, mut standing) = ([record("a")], Standing::default());
        let done = |left| MailboxReport { left, compared: true, ..MailboxReport::default() };
        pass(&mut standing, &all, &report(vec![("a", done(trouble("too large").trouble))]));
        pass(&mut standing, &all, &report(vec![("a", MailboxReport::default())]));
        assert_eq!(
            (shown(&standing).0, standing.left(&all[0].name)),
            ("too large".into(), Some("too large".into()))
        );
        pass(&mut standing, &all, &report(vec![("a", done(None))]));
        assert_eq!((standing.shown(), standing.left(&all[0].name)), ((None, None), None));
    }

    #[test]
    fn the_worst_is_shown_and_what_is_behind_it_when_that_is_over() {
        let complaint = |text: &str| Some(Complaint::passing(text.into(), None));
        let mut standing = Standing { held: Some("approve".into()), ..Standing::default() };
        standing.unwatched.insert(MailboxName::inbox(), "no".into());
        assert_eq!(shown(&standing), ("watching INBOX: no".into(), "approve".into()));
        standing.outbox = complaint("refused");
        assert_eq!(shown(&standing), ("submission: refused".into(), "approve".into()));
        pass(&mut standing, &[record("a")], &report(vec![("a", trouble("lost"))]));
        assert_eq!(shown(&standing), ("lost".into(), "mend it".into()));
        standing.account = complaint("no route");
        assert_eq!(shown(&standing), ("no route".into(), String::new()));
        standing.account = None;
        assert_eq!(shown(&standing).0, "lost");
    }

    #[test]
    fn push_is_told_only_where_somebody_listens() {
        let standing = Standing { push: Some("idle"), ..Standing::default() };
        for state in [State::Watching, State::Syncing, State::Held] {
            assert_eq!(standing.push(state).as_deref(), Some("idle"));
        }
        for state in [State::Starting, State::Connecting, State::Waiting, State::NeedsLogin, State::Denied] {
            assert_eq!(standing.push(state), None, "{state:?}");
        }
    }
}
