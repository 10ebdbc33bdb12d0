//! A POP3 server on loopback, in the clear, that behaves in every way that Dovecot cannot be made to: unique-ids that
//! repeat or come again, messages that hide, refusals, cuts and nonsense at any command.
//!
//! RFC 1939 with CAPA, SASL PLAIN, TOP and PIPELINING. A session sees the maildrop as it was at its login; deletions
//! happen at QUIT. Everybody gets in.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard};

use super::listener::Listening;

/// What happens to a command.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This goes back instead of an answer, and the session goes on.
    Answer(Vec<u8>),
    /// The connection ends; nothing was done.
    Close,
    /// The connection ends after so many octets of the answer; what was asked is done.
    Cut(usize),
}

#[derive(Clone, Default)]
struct State {
    messages: Vec<(String, Vec<u8>)>,
    capabilities: Vec<String>,
    positions: bool,
    faults: Vec<(String, Fault)>,
    commands: Vec<String>,
}

/// The server; it ends with this value.
pub struct PopServer {
    state: Arc<Mutex<State>>,
    listening: Listening,
}

impl PopServer {
    /// An empty maildrop.
    pub fn start() -> PopServer {
        let state = Arc::new(Mutex::new(State::default()));
        let served = state.clone();
        let listening = Listening::start(move |stream| drop(Session::new(stream, &served).serve()));
        let server = PopServer { state, listening };
        server.offer(&["SASL PLAIN", "UIDL", "TOP", "PIPELINING", "RESP-CODES"]);
        server
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Its port, in the clear.
    pub fn port(&self) -> u16 {
        self.listening.port()
    }

    /// What CAPA lists; commands that it does not list work all the same, but for UIDL and TOP.
    pub fn offer(&self, capabilities: &[&str]) {
        self.state().capabilities = capabilities.iter().map(|&one| one.to_owned()).collect();
    }

    /// Puts a message into the maildrop; lines end in CRLF.
    pub fn put(&self, uidl: &str, message: &[u8]) {
        self.state().messages.push((uidl.to_owned(), message.to_vec()));
    }

    /// What is in the maildrop.
    pub fn messages(&self) -> Vec<(String, Vec<u8>)> {
        self.state().messages.clone()
    }

    /// Puts another content into the maildrop, and gives what was there.
    pub fn replace(&self, messages: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
        std::mem::replace(&mut self.state().messages, messages)
    }

    /// From now on the unique-ids are positions, whatever was put.
    pub fn number(&self) {
        self.state().positions = true;
    }

    /// Every command that begins so, or `GREETING`, is treated so until [`PopServer::calm`].
    pub fn fault(&self, command: &str, fault: Fault) {
        self.state().faults.push((command.to_owned(), fault));
    }

    /// Forgets all faults.
    pub fn calm(&self) {
        self.state().faults.clear();
    }

    /// Every command so far, without credentials.
    pub fn commands(&self) -> Vec<String> {
        self.state().commands.clone()
    }
}

struct Session<'a> {
    reader: BufReader<TcpStream>,
    state: &'a Mutex<State>,
    drop: Vec<(String, Vec<u8>)>,
    deleted: Vec<usize>,
}

/// Why a session ends.
struct Ended;

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Ended {
        Ended
    }
}

impl Session<'_> {
    fn new(stream: TcpStream, state: &Mutex<State>) -> Session<'_> {
        let drop = state.lock().unwrap().messages.clone();
        Session { reader: BufReader::new(stream), state, drop, deleted: Vec::new() }
    }

    fn serve(mut self) -> Result<(), Ended> {
        self.answer("GREETING", || b"+OK ready\r\n".to_vec())?;
        loop {
            let line = self.line()?;
            self.state.lock().unwrap().commands.push(line.clone());
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let number = rest.split(' ').next().and_then(|word| word.parse::<usize>().ok());
            match verb {
                "AUTH" => self.log_in(&line)?,
                "QUIT" => {
                    self.quit(&line)?;
                    return Err(Ended);
                }
                "DELE" => {
                    self.deleted.extend(number.filter(|_| self.fault(&line).is_none()));
                    self.answer(&line, || b"+OK\r\n".to_vec())?;
                }
                _ => {
                    let answer = self.listing(verb, number);
                    self.answer(&line, || answer)?;
                }
            }
        }
    }

    /// The answer to a command that changes nothing.
    fn listing(&self, verb: &str, number: Option<usize>) -> Vec<u8> {
        let numbered = |of: fn(&(String, Vec<u8>)) -> String| -> Vec<u8> {
            let lines = self.drop.iter().enumerate().map(|(index, one)| format!("{} {}", index + 1, of(one)));
            body(lines.map(|line| format!("{line}\r\n")).collect::<String>().as_bytes())
        };
        let State { capabilities: offers, positions, .. } = self.state.lock().unwrap().clone();
        let message = number.and_then(|number| self.drop.get(number.checked_sub(1)?));
        let can = |name: &str| offers.iter().any(|one| one == name);
        match (verb, message) {
            ("CAPA", _) => body(format!("{}\r\n", offers.join("\r\n")).as_bytes()),
            ("UIDL", _) if can("UIDL") && positions => {
                body((1..=self.drop.len()).map(|at| format!("{at} {at}\r\n")).collect::<String>().as_bytes())
            }
            ("UIDL", _) if can("UIDL") => numbered(|(uidl, _)| uidl.clone()),
            ("LIST", _) => numbered(|(_, message)| message.len().to_string()),
            ("RETR", Some((_, message))) => body(message),
            ("TOP", Some((_, message))) if can("TOP") => {
                let text = String::from_utf8_lossy(message).into_owned();
                let header = text
                    .split_once("\r\n\r\n")
                    .map_or(text.clone(), |(header, _)| format!("{header}\r\n\r\n"));
                body(header.as_bytes())
            }
            _ => b"-ERR unknown command\r\n".to_vec(),
        }
    }

    fn log_in(&mut self, line: &str) -> Result<(), Ended> {
        self.answer(line, || b"+ \r\n".to_vec())?;
        self.line()?;
        self.answer("VERDICT", || b"+OK in\r\n".to_vec())
    }

    /// Deletes, and says so.
    fn quit(&mut self, line: &str) -> Result<(), Ended> {
        if matches!(self.fault(line), Some(Fault::Close)) {
            return Err(Ended);
        }
        let gone: Vec<&(String, Vec<u8>)> =
            self.deleted.iter().filter_map(|&number| self.drop.get(number.checked_sub(1)?)).collect();
        self.state.lock().unwrap().messages.retain(|message| !gone.contains(&message));
        self.answer(line, || b"+OK bye\r\n".to_vec())
    }

    fn fault(&self, command: &str) -> Option<Fault> {
        let faults = &self.state.lock().unwrap().faults;
        faults.iter().find(|(start, _)| command.starts_with(start.as_str())).map(|(_, fault)| fault.clone())
    }

    fn answer(&mut self, command: &str, usual: impl FnOnce() -> Vec<u8>) -> Result<(), Ended> {
        let (answer, ends) = match self.fault(command) {
            None => (usual(), false),
            Some(Fault::Answer(instead)) => (instead, false),
            Some(Fault::Close) => (Vec::new(), true),
            Some(Fault::Cut(length)) => (usual().into_iter().take(length).collect(), true),
        };
        self.reader.get_mut().write_all(&answer)?;
        if ends { Err(Ended) } else { Ok(()) }
    }

    fn line(&mut self) -> Result<String, Ended> {
        let mut line = String::new();
        match self.reader.read_line(&mut line)? {
            0 => Err(Ended),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}

/// A multi-line answer, with its dots stuffed.
fn body(text: &[u8]) -> Vec<u8> {
    let mut answer = b"+OK\r\n".to_vec();
    for line in text.split_inclusive(|&octet| octet == b'\n') {
        if line.starts_with(b".") {
            answer.push(b'.');
        }
        answer.extend_from_slice(line);
    }
    answer.extend_from_slice(b".\r\n");
    answer
}
