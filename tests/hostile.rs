//! A server that refuses, breaks off, lies or talks nonsense at any command: nothing is lost on either side, the
//! trouble has a name and an exit code, and once the server is well again both sides are equal.
//!
//! One working day is played per kind of trouble: mail comes and goes on both sides, a pass meets the trouble, the
//! census of all messages must be whole, a second pass must bring both sides together. The meddler makes the trouble
//! between posthaste and a real Dovecot.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::process::Output;
use std::time::{Duration, SystemTime};

use support::dovecot::Options;
use support::maildir::Reader;
use support::meddler::{Act, Meddler};
use support::process::{Account, Home};
use support::sides::{self, Dates, Side};
use support::{Host, message, wait};

const BINARY: &str = env!("CARGO_BIN_EXE_posthaste");

/// Each kind of trouble, with the exit code of a pass that meets it at a command of one mailbox.
const TROUBLES: [(&str, i32, Act); 9] = [
    ("NO", 1, Act::Answer(b"{tag} NO not for you\r\n")),
    ("BAD", 1, Act::Answer(b"{tag} BAD what is this\r\n")),
    ("NO [UNAVAILABLE]", 1, Act::Answer(b"{tag} NO [UNAVAILABLE] come back later\r\n")),
    ("done, but NO", 1, Act::Conclude("{tag} NO [SERVERBUG] oops")),
    ("close in answer", 75, Act::CloseInAnswer),
    ("close instead", 75, Act::Close),
    ("garbage", 75, Act::Answer(b"\xff\xfe\x00 ((((((\"{\r\n* 7 FETCH (UID\r\nP99999 OK what\r\n")),
    ("BYE", 75, Act::Before(b"* BYE shutting down\r\n")),
    ("empty OK", 1, Act::Answer(b"{tag} OK done\r\n")),
];

/// A person with a home and a meddled connection, and what they must not lose.
struct Day<'a> {
    host: &'a Host,
    user: String,
    home: Home,
    meddler: Meddler,
    mail: Reader,
    /// Every message that must exist, by its subject.
    kept: BTreeSet<String>,
    serial: usize,
}

impl Day<'_> {
    fn new<'a>(host: &'a Host, user: &str) -> Day<'a> {
        let home = Home::new(BINARY);
        let meddler = Meddler::to(host.dovecot.ports.imap, &host.authority);
        home.configure(&[Account { imap: (meddler.port(), "implicit"), ..Account::of(host, user) }]);
        home.login(user, &host.tokens.refresh_token(user));
        let mail = home.maildir(user);
        let mut day =
            Day { host, user: user.to_owned(), home, meddler, mail, kept: BTreeSet::new(), serial: 0 };
        let mut server = host.imap(user);
        server.create("Archive");
        day.stock(8);
        day.home.ok(&["sync"]);
        day
    }

    /// Messages on the server to be changed later.
    fn stock(&mut self, count: usize) {
        let mut server = self.host.imap(&self.user);
        let subjects: Vec<String> = (0..count).map(|_| self.fresh("stock")).collect();
        subjects.iter().for_each(|subject| server.append("INBOX", "", None, &message(subject)));
    }

    fn fresh(&mut self, kind: &str) -> String {
        self.serial += 1;
        let subject = format!("{kind}-{:03}-{}", self.serial, self.user);
        self.kept.insert(subject.clone());
        subject
    }

    /// Something of everything, on both sides.
    fn changes(&mut self) {
        let (from_outside, from_here) = (self.fresh("arrived"), self.fresh("written"));
        self.host.deliver(&self.user, &message(&from_outside));
        let written = self.mail.add("INBOX", &message(&from_here), "S");
        // Not of this moment: nobody is writing it any more.
        let date = SystemTime::now() - Duration::from_secs(3600);
        File::options().write(true).open(written).unwrap().set_modified(date).unwrap();
        let mut stock = self.mail.messages("INBOX");
        stock.retain(|mail| String::from_utf8_lossy(&mail.content).contains("Subject: stock"));
        stock.sort_by(|one, other| one.content.cmp(&other.content));
        match stock[0].flags.contains(&'F') {
            true => self.mail.unflag(&stock[0], 'F'),
            false => self.mail.flag(&stock[0], 'F'),
        };
        self.mail.delete(&stock[1]);
        self.mail.move_to(&stock[2], "Archive");
        let expunged = subject(&stock[3].content);
        let mut server = self.host.imap(&self.user);
        server.select("INBOX");
        let uid = server.search_header("Subject", &expunged)[0];
        server.expunge(&uid.to_string());
        self.kept.remove(&expunged);
    }

    fn sync(&self) -> Output {
        self.home.run(&["sync"])
    }

    /// Nothing is missing: on the server but what was just written here, here but what has just arrived there and the
    /// one message that the user deleted.
    fn assert_whole(&self, when: &str) {
        let missing = |side: &Side, yet: &str| -> Vec<&String> {
            let census = census(side);
            let is_missing = |one: &&String| !census.contains_key(*one) && !one.starts_with(yet);
            self.kept.iter().filter(is_missing).collect()
        };
        let lost = missing(&sides::remote(self.host, &self.user, Dates::Ignore), "written");
        assert!(lost.is_empty(), "{when}: lost on the server: {lost:?}");
        let lost = missing(&sides::local(&self.mail, Dates::Ignore), "arrived");
        assert!(lost.len() <= 1, "{when}: lost locally: {lost:?}");
    }

    /// Both sides are equal, and every message is there once.
    fn assert_settled(&self, when: &str) {
        let (remote, local) =
            (sides::remote(self.host, &self.user, Dates::Ignore), sides::local(&self.mail, Dates::Ignore));
        assert!(remote == local, "{when}: the sides differ:\n{}", sides::difference(&remote, &local));
        let expected: BTreeMap<String, usize> = self.kept.iter().map(|one| (one.clone(), 1)).collect();
        let found = census(&remote);
        let wrong: Vec<_> = expected
            .keys()
            .chain(found.keys())
            .filter(|&subject| expected.get(subject) != found.get(subject))
            .collect();
        assert!(wrong.is_empty(), "{when}: not there exactly once: {wrong:?}");
    }

    /// Plays every trouble at the commands that contain `pattern`; `expected` says how the pass must end.
    fn suffer(&mut self, pattern: &str, expected: impl Fn(&str, i32) -> Option<i32>) {
        for (name, usual, act) in TROUBLES {
            let Some(code) = expected(name, usual) else { continue };
            let when = format!("{pattern}: {name}");
            self.changes();
            if pattern == "CREATE" {
                self.mail.create(&format!("Made/{}", self.serial));
            }
            let before = self.meddler.acted();
            self.meddler.always(pattern, act);
            let output = self.sync();
            let words = [&output.stdout[..], &output.stderr[..]].concat();
            let words = String::from_utf8_lossy(&words);
            assert!(self.meddler.acted() > before, "{when}: never met\n{words}");
            assert_eq!(output.status.code(), Some(code), "{when}:\n{words}");
            assert!(code == 0 || words.contains(&self.user), "{when}: not clear:\n{words}");
            self.assert_whole(&when);
            self.meddler.calm();
            self.stock(3);
            let again = self.sync();
            let words = String::from_utf8_lossy(&again.stderr);
            assert!(again.status.success(), "{when}: no recovery: {}\n{words}", again.status);
            self.assert_settled(&when);
        }
    }
}

fn subject(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let line = text.lines().find_map(|line| line.strip_prefix("Subject: "));
    line.unwrap_or_default().trim().to_owned()
}

/// How often each subject is there, in all mailboxes together.
fn census(side: &Side) -> BTreeMap<String, usize> {
    let mut census = BTreeMap::new();
    for item in side.values().flatten() {
        let subject = item.label.trim_start_matches("Subject: ").trim().to_owned();
        *census.entry(subject).or_default() += 1;
    }
    census
}

/// The pass ends as troubles of one mailbox do.
#[allow(clippy::unnecessary_wraps)]
fn in_mailbox(_: &str, usual: i32) -> Option<i32> {
    Some(usual)
}

/// The whole pass fails, whatever the trouble.
#[allow(clippy::unnecessary_wraps)]
fn in_session(_: &str, _: i32) -> Option<i32> {
    Some(75)
}

/// A message of which the server does not even show the header at any attempt is left out in the end, and the rest of the
/// pass is carried out. Where all of it had come no message is to blame.
#[allow(clippy::unnecessary_wraps)]
fn of_message(name: &str, usual: i32) -> Option<i32> {
    Some(if name == "close in answer" { usual } else { 1 })
}

/// As in a mailbox, but a server that says OK to a change and does nothing is a liar that nobody can convict.
fn of_change(name: &str, usual: i32) -> Option<i32> {
    (name != "empty OK").then_some(usual)
}

#[test]
fn trouble_before_the_first_mailbox_ends_the_pass_and_nothing_else() {
    Host::start().explain(|host| {
        let mut day = Day::new(host, "early");
        day.suffer("CAPABILITY", in_session);
        day.suffer("LIST", in_session);
        day.suffer("AUTHENTICATE", |name, _| match name {
            "NO" => Some(77),
            "empty OK" => None,
            _ => Some(75),
        });
        day.suffer("ID (", |name, usual| Some(if usual == 75 && name != "empty OK" { 75 } else { 0 }));
    });
}

#[test]
fn trouble_while_looking_deletes_nothing() {
    Host::start().explain(|host| {
        let mut day = Day::new(host, "looking");
        day.suffer("SELECT", in_mailbox);
        // Refused, the mailbox is listed whole; an answer that overtakes that to SELECT is a broken protocol.
        day.suffer("CHANGEDSINCE", |name, _| Some(if name == "done, but NO" { 0 } else { 75 }));
        day.suffer("UID SEARCH", in_mailbox);
    });
}

#[test]
fn trouble_while_fetching_keeps_all_for_the_next_pass() {
    Host::start().explain(|host| {
        let mut day = Day::new(host, "fetching");
        day.suffer("BODY.PEEK[]", in_mailbox);
        day.suffer("HEADER.FIELDS", of_message);
    });
}

#[test]
fn trouble_while_changing_loses_and_doubles_nothing() {
    Host::start().explain(|host| {
        let mut day = Day::new(host, "changing");
        day.suffer("UID STORE", of_change);
        day.suffer("UID MOVE", of_change);
        day.suffer("APPEND", in_mailbox);
        day.suffer("CREATE", |name, usual| match name {
            // It is there, whatever the answer was.
            "done, but NO" => Some(0),
            _ => Some(usual),
        });
    });
}

#[test]
fn a_poor_server_in_trouble_loses_nothing_either() {
    let line = "IMAP4rev1 SASL-IR LITERAL+ UIDPLUS ID IDLE NAMESPACE UNSELECT CHILDREN";
    Host::with(Options { imap_capability: Some(line.to_owned()), ..Options::default() }).explain(|host| {
        let mut day = Day::new(host, "poor");
        day.suffer("(UID FLAGS)", in_mailbox);
        day.suffer("UID COPY", in_mailbox);
        day.suffer("+FLAGS.SILENT (\\DELETED)", of_change);
        day.suffer("UID EXPUNGE", of_change);
    });
}

fn endless() -> &'static [u8] {
    Box::leak([b"* OK ".as_slice(), &vec![b'x'; 10 << 20]].concat().into_boxed_slice())
}

#[test]
fn lies_and_bombs_lose_nothing() {
    let lies = [
        ("SELECT", Act::Swap(" EXISTS", "* 0 EXISTS"), &[1][..]),
        ("SELECT", Act::Swap(" EXISTS", "* 4000000000 EXISTS"), &[1]),
        ("CHANGEDSINCE", Act::Swap(" FETCH ", ""), &[0]),
        ("UID FETCH", Act::Before(b"* 1 FETCH (UID 1 BODY[] {5}\r\nhello)\r\n"), &[0]),
        ("LIST", Act::Before(b"* NO nearly full\r\n* BAD odd\r\n* 7 WHAT ((((\r\n"), &[0]),
        ("LIST", Act::Before(b"* LIST () \"/\" {4294967296}\r\n"), &[75]),
        ("CHANGEDSINCE", Act::Before(b"* 1 FETCH (BODY[] {99999999999}\r\n"), &[75]),
        ("LIST", Act::Before(endless()), &[75]),
        ("SELECT", Act::Before(endless()), &[75]),
    ];
    Host::start().explain(|host| {
        let mut day = Day::new(host, "lies");
        for (pattern, act, codes) in lies {
            let when = format!("{pattern} {}", format!("{act:?}").chars().take(60).collect::<String>());
            day.changes();
            day.meddler.rule(pattern, 0, 2, act);
            let output = day.sync();
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(codes.contains(&output.status.code().unwrap()), "{when}: {}\n{words}", output.status);
            day.assert_whole(&when);
            day.meddler.calm();
            day.stock(3);
            assert!(day.sync().status.success(), "{when}: no recovery");
            day.assert_settled(&when);
        }
    });
}

#[test]
fn another_generation_for_one_pass_costs_nothing() {
    Host::start().explain(|host| {
        let mut day = Day::new(host, "generation");
        for codes in [[0, 1], [0, 1]] {
            day.stock(2);
            day.meddler.always("SELECT", Act::Swap("UIDVALIDITY", "* OK [UIDVALIDITY 4242] x"));
            let output = day.sync();
            assert!(codes.contains(&output.status.code().unwrap()), "{output:?}");
            assert!(day.meddler.acted() > 0);
            day.assert_whole("another UIDVALIDITY");
            day.meddler.calm();
            day.stock(1);
            assert!(day.sync().status.success());
            day.assert_settled("another UIDVALIDITY");
        }
    });
}

#[test]
fn a_daemon_names_the_trouble_and_recovers() {
    let rows: [(&str, Act, &str); 7] = [
        ("LIST", Act::Answer(b"{tag} NO [UNAVAILABLE] later\r\n"), "LIST was refused"),
        ("SELECT", Act::Answer(b"{tag} NO not this one\r\n"), "SELECT was refused"),
        ("BODY.PEEK[]", Act::Answer(b"{tag} OK nothing\r\n"), "did not deliver"),
        ("BODY.PEEK[]", Act::Close, "the connection broke at it, again"),
        ("EXAMINE", Act::Answer(b"{tag} NO no watching\r\n"), "EXAMINE was refused: no watching"),
        ("IDLE", Act::Answer(b"{tag} BAD what\r\n"), "IDLE was refused: what"),
        ("AUTHENTICATE", Act::Before(b"* BYE full house\r\n"), "full house"),
    ];
    Host::start().explain(|host| {
        let mut day = Day::new(host, "daemon");
        let _daemon = day.home.start();
        day.home.wait_state("daemon", "watching");
        for (pattern, act, words) in rows {
            let subject = day.fresh("stock");
            day.meddler.always(pattern, act);
            if ["EXAMINE", "IDLE", "AUTHENTICATE"].contains(&pattern) {
                day.meddler.cut();
            }
            host.deliver("daemon", &message(&subject));
            let _ = day.sync();
            wait::until(wait::PATIENCE, &format!("status to say {words:?}"), || {
                day.home.status()["accounts"][0].to_string().contains(words)
            });
            day.assert_whole(words);
            day.meddler.calm();
            assert!(day.sync().status.success(), "{words}");
            wait::until(wait::PATIENCE, &format!("all to be well after {words:?}"), || {
                let account = &day.home.status()["accounts"][0];
                account["state"] == "watching" && account["error"].is_null() && account["push"] == "idle"
            });
            day.assert_settled(words);
        }
    });
}

#[test]
fn a_message_at_which_the_server_always_hangs_up_keeps_nothing_else_back() {
    Host::start().explain(|host| {
        let mut day = Day::new(host, "poison");
        let poison = day.mail.messages("INBOX").len() + 1;
        day.stock(6);
        host.imap("poison").append("Archive", "", None, &message("elsewhere"));
        day.meddler.always(&format!("UID FETCH {poison}:"), Act::Close);
        day.meddler.always(&format!("UID FETCH {poison} "), Act::Close);
        let output = day.sync();
        let words = String::from_utf8_lossy(&output.stdout);
        assert_eq!((output.status.code(), day.meddler.acted()), (Some(1), 2), "{words}");
        assert!(words.contains("INBOX: 1 message(s) did not arrive"), "{words}");
        assert_eq!(day.mail.messages("INBOX").len(), poison - 1 + 5);
        assert_eq!(day.mail.messages("Archive").len(), 1, "mailboxes after it have their turn");
        day.meddler.calm();
        assert!(day.sync().status.success());
        day.kept.insert("elsewhere".to_owned());
        day.assert_settled("well again");
    });
}

#[test]
fn a_local_change_is_not_forgotten_when_the_connection_dies_over_it() {
    Host::start().explain(|host| {
        let day = Day::new(host, "hints");
        let _daemon = day.home.start();
        day.home.wait_state("hints", "watching");
        day.meddler.rule("UID STORE", 0, 1, Act::Close);
        day.mail.flag(&day.mail.messages("INBOX")[0], 'F');
        sides::wait_equal(host, "hints", &day.mail, wait::PATIENCE);
        assert_eq!(day.meddler.acted(), 1);
    });
}

#[test]
fn a_server_that_is_down_slow_or_restarted_is_waited_for() {
    let mut host = Host::start();
    let home = Home::new(BINARY);
    home.configure(&[Account::of(&host, "alice")]);
    home.login("alice", &host.tokens.refresh_token("alice"));
    host.dovecot.kill();
    let refused = home.run(&["sync"]);
    assert_eq!(refused.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("cannot connect to localhost:"));
    let _daemon = home.start();
    let waiting = home.wait_state("alice", "waiting");
    assert!(waiting["error"].as_str().unwrap().contains("cannot connect"), "{waiting}");
    assert!(waiting["next_try"].is_string());
    host.dovecot.restart();
    host.deliver("alice", &message("after"));
    home.wait_state("alice", "watching");
    sides::wait_equal(&host, "alice", &home.maildir("alice"), wait::PATIENCE);
    host.dovecot.restart();
    host.deliver("alice", &message("again"));
    sides::wait_equal(&host, "alice", &home.maildir("alice"), wait::PATIENCE);
}
