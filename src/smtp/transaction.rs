//! One mail transaction: MAIL, RCPT, DATA (RFC 5321 §3.3), and the verdict on the message.
//!
//! All or nothing: a message goes to every recipient or to none, also where the server takes only so many at once
//! (RFC 5321 §4.5.3.1.10 would send the rest in a second transaction, and a crash between the two would need a state for
//! each recipient). Invariant: [`Verdict::Sent`] is said only after a complete
//! 2yz reply that came after the final dot; everything unclear from the first byte of the dot on is
//! [`Verdict::Uncertain`]. DATA is never pipelined, so that exactly one reply belongs to the dot.

use super::dots::Stuffer;
use super::error::{Error, Stage, is_login_trouble, says};
use super::reply::{EnhancedCode, Reply};
use super::session::Session;
use super::throttle;
use super::verdict::{Cause, Envelope, Refusal, Verdict};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// RCPT commands under way at once where PIPELINING is offered: their replies must fit any server's send buffer, else
/// both sides wait for each other (RFC 2920 §3.1).
const WINDOW: usize = 50;
/// How much of the message is read and written at once.
const BLOCK: usize = 64 * 1024;
/// Longest address (RFC 5321 §4.5.3.1 allows 256 octets in a path; UTF-8 takes more).
const MAX_ADDRESS: usize = 1024;

impl Session {
    /// Submits one message, read from `message` with CRLF line ends.
    ///
    /// `before_dot` is polled once, after the whole text has left and before the first byte of its end does; only when
    /// it succeeds is the end sent. It is where a queue makes durable that the message may be sent from now on.
    /// After an error, and after some verdicts, [`Session::is_usable`] is false.
    pub async fn send<M, H>(
        &mut self,
        envelope: &Envelope,
        message: M,
        before_dot: H,
    ) -> Result<Verdict, Error>
    where
        M: AsyncRead + Unpin,
        H: Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>>,
    {
        self.claim()?;
        if let Some(cause) = self.objection(envelope) {
            self.usable = true;
            return Ok(Verdict::Permanent { stage: Stage::Mail, cause, recipients: Vec::new() });
        }
        if let Some(verdict) = self.address(envelope).await? {
            return self.after_refusal(verdict).await;
        }
        let reply = self.wire.command(Stage::Data, "DATA").await?;
        if reply.code() != 354 {
            let verdict = refused(Stage::Data, reply)?;
            return self.after_refusal(verdict).await;
        }
        let end = match self.text(message, envelope.size).await? {
            Ok(end) => end,
            Err(early) => return Ok(early),
        };
        before_dot.await.map_err(Error::Hook)?;
        Ok(self.dot(end).await)
    }

    /// What can be known to fail before a byte is sent.
    fn objection(&self, envelope: &Envelope) -> Option<Cause> {
        let all = || std::iter::once(&envelope.sender).chain(&envelope.recipients);
        if envelope.recipients.is_empty() {
            return Some(Cause::NoRecipients);
        }
        if envelope.recipients.iter().any(String::is_empty) {
            return Some(Cause::BadAddress(String::new()));
        }
        if let Some(bad) = all().find(|address| !is_safe(address)) {
            return Some(Cause::BadAddress(bad.clone()));
        }
        let limit = self.offers.size.unwrap_or(u64::MAX);
        if envelope.size > limit {
            return Some(Cause::TooLarge { size: envelope.size, limit });
        }
        if envelope.is_utf8() && !self.offers.smtputf8 {
            return Some(Cause::NoUtf8);
        }
        (envelope.eight_bit && !self.offers.eight_bit).then_some(Cause::NoEightBit)
    }

    /// MAIL and every RCPT; a verdict if the message cannot go to all.
    async fn address(&mut self, envelope: &Envelope) -> Result<Option<Verdict>, Error> {
        let reply = self.wire.command(Stage::Mail, &self.mail_command(envelope)).await?;
        if !reply.is_success() {
            return refused(Stage::Mail, reply).map(Some);
        }
        let mut refusals = Vec::new();
        let window = if self.offers.pipelining { WINDOW } else { 1 };
        for batch in envelope.recipients.chunks(window) {
            let commands: String = batch.iter().map(|address| format!("RCPT TO:<{address}>\r\n")).collect();
            self.wire.send(Stage::Rcpt, commands.as_bytes()).await?;
            for address in batch {
                let reply = self.wire.reply(Stage::Rcpt).await?;
                if is_session_trouble(&reply) {
                    return Err(Error::Refused { stage: Stage::Rcpt, reply });
                }
                if !reply.is_success() {
                    refusals.push(Refusal { address: address.clone(), reply });
                }
            }
        }
        recipients_verdict(envelope.recipients.len(), refusals)
    }

    fn mail_command(&self, envelope: &Envelope) -> String {
        let mut command = format!("MAIL FROM:<{}>", envelope.sender);
        if self.offers.size_offered {
            command.push_str(&format!(" SIZE={}", envelope.size));
        }
        if envelope.eight_bit {
            command.push_str(" BODY=8BITMIME");
        }
        if envelope.is_utf8() {
            command.push_str(" SMTPUTF8");
        }
        command
    }

    /// Streams the text; gives the bytes that end it, or the verdict of a server that did not wait for them, or on a
    /// text that is not what it should be: then it never gets its end, and the server forgets it.
    async fn text<M: AsyncRead + Unpin>(
        &mut self,
        mut message: M,
        size: u64,
    ) -> Result<Result<&'static [u8], Verdict>, Error> {
        let (mut stuffer, mut stuffed) = (Stuffer::default(), Vec::with_capacity(2 * BLOCK));
        let (mut block, mut sent) = (vec![0; BLOCK], 0_u64);
        loop {
            let count = match message.read(&mut block).await {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => return Ok(Err(unreadable(error.to_string()))),
            };
            sent += count as u64;
            stuffed.clear();
            stuffer.push(block.get(..count).unwrap_or_default(), &mut stuffed);
            if let Err(lost) = self.wire.send(Stage::Body, &stuffed).await {
                return self.early_reply().await?.ok_or(lost).map(Err);
            }
        }
        if sent != size {
            return Ok(Err(unreadable(format!("it has {sent} bytes instead of {size}"))));
        }
        if self.wire.has_spoken().await {
            let lost = Error::Lost { stage: Stage::Body, source: io::ErrorKind::UnexpectedEof.into() };
            return self.early_reply().await?.ok_or(lost).map(Err);
        }
        Ok(Ok(stuffer.finish()))
    }

    /// A server that refuses amid the text says so and closes. A good reply here belongs to nothing that was asked, and
    /// must not be taken for the reply to the dot.
    async fn early_reply(&mut self) -> Result<Option<Verdict>, Error> {
        match self.wire.reply(Stage::Quit).await {
            Ok(reply) => refused(Stage::Body, reply).map(Some),
            Err(Error::Lost { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Past the point of no return: no error from here on, only verdicts.
    async fn dot(&mut self, end: &[u8]) -> Verdict {
        let answer = match self.wire.send(Stage::Dot, end).await {
            Ok(()) => self.wire.reply(Stage::Dot).await,
            Err(error) => Err(error),
        };
        let reply = match answer {
            Ok(reply) => reply,
            Err(error) => return Verdict::Uncertain { cause: crate::error::chain(&error) },
        };
        self.usable = reply.code() != 421;
        let (stage, recipients) = (Stage::Dot, Vec::new());
        if let Some(pause) = throttle::pause(stage, &reply) {
            return Verdict::Throttled { reply, pause };
        }
        match reply.code() / 100 {
            2 => Verdict::Sent { reply },
            4 => Verdict::Temporary { stage, cause: Cause::Reply(reply), recipients },
            5 => Verdict::Permanent { stage, cause: Cause::Reply(reply), recipients },
            _ => {
                self.usable = false;
                Verdict::Uncertain { cause: Error::Unexpected { stage, reply }.to_string() }
            }
        }
    }

    /// Clears the transaction, so that the next message finds a clean session; the verdict stands in any case.
    async fn after_refusal(&mut self, verdict: Verdict) -> Result<Verdict, Error> {
        let reset = self.wire.command(Stage::Reset, "RSET").await;
        self.usable = reset.is_ok_and(|reply| reply.is_success());
        Ok(verdict)
    }
}

/// The verdict of a refusing reply, unless it speaks of the session and not of the message.
fn refused(stage: Stage, reply: Reply) -> Result<Verdict, Error> {
    if let Some(pause) = throttle::pause(stage, &reply) {
        return Ok(Verdict::Throttled { reply, pause });
    }
    if is_session_trouble(&reply) {
        return Err(Error::Refused { stage, reply });
    }
    match reply.code() / 100 {
        4 => Ok(Verdict::Temporary { stage, cause: Cause::Reply(reply), recipients: Vec::new() }),
        5 => Ok(Verdict::Permanent { stage, cause: Cause::Reply(reply), recipients: Vec::new() }),
        _ => Err(Error::Unexpected { stage, reply }),
    }
}

/// No fault of the server or of the connection: the message waits, and the others go on.
fn unreadable(why: String) -> Verdict {
    Verdict::Temporary { stage: Stage::Body, cause: Cause::Unreadable(why), recipients: Vec::new() }
}

/// 421 announces the end of the connection at any point (RFC 5321 §3.8); the login may be refused as late as here.
fn is_session_trouble(reply: &Reply) -> bool {
    reply.code() == 421 || is_login_trouble(reply)
}

/// The gravest refusal decides for all, unless the message only has too many recipients: then it has at each attempt.
fn recipients_verdict(all: usize, recipients: Vec<Refusal>) -> Result<Option<Verdict>, Error> {
    let taken = all - recipients.len();
    if let Some(Refusal { reply, .. }) = recipients.first()
        && taken > 0
        && recipients.iter().all(|refusal| is_limit(&refusal.reply))
    {
        let cause = Cause::TooManyRecipients { taken, all, reply: reply.clone() };
        return Ok(Some(Verdict::Permanent { stage: Stage::Rcpt, cause, recipients: Vec::new() }));
    }
    let worst = recipients.iter().max_by_key(|refusal| refusal.reply.is_permanent());
    let Some(reply) = worst.map(|refusal| refusal.reply.clone()) else {
        return Ok(None);
    };
    let mut verdict = refused(Stage::Rcpt, reply)?;
    if let Verdict::Temporary { recipients: named, .. } | Verdict::Permanent { recipients: named, .. } =
        &mut verdict
    {
        *named = recipients;
    }
    Ok(Some(verdict))
}

/// "Too many recipients" in this message; a bare 452 is also said of a full disk.
fn is_limit(reply: &Reply) -> bool {
    match reply.enhanced() {
        Some(EnhancedCode { subject, detail, .. }) => (subject, detail) == (5, 3),
        None => reply.code() == 452 && says(reply, "too many recipients"),
    }
}

/// Whether an address stays inside its angle brackets and its line, whatever made it.
pub(super) fn is_safe(address: &str) -> bool {
    let bad = |c: char| c.is_control() || matches!(c, '<' | '>');
    address.len() <= MAX_ADDRESS
        && !address.contains(bad)
        && (address.starts_with('"') || !address.contains(' '))
}
