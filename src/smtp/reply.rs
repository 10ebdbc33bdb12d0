//! Replies of an SMTP server (RFC 5321 §4.2), line by line, and the enhanced status codes in them (RFC 3463).
//!
//! Pure. A reply is bounded: 4 KiB a line, 512 lines; one code on all its lines. Text is made printable here once, so
//! that no server can play with a terminal or a log. A bare code without text is tolerated, as many servers send it
//! (`334`); anything else that is not a reply is an error, never a guess.

use std::fmt;

/// Longest line of a reply, without its end; RFC 5321 says 512 octets, servers send more.
pub(super) const MAX_LINE: usize = 4096;
/// Most lines of one reply.
const MAX_LINES: usize = 512;

/// A complete reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    lines: Vec<String>,
}

/// An enhanced status code, such as 5.7.139 (RFC 3463).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnhancedCode {
    /// 2, 4 or 5.
    pub class: u16,
    /// What it is about: 1 address, 2 mailbox, 7 security …
    pub subject: u16,
    /// The detail.
    pub detail: u16,
}

/// Why bytes are not a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No three digits followed by a blank, a hyphen or the end of the line.
    #[error("the server's line is no SMTP reply")]
    NoCode,
    /// The lines of one reply have different codes.
    #[error("the lines of the server's reply have different codes")]
    MixedCodes,
    /// More than 4 KiB in one line.
    #[error("the server's reply has an overlong line")]
    LongLine,
    /// More than 512 lines.
    #[error("the server's reply has too many lines")]
    TooManyLines,
}

/// Puts the lines of a reply together.
#[derive(Debug, Default)]
pub struct Parser {
    code: Option<u16>,
    lines: Vec<String>,
}

impl Parser {
    /// Takes one line without its line end; gives the reply with the last of its lines and is then ready for the next.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, Malformed> {
        if line.len() > MAX_LINE {
            return Err(Malformed::LongLine);
        }
        let (code, more, text) = split(line).ok_or(Malformed::NoCode)?;
        if *self.code.get_or_insert(code) != code {
            return Err(Malformed::MixedCodes);
        }
        if self.lines.len() == MAX_LINES {
            return Err(Malformed::TooManyLines);
        }
        self.lines.push(printable(text));
        if more {
            return Ok(None);
        }
        self.code = None;
        Ok(Some(Reply { code, lines: std::mem::take(&mut self.lines) }))
    }
}

impl Reply {
    /// The three digits.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The text of each line, printable.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// 2yz: done.
    pub fn is_success(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4yz: not now.
    pub fn is_temporary(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz: never.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// The enhanced status code, if the first line has one of the same class as the reply.
    pub fn enhanced(&self) -> Option<EnhancedCode> {
        let word = self.lines.first()?.split(' ').next()?;
        let mut numbers = word.split('.').map(number);
        let (class, subject, detail) = (numbers.next()??, numbers.next()??, numbers.next()??);
        (numbers.next().is_none() && class == self.code / 100).then_some(EnhancedCode {
            class,
            subject,
            detail,
        })
    }
}

/// The whole reply on one line.
impl fmt::Display for Reply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.code)?;
        self.lines.iter().filter(|line| !line.is_empty()).try_for_each(|line| write!(out, " {line}"))
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// Code, whether more lines follow, text.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    let code = number(std::str::from_utf8(digits).ok()?).filter(|code| (200..600).contains(code))?;
    match rest {
        [] => Some((code, false, rest)),
        [b' ', text @ ..] => Some((code, false, text)),
        [b'-', text @ ..] => Some((code, true, text)),
        _ => None,
    }
}

/// Decimal digits and nothing else.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.trim_end().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Option<Reply>, Malformed> {
        let mut parser = Parser::default();
        text.split("\r\n").map(|line| parser.line(line.as_bytes())).last().unwrap()
    }

    #[test]
    fn a_reply_may_have_many_lines_and_no_text() {
        let reply = parse("250-first\r\n250-\r\n250 last").unwrap().unwrap();
        assert_eq!(reply.lines().collect::<Vec<_>>(), ["first", "", "last"]);
        assert_eq!(reply.to_string(), "250 first last");
        assert_eq!(parse("334").unwrap().unwrap().code(), 334);
        assert_eq!(parse("250-more").unwrap(), None);
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bad in ["", "25", "2500 x", "abc x", "250x", "199 x", "600 x", "+50 x", "* OK", "HTTP/1.1 200 OK"]
        {
            assert_eq!(parse(bad), Err(Malformed::NoCode), "{bad}");
        }
        assert_eq!(parse("250-a\r\n550 b"), Err(Malformed::MixedCodes));
        assert_eq!(parse(&format!("250 {}", "x".repeat(MAX_LINE))), Err(Malformed::LongLine));
        assert_eq!(parse(&vec!["250-x"; 513].join("\r\n")), Err(Malformed::TooManyLines));
    }

    #[test]
    fn enhanced_codes_are_read_only_where_they_are() {
        let code = |text| parse(text).unwrap().unwrap().enhanced().map(|code| code.to_string());
        assert_eq!(code("535 5.7.139 Authentication unsuccessful"), Some("5.7.139".into()));
        assert_eq!(code("535 Authentication unsuccessful"), None);
        assert_eq!(code("250 5.7.1 of another class"), None);
        assert_eq!(code("550 5.7 short"), None);
        assert_eq!(code("550 5.7.1.2 long"), None);
        assert_eq!(code("550 5.+7.1 sign"), None);
    }

    #[test]
    fn text_cannot_steer_a_terminal() {
        assert_eq!(parse("550 \x1b[2Jx\x07").unwrap().unwrap().to_string(), "550 \u{fffd}[2Jx\u{fffd}");
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..9)) {
            let mut parser = Parser::default();
            for line in lines {
                let _ = parser.line(&line);
            }
        }
    }
}
