//! One account on a real server with everything between them under control: what every test of this binary starts from.
//!
//! posthaste speaks to a proxy that counts bytes, the proxy to a meddler that notes commands, the meddler to Dovecot. A
//! test says what happens on either side and where each message must be at the end; a message is its Subject.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::support::dovecot::Options;
use super::support::imap_client::ImapClient;
use super::support::maildir::Reader;
use super::support::meddler::Meddler;
use super::support::process::{Account, Home};
use super::support::proxy::{Direction, Proxy};
use super::support::sides::{self, Dates, Side};
use super::support::{Host, wait};

/// The INTERNALDATE of messages that tests put on the server, far from today.
pub(super) const DATE: &str = "03-Feb-2010 04:05:06 +0000";
/// How long both sides may take to become equal while a daemon runs beside other tests.
pub(super) const SOON: Duration = Duration::from_secs(30);

/// A host, a home with the account `alice`, and what stands between.
pub(super) struct Scene {
    pub(super) home: Home,
    pub(super) mail: Reader,
    pub(super) proxy: Proxy,
    pub(super) meddler: Meddler,
    pub(super) host: Host,
}

impl Scene {
    /// With a server that can all that Dovecot can.
    pub(super) fn start() -> Scene {
        Scene::with(&Options::default(), "")
    }

    /// With another server, or more lines in the account's table.
    pub(super) fn with(options: &Options, extra: &str) -> Scene {
        let host = Host::with(Options { compress: false, ..options.clone() });
        let meddler = Meddler::to(host.dovecot.ports.imap, &host.authority);
        let proxy = Proxy::to(meddler.port());
        let home = Home::new(env!("CARGO_BIN_EXE_posthaste"));
        let imap = (proxy.port(), "implicit");
        let extra = format!("sweep = \"1s\"\n{extra}");
        home.configure(&[Account { imap, extra, ..Account::of(&host, "alice") }]);
        // A new refresh token with every command would be a write in the state directory.
        host.tokens.set_rotation(false);
        home.login("alice", &host.tokens.refresh_token("alice"));
        let mail = home.maildir("alice");
        Scene { home, mail, proxy, meddler, host }
    }

    /// One pass without a daemon, which must succeed; what it printed.
    pub(super) fn sync(&self) -> String {
        self.home.ok(&["sync"])
    }

    /// A hand on the server's side.
    pub(super) fn server(&self) -> ImapClient {
        self.host.imap("alice")
    }

    /// Puts messages with these subjects into a mailbox of the server.
    pub(super) fn put(&self, mailbox: &str, flags: &str, subjects: impl IntoIterator<Item = String>) {
        let mut server = self.server();
        for subject in subjects {
            server.append(mailbox, flags, Some(DATE), &super::support::message(&subject));
        }
    }

    /// What is on the server.
    pub(super) fn remote(&self, dates: Dates) -> Side {
        sides::remote(&self.host, "alice", dates)
    }

    /// What is in the Maildir.
    pub(super) fn local(&self, dates: Dates) -> Side {
        sides::local(&self.mail, dates)
    }

    /// Both sides are the same, dates included.
    pub(super) fn assert_equal(&self) {
        sides::assert_equal(&self.host, "alice", &self.mail, Dates::Compare);
    }

    /// A pass would find nothing to do.
    pub(super) fn assert_idle(&self) {
        assert_eq!(self.home.ok(&["sync", "--dry-run"]), "alice: nothing to do\n");
    }

    /// Waits until both sides are the same and every message is where `expected` says.
    pub(super) fn wait_for(&self, expected: &BTreeMap<String, Vec<Place>>) {
        sides::wait_equal(&self.host, "alice", &self.mail, SOON);
        for (subject, places) in expected {
            wait::until(SOON, &format!("{subject:?} to be at {places:?}"), || {
                places_of(&self.local(Dates::Ignore), subject) == *places
                    && places_of(&self.remote(Dates::Ignore), subject) == *places
            });
        }
        sides::wait_equal(&self.host, "alice", &self.mail, SOON);
    }

    /// Every file in the account's quarantine.
    pub(super) fn quarantined(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        walk(&self.mail.directory(".posthaste/quarantine"), &mut |path| files.push(path.to_owned()));
        files.retain(|path| path.parent().is_some_and(|parent| parent.ends_with("cur")));
        files
    }

    /// Whether the quarantine holds a message with this subject.
    pub(super) fn is_quarantined(&self, subject: &str) -> bool {
        let line = format!("Subject: {subject}\n");
        self.quarantined()
            .iter()
            .any(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).contains(&line))
    }

    /// Runs `act`; the commands that the server saw meanwhile.
    pub(super) fn commands_during(&self, act: impl FnOnce()) -> Vec<String> {
        let before = self.meddler.commands().len();
        act();
        self.meddler.commands().split_off(before)
    }

    /// Bytes that came from the server so far.
    pub(super) fn bytes_down(&self) -> usize {
        self.proxy.bytes(Direction::Down)
    }
}

/// Mailbox and flags.
pub(super) type Place = (String, String);

/// Where a subject is, as often as it is there.
pub(super) fn places_of(side: &Side, subject: &str) -> Vec<Place> {
    let label = format!("Subject: {subject}");
    let here = |(mailbox, items): (&String, &Vec<sides::Item>)| {
        let found = items.iter().filter(|item| item.label == label);
        found.map(|item| (mailbox.clone(), item.flags.clone())).collect::<Vec<_>>()
    };
    side.iter().flat_map(here).collect()
}

/// One place.
pub(super) fn place(mailbox: &str, flags: &str) -> Place {
    (mailbox.to_owned(), flags.to_owned())
}

/// Which file it is and when it was last touched in any way.
pub(super) type Print = (u64, u64, i64, i64, i64, i64);

/// Every file and directory below these, with inode, size, mtime and ctime.
pub(super) fn prints(roots: &[PathBuf]) -> BTreeMap<PathBuf, Print> {
    let mut prints = BTreeMap::new();
    for root in roots {
        walk(root, &mut |path| {
            let data = fs::symlink_metadata(path).unwrap();
            let print =
                (data.ino(), data.size(), data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec());
            prints.insert(path.to_owned(), print);
        });
    }
    prints
}

fn walk(path: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        visit(&entry.path());
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), visit);
        }
    }
}
