//! A scriptable SMTP server: the relay behind Dovecot's submission, or a submission server of its own.
//!
//! As a relay ([`Sink::relay`]) it is plain and delivers what it accepts by LMTP, so that a submission arrives in
//! another mailbox. As a server of its own ([`Sink::submission`]) it speaks implicit TLS and XOAUTH2: for what
//! Dovecot would hide, such as a connection that ends after the final dot. It records every accepted message and
//! every command line. A [`Step`] changes its answer at one stage.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::X509;

use super::authority::Authority;
use super::imap_client::Wire;
use super::listener::Listening;
use super::{lmtp, wait};

/// Where in the dialogue a step takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Instead of the greeting.
    Greeting,
    /// At AUTH.
    Auth,
    /// At MAIL FROM.
    Mail,
    /// At every RCPT TO.
    Recipient,
    /// At DATA.
    Data,
    /// After the final dot.
    Dot,
}

/// What happens there.
#[derive(Clone, Debug)]
pub enum Step {
    /// This reply line instead of the usual one.
    Reply(&'static str),
    /// The connection ends; at [`Stage::Dot`] the message is not kept.
    Close,
    /// The message is kept and the connection ends without a reply; for [`Stage::Dot`].
    KeepAndClose,
    /// The usual answer comes this much later: a slow server.
    Delay(Duration),
}

/// An accepted message.
#[derive(Clone, Debug)]
pub struct Received {
    /// MAIL FROM.
    pub sender: String,
    /// RCPT TO, in order.
    pub recipients: Vec<String>,
    /// The message, dots undone, lines as sent.
    pub message: Vec<u8>,
    /// When the final dot was seen.
    pub at: Instant,
}

#[derive(Default)]
struct State {
    lmtp: Option<u16>,
    steps: Vec<(Stage, Step, usize)>,
    received: Vec<Received>,
    commands: Vec<String>,
    limit: Option<u64>,
}

type Check = Box<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// The server; it ends with this value.
pub struct Sink {
    state: Arc<Mutex<State>>,
    listening: Listening,
}

impl Sink {
    /// A plain relay without authentication.
    pub fn relay() -> Sink {
        Sink::start(None, None)
    }

    /// A submission server with implicit TLS; `check` says whether a user's token is good.
    pub fn submission(
        authority: &Authority,
        check: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
    ) -> Sink {
        let identity = authority.localhost();
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        acceptor.set_certificate(&X509::from_pem(&identity.certificate).unwrap()).unwrap();
        acceptor.set_private_key(&PKey::private_key_from_pem(&identity.key).unwrap()).unwrap();
        Sink::start(Some(acceptor.build()), Some(Box::new(check)))
    }

    fn start(tls: Option<SslAcceptor>, check: Option<Check>) -> Sink {
        let state = Arc::new(Mutex::new(State::default()));
        let served = state.clone();
        let listening = Listening::start(move |tcp: TcpStream| {
            let wire: Box<dyn Wire> = match &tls {
                None => Box::new(tcp),
                // A client that distrusts the certificate is a test of its own.
                Some(acceptor) => match acceptor.accept(tcp) {
                    Ok(stream) => Box::new(stream),
                    Err(_) => return,
                },
            };
            let mut session = Session { peer: BufReader::new(wire), state: &served, check: check.as_ref() };
            // An ended connection is a scripted or a natural end.
            let _ = session.run();
        });
        Sink { state, listening }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.listening.port()
    }

    /// Accepted messages go on to this LMTP port.
    pub fn deliver_to(&self, lmtp: u16) {
        self.state.lock().unwrap().lmtp = Some(lmtp);
    }

    /// The next `times` arrivals at `stage` take `step`.
    pub fn script(&self, stage: Stage, step: Step, times: usize) {
        self.state.lock().unwrap().steps.push((stage, step, times));
    }

    /// Announces and enforces SIZE.
    pub fn limit(&self, bytes: u64) {
        self.state.lock().unwrap().limit = Some(bytes);
    }

    /// Everything accepted so far.
    pub fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().received.clone()
    }

    /// Every command line so far, AUTH without its credentials.
    pub fn commands(&self) -> Vec<String> {
        self.state.lock().unwrap().commands.clone()
    }

    /// Waits until `count` messages were accepted in all.
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        wait::until(wait::PATIENCE, "submissions at the sink", || {
            self.state.lock().unwrap().received.len() >= count
        });
        self.received()
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        self.listening.cut();
    }
}

struct Session<'a> {
    peer: BufReader<Box<dyn Wire>>,
    state: &'a Mutex<State>,
    check: Option<&'a Check>,
}

impl Session<'_> {
    fn run(&mut self) -> Result<()> {
        self.answer(Stage::Greeting, "220 sink.test ESMTP")?;
        let (mut sender, mut recipients) = (String::new(), Vec::new());
        loop {
            let line = self.line()?;
            let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            let noted = if verb == "AUTH" { "AUTH".to_owned() } else { line.clone() };
            self.state.lock().unwrap().commands.push(noted);
            match verb.as_str() {
                "EHLO" | "HELO" => self.ehlo()?,
                "AUTH" => self.auth(&line)?,
                "MAIL" => {
                    sender = address(&line);
                    recipients.clear();
                    self.mail(&line)?;
                }
                "RCPT" => {
                    if self.answer(Stage::Recipient, "250 2.1.5 Ok")? {
                        recipients.push(address(&line));
                    }
                }
                "DATA" if recipients.is_empty() => self.reply("554 5.5.1 No valid recipients")?,
                "DATA" => {
                    if self.answer(Stage::Data, "354 Go ahead")? {
                        self.data(&sender, std::mem::take(&mut recipients))?;
                    }
                }
                "QUIT" => return self.reply("221 2.0.0 Bye"),
                "RSET" | "NOOP" => self.reply("250 2.0.0 Ok")?,
                _ => self.reply("502 5.5.1 Unknown command")?,
            }
        }
    }

    fn ehlo(&mut self) -> Result<()> {
        let size = self.state.lock().unwrap().limit.unwrap_or(0);
        let auth = if self.check.is_some() { "250-AUTH XOAUTH2 PLAIN\r\n" } else { "" };
        self.reply(&format!(
            "250-sink.test\r\n250-PIPELINING\r\n250-SIZE {size}\r\n{auth}250-ENHANCEDSTATUSCODES\r\n250-SMTPUTF8\r\n250 8BITMIME"
        ))
    }

    /// XOAUTH2 with the initial response on the line or after a 334; refusal by the JSON challenge.
    fn auth(&mut self, line: &str) -> Result<()> {
        let initial = match line.split(' ').nth(2) {
            Some(initial) => initial.to_owned(),
            None => {
                self.reply("334 ")?;
                self.line()?
            }
        };
        let plain = BASE64_STANDARD.decode(initial.trim()).unwrap_or_default();
        let plain = String::from_utf8_lossy(&plain).into_owned();
        let mut fields = plain.split('\x01');
        let user = fields.next().and_then(|field| field.strip_prefix("user=")).unwrap_or_default();
        let token = fields.next().and_then(|field| field.strip_prefix("auth=Bearer ")).unwrap_or_default();
        if self.check.is_some_and(|check| check(user, token)) {
            return self.answer(Stage::Auth, "235 2.7.0 Accepted").map(drop);
        }
        let challenge = BASE64_STANDARD.encode(r#"{"status":"401","schemes":"bearer","scope":"mail"}"#);
        self.reply(&format!("334 {challenge}"))?;
        self.line()?;
        self.reply("535 5.7.8 Username and Password not accepted")
    }

    fn mail(&mut self, line: &str) -> Result<()> {
        let limit = self.state.lock().unwrap().limit;
        let announced = line
            .to_ascii_uppercase()
            .split("SIZE=")
            .nth(1)
            .map(|rest| rest.split(' ').next().unwrap_or_default().parse::<u64>().unwrap_or(0));
        match (limit, announced) {
            (Some(limit), Some(size)) if size > limit => {
                self.reply("552 5.3.4 Message size exceeds fixed limit")
            }
            _ => self.answer(Stage::Mail, "250 2.1.0 Ok").map(drop),
        }
    }

    fn data(&mut self, sender: &str, recipients: Vec<String>) -> Result<()> {
        let mut message = Vec::new();
        loop {
            let start = message.len();
            if self.peer.read_until(b'\n', &mut message)? == 0 {
                return Err(Error::other("ended inside the message"));
            }
            if &message[start..] == b".\r\n" {
                message.truncate(start);
                break;
            }
            if message[start] == b'.' {
                message.remove(start);
            }
        }
        let received = Received { sender: sender.to_owned(), recipients, message, at: Instant::now() };
        match self.step(Stage::Dot) {
            Some(Step::Reply(text)) => return self.reply(text),
            Some(Step::Close) => return Err(Error::other("scripted end")),
            Some(Step::KeepAndClose) => {
                self.keep(received)?;
                return Err(Error::other("scripted end"));
            }
            Some(Step::Delay(time)) => std::thread::sleep(time),
            None => {}
        }
        self.keep(received)?;
        self.reply("250 2.0.0 Ok: queued")
    }

    fn keep(&self, received: Received) -> Result<()> {
        let lmtp = self.state.lock().unwrap().lmtp;
        if let Some(port) = lmtp {
            let recipients: Vec<&str> = received.recipients.iter().map(String::as_str).collect();
            lmtp::deliver(port, &received.sender, &recipients, &received.message)?;
        }
        self.state.lock().unwrap().received.push(received);
        Ok(())
    }

    /// The usual reply unless a step is due; whether it was the usual one.
    fn answer(&mut self, stage: Stage, usual: &str) -> Result<bool> {
        match self.step(stage) {
            Some(Step::Reply(text)) => self.reply(text).map(|()| false),
            Some(Step::Close | Step::KeepAndClose) => Err(Error::other("scripted end")),
            Some(Step::Delay(time)) => {
                std::thread::sleep(time);
                self.reply(usual).map(|()| true)
            }
            None => self.reply(usual).map(|()| true),
        }
    }

    fn step(&self, stage: Stage) -> Option<Step> {
        let mut state = self.state.lock().unwrap();
        let due = state.steps.iter_mut().find(|(at, _, left)| *at == stage && *left > 0)?;
        due.2 -= 1;
        Some(due.1.clone())
    }

    fn reply(&mut self, text: &str) -> Result<()> {
        let wire = self.peer.get_mut();
        wire.write_all(format!("{text}\r\n").as_bytes())?;
        wire.flush()
    }

    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        if self.peer.by_ref().take(64 * 1024).read_until(b'\n', &mut line)? == 0 {
            return Err(Error::other("end of stream"));
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

/// What stands between the angle brackets.
fn address(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map(|(inner, _)| inner.to_owned()).unwrap_or_default()
}
