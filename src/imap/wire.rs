//! Framing: bytes from the server become whole responses, and message literals become a stream of chunks.
//!
//! Pure: bytes go in with [`Framer::buffer`], [`Piece`]s come out of [`Framer::next`], however the bytes were cut. Every
//! bound is kept here: length of a line, size of a literal, memory of one response. A body (`BODY[] {n}` in a FETCH) is
//! handed on piece by piece and is never in memory as a whole; in the text of its response it leaves [`STREAMED`]
//! behind, which no server can write itself because a line that ends so is the end of a response.
//! RFC 9051 §4.3 (literals). Parsing is not done here. Reading with imap-proto was rejected: it buffers whole
//! responses, reads long lines in quadratic time, and can overflow the stack.

use super::error::Error;
use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

/// Stands in a response where a body was streamed.
pub(super) const STREAMED: &[u8] = b"{*}\r\n";

/// A line of any response but those that list UIDs.
const LINE: usize = 64 * 1024;
/// A line that lists UIDs (a million of them), and all memory of one response.
const RESPONSE: usize = 8 * 1024 * 1024;
/// A literal that is kept in memory: names and header fields. A larger one is streamed too, for whoever drops it.
const LITERAL: u64 = 256 * 1024;
/// A message; the largest that providers accept is 150 MB.
pub(super) const MESSAGE: u64 = crate::sync::LARGEST;
/// The largest chunk of a body handed on at once.
const CHUNK: usize = 64 * 1024;

/// What comes out of the framing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A body of this many octets begins.
    Body(u64),
    /// The next octets of the body.
    Chunk(Bytes),
    /// A whole response, without its last CRLF, with literals as on the wire.
    Response(Bytes),
}

/// Cuts the server's bytes into pieces.
#[derive(Debug, Default)]
pub(super) struct Framer {
    input: BytesMut,
    /// How much of `input` is known to hold no line end.
    scanned: usize,
    /// The response so far: its lines and the literals in memory.
    response: BytesMut,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Line,
    /// A literal kept in memory: octets to come.
    Literal(u64),
    /// A streamed body: octets to come.
    Body(u64),
}

impl Framer {
    /// A framer that begins with bytes already read.
    pub(super) fn new(input: BytesMut) -> Framer {
        Framer { input, ..Framer::default() }
    }

    /// Where bytes from the server are to be appended.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        self.input.reserve(CHUNK / 2);
        &mut self.input
    }

    /// The next piece, or `None` until there are more bytes. After an error nothing more can be read.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, Error> {
        loop {
            let piece = match self.state {
                State::Body(left) => return Ok(self.chunk(left)),
                State::Literal(left) => {
                    if !self.keep(left) {
                        return Ok(None);
                    }
                    None
                }
                State::Line => match self.line()? {
                    Some(line) => self.take_line(&line)?,
                    None => return Ok(None),
                },
            };
            if piece.is_some() {
                return Ok(piece);
            }
        }
    }

    /// The next part of a body, as far as it came.
    fn chunk(&mut self, left: u64) -> Option<Piece> {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK).min(self.input.len());
        if size == 0 {
            return None;
        }
        self.state = match left - size as u64 {
            0 => State::Line,
            rest => State::Body(rest),
        };
        Some(Piece::Chunk(self.input.split_to(size).freeze()))
    }

    /// Moves a literal into the response; whether it is complete.
    fn keep(&mut self, left: u64) -> bool {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(self.input.len());
        self.response.extend_from_slice(&self.input.split_to(size));
        let rest = left - size as u64;
        self.state = if rest == 0 { State::Line } else { State::Literal(rest) };
        rest == 0
    }

    /// The next line without its end, once it is there.
    fn line(&mut self) -> Result<Option<BytesMut>, Error> {
        let found = memchr(b'\n', self.input.get(self.scanned..).unwrap_or_default());
        let length = found.map_or(self.input.len(), |at| self.scanned + at);
        if self.response.len() + length > self.allowed() {
            return Err(Error::Protocol("a line is too long"));
        }
        if found.is_none() {
            self.scanned = length;
            return Ok(None);
        }
        self.scanned = 0;
        let mut line = self.input.split_to(length);
        self.input.advance(1);
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        Ok(Some(line))
    }

    /// How long this response may be before its next line end.
    fn allowed(&self) -> usize {
        let start = if self.response.is_empty() { &self.input } else { return RESPONSE };
        let long = [&b"* SEARCH"[..], b"* ESEARCH", b"* VANISHED"];
        let is_long = |word: &&[u8]| start.get(..word.len()).is_some_and(|it| it.eq_ignore_ascii_case(word));
        if long.iter().any(is_long) { RESPONSE } else { LINE }
    }

    /// Ends the response with this line, or goes on with the literal that it announces.
    fn take_line(&mut self, line: &[u8]) -> Result<Option<Piece>, Error> {
        self.response.extend_from_slice(line);
        let Some((size, head)) = announced(line)? else {
            return Ok(Some(Piece::Response(self.response.split().freeze())));
        };
        if size > LITERAL || head.to_ascii_uppercase().ends_with(b"BODY[] ") {
            if size > MESSAGE {
                return Err(Error::Protocol("a literal is too large"));
            }
            self.response.truncate(self.response.len() - (line.len() - head.len()));
            self.response.extend_from_slice(STREAMED);
            self.state = if size == 0 { State::Line } else { State::Body(size) };
            return Ok(Some(Piece::Body(size)));
        }
        if self.response.len() as u64 + size > RESPONSE as u64 {
            return Err(Error::Protocol("a response is too large"));
        }
        self.response.extend_from_slice(b"\r\n");
        self.state = if size == 0 { State::Line } else { State::Literal(size) };
        Ok(None)
    }
}

/// The size of the literal that the line announces with `{n}`, `{n+}` or `~{n}` at its end, and what stands before.
fn announced(line: &[u8]) -> Result<Option<(u64, &[u8])>, Error> {
    let Some(inner) = line.strip_suffix(b"}") else { return Ok(None) };
    let Some(open) = memchr::memrchr(b'{', inner) else { return Ok(None) };
    let (head, digits) = (inner.get(..open).unwrap_or_default(), inner.get(open + 1..).unwrap_or_default());
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Ok(None);
    }
    let size = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    let size = size.ok_or(Error::Protocol("the size of a literal makes no sense"))?;
    Ok(Some((size, head.strip_suffix(b"~").unwrap_or(head))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every piece of `bytes` fed in portions of `portion`; chunks of one body are joined.
    fn pieces(bytes: &[u8], portion: usize) -> Result<Vec<Piece>, Error> {
        let mut framer = Framer::default();
        let mut out: Vec<Piece> = Vec::new();
        for part in bytes.chunks(portion) {
            framer.buffer().extend_from_slice(part);
            while let Some(piece) = framer.next()? {
                match (out.last_mut(), piece) {
                    (Some(Piece::Chunk(before)), Piece::Chunk(more)) => {
                        *before = [&before[..], &more[..]].concat().into();
                    }
                    (_, piece) => out.push(piece),
                }
            }
        }
        Ok(out)
    }

    fn response(text: &'static str) -> Piece {
        Piece::Response(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn bodies_are_streamed_and_other_literals_kept_however_the_bytes_are_cut() {
        let bytes =
            b"* 1 FETCH (UID 7 BODY[] {5}\r\na\r\nbc FLAGS ())\r\n* LIST () \"/\" {3}\r\na\"b\r\nA1 OK\n";
        for portion in 1..bytes.len() {
            let expected = [
                Piece::Body(5),
                Piece::Chunk(Bytes::from_static(b"a\r\nbc")),
                response("* 1 FETCH (UID 7 BODY[] {*}\r\n FLAGS ())"),
                response("* LIST () \"/\" {3}\r\na\"b"),
                response("A1 OK"),
            ];
            assert_eq!(pieces(bytes, portion).unwrap(), expected, "portions of {portion}");
        }
    }

    #[test]
    fn an_empty_body_is_a_body() {
        let found = pieces(b"* 1 FETCH (BODY[] {0}\r\n UID 1)\r\n", 99).unwrap();
        assert_eq!(found, [Piece::Body(0), response("* 1 FETCH (BODY[] {*}\r\n UID 1)")]);
    }

    #[test]
    fn the_mark_of_a_streamed_body_cannot_be_forged() {
        assert_eq!(
            pieces(b"* 1 FETCH (BODY[] {*}\r\n UID 1)\r\n", 99).unwrap(),
            [response("* 1 FETCH (BODY[] {*}"), response(" UID 1)")]
        );
    }

    #[test]
    fn abuse_of_sizes_is_an_error_and_takes_no_memory() {
        for line in [
            "* LIST () {4294967296}\r\n",
            "* LIST () {18446744073709551616}\r\n",
            "* LIST () {268435457}\r\n",
            "* 1 FETCH (BODY[] {268435457}\r\n",
        ] {
            assert!(matches!(pieces(line.as_bytes(), 7), Err(Error::Protocol(_))), "{line}");
        }
        assert_eq!(pieces(b"* LIST () {-5}\r\n", 7).unwrap(), [response("* LIST () {-5}")]);
    }

    #[test]
    fn a_line_without_end_is_cut_off_but_uids_have_room() {
        let long = |start: &str| [start.as_bytes(), &vec![b'1'; LINE]].concat();
        assert!(pieces(&long("* OK "), 4096).is_err());
        assert_eq!(pieces(&long("* SEARCH "), 4096).unwrap(), []);
        let literals = b"{9}\r\n123456789".repeat(RESPONSE / 14 + 1);
        assert!(pieces(&literals, 1 << 20).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_give_the_same_pieces_whatever_the_portions(
            bytes in proptest::collection::vec(prop_oneof![
                Just(b'\n'), Just(b'\r'), Just(b'{'), Just(b'}'), Just(b'1'), any::<u8>()], 0..200),
            portion in 1_usize..50,
        ) {
            prop_assert_eq!(pieces(&bytes, portion).ok(), pieces(&bytes, 1000).ok());
        }
    }
}
