//! A tiny blocking IMAP client for tests: an independent eye and hand on the server's side.
//!
//! It speaks to Dovecot only, so it panics where a real client would cope. It shares no code with the library's
//! driver on purpose: a mistake there must not hide itself here. Not a place for fast paths.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use super::dovecot::PASSWORD;
use super::utf7;

/// A connection, logged in unless made by [`ImapClient::connect`].
pub struct ImapClient {
    stream: BufReader<Box<dyn Wire>>,
    serial: u32,
}

/// A byte stream to the server, TLS or not.
pub trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// One value of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// An atom, with what it holds in brackets.
    Atom(String),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    /// A parenthesised list.
    List(Vec<Value>),
}

/// One untagged response: the values after the star.
pub type Response = Vec<Value>;

/// One message as the server shows it.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// System flags and keywords, `\Recent` left out.
    pub flags: BTreeSet<String>,
    /// INTERNALDATE as sent.
    pub date: String,
    /// The whole message, when it was asked for.
    pub body: Vec<u8>,
}

impl ImapClient {
    /// Connects to a plain port and logs in with the common password.
    pub fn login(port: u16, user: &str) -> ImapClient {
        let mut client = ImapClient::connect(port);
        client.ok(&format!("LOGIN {user} {PASSWORD}"));
        client
    }

    /// Connects to a plain port and reads the greeting.
    pub fn connect(port: u16) -> ImapClient {
        ImapClient::over(Box::new(tcp(port)))
    }

    /// Connects by implicit TLS, trusting the authority in `ca` alone.
    pub fn connect_tls(port: u16, ca: &std::path::Path) -> ImapClient {
        let mut builder = openssl::ssl::SslConnector::builder(openssl::ssl::SslMethod::tls()).unwrap();
        builder.set_ca_file(ca).unwrap();
        ImapClient::over(Box::new(builder.build().connect("localhost", tcp(port)).expect("TLS handshake")))
    }

    fn over(wire: Box<dyn Wire>) -> ImapClient {
        let mut client = ImapClient { stream: BufReader::new(wire), serial: 0 };
        let greeting = client.line();
        assert!(greeting.starts_with("* OK"), "greeting {greeting:?}");
        client
    }

    /// Sends a command; the untagged responses and the tagged line without its tag.
    pub fn command(&mut self, text: &str) -> (Vec<Response>, String) {
        let tag = self.send(text);
        self.collect(&tag)
    }

    /// A command that must succeed.
    pub fn ok(&mut self, text: &str) -> Vec<Response> {
        let (responses, outcome) = self.command(text);
        assert!(outcome.starts_with("OK"), "{text}: {outcome}");
        responses
    }

    /// `AUTHENTICATE mechanism initial`; the server's challenge, if one came and was answered with an empty line,
    /// and the tagged line.
    pub fn authenticate(&mut self, mechanism: &str, initial: &str) -> (Option<String>, String) {
        let tag = self.send(&format!("AUTHENTICATE {mechanism} {initial}"));
        let mut challenge = None;
        loop {
            let line = self.line();
            if let Some(text) = line.strip_prefix("+ ") {
                challenge = Some(text.to_owned());
                self.write(b"\r\n");
            } else if let Some(outcome) = line.strip_prefix(&tag) {
                return (challenge, outcome.trim().to_owned());
            }
        }
    }

    /// All mailboxes that can be selected: name to attributes.
    pub fn list(&mut self) -> BTreeMap<String, Vec<String>> {
        let responses = self.ok(r#"LIST "" "*""#);
        let mut found = BTreeMap::new();
        for response in responses.iter().filter(|response| response[0].is("LIST")) {
            let attributes: Vec<String> = response[1].list().iter().map(Value::text).collect();
            if !attributes.iter().any(|a| a == "\\Noselect" || a == "\\NonExistent") {
                found.insert(utf7::decode(&response[3].text()), attributes);
            }
        }
        found
    }

    /// Selects a mailbox; its UIDVALIDITY.
    pub fn select(&mut self, mailbox: &str) -> u32 {
        let responses = self.ok(&format!("SELECT {}", quoted(mailbox)));
        let code = responses.iter().find_map(|response| {
            response[1..].iter().find_map(|value| match value {
                Value::Atom(text) => text.strip_prefix("[UIDVALIDITY ").map(str::to_owned),
                _ => None,
            })
        });
        code.and_then(|text| text.trim_end_matches(']').parse().ok()).expect("UIDVALIDITY")
    }

    /// Every message of the selected mailbox by UID, with its content.
    pub fn messages(&mut self) -> BTreeMap<u32, Message> {
        self.fetch("1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")
    }

    /// Every message of the selected mailbox by UID, without content.
    pub fn flags(&mut self) -> BTreeMap<u32, Message> {
        self.fetch("1:*", "(UID FLAGS INTERNALDATE)")
    }

    /// Reads every message of the selected mailbox and keeps none: what the bare stream costs. How many came.
    pub fn stream_all(&mut self) -> usize {
        let tag = self.send("UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])");
        let mut bodies = 0;
        loop {
            let line = self.line();
            if let Some(outcome) = line.strip_prefix(&tag) {
                assert!(outcome.trim_start().starts_with("OK"), "{outcome}");
                return bodies;
            }
            let size = line.trim_end().strip_suffix('}').and_then(|head| head.rsplit_once('{'));
            if let Some(size) = size.and_then(|(_, digits)| digits.parse().ok()) {
                std::io::copy(&mut self.stream.by_ref().take(size), &mut std::io::sink()).unwrap();
                bodies += 1;
            }
        }
    }

    /// `UID FETCH set items`, for the items of [`Message`].
    pub fn fetch(&mut self, set: &str, items: &str) -> BTreeMap<u32, Message> {
        let responses = self.ok(&format!("UID FETCH {set} {items}"));
        responses
            .iter()
            .filter(|response| response.len() == 3 && response[1].is("FETCH"))
            .map(message)
            .collect()
    }

    /// The UIDs whose header `name` contains `value`.
    pub fn search_header(&mut self, name: &str, value: &str) -> Vec<u32> {
        let responses = self.ok(&format!("UID SEARCH HEADER {name} {}", quoted(value)));
        let found = responses.iter().find(|response| response[0].is("SEARCH")).expect("a SEARCH response");
        found[1..].iter().map(|uid| uid.text().parse().unwrap()).collect()
    }

    /// Adds (`+`) or removes (`-`) flags.
    pub fn store(&mut self, set: &str, sign: char, flags: &str) {
        self.ok(&format!("UID STORE {set} {sign}FLAGS.SILENT ({flags})"));
    }

    /// Marks deleted and expunges.
    pub fn expunge(&mut self, set: &str) {
        self.store(set, '+', "\\Deleted");
        self.ok(&format!("UID EXPUNGE {set}"));
    }

    /// Moves messages.
    pub fn move_to(&mut self, set: &str, mailbox: &str) {
        self.ok(&format!("UID MOVE {set} {}", quoted(mailbox)));
    }

    /// Copies messages.
    pub fn copy_to(&mut self, set: &str, mailbox: &str) {
        self.ok(&format!("UID COPY {set} {}", quoted(mailbox)));
    }

    /// Makes a mailbox.
    pub fn create(&mut self, mailbox: &str) {
        self.ok(&format!("CREATE {}", quoted(mailbox)));
    }

    /// Removes a mailbox.
    pub fn delete(&mut self, mailbox: &str) {
        self.ok(&format!("DELETE {}", quoted(mailbox)));
    }

    /// Appends one message.
    pub fn append(&mut self, mailbox: &str, flags: &str, date: Option<&str>, message: &[u8]) {
        self.append_all(mailbox, [(flags, date.map(str::to_owned), message)]);
    }

    /// Appends many messages in one transaction (MULTIAPPEND, RFC 3502; LITERAL+, RFC 7888).
    pub fn append_all<'a>(
        &mut self,
        mailbox: &str,
        messages: impl IntoIterator<Item = (&'a str, Option<String>, impl AsRef<[u8]>)>,
    ) {
        self.serial += 1;
        let tag = format!("T{}", self.serial);
        self.write(format!("{tag} APPEND {}", quoted(mailbox)).as_bytes());
        for (flags, date, message) in messages {
            let date = date.map(|date| format!(" \"{date}\"")).unwrap_or_default();
            self.write(format!(" ({flags}){date} {{{}+}}\r\n", message.as_ref().len()).as_bytes());
            self.write(message.as_ref());
        }
        self.write(b"\r\n");
        let (_, outcome) = self.collect(&tag);
        assert!(outcome.starts_with("OK"), "APPEND {mailbox}: {outcome}");
    }

    fn send(&mut self, text: &str) -> String {
        self.serial += 1;
        let tag = format!("T{}", self.serial);
        self.write(format!("{tag} {text}\r\n").as_bytes());
        tag
    }

    fn collect(&mut self, tag: &str) -> (Vec<Response>, String) {
        let mut responses = Vec::new();
        loop {
            let line = self.line();
            if let Some(outcome) = line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
                return (responses, outcome.to_owned());
            }
            let rest =
                line.strip_prefix("* ").unwrap_or_else(|| panic!("unexpected line {line:?}")).to_owned();
            responses.push(self.values(&rest));
        }
    }

    /// The values of a response that begins with `line`; literals are read from the stream.
    fn values(&mut self, line: &str) -> Response {
        let mut open: Vec<Vec<Value>> = vec![Vec::new()];
        let mut rest = line.to_owned();
        loop {
            rest = rest.trim_start().to_owned();
            let Some(first) = rest.chars().next() else { break };
            let (value, used) = match first {
                '(' => {
                    open.push(Vec::new());
                    rest.remove(0);
                    continue;
                }
                ')' => (Value::List(open.pop().unwrap()), 1),
                '"' => quoted_text(&rest),
                '{' => {
                    let length = rest.trim_matches(['{', '}']).parse().expect("a literal's length");
                    let mut text = vec![0; length];
                    self.stream.read_exact(&mut text).expect("the literal");
                    open.last_mut().unwrap().push(Value::Text(text));
                    rest = self.line();
                    continue;
                }
                _ => atom(&rest),
            };
            open.last_mut().expect("balanced lists").push(value);
            rest.replace_range(..used, "");
        }
        open.pop().unwrap()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the server reads");
    }

    /// A line without its end; the protocol's own lines are ASCII or UTF-8 here.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).expect("a line from the server");
        assert!(line.ends_with(b"\r\n"), "the server hung up in {:?}", String::from_utf8_lossy(&line));
        String::from_utf8_lossy(&line[..line.len() - 2]).into_owned()
    }
}

impl Value {
    /// Whether this is the given atom.
    pub fn is(&self, atom: &str) -> bool {
        matches!(self, Value::Atom(text) if text.eq_ignore_ascii_case(atom))
    }

    /// Atom or string as text.
    pub fn text(&self) -> String {
        match self {
            Value::Atom(text) => text.clone(),
            Value::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Value::List(_) => panic!("a list where text was due"),
        }
    }

    /// The values of a list.
    pub fn list(&self) -> &[Value] {
        match self {
            Value::List(values) => values,
            other => panic!("{other:?} where a list was due"),
        }
    }
}

fn tcp(port: u16) -> TcpStream {
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the IMAP port answers");
    tcp.set_nodelay(true).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    tcp
}

fn message(response: &Response) -> (u32, Message) {
    let mut uid = 0;
    let mut message = Message::default();
    for pair in response[2].list().chunks(2) {
        match pair[0].text().as_str() {
            "UID" => uid = pair[1].text().parse().unwrap(),
            "INTERNALDATE" => message.date = pair[1].text(),
            "FLAGS" => {
                let flags = pair[1].list().iter().map(Value::text);
                message.flags = flags.filter(|flag| flag != "\\Recent").collect();
            }
            "BODY[]" => {
                if let Value::Text(body) = &pair[1] {
                    message.body.clone_from(body);
                }
            }
            _ => {}
        }
    }
    (uid, message)
}

/// The quoted string at the start, and how many bytes it took.
fn quoted_text(rest: &str) -> (Value, usize) {
    let mut text = Vec::new();
    let mut bytes = rest.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return (Value::Text(text), at + 1),
            b'\\' => text.extend(bytes.next().map(|(_, escaped)| escaped)),
            _ => text.push(byte),
        }
    }
    panic!("unclosed string in {rest:?}");
}

/// The atom at the start with its brackets, and how many bytes it took.
fn atom(rest: &str) -> (Value, usize) {
    let mut depth = 0;
    let end = rest.bytes().position(|byte| {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        depth <= 0 && matches!(byte, b' ' | b'(' | b')')
    });
    let end = end.unwrap_or(rest.len());
    (Value::Atom(rest[..end].to_owned()), end)
}

/// A mailbox name or header value as a quoted string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", utf7::encode(text).replace('\\', "\\\\").replace('"', "\\\""))
}
