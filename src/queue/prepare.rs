//! From the user's file to the message that goes out, in one pass: the header in memory, the body streamed.

use super::envelope::{self, Outgoing, Refusal, Sender};
use super::text::Normaliser;
use jiff::Timestamp;
use std::io::{self, BufRead, Read, Write};

/// Largest header: everything of it is held in memory.
const MAX_HEADER: usize = 256 * 1024;
/// How much of the body is read at once.
const BLOCK: usize = 64 * 1024;

/// A message written to the spool.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) outgoing: Outgoing,
    /// Octets written.
    pub(super) size: u64,
    /// Whether a byte above 127 was written.
    pub(super) eight_bit: bool,
    /// Whether the user's file had CRLF line ends.
    pub(super) crlf: bool,
}

/// Why nothing of use was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("cannot read the message")]
    Read(#[source] io::Error),
    #[error("cannot write the message")]
    Write(#[source] io::Error),
}

/// Writes the message in `source` to `out` as it goes out.
pub(super) fn prepare(
    mut source: impl BufRead,
    mut out: impl Write,
    account: &Sender,
    now: Timestamp,
    random: u64,
) -> Result<Prepared, Failure> {
    let raw = read_header(&mut source)?;
    #[cfg(test)]
    assert!(!raw.starts_with(b"Planted-Defect:"), "planted");
    let mut header = Vec::with_capacity(raw.len());
    let mut normaliser = Normaliser::default();
    normaliser.push(&raw, &mut header)?;
    normaliser.finish(&mut header)?;
    let outgoing = envelope::prepare(&header, account, now, random)?;
    out.write_all(&outgoing.header).map_err(Failure::Write)?;
    let (body, eight_bit) = copy_body(&mut source, &mut out, raw.len() as u64)?;
    out.flush().map_err(Failure::Write)?;
    Ok(Prepared {
        size: outgoing.header.len() as u64 + body,
        eight_bit: eight_bit || !outgoing.header.is_ascii(),
        crlf: raw.windows(2).any(|pair| pair == b"\r\n"),
        outgoing,
    })
}

/// Everything before the first empty line, and that line.
fn read_header(source: &mut impl BufRead) -> Result<Vec<u8>, Failure> {
    let mut header = Vec::new();
    loop {
        let room = (MAX_HEADER + 1).saturating_sub(header.len());
        let start = header.len();
        source.take(room as u64).read_until(b'\n', &mut header).map_err(Failure::Read)?;
        if header.len() > MAX_HEADER {
            return Err(Refusal::HeaderTooLong { limit: MAX_HEADER }.into());
        }
        if matches!(header.get(start..), None | Some(b"" | b"\n" | b"\r\n")) {
            return Ok(header);
        }
    }
}

/// Octets written, and whether one of them is above 127.
fn copy_body(source: &mut impl Read, out: &mut impl Write, offset: u64) -> Result<(u64, bool), Failure> {
    let mut normaliser = Normaliser::after(offset);
    let (mut block, mut text, mut size) = (vec![0; BLOCK], Vec::with_capacity(2 * BLOCK), 0);
    loop {
        let count = source.read(&mut block).map_err(Failure::Read)?;
        if count == 0 {
            break;
        }
        text.clear();
        normaliser.push(block.get(..count).unwrap_or_default(), &mut text)?;
        out.write_all(&text).map_err(Failure::Write)?;
        size += text.len() as u64;
    }
    text.clear();
    let eight_bit = normaliser.finish(&mut text)?;
    out.write_all(&text).map_err(Failure::Write)?;
    Ok((size + text.len() as u64, eight_bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(message: &[u8]) -> Result<(Prepared, String), Failure> {
        let mut out = Vec::new();
        let account = Sender { address: "me@x".into() };
        let prepared = prepare(message, &mut out, &account, Timestamp::UNIX_EPOCH, 1)?;
        assert_eq!(prepared.size, out.len() as u64);
        Ok((prepared, String::from_utf8_lossy(&out).into_owned()))
    }

    #[test]
    fn the_body_is_kept_and_the_line_ends_are_crlf() {
        let head = "From: me@x\nDate: d\nMessage-ID: <1>\nTo: a@x\n";
        let (prepared, out) = run(format!("{head}\n.hi\nBcc: not@a.header\nlast").as_bytes()).unwrap();
        assert_eq!(out, format!("{head}\n.hi\nBcc: not@a.header\nlast\n").replace('\n', "\r\n"));
        assert!(!prepared.crlf && !prepared.eight_bit);
        let (prepared, out) = run(b"To: a@x\r\nBcc: b@x\r\n\r\n\xe9").unwrap();
        assert!(out.ends_with("\r\n\r\n\u{fffd}\r\n") && prepared.crlf && prepared.eight_bit);
    }

    #[test]
    fn a_header_without_a_body_is_a_message() {
        assert!(run(b"To: a@x\nSubject: only this").unwrap().1.ends_with(">\r\n\r\n"));
    }

    #[test]
    fn faults_are_refused_with_their_offset_in_the_file() {
        let refusal = |message: &[u8]| match run(message) {
            Err(Failure::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        };
        assert_eq!(refusal(b"To: a@x\n\nx\0"), Refusal::Nul { offset: 10 });
        assert_eq!(refusal(b"To: a@x\rBcc: b@x\n\n"), Refusal::BareCr { offset: 7 });
        assert_eq!(refusal(b"To: a@x\n\nab\rc"), Refusal::BareCr { offset: 11 });
        assert_eq!(refusal(&vec![b'x'; 300_000]), Refusal::HeaderTooLong { limit: MAX_HEADER });
        assert_eq!(refusal(b"\nTo: a@x\n"), Refusal::NoRecipients);
    }
}
