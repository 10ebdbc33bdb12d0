//! A man in the middle for IMAP: ends TLS with our certificate, speaks to Dovecot's plain port, bends what is said.
//!
//! One mechanism for every answer that Dovecot cannot be made to give: NO or BAD to any command, a close in the
//! middle, silence, garbage. A [`Rule`] picks a client command by a part of its text and by its occurrence. Frames
//! (a line with its literals) are never mixed, so an invented answer stands between two real ones as a server's own
//! would (RFC 9051 §2.2). Not chosen: a scripted server that plays all of IMAP; it would have to be right about it.

use std::collections::HashMap;
use std::io::{Error, Result};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use async_native_tls::TlsAcceptor;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};

use super::authority::Authority;

/// What happens to a command. `{tag}` in a text stands for the command's tag.
#[derive(Clone, Debug)]
pub enum Act {
    /// The server never sees it; this goes back instead. Lines need their CRLF.
    Answer(&'static [u8]),
    /// The server sees it; these bytes come before its answer.
    Before(&'static [u8]),
    /// The server sees it; this replaces the tagged line of its answer. No CRLF.
    Conclude(&'static str),
    /// The server sees it; in its answer untagged lines with the first text become the second, one that is empty is
    /// left out. No CRLF.
    Swap(&'static str, &'static str),
    /// The server sees it; the connection ends instead of the tagged line.
    CloseInAnswer,
    /// The connection ends; the server never sees it.
    Close,
    /// The server never sees it, and nothing comes back.
    Silence,
}

/// An act for some commands.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Part of the command line after its tag, in capitals: `UID FETCH`, `APPEND`, `IDLE`.
    pub pattern: String,
    /// So many matching commands pass first.
    pub skip: usize,
    /// Then it acts on so many.
    pub times: usize,
    /// What happens.
    pub act: Act,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    greeting: Option<Vec<u8>>,
    commands: Vec<String>,
    acted: usize,
}

/// The man in the middle; it ends with this value.
pub struct Meddler {
    port: u16,
    state: Arc<Mutex<State>>,
    cut: Arc<Notify>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Meddler {
    /// Stands before the plain IMAP port `target`; clients come by implicit TLS.
    pub fn to(target: u16, authority: &Authority) -> Meddler {
        let identity = authority.localhost();
        let identity = native_tls::Identity::from_pkcs8(&identity.certificate, &identity.key).unwrap();
        let acceptor = TlsAcceptor::from(native_tls::TlsAcceptor::new(identity).unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let cut = Arc::new(Notify::new());
        let (stop, stopped) = oneshot::channel();
        let (announce, announced) = std::sync::mpsc::channel();
        let (served, cutting) = (state.clone(), cut.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                announce.send(listener.local_addr().unwrap().port()).unwrap();
                tokio::select! {
                    () = listen(listener, target, acceptor, served, cutting) => {}
                    _ = stopped => {}
                }
            });
        });
        Meddler { port: announced.recv().unwrap(), state, cut, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens, implicit TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Adds a rule; of several that match, the first with acts left decides.
    pub fn rule(&self, pattern: &str, skip: usize, times: usize, act: Act) {
        let rule = Rule { pattern: pattern.to_owned(), skip, times, act };
        self.state.lock().unwrap().rules.push(rule);
    }

    /// Every command whose text contains `pattern` is treated so, until [`Meddler::calm`].
    pub fn always(&self, pattern: &str, act: Act) {
        self.rule(pattern, 0, usize::MAX, act);
    }

    /// New connections get these bytes as greeting and then end.
    pub fn greet(&self, greeting: &[u8]) {
        self.state.lock().unwrap().greeting = Some(greeting.to_vec());
    }

    /// Forgets every rule: the server is well again.
    pub fn calm(&self) {
        let mut state = self.state.lock().unwrap();
        state.rules.clear();
        state.greeting = None;
    }

    /// Ends every open connection.
    pub fn cut(&self) {
        self.cut.notify_waiters();
    }

    /// How often a rule acted.
    pub fn acted(&self) -> usize {
        self.state.lock().unwrap().acted
    }

    /// Every command line seen, without tags; AUTHENTICATE without its credentials.
    pub fn commands(&self) -> Vec<String> {
        self.state.lock().unwrap().commands.clone()
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn listen(
    listener: TcpListener,
    target: u16,
    acceptor: TlsAcceptor,
    state: Arc<Mutex<State>>,
    cut: Arc<Notify>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (acceptor, state, cut) = (acceptor.clone(), state.clone(), cut.clone());
        tokio::spawn(async move {
            tokio::select! {
                // However a connection ends, both of its halves go.
                _ = connection(client, target, &acceptor, &state) => {}
                () = cut.notified() => {}
            }
        });
    }
}

async fn connection(
    client: TcpStream,
    target: u16,
    acceptor: &TlsAcceptor,
    state: &Mutex<State>,
) -> Result<()> {
    client.set_nodelay(true)?;
    let mut client = acceptor.accept(client).await.map_err(Error::other)?;
    let greeting = state.lock().unwrap().greeting.clone();
    if let Some(greeting) = greeting {
        client.write_all(&greeting).await?;
        return client.shutdown().await;
    }
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?;
    server.set_nodelay(true)?;
    let (from_server, to_server) = server.into_split();
    let (from_client, to_client) = tokio::io::split(client);
    let down = tokio::sync::Mutex::new(to_client);
    let talk = Talk { state, down, endings: Mutex::default(), swaps: Mutex::default() };
    tokio::select! {
        end = talk.commands(BufReader::new(from_client), to_server) => end,
        end = talk.answers(BufReader::new(from_server)) => end,
    }
}

/// One connection: two directions that share the way down to the client.
struct Talk<'a, W> {
    state: &'a Mutex<State>,
    down: tokio::sync::Mutex<W>,
    /// How the tagged line of a command ends, by tag; none is a close.
    endings: Mutex<HashMap<String, Option<&'static str>>>,
    /// What becomes of untagged lines until the command of this tag ends.
    swaps: Mutex<Vec<(String, &'static str, &'static str)>>,
}

impl<W: AsyncWrite + Unpin> Talk<'_, W> {
    async fn commands(
        &self,
        mut client: impl AsyncBufRead + Unpin,
        mut server: impl AsyncWrite + Unpin,
    ) -> Result<()> {
        loop {
            let line = read_line(&mut client).await?;
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            let (tag, rest) = text.split_once(' ').unwrap_or(("", ""));
            match self.act(rest) {
                None => {}
                Some(Act::Before(bytes)) => self.say(&filled(bytes, tag)).await?,
                Some(Act::Conclude(ending)) => self.end_with(tag, Some(ending)),
                Some(Act::CloseInAnswer) => self.end_with(tag, None),
                Some(Act::Swap(from, to)) => self.swaps.lock().unwrap().push((tag.to_owned(), from, to)),
                Some(Act::Close) => return Ok(()),
                Some(Act::Silence) => {
                    swallow(&mut client, line).await?;
                    continue;
                }
                Some(Act::Answer(bytes)) => {
                    swallow(&mut client, line).await?;
                    self.say(&filled(bytes, tag)).await?;
                    continue;
                }
            }
            server.write_all(&line).await?;
            copy_literals(&mut client, &mut server, &line).await?;
        }
    }

    async fn answers(&self, mut server: impl AsyncBufRead + Unpin) -> Result<()> {
        loop {
            let line = read_line(&mut server).await?;
            let text = String::from_utf8_lossy(&line).into_owned();
            let (tag, _) = text.split_once(' ').unwrap_or(("", ""));
            let ending = self.endings.lock().unwrap().remove(tag);
            let line = match ending {
                Some(None) => return Ok(()),
                Some(Some(ending)) => format!("{}\r\n", ending.replace("{tag}", tag)).into_bytes(),
                None => without_starttls(self.swapped(line, tag)),
            };
            let mut down = self.down.lock().await;
            down.write_all(&line).await?;
            copy_literals(&mut server, &mut *down, &line).await?;
            down.flush().await?;
        }
    }

    async fn say(&self, bytes: &[u8]) -> Result<()> {
        let mut down = self.down.lock().await;
        down.write_all(bytes).await?;
        down.flush().await
    }

    fn swapped(&self, line: Vec<u8>, tag: &str) -> Vec<u8> {
        let mut swaps = self.swaps.lock().unwrap();
        swaps.retain(|(until, ..)| until != tag);
        let text = String::from_utf8_lossy(&line);
        match swaps.iter().find(|(_, from, _)| tag == "*" && text.contains(from)) {
            Some((_, _, "")) => Vec::new(),
            Some((_, _, to)) => format!("{to}\r\n").into_bytes(),
            None => line,
        }
    }

    fn end_with(&self, tag: &str, ending: Option<&'static str>) {
        self.endings.lock().unwrap().insert(tag.to_owned(), ending);
    }

    /// Notes a command and finds what is to happen to it.
    fn act(&self, command: &str) -> Option<Act> {
        let mut state = self.state.lock().unwrap();
        let upper = command.to_ascii_uppercase();
        let noted = if upper.starts_with("AUTHENTICATE") || upper.starts_with("LOGIN") {
            upper.split(' ').next().unwrap_or_default().to_owned()
        } else {
            command.to_owned()
        };
        if !noted.is_empty() {
            state.commands.push(noted);
        }
        let rule = state.rules.iter_mut().find(|rule| rule.times > 0 && upper.contains(&rule.pattern))?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.times -= 1;
        let act = rule.act.clone();
        state.acted += 1;
        Some(act)
    }
}

/// TLS ends here: the plain port's offer of STARTTLS would be a lie.
fn without_starttls(mut line: Vec<u8>) -> Vec<u8> {
    const OFFER: &[u8] = b" STARTTLS";
    if let Some(at) = memchr::memmem::find(&line, OFFER) {
        line.drain(at..at + OFFER.len());
    }
    line
}

fn filled(bytes: &[u8], tag: &str) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.replace("{tag}", tag).into_bytes(),
        Err(_) => bytes.to_vec(),
    }
}

async fn read_line(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line).await? == 0 {
        return Err(Error::other("end of stream"));
    }
    Ok(line)
}

/// The length of the literal that a line announces, and whether its sender waits for a continuation.
fn literal(line: &[u8]) -> Option<(u64, bool)> {
    let line = line.strip_suffix(b"\r\n")?.strip_suffix(b"}")?;
    let open = memchr::memrchr(b'{', line)?;
    let inner = std::str::from_utf8(&line[open + 1..]).ok()?;
    let waits = !inner.ends_with(['+', '-']);
    Some((inner.trim_end_matches(['+', '-']).parse().ok()?, waits))
}

/// Hands on the literals of a frame and the lines after each of them.
async fn copy_literals(
    from: &mut (impl AsyncBufRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    first: &[u8],
) -> Result<()> {
    let mut line = first.to_vec();
    while let Some((length, _)) = literal(&line) {
        // A client that waits for the continuation sees what was written so far only when it is flushed.
        to.flush().await?;
        tokio::io::copy(&mut from.take(length), to).await?;
        line = read_line(from).await?;
        to.write_all(&line).await?;
    }
    to.flush().await
}

/// Reads a command's literals away, as far as its client sends them unasked.
async fn swallow(from: &mut (impl AsyncBufRead + Unpin), first: Vec<u8>) -> Result<()> {
    let mut line = first;
    while let Some((length, false)) = literal(&line) {
        tokio::io::copy(&mut from.take(length), &mut tokio::io::sink()).await?;
        line = read_line(from).await?;
    }
    Ok(())
}
