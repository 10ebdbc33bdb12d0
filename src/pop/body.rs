//! The end of a multi-line answer and its stuffed dots (RFC 1939 §3), as a state machine over pieces of any size. Pure.
//!
//! Invariant: only CRLF ends a line here. A server that hands on a bare LF did not stuff the dot behind it, and a mail
//! with LF `.` CRLF in it would otherwise end its own answer and speak in the server's name.

/// What a piece was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All of it belongs to the body.
    More,
    /// The body ended after so many octets of it.
    End(usize),
}

/// Takes one body apart.
#[derive(Debug, Default)]
pub(super) struct Unstuffer {
    at: Position,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Position {
    #[default]
    LineStart,
    Within,
    /// After a CR inside a line.
    Cr,
    /// After the first dot of a line, which is not written yet.
    Dot,
    /// After a dot and a CR at the beginning of a line.
    DotCr,
}

impl Unstuffer {
    /// Appends what belongs to the body to `out`.
    pub(super) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Progress {
        for (index, &octet) in piece.iter().enumerate() {
            let before = self.at;
            self.at = match (before, octet) {
                (Position::LineStart, b'.') => Position::Dot,
                (Position::Dot, b'\r') => Position::DotCr,
                (Position::DotCr, b'\n') => {
                    *self = Unstuffer::default();
                    return Progress::End(index + 1);
                }
                (Position::Cr, b'\n') => Position::LineStart,
                (_, b'\r') => Position::Cr,
                _ => Position::Within,
            };
            if before == Position::DotCr {
                // It was no end: the dot was stuffing, and the CR belongs to the line.
                out.push(b'\r');
            }
            if !matches!(self.at, Position::Dot | Position::DotCr) {
                out.push(octet);
            }
        }
        Progress::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The body and what follows it, whatever the portions.
    fn body(bytes: &[u8], portion: usize) -> (Vec<u8>, Option<usize>) {
        let (mut unstuffer, mut out, mut read) = (Unstuffer::default(), Vec::new(), 0);
        for piece in bytes.chunks(portion) {
            match unstuffer.push(piece, &mut out) {
                Progress::More => read += piece.len(),
                Progress::End(length) => return (out, Some(read + length)),
            }
        }
        (out, None)
    }

    #[test]
    fn dots_are_unstuffed_and_the_end_is_found() {
        for (wire, text) in [
            ("a\r\n.\r\n", "a\r\n"),
            (".\r\n", ""),
            ("..\r\n.\r\n", ".\r\n"),
            ("..a\r\n...\r\nb.\r\n.\r\n", ".a\r\n..\r\nb.\r\n"),
            ("a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n"),
            (".\rx\r\n.\r\n", "\rx\r\n"),
            ("a\r\r\n.\r\n", "a\r\r\n"),
        ] {
            for portion in 1..=wire.len() {
                let found = body(wire.as_bytes(), portion);
                assert_eq!(found, (text.as_bytes().to_vec(), Some(wire.len())), "{wire:?} in {portion}");
            }
        }
    }

    #[test]
    fn what_is_not_ended_has_no_end() {
        for wire in ["", "a", "a\r\n", "a\r\n.", "a\r\n.\r", "a\n.\n", "a\r\n.\n", "a\r.\r\n"] {
            assert_eq!(body(wire.as_bytes(), 3).1, None, "{wire:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_stuffed_comes_back(
            lines in proptest::collection::vec("[.a\r\n]{0,6}", 0..20), portion in 1_usize..30,
        ) {
            let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let mut wire: Vec<u8> = Vec::new();
            let mut is_start = true;
            for (index, octet) in text.bytes().enumerate() {
                if is_start && octet == b'.' {
                    wire.push(b'.');
                }
                wire.push(octet);
                is_start = octet == b'\n' && index > 0 && text.as_bytes()[index - 1] == b'\r';
            }
            wire.extend_from_slice(b".\r\n");
            prop_assert_eq!(body(&wire, portion), (text.into_bytes(), Some(wire.len())));
        }
    }
}
