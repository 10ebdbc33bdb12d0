//! A mailbox in which everything changes on both sides at once, and the model of what must come of it.
//!
//! The changes are those of `busy` in the core's histories, here with a real server and real files.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::support::maildir::{Mail, Reader, normal};
use super::support::process::Home;
use super::support::sides::{self, Dates, Item, Side};
use super::support::{Host, message};

/// Both sides of alice, and what must be there: subject to mailbox and flags.
pub struct World<'a> {
    host: &'a Host,
    home: &'a Home,
    reader: Reader,
    model: BTreeMap<String, (String, &'static str)>,
    mailboxes: Vec<String>,
    rounds: usize,
}

impl<'a> World<'a> {
    /// After a first sync.
    pub fn new(host: &'a Host, home: &'a Home) -> World<'a> {
        host.imap("alice").create("Archive");
        let reader = home.maildir("alice");
        let mailboxes = ["INBOX", "Archive", "Sent", "Trash", "Drafts", "Junk"].map(str::to_owned).to_vec();
        World { host, home, reader, model: BTreeMap::new(), mailboxes, rounds: 0 }
    }

    /// Brings ten messages to both sides and then changes every one of them, and adds others.
    pub fn round(&mut self) {
        self.rounds += 1;
        let mut client = self.host.imap("alice");
        client.select("INBOX");
        let messages: Vec<_> = (0..10).map(|n| message(&self.subject(n))).collect();
        client.append_all("INBOX", messages.iter().map(|one| ("\\Seen", None, one.as_slice())));
        self.home.ok(&["sync"]);
        self.expect(0, "INBOX", "S");
        self.expect(9, "INBOX", "S");
        self.change_server();
        self.change_files();
        self.change_both();
    }

    fn change_server(&mut self) {
        let mut client = self.host.imap("alice");
        client.select("INBOX");
        let mut uid = |n| {
            let id = format!("<{}@mail.test>", self.subject(n));
            client.search_header("Message-ID", &id).pop().expect("the message is there").to_string()
        };
        let (flagged, deleted, moved) = (uid(1), uid(2), uid(3));
        client.store(&flagged, '+', "\\Flagged");
        client.store(&flagged, '-', "\\Seen");
        client.expunge(&deleted);
        client.move_to(&moved, "Archive");
        let (fresh, nested) = (message(&self.subject(100)), message(&self.subject(101)));
        client.append("INBOX", "", None, &fresh);
        let mailbox = format!("Remote/{}", self.rounds);
        client.create(&mailbox);
        client.append(&mailbox, "\\Answered", None, &nested);
        self.mailboxes.push(mailbox.clone());
        self.expect(1, "INBOX", "F");
        self.expect(3, "Archive", "S");
        self.expect(100, "INBOX", "");
        self.expect(101, &mailbox, "R");
    }

    fn change_files(&mut self) {
        self.reader.delete(&self.file(4));
        let moved = self.reader.flag(&self.file(5), 'F');
        let moved = Mail { path: moved, flags: ['F', 'S'].into(), ..self.file(5) };
        self.reader.move_to(&moved, "Archive");
        self.reader.flag(&self.file(6), 'R');
        for n in 200..206 {
            self.reader.add("INBOX", &normal(&message(&self.subject(n))), "S");
            self.expect(n, "INBOX", "S");
        }
        let mailbox = format!("Local/{}", self.rounds);
        self.reader.create(&mailbox);
        self.reader.add(&mailbox, &normal(&message(&self.subject(210))), "D");
        self.mailboxes.push(mailbox.clone());
        self.expect(4, "Trash", "S");
        self.expect(5, "Archive", "FS");
        self.expect(6, "INBOX", "RS");
        self.expect(210, &mailbox, "D");
    }

    /// A merge, and a conflict: gone on the server and flagged here, where gone wins.
    fn change_both(&mut self) {
        let mut client = self.host.imap("alice");
        client.select("INBOX");
        let mut uid = |n| {
            let id = format!("<{}@mail.test>", self.subject(n));
            client.search_header("Message-ID", &id).pop().expect("the message is there").to_string()
        };
        let (merged, gone) = (uid(7), uid(8));
        client.store(&merged, '+', "\\Flagged");
        client.expunge(&gone);
        self.reader.flag(&self.file(7), 'R');
        self.reader.flag(&self.file(8), 'F');
        self.expect(7, "INBOX", "FRS");
    }

    /// Both sides are what the model says.
    pub fn assert_end(&self) {
        let mut model: Side = self.mailboxes.iter().map(|name| (name.clone(), Vec::new())).collect();
        // Parents that exist only as such.
        for (subject, (mailbox, flags)) in &self.model {
            let digest = Sha256::digest(normal(&message(subject))).to_vec();
            let label = format!("Subject: {subject}");
            let item = Item { label, digest, flags: (*flags).to_owned(), date: None };
            model.get_mut(mailbox).unwrap().push(item);
        }
        model.values_mut().for_each(|items| items.sort());
        let remote = sides::remote(self.host, "alice", Dates::Ignore);
        assert!(remote == model, "model (as local) and server:\n{}", sides::difference(&remote, &model));
        sides::assert_equal(self.host, "alice", &self.reader, Dates::Ignore);
        for n in [2, 8] {
            assert!(self.is_in_quarantine(n), "{} is not in quarantine", self.subject(n));
        }
    }

    fn is_in_quarantine(&self, n: usize) -> bool {
        let days = self.home.maildir_path("alice").join(".posthaste/quarantine");
        let text = format!("Subject: {}\n", self.subject(n));
        std::fs::read_dir(days)
            .into_iter()
            .flatten()
            .flatten()
            .any(|day| Reader::new(day.path()).find("INBOX", &text).is_some())
    }

    fn subject(&self, n: usize) -> String {
        format!("round-{}-{n}", self.rounds)
    }

    fn expect(&mut self, n: usize, mailbox: &str, flags: &'static str) {
        self.model.insert(self.subject(n), (mailbox.to_owned(), flags));
    }

    fn file(&self, n: usize) -> Mail {
        let text = format!("Subject: {}\n", self.subject(n));
        self.reader.find("INBOX", &text).expect("the message is here")
    }
}
