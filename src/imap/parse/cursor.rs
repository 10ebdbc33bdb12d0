//! Reading tokens of IMAP out of one framed response.
//!
//! Every method returns `None` where the token is not there and never panics; nesting is counted, not recursed into.
//! RFC 9051 §9 (formal syntax), read tolerantly: doubled spaces, 8-bit characters and missing parts are accepted.

use crate::imap::wire::STREAMED;
use std::borrow::Cow;

/// Parentheses deeper than this are nothing that we asked for.
const DEPTH: u32 = 32;

/// A place in a response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

/// A string of any form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Text<'a> {
    /// `NIL`
    Nil,
    /// Quoted, literal or bare.
    Bytes(Cow<'a, [u8]>),
    /// A body that went another way ([`STREAMED`]).
    Streamed,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Cursor<'a> {
        Cursor { rest }
    }

    /// What is left, as text for people.
    pub(super) fn remaining(&self) -> String {
        String::from_utf8_lossy(self.rest).trim().to_owned()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Skips spaces.
    pub(super) fn spaces(&mut self) -> &mut Cursor<'a> {
        while self.peek() == Some(b' ') {
            self.advance(1);
        }
        self
    }

    /// Takes one byte if it is this one.
    pub(super) fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.advance(1))
    }

    /// A run of bytes up to a space, bracket, parenthesis or quote; never empty.
    pub(super) fn word(&mut self) -> Option<&'a [u8]> {
        let word = self.until(|byte| b" ()[]\"\r\n".contains(&byte));
        (!word.is_empty()).then_some(word)
    }

    /// A word as upper-case text.
    pub(super) fn keyword(&mut self) -> Option<String> {
        self.word().map(|word| String::from_utf8_lossy(word).to_ascii_uppercase())
    }

    /// A decimal number without sign that fits the type.
    pub(super) fn number<N: std::str::FromStr>(&mut self) -> Option<N> {
        let digits = self.until(|byte| !byte.is_ascii_digit());
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// Ranges of a sequence set, as written; 0 and `*` are left out.
    pub(super) fn ranges(&mut self) -> Option<Vec<(u32, u32)>> {
        let word = std::str::from_utf8(self.word()?).ok()?;
        let mut ranges = Vec::new();
        for part in word.split(',') {
            let (one, other) = part.split_once(':').unwrap_or((part, part));
            match (one.parse(), other.parse()) {
                (Ok(one), Ok(other)) if one > 0 && other > 0 => ranges.push((one, other)),
                _ => return None,
            }
        }
        Some(ranges)
    }

    /// A quoted string, a literal, `NIL` or a bare word.
    pub(super) fn text(&mut self) -> Option<Text<'a>> {
        match self.peek()? {
            b'"' => self.quoted().map(Text::Bytes),
            b'{' | b'~' => self.literal(),
            _ => {
                let word = self.word()?;
                let is_nil = word.eq_ignore_ascii_case(b"NIL");
                Some(if is_nil { Text::Nil } else { Text::Bytes(Cow::Borrowed(word)) })
            }
        }
    }

    /// A mailbox name or the like: as [`Cursor::text`], but a bare word may hold brackets (`[Gmail]/All`).
    pub(super) fn astring(&mut self) -> Option<Cow<'a, [u8]>> {
        match self.peek()? {
            b'"' | b'{' | b'~' => match self.text()? {
                Text::Bytes(bytes) => Some(bytes),
                Text::Nil | Text::Streamed => None,
            },
            _ => {
                let word = self.until(|byte| b" ()\"\r\n".contains(&byte));
                (!word.is_empty()).then_some(Cow::Borrowed(word))
            }
        }
    }

    /// The words of a parenthesised list, at most `limit` of them; nested lists end it.
    pub(super) fn words(&mut self, limit: usize) -> Option<Vec<String>> {
        self.eat(b'(')?;
        let mut words = Vec::new();
        while self.spaces().eat(b')').is_none() {
            let word = self.until(|byte| b" ()\"\r\n".contains(&byte));
            if word.is_empty() {
                return None;
            }
            if words.len() < limit {
                words.push(String::from_utf8_lossy(word).into_owned());
            }
        }
        Some(words)
    }

    /// The section of a body item after its `[`, through the `]`.
    pub(super) fn section(&mut self) -> Option<&'a [u8]> {
        let section = self.until(|byte| byte == b']');
        self.eat(b']').map(|()| section)
    }

    /// Skips one value of any kind: a word, a string, a list of any values.
    pub(super) fn skip(&mut self) -> Option<()> {
        let mut depth = 0;
        loop {
            match self.spaces().peek()? {
                b'(' if depth < DEPTH => {
                    depth += 1;
                    self.advance(1);
                }
                b'(' => return None,
                b')' if depth > 0 => {
                    depth -= 1;
                    self.advance(1);
                }
                b'[' | b']' => self.advance(1),
                _ => self.text().map(|_| ())?,
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn quoted(&mut self) -> Option<Cow<'a, [u8]>> {
        self.eat(b'"')?;
        let plain = self.until(|byte| byte == b'"' || byte == b'\\');
        if self.eat(b'"').is_some() {
            return Some(Cow::Borrowed(plain));
        }
        let mut text = plain.to_vec();
        loop {
            match self.peek()? {
                b'"' => {
                    self.advance(1);
                    return Some(Cow::Owned(text));
                }
                b'\\' => {
                    self.advance(1);
                    text.push(self.peek()?);
                    self.advance(1);
                }
                _ => text.extend_from_slice(self.until(|byte| byte == b'"' || byte == b'\\')),
            }
        }
    }

    fn literal(&mut self) -> Option<Text<'a>> {
        if let Some(rest) = self.rest.strip_prefix(STREAMED) {
            self.rest = rest;
            return Some(Text::Streamed);
        }
        let _ = self.eat(b'~');
        self.eat(b'{')?;
        let size: usize = self.number()?;
        let _ = self.eat(b'+');
        self.rest = self.rest.strip_prefix(b"}\r\n")?;
        let literal = self.rest.get(..size)?;
        self.advance(size);
        Some(Text::Bytes(Cow::Borrowed(literal)))
    }

    fn until(&mut self, ends: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.rest.iter().position(|&byte| ends(byte)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        word
    }

    fn advance(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_every_form() {
        let mut cursor = Cursor::new(b"\"a\\\"b\" {3}\r\nx)y nil bare {*}\r\n");
        let bytes = |text: &'static [u8]| Some(Text::Bytes(Cow::Borrowed(text)));
        assert_eq!(cursor.text(), bytes(b"a\"b"));
        assert_eq!(cursor.spaces().text(), bytes(b"x)y"));
        assert_eq!(cursor.spaces().text(), Some(Text::Nil));
        assert_eq!(cursor.spaces().text(), bytes(b"bare"));
        assert_eq!(cursor.spaces().text(), Some(Text::Streamed));
    }

    #[test]
    fn what_is_not_there_is_not_there() {
        for text in [&b"\"open"[..], b"{5}\r\nab", b"{99999999999999999999}\r\n", b"\"a\\", b"", b")"] {
            assert_eq!(Cursor::new(text).text(), None);
        }
        assert_eq!(Cursor::new(b"1:*").ranges(), None);
        assert_eq!(Cursor::new(b"9:3,5").ranges(), Some(vec![(9, 3), (5, 5)]));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| [vec![b'('; depth], b"x".to_vec(), vec![b')'; depth]].concat();
        assert_eq!(Cursor::new(&nested(32)).skip(), Some(()));
        assert_eq!(Cursor::new(&nested(33)).skip(), None);
        assert_eq!(Cursor::new(&vec![b'('; 1_000_000]).skip(), None);
    }
}
