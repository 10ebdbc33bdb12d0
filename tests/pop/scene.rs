//! One account on a maildrop that the test owns: what every test without Dovecot starts from.

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;

use super::support::maildir::Reader;
use super::support::message;
use super::support::pop_server::{Fault, PopServer};
use super::support::process::Home;

/// A home with the account `drop`, and its server.
pub(super) struct Scene {
    pub(super) home: Home,
    pub(super) mail: Reader,
    pub(super) server: PopServer,
}

impl Scene {
    /// With more lines in the table of the maildrop.
    pub(super) fn with(pop: &str) -> Scene {
        let (server, home) = (PopServer::start(), Home::new(env!("CARGO_BIN_EXE_posthaste")));
        let text = format!(
            "[accounts.drop]\naddress = \"alice@mail.test\"\nauth = \"password\"\npassword_command = \"printf secret\"\n\
             protocol = \"pop3\"\nsweep = \"1s\"\nmaildir = {:?}\noutbox = {:?}\n\
             [accounts.drop.pop]\nhost = \"localhost\"\nport = {}\ntls = \"none\"\n{pop}\n",
            home.maildir_path("drop"),
            home.outbox("drop"),
            server.port(),
        );
        fs::write(home.config(), text).unwrap();
        let mail = home.maildir("drop");
        Scene { home, mail, server }
    }

    /// With everything as it is by default.
    pub(super) fn start() -> Scene {
        Scene::with("")
    }

    /// Puts messages into the maildrop whose unique-id is their subject.
    pub(super) fn put(&self, subjects: &[&str]) {
        subjects.iter().for_each(|subject| self.server.put(subject, &message(subject)));
    }

    /// One visit, which must succeed; what it printed.
    pub(super) fn sync(&self) -> String {
        self.home.ok(&["sync"])
    }

    /// One visit, however it ends.
    pub(super) fn try_sync(&self) -> Output {
        self.home.run(&["sync"])
    }

    /// How often each subject stands in the INBOX.
    pub(super) fn here(&self) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        for mail in self.mail.messages("INBOX") {
            *found.entry(subject(&mail.content)).or_default() += 1;
        }
        found
    }

    /// Asserts that exactly these subjects are here, each once.
    pub(super) fn assert_here(&self, subjects: &[&str]) {
        let expected = subjects.iter().map(|&subject| (subject.to_owned(), 1)).collect();
        assert_eq!(self.here(), expected);
    }

    /// The unique-ids in the maildrop.
    pub(super) fn there(&self) -> Vec<String> {
        self.server.messages().into_iter().map(|(uidl, _)| uidl).collect()
    }

    /// Visits until the maildrop is empty: `delete_after` counts in whole seconds.
    pub(super) fn sync_until_empty(&self) {
        super::support::wait::until(super::support::wait::PATIENCE, "the maildrop to be empty", || {
            self.sync();
            self.there().is_empty()
        });
    }

    /// Visits until this message is no longer in the maildrop.
    pub(super) fn sync_until_gone(&self, uidl: &str) {
        super::support::wait::until(super::support::wait::PATIENCE, "a message to be deleted", || {
            self.sync();
            !self.there().contains(&uidl.to_owned())
        });
    }

    /// How often a command that begins so was seen.
    pub(super) fn seen(&self, command: &str) -> usize {
        self.server.commands().iter().filter(|line| line.starts_with(command)).count()
    }
}

/// An answer to RETR that ends early, and well: the header of the message, and nothing more.
pub(super) fn short(subject: &str) -> Fault {
    let text = String::from_utf8(message(subject)).unwrap();
    let (header, _) = text.split_once("\r\n\r\n").unwrap();
    Fault::Answer(format!("+OK\r\n{header}\r\n\r\n.\r\n").into_bytes())
}

/// The Subject of a message.
pub(super) fn subject(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let line = text.lines().find_map(|line| line.strip_prefix("Subject: "));
    line.unwrap_or("(none)").to_owned()
}
