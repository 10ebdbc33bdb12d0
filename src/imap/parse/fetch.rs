//! FETCH responses (RFC 9051 §7.5.2): only what we ask for; other items are skipped.
//!
//! Items may come in any order and around the body. A response whose items cannot be told apart is no response at all.

use super::cursor::{Cursor, Text};
use crate::mail::Flags;

/// What one FETCH response said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::imap) struct Fetch {
    /// Missing in unsolicited flag changes of servers without CONDSTORE.
    pub(in crate::imap) uid: Option<u32>,
    pub(in crate::imap) flags: Option<Flags>,
    pub(in crate::imap) size: Option<u64>,
    pub(in crate::imap) mod_seq: Option<u64>,
    /// INTERNALDATE as written.
    pub(in crate::imap) internal_date: Option<String>,
    /// `BODY[]`
    pub(in crate::imap) body: Option<Body>,
    /// `BODY[HEADER...]`
    pub(in crate::imap) header: Option<Vec<u8>>,
}

/// How a body came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::imap) enum Body {
    /// As a literal that was streamed.
    Streamed,
    /// In quotes, on the line.
    Inline(Vec<u8>),
    /// NIL: the server cannot give it.
    Nil,
}

/// The items, from the opening parenthesis on.
pub(super) fn fetch(cursor: &mut Cursor<'_>) -> Option<Fetch> {
    cursor.spaces().eat(b'(')?;
    let mut fetch = Fetch::default();
    while cursor.spaces().eat(b')').is_none() {
        item(cursor, &mut fetch)?;
    }
    Some(fetch)
}

fn item(cursor: &mut Cursor<'_>, fetch: &mut Fetch) -> Option<()> {
    let name = cursor.keyword()?;
    match name.as_str() {
        "UID" => fetch.uid = Some(cursor.spaces().number()?),
        "FLAGS" => fetch.flags = Some(flags(&cursor.spaces().words(super::FLAGS)?)),
        "RFC822.SIZE" => {
            // A size that is no number is as good as none: it is only an estimate on some servers.
            let mut number = *cursor.spaces();
            fetch.size = number.number();
            cursor.skip()?;
        }
        "MODSEQ" => {
            cursor.spaces().eat(b'(')?;
            fetch.mod_seq = Some(cursor.number()?);
            cursor.eat(b')')?;
        }
        "INTERNALDATE" => {
            fetch.internal_date = match cursor.spaces().text()? {
                Text::Bytes(date) => Some(String::from_utf8_lossy(&date).into_owned()),
                Text::Nil | Text::Streamed => None,
            }
        }
        "BODY" | "BINARY" if cursor.peek() == Some(b'[') => section(cursor, fetch)?,
        _ => cursor.skip()?,
    }
    Some(())
}

/// `BODY[section]<origin> value`, from the bracket on.
fn section(cursor: &mut Cursor<'_>, fetch: &mut Fetch) -> Option<()> {
    cursor.eat(b'[')?;
    let section = cursor.section()?;
    if cursor.peek() == Some(b'<') {
        cursor.word()?;
    }
    let value = cursor.spaces().text()?;
    if section.is_empty() {
        fetch.body = Some(match value {
            Text::Streamed => Body::Streamed,
            Text::Bytes(bytes) => Body::Inline(bytes.into_owned()),
            Text::Nil => Body::Nil,
        });
    } else if section.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"HEADER")) {
        fetch.header = match value {
            Text::Bytes(bytes) => Some(bytes.into_owned()),
            Text::Nil | Text::Streamed => None,
        };
    }
    Some(())
}

/// The flags among these names that both sides can store.
pub(in crate::imap) fn flags(names: &[String]) -> Flags {
    names.iter().filter_map(|name| Flags::from_imap(name)).collect()
}
