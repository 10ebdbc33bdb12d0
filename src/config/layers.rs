//! The layers of the configuration: defaults, then the file, then the environment.
//!
//! `POSTHASTE_ACCOUNTS__LAB__SWEEP=5s` overrides `accounts.lab.sweep`. Variables cannot hold every character of an
//! account name, so names are compared without case and with `-` and `.` read as `_`. Each variable is checked on its
//! own first: the layering crate names neither file nor variable in its errors. The environment itself is passed in.
//! The crate's own `Environment` source was rejected: it lower-cases keys and takes a dot in a name for a new level.

use super::error::Error;
use super::{typed, words};
use config::builder::DefaultState;
use config::{Config as Layers, ConfigBuilder, ConfigError, FileFormat, Map, Value, ValueKind};
use std::fmt;

/// What comes before the keys in a variable's name.
const PREFIX: &str = "POSTHASTE_";
/// Keys that hold lists; their values are TOML arrays, or one element.
const LISTS: [&str; 3] = ["mailboxes", "idle", "scopes"];

/// One key that the environment overrides.
#[derive(Clone)]
pub(super) struct Override {
    pub(super) variable: String,
    pub(super) path: Vec<String>,
    value: String,
}

/// The overrides among all variables; `accounts` are the names in the file.
pub(super) fn overrides(
    environment: impl Iterator<Item = (String, String)>,
    accounts: &[&String],
) -> Vec<Override> {
    let mut found: Vec<Override> = environment
        .filter_map(|(variable, value)| {
            let path = path_of(&variable, accounts)?;
            Some(Override { variable, path, value })
        })
        .collect();
    found.sort_by(|one, other| one.variable.cmp(&other.variable));
    found
}

/// The file with the overrides above it and the defaults below.
pub(super) fn merge(text: &str, overrides: &[Override]) -> Result<typed::File, Error> {
    for single in overrides {
        let alone = read(Layers::builder().add_source(single.clone()));
        alone.map_err(|error| Error::Environment {
            variable: single.variable.clone(),
            message: single.refusal().unwrap_or_else(|| error.to_string()),
        })?;
    }
    let defaults = Layers::builder()
        .set_default("maildir_root", "~/Mail")
        .and_then(|builder| builder.set_default("outbox_root", "~/Outbox"))
        .map_err(Error::Layers)?;
    let with_file = defaults.add_source(config::File::from_str(text, FileFormat::Toml));
    let layered = overrides.iter().fold(with_file, |builder, single| builder.add_source(single.clone()));
    read(layered).map_err(Error::Layers)
}

fn read(layers: ConfigBuilder<DefaultState>) -> Result<typed::File, ConfigError> {
    layers.build()?.try_deserialize()
}

/// The path of keys that a variable overrides; `None` for variables that are not about keys, like `POSTHASTE_CONFIG`.
fn path_of(variable: &str, accounts: &[&String]) -> Option<Vec<String>> {
    let keys = variable.strip_prefix(PREFIX)?;
    let mut path: Vec<String> = keys.split("__").map(str::to_ascii_lowercase).collect();
    match path.as_mut_slice() {
        [root] => matches!(root.as_str(), "maildir_root" | "outbox_root" | "token_store").then_some(path),
        [root, _] if root == "hooks" => Some(path),
        [root, account, _, ..] if root == "accounts" => {
            if let Some(name) = accounts.iter().find(|name| spelled(name) == *account) {
                *account = (*name).clone();
            }
            Some(path)
        }
        _ => None,
    }
}

/// An account name as it is spelled in a variable, in lower case.
fn spelled(name: &str) -> String {
    name.to_ascii_lowercase().replace(['-', '.'], "_")
}

impl Override {
    /// Why it makes no sense, as if it stood in the file: the layering crate names neither key nor what is expected.
    fn refusal(&self) -> Option<String> {
        let leaf = toml::Value::String(self.value.clone());
        let nest = |value, key: &String| toml::Value::Table(toml::Table::from_iter([(key.clone(), value)]));
        let written = self.path.iter().rev().fold(leaf, nest);
        let refused = written.try_into::<typed::File>().err()?;
        Some(words::plain(refused.message(), self.path.last().map(String::as_str)))
    }

    /// The value as the typed structures expect it: text, or a list for the keys that hold lists.
    fn kind(&self) -> ValueKind {
        let is_list = self.path.last().is_some_and(|key| LISTS.contains(&key.as_str()));
        match is_list.then(|| list(&self.value)) {
            Some(elements) => elements.into(),
            None => self.value.clone().into(),
        }
    }
}

/// A TOML array of strings, else the whole value as the one element.
fn list(value: &str) -> Vec<String> {
    let array: Option<Vec<String>> = toml::de::DeValue::parse(value).ok().and_then(|parsed| {
        let elements = parsed.get_ref().as_array()?.iter();
        elements.map(|element| Some(element.get_ref().as_str()?.to_owned())).collect()
    });
    array.unwrap_or_else(|| vec![value.to_owned()])
}

impl config::Source for Override {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let leaf = Value::new(Some(&self.variable), self.kind());
        let (root, inner) = match self.path.split_first() {
            Some((root, inner)) => (root.clone(), inner),
            None => return Ok(Map::new()),
        };
        let nested = inner.iter().rev().fold(leaf, |value, key| {
            Value::new(Some(&self.variable), ValueKind::Table(Map::from_iter([(key.clone(), value)])))
        });
        Ok(Map::from_iter([(root, nested)]))
    }
}

/// Without the value: it may be a client's secret.
impl fmt::Debug for Override {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.variable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(text: &str, variables: &[(&str, &str)]) -> Result<typed::File, String> {
        let file: typed::File = toml::from_str(text).unwrap();
        let names: Vec<&String> = file.accounts.keys().collect();
        let environment = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        merge(text, &overrides(environment, &names)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_defaults() {
        let text = "outbox_root = \"/out\"\n[accounts.lab]\nsweep = \"60s\"\nuser = \"a\"";
        let file = merged(text, &[("POSTHASTE_ACCOUNTS__LAB__SWEEP", "5s")]).unwrap();
        assert_eq!(file.maildir_root.as_deref(), Some("~/Mail"));
        assert_eq!(file.outbox_root.as_deref(), Some("/out"));
        let lab = &file.accounts["lab"];
        assert_eq!((lab.sweep.as_deref(), lab.user.as_deref()), (Some("5s"), Some("a")));
    }

    #[test]
    fn names_are_found_whatever_their_spelling() {
        let text = "[accounts.\"My-Work.eu\"]\nsweep = \"60s\"";
        let file = merged(text, &[("POSTHASTE_ACCOUNTS__MY_WORK_EU__SWEEP", "5s")]).unwrap();
        assert_eq!(file.accounts.len(), 1);
        assert_eq!(file.accounts["My-Work.eu"].sweep.as_deref(), Some("5s"));
    }

    #[test]
    fn numbers_booleans_and_lists_are_understood() {
        let variables = [
            ("POSTHASTE_ACCOUNTS__LAB__IMAP__PORT", "1143"),
            ("POSTHASTE_ACCOUNTS__LAB__POLL_ONLY", "true"),
            ("POSTHASTE_ACCOUNTS__LAB__MAILBOXES", "[\"*\", \"!Junk\"]"),
            ("POSTHASTE_ACCOUNTS__LAB__IDLE", "INBOX"),
            ("POSTHASTE_ACCOUNTS__LAB__USER", "123"),
            ("POSTHASTE_ACCOUNTS__LAB__OAUTH__CLIENT_SECRET", "[x]"),
        ];
        let file = merged("[accounts.lab]", &variables).unwrap();
        let lab = &file.accounts["lab"];
        assert_eq!(lab.imap.as_ref().and_then(|imap| imap.port), Some(1143));
        assert_eq!(lab.poll_only, Some(true));
        assert_eq!(lab.mailboxes.as_deref(), Some(&["*".to_owned(), "!Junk".to_owned()][..]));
        assert_eq!(lab.idle.as_deref(), Some(&["INBOX".to_owned()][..]));
        assert_eq!(lab.user.as_deref(), Some("123"));
        assert_eq!(
            lab.oauth.as_ref().and_then(|oauth| oauth.client_secret.clone()),
            Some("[x]".to_owned().into())
        );
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let unknown = merged("", &[("POSTHASTE_ACCOUNTS__LAB__SWEPE", "5s")]).unwrap_err();
        assert!(unknown.starts_with("POSTHASTE_ACCOUNTS__LAB__SWEPE: unknown key `swepe`"), "{unknown}");
        let wrong = merged("", &[("POSTHASTE_ACCOUNTS__LAB__IMAP__PORT", "many")]).unwrap_err();
        assert!(
            wrong.starts_with("POSTHASTE_ACCOUNTS__LAB__IMAP__PORT: `port` takes a whole number"),
            "{wrong}"
        );
    }

    #[test]
    fn other_variables_are_left_alone() {
        let variables =
            [("POSTHASTE_CONFIG", "/c"), ("POSTHASTE_LOG", "debug"), ("ACCOUNTS__LAB__SWEEP", "1s")];
        assert!(merged("", &variables).unwrap().accounts.is_empty());
    }
}
