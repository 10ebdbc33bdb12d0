//! The bytes of a message on their way from the user's file to the spool: line ends and what mail cannot carry.
//!
//! Pure, over pieces of any size. LF becomes CRLF, the last line gets its end; a bare CR or a NUL refuses the message
//! (SMTP smuggling, CVE-2023-51764 ff.: servers disagree on what a bare CR means, so it is not for us to guess). Lines
//! beyond the 998 octets of RFC 5322 go out as they are, because servers take them; a megabyte without an end is no text.

use super::envelope::Refusal;

/// Longest line that is sent.
const MAX_LINE: usize = 1 << 20;

/// Normalises one message.
#[derive(Debug, Default)]
pub(super) struct Normaliser {
    offset: u64,
    line: usize,
    after_cr: bool,
    eight_bit: bool,
}

impl Normaliser {
    /// For the part of a file that begins at `offset`, after a line end.
    pub(super) fn after(offset: u64) -> Normaliser {
        Normaliser { offset, ..Normaliser::default() }
    }

    /// Appends the next piece to `out`.
    pub(super) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        for &byte in piece {
            if self.after_cr && byte != b'\n' {
                return Err(Refusal::BareCr { offset: self.offset - 1 });
            }
            match byte {
                0 => return Err(Refusal::Nul { offset: self.offset }),
                b'\r' => {}
                b'\n' => {
                    out.extend_from_slice(b"\r\n");
                    self.line = 0;
                }
                _ => {
                    out.push(byte);
                    self.line += 1;
                }
            }
            if self.line > MAX_LINE {
                return Err(Refusal::LongLine { limit: MAX_LINE });
            }
            self.after_cr = byte == b'\r';
            self.eight_bit |= !byte.is_ascii();
            self.offset += 1;
        }
        Ok(())
    }

    /// Ends the last line; tells whether the message has 8-bit bytes.
    pub(super) fn finish(self, out: &mut Vec<u8>) -> Result<bool, Refusal> {
        if self.after_cr {
            return Err(Refusal::BareCr { offset: self.offset - 1 });
        }
        if self.line > 0 {
            out.extend_from_slice(b"\r\n");
        }
        Ok(self.eight_bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normalise(text: &[u8], cut: usize) -> Result<(Vec<u8>, bool), Refusal> {
        let (mut normaliser, mut out) = (Normaliser::default(), Vec::new());
        text.chunks(cut).try_for_each(|piece| normaliser.push(piece, &mut out))?;
        let eight_bit = normaliser.finish(&mut out)?;
        Ok((out, eight_bit))
    }

    #[test]
    fn line_ends_become_crlf_wherever_the_pieces_are_cut() {
        for cut in 1..6 {
            assert_eq!(normalise(b"a\nb\r\n\n.\nc", cut), Ok((b"a\r\nb\r\n\r\n.\r\nc\r\n".to_vec(), false)));
        }
        assert_eq!(normalise(b"\xe9\n", 9), Ok((b"\xe9\r\n".to_vec(), true)));
        assert_eq!(normalise(b"", 1), Ok((Vec::new(), false)));
    }

    #[test]
    fn what_mail_cannot_carry_is_named_with_its_place() {
        assert_eq!(normalise(b"a\rb", 2), Err(Refusal::BareCr { offset: 1 }));
        assert_eq!(normalise(b"a\r\r\n", 2), Err(Refusal::BareCr { offset: 1 }));
        assert_eq!(normalise(b"a\r", 1), Err(Refusal::BareCr { offset: 1 }));
        assert_eq!(normalise(b"ab\0", 2), Err(Refusal::Nul { offset: 2 }));
        assert_eq!(normalise(&vec![b'x'; MAX_LINE + 1], 4096), Err(Refusal::LongLine { limit: MAX_LINE }));
        assert!(normalise(&vec![b'x'; 5000], 4096).is_ok());
    }

    proptest! {
        #[test]
        fn twice_is_once(text in proptest::collection::vec(proptest::sample::select(b"\n.ax".to_vec()), 0..40)) {
            let once = normalise(&text, 3).unwrap().0;
            prop_assert_eq!(normalise(&once, 5).unwrap().0, once);
        }
    }
}
