//! A whole mail host on loopback for tests and the demo: Dovecot, a token server, an SMTP sink, a proxy, a meddler.
//!
//! [`Host::start`] is the one line that a test needs; the modules are its parts. Nothing here uses the library's own
//! mail code: what posthaste does is judged by eyes of their own. Everything listens on 127.0.0.1 with ports that
//! were free, lives in one temporary directory, and ends with its value. Not used: containers and fixed ports, which
//! would make the suite depend on the machine.

// Every test binary compiles this tree and uses its own part of it.
#![allow(dead_code, unreachable_pub, unused_imports)]
// Support code is test code: a failure here is a failed test, and a panic names the line. Clippy's exceptions for
// tests cover only functions marked `#[test]`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

pub mod authority;
pub mod browser;
pub mod canary;
pub mod dovecot;
pub mod filler;
pub mod guard;
pub mod http;
pub mod imap_client;
pub mod listener;
pub mod lmtp;
pub mod maildir;
pub mod meddler;
pub mod person;
pub mod pop_server;
pub mod process;
pub mod proxy;
pub mod resolver;
pub mod script;
pub mod sides;
pub mod signer;
pub mod sink;
pub mod skip;
pub mod strace;
pub mod terminal;
pub mod tokens;
pub mod utf7;
pub mod wait;

use std::path::PathBuf;
use std::time::Instant;

use authority::Authority;
use dovecot::{Dovecot, Options};
use imap_client::ImapClient;
use sink::Sink;
use tokens::TokenServer;

/// Dovecot with everything around it: what most tests need.
pub struct Host {
    /// IMAP, POP3, submission, LMTP.
    pub dovecot: Dovecot,
    /// Issues and checks the tokens.
    pub tokens: TokenServer,
    /// What Dovecot relays submissions to; delivers by LMTP to local users.
    pub sink: Sink,
    /// Signs the server certificate.
    pub authority: Authority,
}

impl Host {
    /// A host that speaks all that Dovecot can.
    pub fn start() -> Host {
        Host::with(Options::default())
    }

    /// A host with other settings.
    pub fn with(options: Options) -> Host {
        Host::of(options, TokenServer::start(), Authority::new())
    }

    /// Another host with a certificate of the same authority, which asks `tokens`.
    pub fn beside(&self, tokens: TokenServer) -> Host {
        Host::of(Options::default(), tokens, self.authority.clone())
    }

    fn of(options: Options, tokens: TokenServer, authority: Authority) -> Host {
        let sink = Sink::relay();
        let dovecot = Dovecot::start(&options, &authority, &tokens, sink.port());
        sink.deliver_to(dovecot.ports.lmtp);
        Host { dovecot, tokens, sink, authority }
    }

    /// The certificate authority's certificate, for `ca = "…"`.
    pub fn ca(&self) -> PathBuf {
        self.dovecot.dir().join("ca.pem")
    }

    /// A look at the server's side as `user`, with the static password.
    pub fn imap(&self, user: &str) -> ImapClient {
        ImapClient::login(self.dovecot.ports.imap, user)
    }

    /// Makes `user`'s INBOX, as a first login does. Two first logins at once are too much for Dovecot 2.3: it refuses
    /// one with "Mailbox already exists" or closes it.
    pub fn furnish(&self, user: &str) {
        self.imap(user).select("INBOX");
    }

    /// Delivers one message into `user`'s INBOX; the moment of the server's 250.
    pub fn deliver(&self, user: &str, message: &[u8]) -> Instant {
        lmtp::deliver(self.dovecot.ports.lmtp, "sender@mail.test", &[&format!("{user}@mail.test")], message)
            .expect("LMTP delivery")
    }

    /// Runs `test`; when it panics, Dovecot's log goes to stderr first.
    pub fn explain<T>(&self, test: impl FnOnce(&Host) -> T) -> T {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(self)));
        outcome.unwrap_or_else(|panic| {
            eprintln!("--- dovecot.log\n{}", self.dovecot.log());
            std::panic::resume_unwind(panic)
        })
    }
}

/// A simple message with `subject`, a Message-ID made from it, and one line of body.
pub fn message(subject: &str) -> Vec<u8> {
    let id: String = subject.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!(
        "From: Sender <sender@mail.test>\r\nTo: alice@mail.test\r\nSubject: {subject}\r\n\
         Date: Mon, 2 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{id}@mail.test>\r\n\r\nBody of {subject}.\r\n"
    )
    .into_bytes()
}
