//! Who a message is from and for, and how its header goes out (RFC 5322 §3.6, RFC 6409 §8).
//!
//! Pure: time and randomness come in. Rules: with Resent- fields the most recent block alone addresses the message;
//! Bcc and Resent-Bcc never go out; Date, Message-ID and From are added when missing; every other byte stays. A list
//! with one element that is no address refuses the message.

use super::address::{Address, BadAddress, parse_list};
use super::header::{self, Field};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Who a message is from and for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The return path.
    pub sender: String,
    /// Everybody it goes to, each once.
    pub recipients: Vec<String>,
}

/// Whom an account writes as, where the message does not say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The account's address.
    pub address: String,
}

/// A header ready to go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) envelope: Envelope,
    /// The Message-ID with its angle brackets.
    pub(super) message_id: String,
    /// All fields and the empty line.
    pub(super) header: Vec<u8>,
    /// The Bcc fields that were taken out, as they were.
    pub(super) bcc: String,
}

/// Why a message cannot be sent as it is. Its words are for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody to send it to.
    #[error("the message has no recipients: To, Cc and Bcc are missing or empty")]
    NoRecipients,
    /// An element of an address field.
    #[error("in the field {field}: {source}")]
    Address {
        /// The field.
        field: String,
        /// What is wrong with it.
        source: BadAddress,
    },
    /// A line in the header that is no field.
    #[error("line {line} is no header field, and no empty line stands before it")]
    Header {
        /// Counted from 1.
        line: usize,
    },
    /// The header never ends within the bound.
    #[error("the header is longer than {limit} bytes")]
    HeaderTooLong {
        /// The bound.
        limit: usize,
    },
    /// The file is larger than anything this program sends.
    #[error("the file has {size} bytes, more than {limit} cannot be sent")]
    TooLarge {
        /// Octets of the file.
        size: u64,
        /// The bound.
        limit: u64,
    },
    /// A NUL byte.
    #[error("the message has a NUL byte at offset {offset}: mail cannot carry it")]
    Nul {
        /// From the start of the file.
        offset: u64,
    },
    /// A carriage return without a line feed, which mail servers take for an attack.
    #[error("the message has a carriage return without a line feed at offset {offset}")]
    BareCr {
        /// From the start of the file.
        offset: u64,
    },
    /// A line that no server takes.
    #[error("a line of the message has more than {limit} bytes")]
    LongLine {
        /// The bound.
        limit: usize,
    },
    /// Our own fault.
    #[error("internal error: this is a bug in posthaste, which cannot read this file; its log says more")]
    Defect,
}

/// Reads a header block and makes the one that goes out. `random` distinguishes Message-IDs of one moment.
pub(super) fn prepare(
    header: &[u8],
    account: &Sender,
    now: Timestamp,
    random: u64,
) -> Result<Outgoing, Refusal> {
    let mut fields = header::parse(header).map_err(|line| Refusal::Header { line })?;
    let recipients = recipients(&fields)?;
    if recipients.is_empty() {
        return Err(Refusal::NoRecipients);
    }
    let sender = sender(&fields, account)?;
    let bcc: Vec<u8> = fields.iter().filter(|field| is_blind(field)).flat_map(Field::raw).copied().collect();
    fields.retain(|field| !is_blind(field) && !is_empty_identity(field));
    let message_id = complete(&mut fields, account, &sender, now, random);
    let mut header = fields.iter().flat_map(Field::raw).copied().collect::<Vec<u8>>();
    header.extend_from_slice(b"\r\n");
    let recipients = recipients.iter().map(Address::to_string).collect();
    let bcc = String::from_utf8_lossy(&bcc).into_owned();
    Ok(Outgoing { envelope: Envelope { sender: sender.to_string(), recipients }, message_id, header, bcc })
}

fn recipients(fields: &[Field]) -> Result<Vec<Address>, Refusal> {
    let names =
        if is_resent(fields) { ["Resent-To", "Resent-Cc", "Resent-Bcc"] } else { ["To", "Cc", "Bcc"] };
    let block = addressing(fields);
    let mut found: Vec<Address> = Vec::new();
    for field in block.filter(|field| names.iter().any(|name| field.is(name))) {
        for address in addresses(field)? {
            if !found.iter().any(|known| known.is_same(&address)) {
                found.push(address);
            }
        }
    }
    Ok(found)
}

/// The Sender, else the first author, else the account.
fn sender(fields: &[Field], account: &Sender) -> Result<Address, Refusal> {
    let names = if is_resent(fields) { ["Resent-Sender", "Resent-From"] } else { ["Sender", "From"] };
    for name in names {
        for field in addressing(fields).filter(|field| field.is(name)) {
            if let Some(address) = addresses(field)?.into_iter().next() {
                return Ok(address);
            }
        }
    }
    Address::parse(&account.address)
        .map_err(|source| Refusal::Address { field: "address of the account".into(), source })
}

/// Adds what is missing; gives the Message-ID.
fn complete(
    fields: &mut Vec<Field>,
    account: &Sender,
    sender: &Address,
    now: Timestamp,
    random: u64,
) -> String {
    if !fields.iter().any(|field| field.is("Date")) {
        fields.push(Field::new("Date", &date(now)));
    }
    if !fields.iter().any(|field| field.is("From")) {
        fields.push(Field::new("From", &account.address));
    }
    if let Some(field) = fields.iter().find(|field| field.is("Message-ID")) {
        return field.value();
    }
    let message_id = format!("<{:x}.{random:016x}@{}>", now.as_millisecond(), sender.domain());
    fields.push(Field::new("Message-ID", &message_id));
    message_id
}

/// RFC 5322 §3.3, in UTC: where the user is, is nobody's business.
fn date(now: Timestamp) -> String {
    now.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// Any Resent- field makes it so: falling back to To would send it once more to everybody who has it.
fn is_resent(fields: &[Field]) -> bool {
    fields.iter().any(Field::is_resent)
}

/// The fields that address the message: all, or the most recent block of Resent- fields, which is the topmost. A block
/// ends at another kind of field or where a field that stands once in a block comes again (RFC 5322 §3.6.6).
fn addressing(fields: &[Field]) -> Box<dyn Iterator<Item = &Field> + '_> {
    if !is_resent(fields) {
        return Box::new(fields.iter());
    }
    let mut once =
        ["Resent-Date", "Resent-From", "Resent-Sender", "Resent-Message-ID"].map(|name| (name, false));
    let mut begins_another = move |field: &Field| match once.iter_mut().find(|(name, _)| field.is(name)) {
        Some((_, seen)) => std::mem::replace(seen, true),
        None => false,
    };
    let from_first = fields.iter().skip_while(|field| !field.is_resent());
    Box::new(from_first.take_while(move |field| field.is_resent() && !begins_another(field)))
}

fn addresses(field: &Field) -> Result<Vec<Address>, Refusal> {
    let name =
        || String::from_utf8_lossy(field.raw()).split(':').next().unwrap_or_default().trim().to_owned();
    parse_list(&field.value()).map_err(|source| Refusal::Address { field: name(), source })
}

fn is_blind(field: &Field) -> bool {
    field.is("Bcc") || field.is("Resent-Bcc")
}

/// A Message-ID, Date or From without a value is as good as missing.
fn is_empty_identity(field: &Field) -> bool {
    ["Message-ID", "Date", "From"].iter().any(|name| field.is(name)) && field.value().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(header: &str) -> Result<Outgoing, Refusal> {
        let account = Sender { address: "me@home.test".into() };
        prepare(header.as_bytes(), &account, "2026-11-22T08:00:00.5Z".parse().unwrap(), 0xabc)
    }

    fn recipients_of(header: &str) -> Vec<String> {
        outgoing(header).unwrap().envelope.recipients
    }

    #[test]
    fn what_is_missing_is_added_and_nothing_else_changes() {
        let out = outgoing("To: a@x\nSubject:  odd\n  fold\n").unwrap();
        assert_eq!(
            String::from_utf8(out.header).unwrap(),
            "To: a@x\r\nSubject:  odd\r\n  fold\r\nDate: Sun, 22 Nov 2026 08:00:00 +0000\r\nFrom: me@home.test\r\n\
             Message-ID: <19aaaac4ff4.0000000000000abc@home.test>\r\n\r\n"
                .replace("19aaaac4ff4", &format!("{:x}", 1_795_334_400_500_i64))
        );
        assert_eq!(out.envelope.sender, "me@home.test");
        let whole = "From: b@x\r\nDate: today\r\nMessage-ID:\r\n <1@x>\r\nTo: a@x\r\n";
        let out = outgoing(whole).unwrap();
        assert_eq!(out.header, format!("{whole}\r\n").into_bytes());
        assert_eq!(out.message_id, "<1@x>");
        assert!(outgoing("Message-ID: \nTo: a@x\n").unwrap().message_id.ends_with("@home.test>"));
    }

    #[test]
    fn bcc_is_read_and_removed_in_every_spelling() {
        let header = "Bcc: a@x\nTo: t@x\nBCC : b@x,\n c@x\nbcc:\n\td@x\nbCc:(none)\nX-Bcc: kept\n";
        let out = outgoing(header).unwrap();
        assert_eq!(out.envelope.recipients, ["a@x", "t@x", "b@x", "c@x", "d@x"]);
        let sent = String::from_utf8(out.header).unwrap();
        for blind in ["a@x", "b@x", "c@x", "d@x", "BCC", "bcc:", "none"] {
            assert!(!sent.contains(blind), "{blind} leaks");
        }
        assert!(sent.contains("X-Bcc: kept"));
        assert!(out.bcc.contains("BCC : b@x,\r\n c@x\r\n"), "kept for the user");
        assert_eq!(recipients_of("Bcc: only@x\n"), ["only@x"]);
    }

    #[test]
    fn the_topmost_resent_block_alone_addresses() {
        let header = "Resent-From: r@x\nResent-To: new@x\nResent-Bcc: blind@x\nResent-From: older@x\nResent-To: old@x\n\
                      Resent-Bcc: ancient@x\nFrom: f@x\nTo: first@x\nBcc: secret@x\n";
        let out = outgoing(header).unwrap();
        assert_eq!(out.envelope.recipients, ["new@x", "blind@x"]);
        assert_eq!(out.envelope.sender, "r@x");
        let sent = String::from_utf8(out.header).unwrap();
        assert!(!sent.contains("secret") && !sent.contains("ancient") && !sent.contains("blind"));
        assert!(sent.contains("Resent-To: old@x") && sent.contains("To: first@x"));
        let later = "Resent-To: a@x\nReceived: by x\nResent-To: b@x\nTo: c@x\n";
        assert_eq!(recipients_of(later), ["a@x"]);
    }

    #[test]
    fn the_sender_is_whom_the_message_names() {
        assert_eq!(outgoing("From: a@x, b@x\nSender: s@x\nTo: t@x\n").unwrap().envelope.sender, "s@x");
        assert_eq!(outgoing("From: Ann <a@x>, b@x\nTo: t@x\n").unwrap().envelope.sender, "a@x");
    }

    #[test]
    fn messages_to_nobody_or_to_nonsense_are_refused() {
        for header in [
            "",
            "Subject: x\n",
            "To:\n",
            "Resent-Date: d\nTo: a@x\n",
            "To: undisclosed-recipients:;\nCc: ,\n",
        ] {
            assert_eq!(outgoing(header), Err(Refusal::NoRecipients), "{header:?}");
        }
        let refusal = outgoing("To: a@x\nCc: bob\n").unwrap_err();
        assert_eq!(refusal.to_string(), "in the field Cc: \"bob\" is no mail address");
        assert_eq!(outgoing("To: a@x\nhello\nBcc: b@x\n"), Err(Refusal::Header { line: 2 }));
        assert!(outgoing("To: \"x\r\n DATA\"@x\n").unwrap().envelope.recipients[0].contains(" DATA"));
        assert!(matches!(outgoing("To: a@x\nFrom: me\n"), Err(Refusal::Address { .. })));
    }

    #[test]
    fn nobody_gets_it_twice() {
        assert_eq!(recipients_of("To: a@x, A <a@X>\nCc: a@x, b@x\nBcc: b@x\n"), ["a@x", "b@x"]);
    }
}
