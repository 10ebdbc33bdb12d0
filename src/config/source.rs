//! The text of the configuration file and where things stand in it.
//!
//! Knows TOML syntax and nothing of what keys mean. A semantic refusal names a path of keys; the deepest part of it
//! that is written down is what the user is pointed at. `toml::Spanned` fields in the typed structures were rejected:
//! the layering crate cannot fill them.

use super::error::{Error, Place};
use super::{typed, words};
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file's name and content.
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// Reads the file as written, on its own, so that mistakes are reported with their place.
    pub(super) fn parse(&self) -> Result<typed::File, Error> {
        toml::from_str(self.text).map_err(|error| self.refused(error.message(), error.span().unwrap_or(0..0)))
    }

    /// What a parser refuses about these bytes, in plain words.
    pub(super) fn refused(&self, message: &str, span: Range<usize>) -> Error {
        let root = DeTable::parse(self.text).ok();
        let key = root.as_ref().and_then(|root| key_at(root.get_ref(), span.start));
        Error::File { message: words::plain(message, key), place: self.place(span) }
    }

    /// Where the deepest written part of a path of keys stands: its value, or the key itself where that is a table.
    pub(super) fn locate(&self, path: &[String]) -> Place {
        let span = DeTable::parse(self.text).ok().and_then(|root| find(root.get_ref(), path));
        self.place(span.unwrap_or(0..0))
    }

    /// The place of these bytes.
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let indent = before.get(line_start..).unwrap_or_default();
        let line = self.text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let marked = self.text.get(span).and_then(|marked| marked.lines().next()).unwrap_or_default();
        Place {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: indent.chars().count() + 1,
            excerpt: (!may_show_secret(line)).then(|| excerpt(line, indent, marked)),
        }
    }
}

/// The line, and below it a caret for each marked character; tabs are kept so that both lines align.
fn excerpt(line: &str, indent: &str, marked: &str) -> String {
    let blanks: String = indent.chars().map(|character| if character == '\t' { '\t' } else { ' ' }).collect();
    format!("{line}\n{blanks}{}", "^".repeat(marked.chars().count().max(1)))
}

/// Whether a line assigns a secret; the command that prints one and the name of a credential may be shown.
fn may_show_secret(line: &str) -> bool {
    let named = line.replace("client_secret_command", "").replace("client_secret_credential", "");
    named.contains("client_secret")
}

/// The key whose value is written here.
fn key_at<'a>(table: &'a DeTable<'_>, at: usize) -> Option<&'a str> {
    table.iter().find_map(|(key, value)| match value.get_ref() {
        DeValue::Table(inner) => key_at(inner, at),
        _ => value.span().contains(&at).then(|| key.get_ref().as_ref()),
    })
}

fn find(table: &DeTable<'_>, path: &[String]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    match value.get_ref() {
        DeValue::Table(inner) => find(inner, rest).or_else(|| Some(key.span())),
        _ => Some(Spanned::span(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> (String, Option<String>) {
        let error = Source { file: Path::new("c.toml"), text }.parse().unwrap_err();
        (error.to_string(), error.excerpt().map(str::to_owned))
    }

    #[test]
    fn an_unknown_key_is_shown_with_line_column_and_caret() {
        let (message, excerpt) = error("maildir_root = \"~/Mail\"\n\n[accounts.lab]\n\tprot = \"imap\"\n");
        assert!(
            message.starts_with("c.toml:4:2: unknown key `prot`, expected one of `address`, "),
            "{message}"
        );
        assert_eq!(excerpt.as_deref(), Some("\tprot = \"imap\"\n\t^^^^"));
    }

    #[test]
    fn a_wrong_type_and_a_wrong_word_say_what_was_expected() {
        let (message, excerpt) = error("[accounts.lab]\nimap = { host = \"ü\", port = \"x\" }");
        assert_eq!(message, "c.toml:2:29: `port` takes a whole number up to 65535, like 995");
        assert_eq!(excerpt.unwrap().lines().nth(1), Some("                            ^^^"));
        let (message, _) = error("[accounts.lab]\nauth = \"kerberos\"");
        assert_eq!(
            message,
            "c.toml:2:8: unknown value `kerberos` of `auth`, expected `oauth2` or `password`"
        );
    }

    #[test]
    fn broken_syntax_is_one_line_with_its_place() {
        let (message, _) = error("[accounts.lab\naddress = 1");
        assert!(message.starts_with("c.toml:1:14: ") && !message.contains('\n'), "{message}");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let (message, excerpt) = error("[accounts.lab.oauth]\nclient_secret = 736574");
        assert_eq!(message, "c.toml:2:17: `client_secret` takes text in quotes, like \"not-really\"");
        assert_eq!(excerpt, None);
    }

    #[test]
    fn the_deepest_written_key_is_found() {
        let text = "[accounts.a]\naddress = \"x\"\n\n[accounts.a.imap]\nhost = \"h\"\n";
        let source = Source { file: Path::new("c.toml"), text };
        let at = |path: &[&str]| {
            let path: Vec<String> = path.iter().map(|&key| key.to_owned()).collect();
            let place = source.locate(&path);
            (place.line, place.column)
        };
        assert_eq!(at(&["accounts", "a", "address"]), (2, 11));
        assert_eq!(at(&["accounts", "a", "user"]), (1, 11));
        assert_eq!(at(&["accounts", "a", "imap", "host"]), (5, 8));
        assert_eq!(at(&["accounts", "b"]), (1, 2));
        assert_eq!(at(&["elsewhere"]), (1, 1));
    }
}
