//! Replies of a POP3 server (RFC 1939 §3): `+OK`, `-ERR`, and the challenge of a login. Pure.
//!
//! Response codes (RFC 2449 §8, RFC 3206) are taken apart here. Text is made printable and cut once, so that no server
//! can play with a terminal or a log.

use crate::net::words;

/// The first line of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// `+OK`
    Ok(String),
    /// `-ERR`
    Err(Refusal),
    /// `+`, in a login only; what it carries is of no use to a client of our mechanisms.
    Challenge,
}

/// What the server said with `-ERR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The response code in upper case, such as `IN-USE`; without its brackets.
    pub code: Option<String>,
    /// The whole text, printable.
    pub text: String,
}

impl Reply {
    /// Reads a line without its end; `None` where it is no reply.
    pub(super) fn parse(line: &[u8]) -> Option<Reply> {
        if let Some(text) = after(line, b"+OK") {
            return Some(Reply::Ok(printable(text)));
        }
        if let Some(text) = after(line, b"-ERR") {
            let text = printable(text);
            return Some(Reply::Err(Refusal { code: code(&text), text }));
        }
        // RFC 5034 §4 wants a blank behind the plus; some servers leave it out.
        (line == b"+" || line.starts_with(b"+ ")).then_some(Reply::Challenge)
    }
}

/// What follows a status word of any case.
fn after<'a>(line: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(word.len())?;
    let ends = rest.first().is_none_or(|&octet| octet == b' ' || octet == b'\t');
    (start.eq_ignore_ascii_case(word) && ends).then_some(rest)
}

/// `[SYS/TEMP] come back later` has the code `SYS/TEMP`.
fn code(text: &str) -> Option<String> {
    let (code, _) = text.strip_prefix('[')?.split_once(']')?;
    Some(code.to_ascii_uppercase())
}

fn printable(text: &[u8]) -> String {
    words::printable(&String::from_utf8_lossy(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(line: &str) -> (Option<String>, String) {
        match Reply::parse(line.as_bytes()) {
            Some(Reply::Err(Refusal { code, text })) => (code, text),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_three_kinds_of_reply_are_told_apart() {
        assert_eq!(Reply::parse(b"+OK 3 messages"), Some(Reply::Ok("3 messages".into())));
        assert_eq!(Reply::parse(b"+ok"), Some(Reply::Ok(String::new())));
        for challenge in ["+", "+ ", "+ eyJzdGF0dXMiOiI0MDEifQ=="] {
            assert_eq!(Reply::parse(challenge.as_bytes()), Some(Reply::Challenge));
        }
        for odd in ["", "OK", "+OKAY", "-ERROR", "+x", "* OK", "220 smtp ready"] {
            assert_eq!(Reply::parse(odd.as_bytes()), None, "{odd}");
        }
    }

    #[test]
    fn a_refusal_has_a_code_only_in_brackets() {
        let long = format!("-ERR {}", "x".repeat(5000));
        assert_eq!(refusal("-ERR [in-use] locked"), (Some("IN-USE".into()), "[in-use] locked".into()));
        assert_eq!(refusal("-ERR maildrop is [IN-USE]").0, None);
        assert_eq!(refusal("-ERR"), (None, String::new()));
        assert_eq!(refusal("-ERR a\x07b").1, "a b");
        assert_eq!(refusal(&long).1.len(), 300);
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Reply::parse(&line);
        }
    }
}
