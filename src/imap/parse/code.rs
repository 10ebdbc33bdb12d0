//! Status responses and their codes (RFC 9051 §7.1, RFC 5530, RFC 4315, RFC 7162).
//!
//! A code that we do not act on keeps its name, for the log and for the class of the error.

use super::cursor::Cursor;

/// OK, NO, BAD and their relatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::imap) enum Status {
    Ok,
    No,
    Bad,
    Bye,
    PreAuth,
}

/// A response code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::imap) enum Code {
    Capability(Vec<String>),
    /// The flags that are stored, and `\*`.
    PermanentFlags(Vec<String>),
    UidValidity(u32),
    UidNext(u32),
    HighestModSeq(u64),
    NoModSeq,
    ReadOnly,
    Closed,
    AppendUid {
        uid_validity: u32,
        uid: u32,
    },
    CopyUid {
        uid_validity: u32,
        from: Vec<(u32, u32)>,
        to: Vec<(u32, u32)>,
    },
    /// Any other, by its upper-case name.
    Other(String),
}

/// A status with its code and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::imap) struct Condition {
    pub(in crate::imap) status: Status,
    pub(in crate::imap) code: Option<Code>,
    pub(in crate::imap) text: String,
}

impl Status {
    pub(super) fn from_keyword(keyword: &str) -> Option<Status> {
        Some(match keyword {
            "OK" => Status::Ok,
            "NO" => Status::No,
            "BAD" => Status::Bad,
            "BYE" => Status::Bye,
            "PREAUTH" => Status::PreAuth,
            _ => return None,
        })
    }
}

impl Code {
    /// The name of a code that is only named.
    pub(in crate::imap) fn name(&self) -> Option<&str> {
        match self {
            Code::Other(name) => Some(name),
            _ => None,
        }
    }
}

/// What follows the status word: a code in brackets, if there is one, and text for people.
pub(super) fn condition(status: Status, cursor: &mut Cursor<'_>) -> Condition {
    let mut after = *cursor.spaces();
    let code = match after.eat(b'[').and_then(|()| code(&mut after)) {
        Some(code) => {
            *cursor = after;
            Some(code)
        }
        None => None,
    };
    Condition { status, code, text: cursor.remaining() }
}

/// The code after its `[`, through the `]`. Arguments that make no sense leave only the name.
fn code(cursor: &mut Cursor<'_>) -> Option<Code> {
    let name = cursor.keyword()?;
    let mut arguments = *cursor;
    let known = known(&name, arguments.spaces());
    match known {
        Some(known) if arguments.section().is_some() => {
            *cursor = arguments;
            Some(known)
        }
        _ => cursor.section().map(|_| Code::Other(name)),
    }
}

fn known(name: &str, cursor: &mut Cursor<'_>) -> Option<Code> {
    Some(match name {
        "CAPABILITY" => Code::Capability(capabilities(cursor)),
        "PERMANENTFLAGS" => Code::PermanentFlags(cursor.words(super::FLAGS)?),
        "UIDVALIDITY" => Code::UidValidity(cursor.number()?),
        "UIDNEXT" => Code::UidNext(cursor.number()?),
        "HIGHESTMODSEQ" => Code::HighestModSeq(cursor.number()?),
        "NOMODSEQ" => Code::NoModSeq,
        "READ-ONLY" => Code::ReadOnly,
        "CLOSED" => Code::Closed,
        "APPENDUID" => Code::AppendUid { uid_validity: cursor.number()?, uid: cursor.spaces().number()? },
        "COPYUID" => Code::CopyUid {
            uid_validity: cursor.number()?,
            from: cursor.spaces().ranges()?,
            to: cursor.spaces().ranges()?,
        },
        _ => return None,
    })
}

/// The words of a CAPABILITY line or code, in upper case.
pub(super) fn capabilities(cursor: &mut Cursor<'_>) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(name) = cursor.spaces().keyword() {
        all.push(name);
    }
    all
}
