//! What tells a message from another one with the same Message-ID and size: its own octets.
//!
//! Of a message with a Message-ID it is the header: every delivery writes its own moment and queue into it, and POP3 shows
//! it alone (TOP). The header of a message without one may be that of a hundred others (a log by mail), and only the whole
//! text tells. Taken from what a server sends, never from a file: readers may change those. Pure.

use super::Identity;
use sha2::{Digest, Sha256};

/// Of a header this much is looked at.
const HEADER: usize = 256 * 1024;

/// A digest of the octets that make a message this one and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint([u8; 16]);

/// Takes the identity and the fingerprint of a message that comes piece by piece.
#[derive(Clone, Default)]
pub struct Sight {
    header: Vec<u8>,
    text: Sha256,
}

impl Fingerprint {
    /// A fingerprint read back from storage.
    pub fn from_digest(digest: [u8; 16]) -> Fingerprint {
        Fingerprint(digest)
    }

    /// The digest, for storage.
    pub fn digest(&self) -> [u8; 16] {
        self.0
    }

    fn of(text: Sha256) -> Fingerprint {
        let mut short = [0; 16];
        short.iter_mut().zip(text.finalize()).for_each(|(to, from)| *to = from);
        Fingerprint(short)
    }
}

impl Sight {
    /// Takes the next piece.
    pub fn add(&mut self, octets: &[u8]) {
        let room = HEADER.saturating_sub(self.header.len()).min(octets.len());
        self.header.extend_from_slice(octets.get(..room).unwrap_or_default());
        self.text.update(octets);
    }

    /// Whose message it was. Without a Message-ID the fingerprint is one of all that came: a header alone makes none.
    pub fn finish(self) -> (Identity, Fingerprint) {
        let identity = Identity::from_header(&self.header);
        let lines = self.header.split_inclusive(|&octet| octet == b'\n');
        let header = lines.take_while(|line| !line.trim_ascii().is_empty());
        let text = match identity.is_strong() {
            true => header.fold(Sha256::new(), |text, line| text.chain_update(line)),
            false => self.text,
        };
        (identity, Fingerprint::of(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(pieces: &[&str]) -> (Identity, Fingerprint) {
        let mut sight = Sight::default();
        pieces.iter().for_each(|piece| sight.add(piece.as_bytes()));
        sight.finish()
    }

    #[test]
    fn with_a_message_id_every_octet_of_the_header_counts_and_none_of_the_body() {
        let one = sight(&["Received: a\r\nMessage-ID: <1@x>\r\n", "\r\none"]);
        assert_eq!(one, sight(&["Received: a\r\nMessage-ID: <1@x>\r\n\r\n"]), "as TOP shows it");
        assert_eq!(one, sight(&["Received: a\r\nMessage-ID: <1@x>\r\n"]), "without the empty line");
        let other = sight(&["Received: b\r\nMessage-ID: <1@x>\r\n\r\none"]);
        assert_eq!(one.0, other.0);
        assert_ne!(one.1, other.1);
    }

    #[test]
    fn without_a_message_id_every_octet_counts() {
        let one = sight(&["Subject: log\r\n\r\n", "one\r\n"]);
        assert_eq!(one, sight(&["Subject: log\r", "\n\r\none\r\n"]));
        let other = sight(&["Subject: log\r\n\r\ntwo\r\n"]);
        assert_eq!(one.0, other.0);
        assert_ne!(one.1, other.1);
    }
}
