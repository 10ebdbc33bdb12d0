//! Content identity: how one message is recognised on both sides when the base does not know it.
//!
//! Used to pair messages again after a lost ledger, a changed UIDVALIDITY or an interrupted upload. The Message-ID
//! when there is one, else the fields that hardly ever agree by chance; always together with the size. A body hash
//! was rejected: Exchange renders the same message differently from one fetch to the next.

use sha2::{Digest, Sha256};

/// The header fields that identify a message; the order is that of [`Identity::from_header`].
pub const IDENTITY_FIELDS: [&str; 5] = ["Message-ID", "Date", "From", "To", "Subject"];

/// Header fields that readers write into the copy that they save elsewhere (mutt and the mbox format).
const READERS_FIELDS: [&str; 4] = ["Content-Length", "Lines", "Status", "X-Status"];

/// A digest of what identifies a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    digest: [u8; 16],
    strong: bool,
}

impl Identity {
    /// The identity told by a header block, whole or reduced to [`IDENTITY_FIELDS`], with LF or CRLF line ends.
    pub fn from_header(header: &[u8]) -> Identity {
        let fields = IDENTITY_FIELDS.map(|name| field(header, name));
        match &fields {
            [Some(message_id), ..] if !message_id.is_empty() => {
                Identity { digest: digest(&[message_id]), strong: true }
            }
            [_, rest @ ..] => {
                let rest: Vec<&[u8]> =
                    rest.iter().map(|value| value.as_deref().unwrap_or_default()).collect();
                Identity { digest: digest(&rest), strong: false }
            }
        }
    }

    /// An identity read back from storage.
    pub fn from_parts(digest: [u8; 16], strong: bool) -> Identity {
        Identity { digest, strong }
    }

    /// The digest, for storage.
    pub fn digest(&self) -> [u8; 16] {
        self.digest
    }

    /// Whether a Message-ID stands behind it; a weak identity alone never proves that two messages are one.
    pub fn is_strong(&self) -> bool {
        self.strong
    }
}

/// Counts a message's size with CRLF line ends, whichever line ends the bytes given have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizer {
    size: u64,
    after_cr: bool,
}

impl Sizer {
    /// Counts the next piece.
    pub fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' && !self.after_cr {
                self.size += 1;
            }
            self.after_cr = byte == b'\r';
        }
        self.size += bytes.len() as u64;
    }

    /// Octets so far.
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// Octets on the wire of the fields in a header that a reader may have added to it.
pub fn readers_octets(header: &[u8]) -> u64 {
    let lines = header.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let fields = lines.take_while(|line| !line.is_empty());
    let by_readers = fields.filter(|line| READERS_FIELDS.iter().any(|name| value_of(line, name).is_some()));
    by_readers.map(|line| line.len() as u64 + 2).sum()
}

/// The first value of a header field, unfolded, with white space squeezed; `None` where it is missing.
fn field(header: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut value: Option<Vec<u8>> = None;
    for line in header.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let folded = matches!(line.first(), Some(b' ' | b'\t'));
        match (&mut value, folded) {
            (Some(value), true) => value.extend_from_slice(line),
            (Some(_), false) => break,
            (None, true) => {}
            (None, false) => value = value_of(line, name).map(<[u8]>::to_vec),
        }
    }
    value.map(|value| squeeze(&value))
}

/// The value of `line` if it is a field of that name (any case, blanks before the colon allowed).
fn value_of<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (key, rest) = line.split_at(colon);
    key.trim_ascii_end().eq_ignore_ascii_case(name.as_bytes()).then(|| rest.get(1..).unwrap_or_default())
}

/// Runs of white space become one blank: folding differs between servers.
fn squeeze(value: &[u8]) -> Vec<u8> {
    let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(&b' ')
}

fn digest(values: &[impl AsRef<[u8]>]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for value in values {
        hasher.update(value.as_ref());
        hasher.update([0]);
    }
    let mut short = [0; 16];
    short.iter_mut().zip(hasher.finalize()).for_each(|(to, from)| *to = from);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_line_ends_and_case_do_not_change_an_identity() {
        let one = Identity::from_header(b"Subject: x\r\nMessage-ID:\r\n <a@b>\r\n\r\nbody");
        let other = Identity::from_header(b"message-id: <a@b>\nSubject: y\n\n");
        assert_eq!(one, other);
        assert!(one.is_strong());
    }

    #[test]
    fn fields_of_readers_are_counted_as_on_the_wire_and_in_the_header_only() {
        let header = b"From: a\nStatus: RO\nX-Status-Line: no\nLines: 3\r\n\nLines: 4\n";
        assert_eq!(readers_octets(header), "Status: RO\r\nLines: 3\r\n".len() as u64);
    }

    #[test]
    fn without_a_message_id_the_other_fields_decide_weakly() {
        let one = Identity::from_header(b"From: a\nSubject: x\n\n");
        assert!(!one.is_strong());
        assert_eq!(one, Identity::from_header(b"Subject:  x\r\nFrom: a\r\nX-Other: 1\r\n\r\n"));
        assert_ne!(one, Identity::from_header(b"From: a\nSubject: z\n\n"));
        assert!(!Identity::from_header(b"").is_strong());
    }

    #[test]
    fn a_field_in_the_body_is_not_a_header() {
        assert!(!Identity::from_header(b"From: a\n\nMessage-ID: <x@y>\n").is_strong());
    }

    #[test]
    fn sizes_count_crlf_whatever_the_pieces() {
        let mut sizer = Sizer::default();
        sizer.add(b"a\r");
        sizer.add(b"\nb\n");
        assert_eq!(sizer.size(), 6);
    }
}
