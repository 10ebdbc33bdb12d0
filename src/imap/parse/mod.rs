//! A tolerant parser over framed responses.
//!
//! Pure and total: any bytes give a [`Response`]; what is unknown or malformed is [`Response::Other`], which the
//! session skips and counts. A malformed response is dropped as a whole, so half a FETCH never passes for one; what
//! depends on completeness is checked against counts by the callers. RFC 9051 §7, RFC 4731 (ESEARCH), RFC 7162.

mod code;
mod cursor;
mod fetch;

pub(super) use code::{Code, Condition, Status};
pub(super) use fetch::{Body, Fetch, flags};

use crate::mail::{Uid, UidSet};
use cursor::{Cursor, Text};

/// Flags and keywords of one list; more are ignored.
const FLAGS: usize = 256;

/// One response of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Response {
    /// The end of the command with this tag.
    Tagged {
        tag: String,
        condition: Condition,
    },
    /// Untagged OK, NO, BAD, BYE, PREAUTH.
    Condition(Condition),
    /// `+`
    Continue,
    Capability(Vec<String>),
    List(List),
    Status(StatusItems),
    /// The UIDs of SEARCH or of ESEARCH with `ALL`.
    Search(UidSet),
    Exists(u32),
    Expunge,
    Vanished {
        earlier: bool,
        uids: UidSet,
    },
    Fetch(Fetch),
    /// Anything else.
    Other,
}

/// A LIST response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List {
    pub(super) attributes: Vec<String>,
    pub(super) delimiter: Option<char>,
    /// As on the wire, unquoted.
    pub(super) name: Vec<u8>,
}

/// A STATUS response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StatusItems {
    /// As on the wire, unquoted.
    pub(super) name: Vec<u8>,
    pub(super) messages: Option<u32>,
    pub(super) uid_next: Option<u32>,
    pub(super) uid_validity: Option<u32>,
    pub(super) highest_mod_seq: Option<u64>,
}

/// Reads one framed response.
pub(super) fn response(bytes: &[u8]) -> Response {
    let mut cursor = Cursor::new(bytes);
    let parsed = match cursor.word() {
        Some(b"*") => untagged(cursor.spaces()),
        Some(b"+") => Some(Response::Continue),
        Some(tag) => tagged(tag, cursor.spaces()),
        None => None,
    };
    parsed.unwrap_or(Response::Other)
}

fn tagged(tag: &[u8], cursor: &mut Cursor<'_>) -> Option<Response> {
    let status = Status::from_keyword(&cursor.keyword()?)?;
    let tag = String::from_utf8_lossy(tag).into_owned();
    Some(Response::Tagged { tag, condition: code::condition(status, cursor) })
}

fn untagged(cursor: &mut Cursor<'_>) -> Option<Response> {
    if cursor.peek()?.is_ascii_digit() {
        return numbered(cursor);
    }
    let keyword = cursor.keyword()?;
    if let Some(status) = Status::from_keyword(&keyword) {
        return Some(Response::Condition(code::condition(status, cursor)));
    }
    match keyword.as_str() {
        "CAPABILITY" => Some(Response::Capability(code::capabilities(cursor))),
        "LIST" => list(cursor.spaces()).map(Response::List),
        "STATUS" => status(cursor.spaces()).map(Response::Status),
        "SEARCH" => search(cursor),
        "ESEARCH" => esearch(cursor),
        "VANISHED" => vanished(cursor.spaces()),
        _ => None,
    }
}

/// `n EXISTS`, `n EXPUNGE`, `n FETCH (...)`.
fn numbered(cursor: &mut Cursor<'_>) -> Option<Response> {
    let number: u32 = cursor.number()?;
    match cursor.spaces().keyword()?.as_str() {
        "EXISTS" => Some(Response::Exists(number)),
        "EXPUNGE" if number > 0 => Some(Response::Expunge),
        "FETCH" => fetch::fetch(cursor).map(Response::Fetch),
        _ => None,
    }
}

/// `(\Sent) "/" name`, with extended data ignored.
fn list(cursor: &mut Cursor<'_>) -> Option<List> {
    let attributes = cursor.words(FLAGS)?;
    let delimiter = match cursor.spaces().text()? {
        Text::Bytes(text) => text.first().map(|&byte| char::from(byte)),
        Text::Nil => None,
        Text::Streamed => return None,
    };
    let name = cursor.spaces().astring()?.into_owned();
    Some(List { attributes, delimiter, name })
}

fn status(cursor: &mut Cursor<'_>) -> Option<StatusItems> {
    let mut items = StatusItems { name: cursor.astring()?.into_owned(), ..StatusItems::default() };
    cursor.spaces().eat(b'(')?;
    while cursor.spaces().eat(b')').is_none() {
        let name = cursor.keyword()?;
        let mut value = *cursor.spaces();
        match name.as_str() {
            "MESSAGES" => items.messages = value.number(),
            "UIDNEXT" => items.uid_next = value.number(),
            "UIDVALIDITY" => items.uid_validity = value.number(),
            "HIGHESTMODSEQ" => items.highest_mod_seq = value.number(),
            _ => {}
        }
        cursor.skip()?;
    }
    Some(items)
}

/// `1 2 3 (MODSEQ 9)`
fn search(cursor: &mut Cursor<'_>) -> Option<Response> {
    let mut ranges = Vec::new();
    while let Some(b'0'..=b'9') = cursor.spaces().peek() {
        let uid = cursor.number()?;
        ranges.push((uid, uid));
    }
    Some(Response::Search(uid_set(ranges)))
}

/// `(TAG "A1") UID ALL 1:3,7`; no `ALL` means that nothing was found.
fn esearch(cursor: &mut Cursor<'_>) -> Option<Response> {
    let mut found = Vec::new();
    if cursor.spaces().peek() == Some(b'(') {
        cursor.skip()?;
    }
    while !cursor.spaces().is_at_end() {
        match cursor.keyword()?.as_str() {
            "UID" => {}
            "ALL" => found = cursor.spaces().ranges()?,
            _ => cursor.skip()?,
        }
    }
    Some(Response::Search(uid_set(found)))
}

fn vanished(cursor: &mut Cursor<'_>) -> Option<Response> {
    let earlier = cursor.peek() == Some(b'(');
    if earlier {
        cursor.skip()?;
    }
    Some(Response::Vanished { earlier, uids: uid_set(cursor.spaces().ranges()?) })
}

/// A set of ranges in any order; sorted first, because inserting in a hostile order takes quadratic time.
fn uid_set(mut ranges: Vec<(u32, u32)>) -> UidSet {
    ranges.sort_unstable_by_key(|&(one, other)| one.min(other));
    let mut set = UidSet::new();
    for (one, other) in ranges {
        if let (Some(one), Some(other)) = (Uid::new(one), Uid::new(other)) {
            set.insert_range(one, other);
        }
    }
    set
}

#[cfg(test)]
mod tests;
