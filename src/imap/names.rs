//! Mailbox names between the wire and the program.
//!
//! Invariant: a mailbox that the server listed is always addressed with the very bytes it was listed with, whatever
//! they decode to. Only names that were never listed are encoded. RFC 9051 §5.1; INBOX has one spelling, and a second
//! mailbox that decodes to a known name is ignored (gateways list both `INBOX` and `Inbox`).

use super::error::Error;
use super::utf7;
use crate::mail::{MailboxName, SpecialUse};
use std::collections::BTreeMap;

/// A name longer than this on the wire is not a mailbox of a person.
const LENGTH: usize = 1024;

/// What is known of the server's names.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The hierarchy delimiter; the outer `None` until the server told, the inner for a flat server.
    delimiter: Option<Option<char>>,
    wire: BTreeMap<MailboxName, String>,
    /// Special uses by name, beside the well-known ones.
    uses: BTreeMap<String, SpecialUse>,
}

impl Names {
    /// Names of this provider, in lower case, that tell a special use.
    pub(super) fn expect(&mut self, uses: BTreeMap<String, SpecialUse>) {
        self.uses = uses;
    }

    /// The special use that a name suggests where the server names none: only top-level names, or those right below
    /// INBOX, as Exchange, Yandex, Courier and iCloud have them.
    pub(super) fn suggested_use(&self, name: &MailboxName) -> Option<SpecialUse> {
        let plain = name.as_str().strip_prefix("INBOX/").unwrap_or(name.as_str()).to_lowercase();
        self.uses.get(&plain).copied().or_else(|| well_known_use(&plain))
    }

    /// Notes the delimiter.
    pub(super) fn learn_delimiter(&mut self, delimiter: Option<char>) {
        self.delimiter = Some(delimiter);
    }

    /// Whether the server told its delimiter.
    pub(super) fn is_delimiter_known(&self) -> bool {
        self.delimiter.is_some()
    }

    /// Notes a listed name; `None` for one that cannot be used or is known already under another spelling.
    pub(super) fn learn(&mut self, wire: &[u8], delimiter: Option<char>) -> Option<MailboxName> {
        let name = decode(wire, delimiter)?;
        let wire = std::str::from_utf8(wire).ok()?;
        match self.wire.get(&name) {
            Some(known) if known != wire => None,
            _ => {
                self.wire.insert(name.clone(), wire.to_owned());
                Some(name)
            }
        }
    }

    /// Forgets all names, before a new listing.
    pub(super) fn clear(&mut self) {
        self.wire.clear();
    }

    /// The name as an argument of a command, quoted.
    pub(super) fn quoted(&self, name: &MailboxName) -> Result<String, Error> {
        match self.wire.get(name) {
            Some(wire) => Ok(quote(wire)),
            None if name.is_inbox() => Ok("INBOX".to_owned()),
            None => self.encode(name).map(|wire| quote(&wire)),
        }
    }

    fn encode(&self, name: &MailboxName) -> Result<String, Error> {
        let levels = name.levels();
        let delimiter = self.delimiter.unwrap_or(Some('/'));
        let unfit =
            levels.iter().any(|level| level.is_empty() || delimiter.is_some_and(|it| level.contains(it)));
        match delimiter {
            _ if unfit => Err(Error::Name(name.to_string())),
            Some(delimiter) => Ok(utf7::encode(&levels.join(&delimiter.to_string()))),
            None if levels.len() == 1 => Ok(utf7::encode(&levels.concat())),
            None => Err(Error::Name(name.to_string())),
        }
    }
}

/// The name that wire bytes mean; `None` where a command could not carry them.
pub(super) fn decode(wire: &[u8], delimiter: Option<char>) -> Option<MailboxName> {
    let raw = std::str::from_utf8(wire).ok()?;
    if raw.is_empty() || raw.len() > LENGTH || raw.contains(['\r', '\n', '\0']) {
        return None;
    }
    let decode = |level: &str| utf7::decode(level).unwrap_or_else(|| level.to_owned());
    let levels: Vec<String> = match delimiter {
        Some(delimiter) => raw.trim_end_matches(delimiter).split(delimiter).map(decode).collect(),
        None => vec![decode(raw)],
    };
    let name = MailboxName::from_levels(levels.iter().map(String::as_str));
    (!name.as_str().is_empty()).then_some(name)
}

/// A quoted string (RFC 9051 §9); the names that [`Names`] keeps have no line ends.
pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The special use of a well-known name in lower case.
fn well_known_use(name: &str) -> Option<SpecialUse> {
    WELL_KNOWN.iter().find(|(_, names)| names.contains(&name)).map(|&(special_use, _)| special_use)
}

/// Names in lower case, English first, then as Exchange and others localise them.
const WELL_KNOWN: [(SpecialUse, &[&str]); 5] = [
    (
        SpecialUse::Sent,
        &[
            "sent",
            "sent items",
            "sent messages",
            "sent mail",
            "gesendet",
            "gesendete elemente",
            "éléments envoyés",
            "elementos enviados",
            "posta inviata",
            "verzonden items",
            "отправленные",
        ],
    ),
    (
        SpecialUse::Trash,
        &[
            "trash",
            "deleted items",
            "deleted messages",
            "papierkorb",
            "gelöschte elemente",
            "éléments supprimés",
            "elementos eliminados",
            "posta eliminata",
            "verwijderde items",
            "удаленные",
        ],
    ),
    (
        SpecialUse::Drafts,
        &["drafts", "draft", "entwürfe", "brouillons", "borradores", "bozze", "concepten", "черновики"],
    ),
    (
        SpecialUse::Junk,
        &[
            "junk",
            "junk email",
            "junk e-mail",
            "spam",
            "bulk mail",
            "courrier indésirable",
            "ongewenste e-mail",
            "спам",
        ],
    ),
    (SpecialUse::Archive, &["archive", "archives", "archiv"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_mailbox_is_addressed_as_it_was_listed() {
        let mut names = Names::default();
        for wire in ["Entw&APw-rfe.a/b", "&bad", "say \"hi\"\\", "caf\u{e9}"] {
            let name = names.learn(wire.as_bytes(), Some('.')).unwrap();
            assert_eq!(names.quoted(&name).unwrap(), quote(wire));
        }
        assert!(names.wire.contains_key(&MailboxName::new("Entwürfe/a%2Fb")));
    }

    #[test]
    fn one_name_is_one_mailbox() {
        let mut names = Names::default();
        assert!(names.learn(b"Inbox", Some('/')).unwrap().is_inbox());
        assert_eq!(names.learn(b"INBOX", Some('/')), None);
        assert_eq!(names.quoted(&MailboxName::inbox()).unwrap(), "\"Inbox\"");
        assert!(names.learn(b"Inbox", Some('/')).is_some());
    }

    #[test]
    fn names_that_no_command_can_carry_are_left_out() {
        for wire in [&b""[..], b"//", b"a\r\nA1 DELETE b", b"\xff", &[b'x'; 4000]] {
            assert_eq!(decode(wire, Some('/')), None);
        }
        assert_eq!(decode(b"../../etc", None).unwrap().as_str(), "..%2F..%2Fetc");
    }

    #[test]
    fn new_names_are_encoded_in_the_servers_hierarchy() {
        let mut names = Names::default();
        names.learn_delimiter(Some('.'));
        assert_eq!(names.quoted(&MailboxName::new("Früh/x")).unwrap(), "\"Fr&APw-h.x\"");
        assert!(names.quoted(&MailboxName::new("a.b")).is_err());
        assert!(names.quoted(&MailboxName::new("a//b")).is_err());
        names.learn_delimiter(None);
        assert!(names.quoted(&MailboxName::new("a/b")).is_err());
        assert_eq!(names.quoted(&MailboxName::new("a%2Fb")).unwrap(), "\"a/b\"");
    }

    #[test]
    fn well_known_names() {
        let mut names = Names::default();
        names.expect(BTreeMap::from([("skickade objekt".to_owned(), SpecialUse::Sent)]));
        names.clear();
        let suggested = |name| names.suggested_use(&MailboxName::new(name));
        assert_eq!(suggested("Sent Items"), Some(SpecialUse::Sent));
        assert_eq!(suggested("INBOX/Trash"), Some(SpecialUse::Trash));
        assert_eq!(suggested("Gelöschte Elemente"), Some(SpecialUse::Trash));
        assert_eq!(suggested("Skickade objekt"), Some(SpecialUse::Sent));
        assert_eq!(suggested("Work/Sent"), None);
    }
}
