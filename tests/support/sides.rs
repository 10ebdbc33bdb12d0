//! Both sides as values, so that a test can say "they are equal" and a failure says where they are not.
//!
//! A side is, for every mailbox, a multiset of messages: content, flags and, where asked for, date. UIDs and file
//! names are left out on purpose: neither may matter. A doubled message is a difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::Host;
use super::imap_client::Message;
use super::maildir::{Reader, normal};
use super::wait;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// Its Subject or first line, for people.
    pub label: String,
    /// SHA-256 of the content with LF.
    pub digest: Vec<u8>,
    /// Maildir flag letters, sorted.
    pub flags: String,
    /// Seconds since 1970, when dates are compared.
    pub date: Option<i64>,
}

/// Mailbox to sorted messages.
pub type Side = BTreeMap<String, Vec<Item>>;

/// Whether dates are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dates {
    /// INTERNALDATE must be the file's mtime.
    Compare,
    /// Left out.
    Ignore,
}

/// What `user` has on the server.
pub fn remote(host: &Host, user: &str, dates: Dates) -> Side {
    let mut client = host.imap(user);
    let names: Vec<String> = client.list().into_keys().collect();
    let mut side = Side::new();
    for name in names {
        client.select(&name);
        let messages = client.messages();
        let mut items: Vec<Item> = messages.values().map(|message| remote_item(message, dates)).collect();
        items.sort();
        side.insert(name, items);
    }
    side
}

/// What stands in the Maildir.
pub fn local(reader: &Reader, dates: Dates) -> Side {
    let mut side = Side::new();
    for name in reader.mailboxes() {
        let items = reader.messages(&name).into_iter().map(|mail| {
            let seconds = mail.modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let date = (dates == Dates::Compare).then(|| i64::try_from(seconds).unwrap());
            item(&mail.content, mail.flags.iter().collect(), date)
        });
        let mut items: Vec<Item> = items.collect();
        items.sort();
        side.insert(name, items);
    }
    side
}

/// Panics with a readable difference unless both sides are equal.
pub fn assert_equal(host: &Host, user: &str, reader: &Reader, dates: Dates) {
    let (remote, local) = (remote(host, user, dates), local(reader, dates));
    assert!(remote == local, "the sides differ:\n{}", difference(&remote, &local));
}

/// Waits until both sides are equal; panics with the difference that stays.
pub fn wait_equal(host: &Host, user: &str, reader: &Reader, limit: Duration) {
    let deadline = std::time::Instant::now() + limit;
    wait::until(limit + wait::PATIENCE, "a comparison of both sides", || {
        let (remote, local) = (remote(host, user, Dates::Ignore), local(reader, Dates::Ignore));
        let late = std::time::Instant::now() >= deadline;
        assert!(remote == local || !late, "the sides stay different:\n{}", difference(&remote, &local));
        remote == local
    });
}

/// One line per message that only one side has.
pub fn difference(remote: &Side, local: &Side) -> String {
    let mut text = String::new();
    let names: BTreeSet<&String> = remote.keys().chain(local.keys()).collect();
    for name in names {
        match (remote.get(name), local.get(name)) {
            (None, Some(items)) => writeln!(text, "{name}: only local, {} messages", items.len()).unwrap(),
            (Some(items), None) => writeln!(text, "{name}: only remote, {} messages", items.len()).unwrap(),
            (Some(there), Some(here)) => {
                only(&mut text, name, "remote", there, here);
                only(&mut text, name, "local", here, there);
            }
            (None, None) => {}
        }
    }
    text
}

fn only(text: &mut String, mailbox: &str, side: &str, items: &[Item], others: &[Item]) {
    let mut left = others.to_vec();
    for item in items {
        match left.iter().position(|other| other == item) {
            Some(at) => drop(left.swap_remove(at)),
            None => {
                let digest: String = item.digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
                let Item { label, flags, date, .. } = item;
                writeln!(text, "{mailbox}: only {side}: {label:?} {digest} flags={flags:?} date={date:?}")
                    .unwrap();
            }
        }
    }
}

fn remote_item(message: &Message, dates: Dates) -> Item {
    const LETTERS: [(&str, char); 6] = [
        ("\\draft", 'D'),
        ("\\flagged", 'F'),
        ("$forwarded", 'P'),
        ("\\answered", 'R'),
        ("\\seen", 'S'),
        ("\\deleted", 'T'),
    ];
    let has = |flag: &str| message.flags.iter().any(|present| present.eq_ignore_ascii_case(flag));
    let flags = LETTERS.iter().filter(|(flag, _)| has(flag)).map(|(_, letter)| letter).collect();
    item(&message.body, flags, (dates == Dates::Compare).then(|| seconds(&message.date)))
}

fn item(content: &[u8], flags: String, date: Option<i64>) -> Item {
    let content = normal(content);
    let text = String::from_utf8_lossy(&content[..content.len().min(4_096)]).into_owned();
    let label = text.lines().find(|line| line.starts_with("Subject:")).or(text.lines().next());
    Item {
        label: label.unwrap_or_default().to_owned(),
        digest: Sha256::digest(&content).to_vec(),
        flags,
        date,
    }
}

/// An INTERNALDATE as seconds since 1970.
pub fn seconds(date: &str) -> i64 {
    let zoned = jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", date.trim()).expect("an INTERNALDATE");
    zoned.to_timestamp().expect("a date with a zone").as_second()
}
