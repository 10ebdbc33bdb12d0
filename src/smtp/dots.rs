//! Dot-stuffing of the DATA block (RFC 5321 §4.5.2), as a state machine over pieces of any size.
//!
//! Invariant: whatever goes in, what comes out has CRLF line ends only and no line that is a single dot, so that no
//! message can end the block early (SMTP smuggling, CVE-2023-51764; lettre's CVE-2021-38189 missed the dot after a
//! double CRLF). The queue delivers CRLF already; bare CR and LF become CRLF here all the same, because a failure in the
//! middle of DATA has no good way out.

/// Stuffs one message.
#[derive(Debug, Default)]
pub struct Stuffer {
    at: Position,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Position {
    /// Nothing of this line was seen.
    #[default]
    LineStart,
    Within,
    /// A CR was seen and is not yet written.
    AfterCr,
}

impl Stuffer {
    /// Appends the next piece to `out`, stuffed.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for &byte in piece {
            if self.at == Position::AfterCr {
                out.extend_from_slice(b"\r\n");
                self.at = Position::LineStart;
                if byte == b'\n' {
                    continue;
                }
            }
            match byte {
                b'\r' => self.at = Position::AfterCr,
                b'\n' => {
                    out.extend_from_slice(b"\r\n");
                    self.at = Position::LineStart;
                }
                _ => {
                    if byte == b'.' && self.at == Position::LineStart {
                        out.push(b'.');
                    }
                    out.push(byte);
                    self.at = Position::Within;
                }
            }
        }
    }

    /// What ends the block after the last piece: the line end that is still owed, and the dot.
    pub fn finish(self) -> &'static [u8] {
        match self.at {
            Position::LineStart => b".\r\n",
            Position::Within | Position::AfterCr => b"\r\n.\r\n",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stuff(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut stuffer, mut out) = (Stuffer::default(), Vec::new());
        pieces.iter().for_each(|piece| stuffer.push(piece, &mut out));
        out.extend_from_slice(stuffer.finish());
        out
    }

    /// A receiver as RFC 5321 has it: the body, and what is left after the end of the block.
    fn unstuff(mut wire: &[u8]) -> (Vec<u8>, &[u8]) {
        let mut body = Vec::new();
        loop {
            let end = wire.windows(2).position(|pair| pair == b"\r\n").expect("a line end");
            let (line, rest) = (&wire[..end], &wire[end + 2..]);
            if line == b"." {
                return (body, rest);
            }
            body.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            body.extend_from_slice(b"\r\n");
            wire = rest;
        }
    }

    #[test]
    fn dots_at_every_kind_of_line_start_are_doubled() {
        assert_eq!(stuff(&[b".a\r\n\r\n.\r\nb."]), b"..a\r\n\r\n..\r\nb.\r\n.\r\n");
        assert_eq!(stuff(&[b""]), b".\r\n");
        assert_eq!(stuff(&[b"a\r", b"\n", b".", b"\r\n"]), b"a\r\n..\r\n.\r\n");
    }

    #[test]
    fn bare_line_ends_smuggle_nothing() {
        assert_eq!(stuff(&[b"a\n.\nb"]), b"a\r\n..\r\nb\r\n.\r\n");
        assert_eq!(stuff(&[b"a\r.\rb\r"]), b"a\r\n..\r\nb\r\n.\r\n");
        assert_eq!(stuff(&[b"a\n.\r\nMAIL"]), b"a\r\n..\r\nMAIL\r\n.\r\n");
    }

    proptest! {
        #[test]
        fn a_receiver_gets_back_exactly_the_lines(
            lines in proptest::collection::vec("[.a\u{e9} ]{0,4}", 0..20),
            cut in 1_usize..7,
        ) {
            let message: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
            let wire = stuff(&message.chunks(cut).collect::<Vec<_>>());
            prop_assert_eq!(unstuff(&wire), (message, &b""[..]));
        }

        #[test]
        fn nothing_but_crlf_and_one_end_comes_out(
            input in proptest::collection::vec(proptest::sample::select(b"\r\n.ax".to_vec()), 0..60),
            cut in 1_usize..7,
        ) {
            let wire = stuff(&input.chunks(cut).collect::<Vec<_>>());
            for (at, &byte) in wire.iter().enumerate() {
                prop_assert!(byte != b'\r' || wire.get(at + 1) == Some(&b'\n'));
                prop_assert!(byte != b'\n' || at > 0 && wire[at - 1] == b'\r');
            }
            let (body, rest) = unstuff(&wire);
            prop_assert!(rest.is_empty());
            let text = |bytes: &[u8]| bytes.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect::<Vec<_>>();
            prop_assert_eq!(text(&body), text(&input));
        }
    }
}
