//! Uploading one message (RFC 9051 §6.3.12, RFC 7888 for literals without waiting).
//!
//! The file is streamed with its lone LF made CRLF, and never in memory as a whole. Invariant: exactly the announced
//! octets are sent; a file that turns out longer or shorter costs the connection, so that a half message is never
//! stored.

use super::Session;
use super::mailbox::create;
use crate::imap::parse::Code;
use crate::imap::select::contradiction;
use crate::imap::session::{Completion, Event, Tag};
use crate::imap::{Error, date};
use crate::mail::{MailboxName, Uid, UidValidity};
use crate::sync::Outgoing;
use std::io::SeekFrom;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// What is read from the file at once.
const BLOCK: usize = 32 * 1024;
/// The largest literal that LITERAL- allows without waiting.
const SMALL: u64 = 4096;

/// What the server is told about the message.
struct Upload {
    file: tokio::fs::File,
    size: u64,
    flags: String,
    date: String,
}

pub(super) async fn append(
    session: &mut Session,
    mailbox: &MailboxName,
    message: Outgoing,
) -> Result<Option<(UidValidity, Uid)>, Error> {
    if let Some(limit) = session.capabilities().append_limit().filter(|&limit| message.size > limit) {
        return Err(Error::TooLarge { size: message.size, limit });
    }
    let mut upload = Upload {
        size: message.size,
        flags: message.flags.to_string(),
        date: date::format(message.internal_date),
        file: tokio::fs::File::from_std(message.file),
    };
    let code = match attempt(session, mailbox, &mut upload).await {
        Err(error) if error.code() == Some("TRYCREATE") => {
            create(session, mailbox).await?;
            upload.file.seek(SeekFrom::Start(0)).await.map_err(Error::Read)?;
            attempt(session, mailbox, &mut upload).await?
        }
        other => other?,
    };
    match code {
        Some(Code::AppendUid { uid_validity, uid }) => Ok(UidValidity::new(uid_validity).zip(Uid::new(uid))),
        // RFC 4315 §3: it has to say. The next pass looks for the message before it is uploaded again.
        _ if session.capabilities().has("UIDPLUS") => {
            Err(contradiction(mailbox, "it does not say where the new message is"))
        }
        _ => Ok(None),
    }
}

async fn attempt(
    session: &mut Session,
    mailbox: &MailboxName,
    upload: &mut Upload,
) -> Result<Option<Code>, Error> {
    let name = session.wire_name(mailbox).await?;
    let capabilities = session.capabilities();
    let is_free = capabilities.has("LITERAL+") || (capabilities.has("LITERAL-") && upload.size <= SMALL);
    let sign = if is_free { "+" } else { "" };
    session.claim()?;
    let tag = session
        .send(&format!("APPEND {name} ({}) \"{}\" {{{}{sign}}}", upload.flags, upload.date, upload.size))?;
    let refused = if is_free { None } else { invitation(session, tag).await? };
    let completion = match refused {
        Some(completion) => completion,
        None => {
            send_file(session, upload).await?;
            session.push(b"\r\n");
            done(session, tag).await?
        }
    };
    session.release();
    completion.ok("APPEND").inspect_err(|_| {
        // All of it was sent in vain: from now on the server is asked first.
        session.withdraw("LITERAL+");
    })
}

/// Waits until the server wants the literal; `Some` where it does not.
async fn invitation(session: &mut Session, tag: Tag) -> Result<Option<Completion>, Error> {
    loop {
        match session.event().await? {
            Event::Continue => return Ok(None),
            Event::Done(done, completion) if done == tag => return Ok(Some(completion)),
            _ => {}
        }
    }
}

async fn done(session: &mut Session, tag: Tag) -> Result<Completion, Error> {
    loop {
        match session.event().await? {
            Event::Done(done, completion) if done == tag => return Ok(completion),
            _ => {}
        }
    }
}

async fn send_file(session: &mut Session, upload: &mut Upload) -> Result<(), Error> {
    let mut block = vec![0; BLOCK];
    let mut converted = Vec::with_capacity(2 * BLOCK);
    let mut after_cr = false;
    let mut sent = 0_u64;
    loop {
        let count = upload.file.read(&mut block).await.map_err(Error::Read)?;
        if count == 0 {
            break;
        }
        converted.clear();
        to_crlf(block.get(..count).unwrap_or_default(), &mut after_cr, &mut converted);
        sent += converted.len() as u64;
        if sent > upload.size {
            return Err(Error::Changed);
        }
        session.push(&converted);
        session.drain().await?;
    }
    if sent == upload.size { Ok(()) } else { Err(Error::Changed) }
}

/// Makes lone LF into CRLF; `after_cr` carries over the edge of blocks.
fn to_crlf(block: &[u8], after_cr: &mut bool, into: &mut Vec<u8>) {
    for &byte in block {
        if byte == b'\n' && !*after_cr {
            into.push(b'\r');
        }
        into.push(byte);
        *after_cr = byte == b'\r';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lone_line_feeds_change_also_over_the_edge_of_blocks() {
        let mut out = Vec::new();
        let mut after_cr = false;
        for block in [&b"a\nb\r"[..], b"\nc\r\n\r", b"d\n"] {
            to_crlf(block, &mut after_cr, &mut out);
        }
        assert_eq!(out, b"a\r\nb\r\nc\r\n\rd\r\n");
    }
}
