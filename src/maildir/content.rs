//! What passes through while a message is written or read: line ends and the header.
//!
//! On disk a line ends with LF, on the wire with CRLF. Only a CRLF whose CR is alone loses it; `CR CR LF` stays, so
//! that what is on disk turns back into exactly what was on the wire. Works on pieces cut anywhere; RFC 9051 §4.3
//! puts no line structure on the pieces of a literal. No IO and no knowledge of files.

use crate::keeping::LineEndings;
use crate::mail::{Identity, Sizer};
use crate::sync::Likeness;
use std::io::{self, Read, Write};

/// Most bytes of a header that are looked at for the identity.
const HEADER_LIMIT: usize = 256 * 1024;
/// One read from a file.
const PIECE: usize = 64 * 1024;

/// Turns CRLF into LF, piece by piece.
#[derive(Debug)]
pub(super) struct ToDisk {
    endings: LineEndings,
    before: Before,
}

/// What the last bytes were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Other,
    /// One CR, not written yet.
    HeldCr,
    /// Two CRs or more, all written: none of them is half of a line end.
    WrittenCrs,
}

impl ToDisk {
    pub(super) fn new(endings: LineEndings) -> ToDisk {
        ToDisk { endings, before: Before::Other }
    }

    /// Writes the next piece.
    pub(super) fn add(&mut self, piece: &[u8], out: &mut impl Write) -> io::Result<()> {
        if self.endings == LineEndings::Crlf {
            return out.write_all(piece);
        }
        let mut rest = piece;
        while let Some((&first, after)) = rest.split_first() {
            match (self.before, first) {
                (Before::HeldCr, b'\r') => {
                    out.write_all(b"\r\r")?;
                    self.before = Before::WrittenCrs;
                }
                (Before::WrittenCrs, b'\r') => out.write_all(b"\r")?,
                (Before::Other, b'\r') => self.before = Before::HeldCr,
                (before, _) => {
                    if before == Before::HeldCr && first != b'\n' {
                        out.write_all(b"\r")?;
                    }
                    self.before = Before::Other;
                    let (plain, tail) = rest.split_at(memchr::memchr(b'\r', rest).unwrap_or(rest.len()));
                    out.write_all(plain)?;
                    rest = tail;
                    continue;
                }
            }
            rest = after;
        }
        Ok(())
    }

    /// Writes what was held back for a line end that did not come.
    pub(super) fn finish(self, out: &mut impl Write) -> io::Result<()> {
        if self.before == Before::HeldCr { out.write_all(b"\r") } else { Ok(()) }
    }
}

/// Learns how a message is recognised while its bytes pass by.
#[derive(Debug, Default)]
pub(super) struct Recogniser {
    header: Vec<u8>,
    is_past_header: bool,
    sizer: Sizer,
}

impl Recogniser {
    pub(super) fn add(&mut self, piece: &[u8]) {
        self.sizer.add(piece);
        if self.is_past_header {
            return;
        }
        let seen = self.header.len().saturating_sub(2);
        let room = HEADER_LIMIT.saturating_sub(self.header.len());
        self.header.extend_from_slice(piece.get(..room).unwrap_or(piece));
        let fresh = self.header.get(seen..).unwrap_or_default();
        let has_blank_line =
            [&b"\n\n"[..], b"\n\r\n"].iter().any(|end| memchr::memmem::find(fresh, end).is_some());
        self.is_past_header = has_blank_line || self.header.len() >= HEADER_LIMIT;
    }

    pub(super) fn likeness(&self) -> Likeness {
        Likeness { identity: Identity::from_header(&self.header), size: self.sizer.size() }
    }
}

/// Reads a whole message for its likeness.
pub(super) fn likeness(mut message: impl Read) -> io::Result<Likeness> {
    let mut recogniser = Recogniser::default();
    pieces(&mut message, |piece| recogniser.add(piece))?;
    Ok(recogniser.likeness())
}

/// Reads a whole message for its size on the wire.
pub(super) fn wire_size(mut message: impl Read) -> io::Result<u64> {
    let mut sizer = Sizer::default();
    pieces(&mut message, |piece| sizer.add(piece))?;
    Ok(sizer.size())
}

fn pieces(message: &mut impl Read, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        match message.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn on_disk(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut to_disk, mut out) = (ToDisk::new(LineEndings::Lf), Vec::new());
        pieces.iter().for_each(|piece| to_disk.add(piece, &mut out).unwrap());
        to_disk.finish(&mut out).unwrap();
        out
    }

    /// What an uploader does: every LF without a CR before it gets one.
    fn on_wire(disk: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        for &byte in disk {
            if byte == b'\n' && wire.last() != Some(&b'\r') {
                wire.push(b'\r');
            }
            wire.push(byte);
        }
        wire
    }

    #[test]
    fn only_a_whole_line_end_loses_its_cr() {
        assert_eq!(on_disk(&[b"a\r\nb\rc\r\n\r\n\r"]), b"a\nb\rc\n\n\r");
        assert_eq!(on_disk(&[b"a\r\r\nb\r\r\r\n"]), b"a\r\r\nb\r\r\r\n");
        assert_eq!(on_disk(&[]), b"");
    }

    #[test]
    fn the_header_ends_at_its_limit_or_its_blank_line() {
        let mut recogniser = Recogniser::default();
        b"A: b\r\n\r\nMessage-ID: <body>\r\n".iter().for_each(|byte| recogniser.add(&[*byte]));
        assert!(!recogniser.likeness().identity.is_strong());
        assert_eq!(recogniser.header, b"A: b\r\n\r\n");
        recogniser.add(&vec![b'x'; 2 * HEADER_LIMIT]);
        assert!(recogniser.header.len() < 10);
        let mut endless = Recogniser::default();
        (0..100).for_each(|_| endless.add(&[b'x'; 10_000]));
        assert_eq!((endless.header.len(), endless.likeness().size), (HEADER_LIMIT, 1_000_000));
    }

    proptest! {
        #[test]
        fn cuts_between_pieces_change_nothing(wire in "[a\r\n]{0,40}", cuts in proptest::collection::vec(0_usize..41, 0..6)) {
            let wire = wire.as_bytes();
            let mut ends: Vec<usize> = cuts.into_iter().map(|cut| cut.min(wire.len())).chain([wire.len()]).collect();
            ends.sort_unstable();
            let mut start = 0;
            let pieces: Vec<&[u8]> = ends.iter().map(|&end| &wire[std::mem::replace(&mut start, end)..end]).collect();
            prop_assert_eq!(on_disk(&pieces), on_disk(&[wire]));
        }

        #[test]
        fn what_came_over_the_wire_goes_back_over_it(lines in proptest::collection::vec("[ab\r]{0,4}", 0..8)) {
            // Any bytes whose every LF follows a CR, as IMAP literals of mail have them.
            let wire = lines.join("\r\n").into_bytes();
            let disk = on_disk(&[&wire]);
            prop_assert_eq!(&on_wire(&disk), &wire);
            prop_assert_eq!(likeness(&disk[..]).unwrap().size, wire.len() as u64);
        }
    }
}
