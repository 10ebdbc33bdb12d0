//! Modified UTF-7, the encoding of mailbox names on the wire (RFC 3501 §5.1.3).
//!
//! Decoding is strict: only the one canonical spelling of a name is accepted, so that two spellings never become one
//! mailbox; what does not decode is kept as it is by the caller. Pure. Base64 is done here because the crate has no
//! alphabet with `,` for a stream of 16-bit units without padding rules in its way.

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// The name as written on the wire.
pub(super) fn encode(name: &str) -> String {
    let mut wire = String::with_capacity(name.len());
    let mut shifted = String::new();
    for letter in name.chars() {
        if matches!(letter, ' '..='~') {
            unshift(&mut wire, &mut shifted);
            wire.push(letter);
            if letter == '&' {
                wire.push('-');
            }
        } else {
            shifted.push(letter);
        }
    }
    unshift(&mut wire, &mut shifted);
    wire
}

/// Writes the letters that need the shifted form.
fn unshift(wire: &mut String, shifted: &mut String) {
    if shifted.is_empty() {
        return;
    }
    let units: Vec<u8> = shifted.encode_utf16().flat_map(u16::to_be_bytes).collect();
    wire.push('&');
    wire.push_str(&BASE64.encode(units));
    wire.push('-');
    shifted.clear();
}

/// The name meant by its wire form; `None` for anything but the canonical form.
pub(super) fn decode(wire: &str) -> Option<String> {
    let mut name = String::with_capacity(wire.len());
    let mut rest = wire;
    while let Some((plain, shifted)) = rest.split_once('&') {
        name.push_str(plain);
        let (code, after) = shifted.split_once('-')?;
        if code.is_empty() {
            name.push('&');
        } else {
            name.push_str(&letters(code)?);
        }
        rest = after;
    }
    name.push_str(rest);
    (encode(&name) == wire).then_some(name)
}

fn letters(code: &str) -> Option<String> {
    let bytes = BASE64.decode(code).ok()?;
    let units: Vec<u16> =
        bytes.chunks(2).map(|pair| pair.iter().fold(0, |all, &byte| all << 8 | u16::from(byte))).collect();
    (bytes.len() % 2 == 0).then(|| String::from_utf16(&units).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_names() {
        for (name, wire) in [
            ("Entwürfe", "Entw&APw-rfe"),
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("A & B", "A &- B"),
            ("😀", "&2D3eAA-"),
            ("\0", "&AAA-"),
        ] {
            assert_eq!(encode(name), wire);
            assert_eq!(decode(wire).as_deref(), Some(name));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for wire in ["&", "&AG", "&AGE-", "&AOk-&AOk-", "&2D0-", "é", "&A-", "&AOk", "a\tb", "&AOk=-"] {
            assert_eq!(decode(wire), None, "{wire}");
        }
    }

    proptest! {
        #[test]
        fn every_name_survives(name in any::<String>()) {
            prop_assert_eq!(decode(&encode(&name)), Some(name));
        }

        #[test]
        fn no_wire_form_makes_it_panic(wire in "[&a-zA-Z,+/é-]{0,40}") {
            let _ = decode(&wire);
        }
    }
}
