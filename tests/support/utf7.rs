//! Modified UTF-7 (RFC 3501 §5.1.3) for the test client: written a second time on purpose, as a check on the first.

use base64::Engine;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

fn engine() -> GeneralPurpose {
    GeneralPurpose::new(&base64::alphabet::Alphabet::new(ALPHABET).unwrap(), NO_PAD)
}

/// A mailbox name as it goes over the wire.
pub fn encode(name: &str) -> String {
    let mut out = String::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        if (' '..='~').contains(&first) {
            out.push(first);
            if first == '&' {
                out.push('-');
            }
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let end = rest.find(|c: char| (' '..='~').contains(&c)).unwrap_or(rest.len());
        let units: Vec<u8> = rest[..end].encode_utf16().flat_map(u16::to_be_bytes).collect();
        out.push('&');
        out.push_str(&engine().encode(units));
        out.push('-');
        rest = &rest[end..];
    }
    out
}

/// A mailbox name from the wire; panics on what no server of ours sends.
pub fn decode(wire: &str) -> String {
    let mut out = String::new();
    let mut rest = wire;
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        let end = start + rest[start..].find('-').expect("a closed shift");
        let shifted = &rest[start + 1..end];
        if shifted.is_empty() {
            out.push('&');
        } else {
            let bytes = engine().decode(shifted).expect("base64 of the shift");
            let units: Vec<u16> =
                bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            out.push_str(&String::from_utf16(&units).expect("UTF-16"));
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    out
}
