//! What may stand in a report for a help desk: facts without persons, without secrets, and without what mail is about. Pure.
//!
//! Local parts of addresses, login names and the name of the user become `user1`, `user2`, …, other local parts `***`; the
//! home directory becomes `~`; mailboxes become `mailbox 1`, …, but for the usual ones; names of files in an outbox, which
//! are often subjects, and long opaque strings, which may be tokens, become `…`. Of the configuration no line that has a
//! command, a secret or a password keeps its value. Names of one or two letters are taken out where they stand alone as an
//! address or a mailbox only: elsewhere they would be words.

mod words;

use crate::config::{Account, Config};
use crate::status::{Status, Stranded};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use words::{without_field, without_names_below, without_opaque, without_word};

/// Shorter names are words of the language.
const SHORTEST: usize = 3;
/// Names of mailboxes that no user made, in lower case.
const USUAL: &[&str] = &[
    "[gmail]",
    "[google mail]",
    "all mail",
    "archive",
    "deleted items",
    "deleted messages",
    "drafts",
    "important",
    "inbox",
    "junk",
    "junk email",
    "outbox",
    "sent",
    "sent items",
    "sent mail",
    "sent messages",
    "spam",
    "starred",
    "trash",
];

/// Who and what must not be told.
#[derive(Clone, Debug)]
pub struct Redactor {
    people: Vec<String>,
    mailboxes: Vec<String>,
    outboxes: Vec<String>,
    home: String,
}

impl Redactor {
    /// For these accounts of a person with this home and these names beside those of the accounts, and for mailboxes of these names beside those that the
    /// accounts name themselves.
    pub fn new(
        accounts: &[Account],
        mailboxes: impl IntoIterator<Item = String>,
        others: &[&str],
        home: &Path,
    ) -> Redactor {
        let local = |name: &str| name.rsplit_once('@').map_or(name, |(local, _)| local).to_lowercase();
        let logins = accounts.iter().flat_map(|account| [&account.address, &account.user, &account.login]);
        // The home of root is no person's name.
        let at_home = home.file_name().and_then(|name| name.to_str()).filter(|name| *name != "root");
        let people = logins.map(String::as_str).chain(others.iter().copied()).chain(at_home).map(local);
        let globs = accounts.iter().flat_map(|account| account.mailboxes.globs());
        let pushed = accounts.iter().flat_map(|account| &account.idle).map(ToString::to_string);
        let names = mailboxes.into_iter().chain(globs).chain(pushed);
        Redactor {
            people: longest_first(people),
            mailboxes: longest_first(names.flat_map(|name| made_names(&name))),
            outboxes: accounts.iter().map(|one| one.outbox.to_string_lossy().into_owned()).collect(),
            home: home.to_string_lossy().into_owned(),
        }
    }

    /// Every text in a JSON value; its keys stay.
    pub fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(all) => all.into_iter().map(|one| self.value(one)).collect(),
            Value::Object(all) => all.into_iter().map(|(key, one)| (key, self.value(one))).collect(),
            other => other,
        }
    }

    /// A text without what must not be told.
    pub fn text(&self, text: &str) -> String {
        let text = self.outboxes.iter().fold(text.to_owned(), |text, it| without_names_below(&text, it));
        let text = if self.home.len() > 1 { text.replace(&self.home, "~") } else { text };
        let text = self.addresses(&without_field(&text, "name"));
        let text = replace_all(text, &self.people, person);
        without_opaque(&replace_all(text, &self.mailboxes, mailbox))
    }

    /// Local parts before an `@`.
    fn addresses(&self, text: &str) -> String {
        let mut told = String::new();
        let mut parts = text.split('@').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                told.push_str(part);
                break;
            }
            let start = part.char_indices().rev().take_while(|(_, c)| is_local(*c)).last();
            let (before, local) = part.split_at(start.map_or(part.len(), |(at, _)| at));
            told.push_str(before);
            if !local.is_empty() {
                let known = self.people.iter().position(|name| *name == local.to_lowercase());
                told.push_str(&known.map_or_else(|| "***".to_owned(), person));
            }
            told.push('@');
        }
        told
    }
}

/// The configuration without secrets, line by line.
pub fn config(config: &Config) -> Vec<String> {
    let text: String = config.accounts.iter().map(Account::to_toml).collect();
    let is_secret = |key: &str| ["command", "secret", "password"].iter().any(|word| key.contains(word));
    text.lines()
        .map(|line| match line.split_once(" = ") {
            Some((key, _)) if is_secret(key) => format!("{key} = (set)"),
            _ => line.to_owned(),
        })
        .collect()
}

/// The status without names of files and of accounts that are not configured, and with numbers for mailboxes, short ones
/// too: there they are no words.
pub fn status(mut status: Status, redactor: &Redactor) -> Status {
    for one in &mut status.stranded {
        *one = Stranded { messages: one.messages, ..Stranded::default() };
    }
    for account in &mut status.accounts {
        account.detail.clear();
        account.passed_over.clear();
        for one in &mut account.mailboxes {
            if let Some(known) = redactor.mailboxes.iter().position(|name| *name == one.name.to_lowercase()) {
                one.name = mailbox(known);
            }
        }
    }
    status
}

/// What of a mailbox's name, or of a glob, the user may have made: the whole and its parts.
fn made_names(name: &str) -> Vec<String> {
    let parts = name.split(['/', '*', '?', '!']).map(str::to_lowercase);
    let whole = name.trim_matches(['/', '*', '?', '!']).to_lowercase();
    parts.chain([whole]).filter(|name| !name.is_empty() && !USUAL.contains(&name.as_str())).collect()
}

/// One name may be a part of another.
fn longest_first(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect::<BTreeSet<_>>().into_iter().collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names
}

fn replace_all(text: String, names: &[String], told: impl Fn(usize) -> String) -> String {
    let all = names.iter().enumerate().filter(|(_, name)| name.chars().count() >= SHORTEST);
    all.fold(text, |text, (number, name)| without_word(&text, name, &told(number)))
}

fn person(number: usize) -> String {
    format!("user{}", number + 1)
}

fn mailbox(number: usize) -> String {
    format!("mailbox {}", number + 1)
}

/// What a local part is made of in practice; `/` and quotes end one in a path or a sentence.
fn is_local(c: char) -> bool {
    c.is_alphanumeric() || ".!#$%&*+-=?^_{|}~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        let people = ["anna.lindqvist", "anna", "al"].map(str::to_owned).to_vec();
        let mailboxes = ["INBOX", "Divorce/Lawyer", "Divorce", "Sent", "xy", "!Clients/*"];
        Redactor {
            people,
            mailboxes: longest_first(mailboxes.iter().flat_map(|name| made_names(name))),
            outboxes: vec!["/home/anna/Outbox/work".into()],
            home: "/home/anna".into(),
        }
    }

    #[test]
    fn persons_become_numbers_and_strangers_stars() {
        for (text, told) in [
            ("anna.lindqvist@mail.test", "user1@mail.test"),
            ("<Anna@mail.test>, bob.b+x@other.test", "<user2@mail.test>, ***@other.test"),
            ("/home/anna/Mail/anna: ANNA is annam", "~/Mail/user2: user2 is annam"),
            ("al@x and all of al", "user3@x and all of al"),
            ("@ alone, a @ b", "@ alone, a @ b"),
            ("xanna anna", "xanna user2"),
        ] {
            assert_eq!(redactor().text(text), told);
        }
    }

    #[test]
    fn mailboxes_become_numbers_and_the_usual_ones_stay() {
        for (text, told) in [
            ("INBOX, Sent, Divorce/Lawyer", "INBOX, Sent, mailbox 1"),
            ("~/Mail/work/divorce/cur: gone", "~/Mail/work/mailbox 3/cur: gone"),
            ("[\"*\", \"!Clients/*\"]", "[\"*\", \"!mailbox 2/*\"]"),
            ("xy is short", "xy is short"),
        ] {
            assert_eq!(redactor().text(text), told);
        }
        let mailboxes = ["INBOX", "Divorce", "xy"]
            .map(|name| crate::status::Mailbox { name: name.into(), ..crate::status::Mailbox::default() });
        let account = crate::status::Account { mailboxes: mailboxes.to_vec(), ..Default::default() };
        let told = status(Status { accounts: vec![account], ..Status::absent() }, &redactor());
        let names: Vec<_> = told.accounts[0].mailboxes.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["INBOX", "mailbox 3", "mailbox 5"]);
    }

    #[test]
    fn names_of_dropped_files_go() {
        let line = "refused account=\"work\" path=/home/anna/Outbox/work/failed/About us.eml reason=none";
        assert_eq!(redactor().text(line), "refused account=\"work\" path=~/Outbox/work/… reason=none");
    }

    #[test]
    fn the_user_is_a_person_and_root_is_none() {
        let people = |others: &[&str], home: &str| Redactor::new(&[], [], others, Path::new(home)).people;
        assert_eq!(people(&["Anna"], "/home/lindqvist"), ["lindqvist", "anna"]);
        assert_eq!(people(&[], "/root"), Vec::<String>::new());
        let redactor = Redactor::new(&[], [], &["anna", "clinic"], Path::new("/root"));
        let line = "queued, and nobody sends it account=clinic queue=/s/clinic/queue";
        let told = "queued, and nobody sends it account=user1 queue=/s/user1/queue";
        assert_eq!(redactor.text(line), told, "an account that is no more");
    }

    #[test]
    fn values_are_gone_through_and_keys_stay() {
        let value = serde_json::json!({"anna": ["anna", {"x": 1, "y": "a@anna.test"}]});
        let told = serde_json::json!({"anna": ["user2", {"x": 1, "y": "***@user2.test"}]});
        assert_eq!(redactor().value(value), told);
    }
}
