//! What may stand in a report for a help desk: facts without persons and without secrets. Pure.
//!
//! Local parts of addresses and login names become `user1`, `user2`, …, other local parts `***`; the home directory
//! becomes `~`; long opaque strings, which may be tokens, become `…`. Of the configuration no line that has a command, a
//! secret or a password keeps its value, of a status no mailbox keeps a name of the user's making. Names of one or two
//! letters are taken out of addresses only: elsewhere they would be words.

use crate::config::{Account, Config};
use crate::status::Status;
use serde_json::Value;
use std::path::Path;

/// Shorter names are words of the language.
const SHORTEST: usize = 3;
/// Letters and digits without a break; a UUID, which help desks ask for, has at most twelve.
const OPAQUE: usize = 32;

/// Who and what must not be told.
#[derive(Clone, Debug)]
pub struct Redactor {
    people: Vec<String>,
    home: String,
}

impl Redactor {
    /// For these accounts of a person whose home is this.
    pub fn new(accounts: &[Account], home: &Path) -> Redactor {
        let mut people: Vec<String> = Vec::new();
        for name in accounts.iter().flat_map(|account| [&account.address, &account.user]) {
            let local = name.rsplit_once('@').map_or(name.as_str(), |(local, _)| local).to_lowercase();
            if !people.contains(&local) {
                people.push(local);
            }
        }
        // The longest first: one name may be a part of another.
        people.sort_by_key(|name| std::cmp::Reverse(name.len()));
        Redactor { people, home: home.to_string_lossy().into_owned() }
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
        let text = if self.home.len() > 1 { text.replace(&self.home, "~") } else { text.to_owned() };
        let text = self.addresses(&text);
        let all = self.people.iter().enumerate().filter(|(_, name)| name.chars().count() >= SHORTEST);
        let text = all.fold(text, |text, (number, name)| without_word(&text, name, &person(number)));
        without_opaque(&text)
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

/// The configuration without secrets and persons, line by line.
pub fn config(config: &Config, redactor: &Redactor) -> Vec<String> {
    let text: String = config.accounts.iter().map(Account::to_toml).collect();
    let is_secret = |key: &str| ["command", "secret", "password"].iter().any(|word| key.contains(word));
    text.lines()
        .map(|line| match line.split_once(" = ") {
            Some((key, _)) if is_secret(key) => format!("{key} = (set)"),
            _ => redactor.text(line),
        })
        .collect()
}

/// The status without names of mailboxes and files.
pub fn status(mut status: Status) -> Status {
    for account in &mut status.accounts {
        account.detail.clear();
        account.passed_over.clear();
        let others = account.mailboxes.iter_mut().filter(|mailbox| mailbox.name != "INBOX");
        others.enumerate().for_each(|(number, mailbox)| mailbox.name = format!("mailbox {}", number + 1));
    }
    status
}

fn person(number: usize) -> String {
    format!("user{}", number + 1)
}

/// What a local part is made of in practice; `/` and quotes end one in a path or a sentence.
fn is_local(c: char) -> bool {
    c.is_alphanumeric() || ".!#$%&*+-=?^_{|}~".contains(c)
}

/// Replaces a word, in whatever case, where it stands alone.
fn without_word(text: &str, word: &str, other: &str) -> String {
    let (mut told, mut rest) = (String::new(), text);
    // Lower case may change lengths; such texts are compared as they are.
    let lower = |text: &str| {
        let lower = text.to_lowercase();
        if lower.len() == text.len() { lower } else { text.to_owned() }
    };
    while let Some(at) = lower(rest).find(word).filter(|at| rest.is_char_boundary(*at)) {
        let end = at + word.len();
        let (Some(before), Some(found), Some(after)) = (rest.get(..at), rest.get(at..end), rest.get(end..))
        else {
            break;
        };
        let last = before.chars().next_back().or_else(|| told.chars().next_back());
        let is_alone = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
        let stands_alone = is_alone(last) && is_alone(after.chars().next());
        told.push_str(before);
        told.push_str(if stands_alone { other } else { found });
        rest = after;
    }
    told + rest
}

/// Replaces what may be a token: long, and a mixture of letters and digits.
fn without_opaque(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '=');
    let mut told = String::new();
    for piece in text.split_inclusive(|c| !is_part(c)) {
        let core = piece.trim_end_matches(|c| !is_part(c));
        let has = |wanted: fn(&char) -> bool| core.chars().any(|c| wanted(&c));
        if core.len() >= OPAQUE && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic) {
            told.push('…');
            told.push_str(piece.get(core.len()..).unwrap_or_default());
        } else {
            told.push_str(piece);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        let people = ["anna.lindqvist", "anna", "al"].map(str::to_owned).to_vec();
        Redactor { people, home: "/home/anna".into() }
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
    fn what_may_be_a_token_goes_and_what_a_help_desk_asks_for_stays() {
        let token = "EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA";
        assert_eq!(redactor().text(&format!("Bearer {token}, done")), "Bearer …, done");
        let uuid = "correlation 2c3caa80-51f9-4125-8974-1b0c5ad3d1a1";
        assert_eq!(redactor().text(uuid), uuid);
    }

    #[test]
    fn values_are_gone_through_and_keys_stay() {
        let value = serde_json::json!({"anna": ["anna", {"x": 1, "y": "a@anna.test"}]});
        let told = serde_json::json!({"anna": ["user2", {"x": 1, "y": "***@user2.test"}]});
        assert_eq!(redactor().value(value), told);
    }
}
