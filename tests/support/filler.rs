//! Fills a mailbox on the server with messages that are the same every time.
//!
//! One MULTIAPPEND per few hundred messages: no Maildir has to be written first, and flags, keywords and
//! INTERNALDATE are exactly what is asked for. Message `n` is a function of `n` alone, so a test can say what must
//! arrive without asking the server.

use super::imap_client::ImapClient;

/// How many messages go into one APPEND command.
const BATCH: usize = 500;

/// One message as it is put on the server.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// Flags as in a flag list.
    pub flags: &'static str,
    /// INTERNALDATE.
    pub date: String,
    /// The message, CRLF.
    pub message: Vec<u8>,
}

impl AsRef<[u8]> for Fixture {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

const FLAGS: [&str; 8] = [
    "",
    "\\Seen",
    "\\Seen \\Answered",
    "\\Flagged",
    "\\Seen \\Flagged",
    "\\Draft",
    "\\Seen \\Deleted",
    "\\Seen \\Answered \\Flagged",
];

/// `count` messages of about `size` bytes each.
pub fn plain(count: usize, size: usize) -> impl Iterator<Item = Fixture> {
    (0..count).map(move |n| {
        let mut message = header(n, "plain").into_bytes();
        message.extend_from_slice(b"\r\n");
        // From a third to five thirds of the size, so that the mean is the size.
        let target = size / 3 + (n * 7_919) % (size * 4 / 3).max(1);
        let line = format!("line of message {n}, quite the usual length for a line of text in mail\r\n");
        while message.len() < target {
            message.extend_from_slice(line.as_bytes());
        }
        Fixture { flags: FLAGS[n % FLAGS.len()], date: date(n), message }
    })
}

/// Messages of every kind that tends to break a mail program; the last is `large` bytes long.
pub fn odd(large: usize) -> Vec<Fixture> {
    let long_header =
        format!("{}X-Long: {}\r\n\r\nbody\r\n", header(1, "long header"), "word ".repeat(6_000));
    let folded = (0..300).map(|n| format!("Received: from host{n}\r\n by other\r\n")).collect::<String>();
    let mut eight_bit = header(2, "eight bit").into_bytes();
    eight_bit.extend_from_slice(b"X-Raw: gr\xfc\xdfe \xff\xfe\r\n\r\n\x80\x81\xfe\xff and \xc3\xa9\r\n");
    let mut huge = header(9, "large").into_bytes();
    huge.extend_from_slice(b"\r\n");
    while huge.len() < large {
        huge.extend_from_slice(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=ABCDEFGHIJK\r\n",
        );
    }
    let messages = [
        format!("{}\r\n", header(0, "empty body")).into_bytes(),
        long_header.into_bytes(),
        eight_bit,
        b"From: a@mail.test\r\nSubject: no message id\r\n\r\nbody\r\n".to_vec(),
        format!("{folded}{}\r\nmany headers\r\n", header(4, "folded")).into_bytes(),
        format!("{}\r\n.\r\n..\r\n.leading dots\r\nFrom here on\r\n", header(5, "dots")).into_bytes(),
        format!("{}\r\nno line end at the end", header(6, "unfinished line")).into_bytes(),
        b"\r\nno header at all\r\n".to_vec(),
        format!("{}\r\n{}\r\n", header(8, "long line"), "x".repeat(70_000)).into_bytes(),
        huge,
    ];
    let fixture = |(n, message)| Fixture { flags: FLAGS[n % FLAGS.len()], date: date(n), message };
    messages.into_iter().enumerate().map(fixture).collect()
}

/// Appends all; the mailbox must exist.
pub fn fill(client: &mut ImapClient, mailbox: &str, fixtures: impl IntoIterator<Item = Fixture>) {
    let mut fixtures = fixtures.into_iter().peekable();
    while fixtures.peek().is_some() {
        let batch = fixtures.by_ref().take(BATCH).map(|one| (one.flags, Some(one.date.clone()), one));
        client.append_all(mailbox, batch);
    }
}

/// Three mailboxes (one nested, one with a name beyond ASCII) with 500 messages together, the odd ones in INBOX.
pub fn standard(client: &mut ImapClient) {
    client.create("Projekte/Grüße & Küsse/日本");
    client.create("Archive/2026");
    fill(client, "INBOX", odd(20 << 20).into_iter().chain(plain(240, 3_000)));
    fill(client, "Projekte/Grüße & Küsse/日本", plain(100, 2_000));
    fill(client, "Archive/2026", plain(150, 2_000));
}

/// From, To, Subject, Date and Message-ID, without the empty line.
fn header(n: usize, subject: &str) -> String {
    format!(
        "From: Sender {n} <sender{n}@mail.test>\r\nTo: alice@mail.test\r\nSubject: {subject} {n}\r\n\
         Date: Mon, 2 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{}.{n}@mail.test>\r\n",
        subject.replace(' ', "-")
    )
}

/// An INTERNALDATE between 2001 and 2025, with a zone now and then.
fn date(n: usize) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let zone = ["+0000", "+0200", "-0730"][n % 3];
    let (day, month, year) = (n % 28 + 1, MONTHS[n % 12], 2001 + n % 25);
    format!("{day:02}-{month}-{year} {:02}:{:02}:{:02} {zone}", n % 24, n % 60, n * 7 % 60)
}
