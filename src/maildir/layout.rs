//! Mailbox name to directory and back. Pure.
//!
//! Names come from a server and are hostile until proven otherwise: each level is percent-encoded by an allow-list,
//! so that no name is `..`, holds a `/` or a control byte, is hidden, or is one of Maildir's own directories. The
//! encoding is reversible; only a level that is too long is cut and hashed, and then the marker file in the directory
//! tells the name. Distinct names give distinct directories on a file system that tells letter cases apart.
//!
//! Rejected: a table of names in the ledger alone: a lost ledger would then lose the names.

use crate::keeping::Layout;
use crate::mail::MailboxName;
use sha2::{Digest, Sha256};

/// Longest encoded level in bytes: room for suffixes below the 255 of every Linux file system.
const LONGEST: usize = 200;
/// How much of a level that is too long is kept, before the hash.
const KEPT: usize = 160;
/// Deepest hierarchy; each level costs an open directory while walking.
pub(super) const DEEPEST: usize = 32;
/// Marks a level that was cut: no encoded text holds these two bytes.
const CUT: &str = "%~";
/// An empty level: no encoded text is this byte alone.
const EMPTY: &str = "%";
/// Maildir++: our own files in the root begin like this, so no mailbox may.
const OURS: &str = "posthaste";

/// The directory of a mailbox, as path components below the root; `None` when it is nested too deep.
pub(super) fn directory(layout: Layout, mailbox: &MailboxName) -> Option<Vec<String>> {
    let levels = mailbox.levels();
    if levels.len() > DEEPEST {
        return None;
    }
    match layout {
        Layout::Nested => Some(levels.iter().map(|level| shortened(encode(level, ""))).collect()),
        Layout::MaildirPlusPlus if mailbox.is_inbox() => Some(Vec::new()),
        Layout::MaildirPlusPlus => {
            let joined = levels.iter().map(|level| encode(level, ".")).collect::<Vec<_>>().join(".");
            let joined = match joined.strip_prefix('p') {
                Some(rest) if joined.starts_with(OURS) => format!("%70{rest}"),
                _ => joined,
            };
            Some(vec![shortened(format!(".{joined}"))])
        }
    }
}

/// The mailbox of a directory; `told` is what the marker file says. `None` for a directory that no mailbox has: it
/// was not made by us, and its name cannot be written the way we do.
pub(super) fn mailbox(layout: Layout, components: &[String], told: Option<&str>) -> Option<MailboxName> {
    let is_home = |name: &MailboxName| directory(layout, name).as_deref() == Some(components);
    told.map(MailboxName::new).filter(is_home).or_else(|| decoded(layout, components).filter(is_home))
}

fn decoded(layout: Layout, components: &[String]) -> Option<MailboxName> {
    let levels: Option<Vec<String>> = match (layout, components) {
        (Layout::Nested, levels) => levels.iter().map(|level| decode(level)).collect(),
        (Layout::MaildirPlusPlus, []) => return Some(MailboxName::inbox()),
        (Layout::MaildirPlusPlus, [one]) => one.strip_prefix('.')?.split('.').map(decode).collect(),
        (Layout::MaildirPlusPlus, _) => None,
    };
    levels.map(|levels| MailboxName::from_levels(levels.iter().map(String::as_str)))
}

/// One level with everything outside the allow-list, and everything in `also`, percent-encoded.
fn encode(level: &str, also: &str) -> String {
    if level.is_empty() {
        return EMPTY.to_owned();
    }
    let last = level.chars().count() - 1;
    let reserved = matches!(level, "cur" | "new" | "tmp");
    let mut encoded = String::with_capacity(level.len());
    for (at, letter) in level.chars().enumerate() {
        let is_edge = (at == 0 || at == last) && matches!(letter, ' ' | '.');
        let is_refused = is_edge || at == 0 && reserved || also.contains(letter);
        if is_plain(letter) && !is_refused {
            encoded.push(letter);
        } else {
            let mut bytes = [0; 4];
            for byte in letter.encode_utf8(&mut bytes).bytes() {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    encoded
}

/// Letters of every script, digits, and the punctuation that neither a shell pattern nor a file system cares about.
fn is_plain(letter: char) -> bool {
    match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' => true,
        '-' | '_' | '.' | ',' | '+' | '@' | '(' | ')' | '&' | '\'' | '[' | ']' | '=' | '#' | '!' | '~'
        | '{' | '}' | '^' => true,
        _ => !letter.is_ascii() && !letter.is_control() && !letter.is_whitespace() && !is_invisible(letter),
    }
}

/// Format characters that make one name look like another (zero width, direction overrides, soft hyphen).
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// The level that `encode` wrote; `None` for a cut one and for what `encode` never writes.
fn decode(level: &str) -> Option<String> {
    if level == EMPTY {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(level.len());
    let mut rest = level.split('%');
    bytes.extend_from_slice(rest.next()?.as_bytes());
    for piece in rest {
        let digits = piece.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(piece.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// A component that every file system accepts: one that is too long is cut between letters and told apart by a hash.
fn shortened(component: String) -> String {
    if component.len() <= LONGEST {
        return component;
    }
    let mut end = KEPT;
    while !component.is_char_boundary(end) {
        end -= 1;
    }
    let hash: String =
        Sha256::digest(component.as_bytes()).iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("{}{CUT}{hash}", component.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(layout: Layout, name: &str) -> String {
        directory(layout, &MailboxName::new(name)).unwrap().join("/")
    }

    #[test]
    fn ordinary_names_stay_readable() {
        assert_eq!(path(Layout::Nested, "Archive/2024"), "Archive/2024");
        assert_eq!(path(Layout::Nested, "inbox"), "INBOX");
        assert_eq!(path(Layout::Nested, "[Gmail]/Messages envoyés"), "[Gmail]/Messages envoyés");
        assert_eq!(path(Layout::Nested, "Ärzte & Söhne (1.2)"), "Ärzte & Söhne (1.2)");
        assert_eq!(path(Layout::MaildirPlusPlus, "Archive/v1.2"), ".Archive.v1%2E2");
        assert_eq!(path(Layout::MaildirPlusPlus, "INBOX"), "");
        assert_eq!(path(Layout::MaildirPlusPlus, "INBOX/a"), ".INBOX.a");
    }

    #[test]
    fn hostile_names_are_plain_directories() {
        assert_eq!(path(Layout::Nested, "../../.ssh/x"), "%2E%2E/%2E%2E/%2Essh/x");
        assert_eq!(path(Layout::Nested, "/etc"), "%/etc");
        assert_eq!(path(Layout::Nested, "cur/new/tmp"), "%63ur/%6Eew/%74mp");
        assert_eq!(path(Layout::Nested, "a%2Fb\\c:d\0"), "a%2Fb%5Cc%3Ad%00");
        assert_eq!(path(Layout::Nested, "x. "), "x.%20");
        assert_eq!(path(Layout::MaildirPlusPlus, "posthaste"), ".%70osthaste");
        assert_eq!(path(Layout::MaildirPlusPlus, "..a"), ".%2E%2Ea");
        assert!(directory(Layout::Nested, &MailboxName::new("a/".repeat(100))).is_none());
    }

    #[test]
    fn a_name_that_is_too_long_is_told_by_the_marker() {
        for layout in [Layout::Nested, Layout::MaildirPlusPlus] {
            let (one, other) = (format!("{}1", "é".repeat(400)), format!("{}2", "é".repeat(400)));
            let components = directory(layout, &MailboxName::new(one.as_str())).unwrap();
            assert!(components.iter().all(|component| component.len() <= LONGEST));
            assert_ne!(components, directory(layout, &MailboxName::new(other.as_str())).unwrap());
            assert_eq!(mailbox(layout, &components, None), None);
            assert_eq!(
                mailbox(layout, &components, Some(&other)),
                None,
                "a marker that lies is not believed"
            );
            assert_eq!(mailbox(layout, &components, Some(&one)).unwrap().as_str(), one);
        }
    }

    #[test]
    fn a_directory_that_no_name_leads_to_is_no_mailbox() {
        for strange in ["a:b", "100%", "%41", "Inbox", ".hidden", "cur"] {
            assert_eq!(mailbox(Layout::Nested, &[strange.to_owned()], None), None, "{strange}");
        }
        assert_eq!(mailbox(Layout::Nested, &["Old".to_owned()], Some("New")).unwrap().as_str(), "Old");
        assert_eq!(mailbox(Layout::MaildirPlusPlus, &[".INBOX".to_owned()], None), None);
    }

    proptest! {
        #[test]
        fn every_name_leads_to_a_safe_directory_and_back(
            levels in proptest::collection::vec("(\\PC|[./%:~ cunewtmpr\0\n]){0,12}", 1..5),
        ) {
            let name = MailboxName::from_levels(levels.iter().map(String::as_str));
            for layout in [Layout::Nested, Layout::MaildirPlusPlus] {
                let components = directory(layout, &name).unwrap();
                for component in &components {
                    prop_assert!(!component.is_empty() && component.len() <= LONGEST);
                    prop_assert!(!matches!(component.as_str(), "." | ".." | "cur" | "new" | "tmp"));
                    prop_assert!(!component.contains(['/', '\0', '\n', ':', '\\']));
                    prop_assert_eq!(component.starts_with('.'), layout == Layout::MaildirPlusPlus);
                }
                prop_assert_eq!(mailbox(layout, &components, Some(name.as_str())), Some(name.clone()));
                if components.iter().all(|component| !component.contains(CUT)) {
                    prop_assert_eq!(mailbox(layout, &components, None), Some(name.clone()));
                }
            }
        }

        #[test]
        fn distinct_names_have_distinct_directories(one in "[a%./: ]{0,6}", other in "[a%./: ]{0,6}") {
            let (one, other) = (MailboxName::from_levels([one.as_str()]), MailboxName::from_levels([other.as_str()]));
            for layout in [Layout::Nested, Layout::MaildirPlusPlus] {
                prop_assert_eq!(directory(layout, &one) == directory(layout, &other), one == other);
            }
        }
    }
}
