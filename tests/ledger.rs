//! A damaged or outdated ledger: mailboxes are paired anew, and neither a deletion nor a transfer comes of it.
//!
//! Each damage is done to the file of a stopped program whose sides agree; then a pass is made by the real binary.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr
)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use support::process::{Account, Home};
use support::sides::{self, Dates, Side};
use support::{Host, filler, message};

/// SQLite's page.
const PAGE: usize = 4096;
/// Damages by flipped bytes; few bytes each, as a bad cable or a bad memory does.
const FLIPS: usize = 24;

/// Two sides that agree, and the ledger that says so.
struct World {
    host: Host,
    home: Home,
    server: Side,
    good: Vec<u8>,
}

impl World {
    fn new() -> World {
        let host = Host::start();
        let mut client = host.imap("alice");
        client.create("Archive");
        filler::fill(&mut client, "INBOX", filler::odd(10_000).into_iter().chain(filler::plain(120, 400)));
        filler::fill(&mut client, "Archive", filler::plain(60, 400));
        let home = Home::new(env!("CARGO_BIN_EXE_posthaste"));
        home.configure(&[Account::of(&host, "alice")]);
        home.login("alice", &host.tokens.refresh_token("alice"));
        home.ok(&["sync"]);
        let mut world = World { host, home, server: Side::new(), good: Vec::new() };
        world.look();
        world
    }

    /// Takes what is there now for what must stay.
    fn look(&mut self) {
        assert!((0..4).any(|_| self.home.ok(&["sync"]).contains("in step")));
        self.server = self.remote();
        self.good = fs::read(self.ledger()).unwrap();
        self.assert_unchanged("before");
    }

    fn ledger(&self) -> PathBuf {
        self.home.state("alice").join("ledger.db")
    }

    fn remote(&self) -> Side {
        sides::remote(&self.host, "alice", Dates::Compare)
    }

    /// Puts this in place of the ledger, without what its log may hold.
    fn damage(&self, ledger: &[u8]) {
        for suffix in ["db-wal", "db-shm"] {
            let _ = fs::remove_file(self.ledger().with_extension(suffix));
        }
        fs::write(self.ledger(), ledger).unwrap();
    }

    fn assert_unchanged(&self, what: &str) {
        let (remote, local) = (self.remote(), sides::local(&self.home.maildir("alice"), Dates::Compare));
        assert!(remote == self.server, "{what}: the server:\n{}", sides::difference(&remote, &self.server));
        assert!(local == self.server, "{what}: the Maildir:\n{}", sides::difference(&self.server, &local));
    }

    /// A pass after which all is as it was, and which moved no message.
    fn assert_pairs_anew(&self, what: &str) {
        let told = self.home.ok(&["sync"]);
        for word in ["fetched", "uploaded", "quarantine", "removed", "held"] {
            assert!(!told.contains(word), "{what}: {told}");
        }
        self.assert_unchanged(what);
    }
}

#[test]
fn a_ledger_cut_off_at_any_page_moves_no_message() {
    let world = World::new();
    for length in (0..world.good.len()).step_by(PAGE) {
        world.damage(&world.good[..length]);
        world.assert_pairs_anew(&format!("cut to {length} of {} bytes", world.good.len()));
    }
}

/// A flip that SQLite cannot see makes a row say something else of one message. That may cost a transfer or a copy in
/// the Trash, for so many messages as bytes were flipped; it never loses one.
#[test]
fn a_ledger_with_flipped_bytes_loses_no_message_and_moves_hardly_one() {
    let mut world = World::new();
    let mut rng = fastrand::Rng::with_seed(7);
    let mut moved = 0;
    for round in 0..FLIPS {
        let mut damaged = world.good.clone();
        let flips: Vec<usize> = (0..rng.usize(1..4)).map(|_| rng.usize(..damaged.len())).collect();
        flips.iter().for_each(|&at| damaged[at] ^= 1 << rng.u8(..8));
        world.damage(&damaged);
        let what = format!("round {round}, flipped at {flips:?}");
        let in_step = (0..4).any(|_| {
            let output = world.home.run(&["sync"]);
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{what}: {told}{}", String::from_utf8_lossy(&output.stderr));
            told.contains("in step")
        });
        assert!(in_step, "{what}: no rest");
        let (before, after) = (world.server.clone(), world.remote());
        let difference = sides::difference(&after, &before);
        assert!(difference.lines().count() <= 2 * flips.len(), "{what}: a wave:\n{difference}");
        let digests =
            |side: &Side| side.values().flatten().map(|item| item.digest.clone()).collect::<BTreeSet<_>>();
        assert!(digests(&before).is_subset(&digests(&after)), "{what}: lost:\n{difference}");
        moved += difference.lines().count();
        world.look();
    }
    eprintln!("{FLIPS} damaged ledgers: {moved} differences");
}

#[test]
fn an_old_ledger_that_is_put_back_moves_no_message() {
    let mut world = World::new();
    let old = world.good.clone();
    let (mut client, reader) = (world.host.imap("alice"), world.home.maildir("alice"));
    client.select("INBOX");
    let uids: Vec<u32> = client.flags().into_keys().collect();
    client.store(&format!("{}:{}", uids[20], uids[40]), '+', "\\Answered");
    client.expunge(&format!("{}:{}", uids[50], uids[55]));
    client.move_to(&format!("{}:{}", uids[60], uids[65]), "Archive");
    (0..30).for_each(|n| client.append("INBOX", "", None, &message(&format!("later-{n}"))));
    world.home.ok(&["sync"]);
    reader.messages("Archive").iter().take(8).for_each(|mail| reader.delete(mail));
    reader.add("INBOX", &message("by hand"), "S");
    world.look();
    world.damage(&old);
    world.assert_pairs_anew("an old ledger");
}

/// Another login under the same name, on a server where chance gave both the same UIDVALIDITY.
#[test]
fn the_ledger_of_another_login_deletes_nothing_on_either_side() {
    let world = World::new();
    let mail = world.host.dovecot.dir().join("mail");
    let copied =
        std::process::Command::new("cp").arg("-a").arg(mail.join("alice")).arg(mail.join("bob")).status();
    assert!(copied.unwrap().success());
    let mut theirs = world.host.imap("bob");
    theirs.select("INBOX");
    let uids: Vec<u32> = theirs.flags().into_keys().collect();
    theirs.expunge(&format!("{}:{}", uids[0], uids[99]));
    let reader = world.home.maildir("alice");
    reader.messages("INBOX").iter().rev().take(10).for_each(|mail| reader.delete(mail));
    let (before, kept) = (sides::remote(&world.host, "bob", Dates::Compare), reader.count("INBOX"));
    let bob = Account { user: "bob".to_owned(), ..Account::of(&world.host, "alice") };
    world.home.configure(&[bob]);
    world.home.login("alice", &world.host.tokens.refresh_token("bob"));
    let told = world.home.ok(&["sync"]);
    for word in ["uploaded", "quarantine", "removed", "held"] {
        assert!(!told.contains(word), "{told}");
    }
    assert!(reader.count("INBOX") >= kept);
    assert!(sides::remote(&world.host, "bob", Dates::Compare) == before);
}

/// A slip in the name of the server, put right: what was done meanwhile is still understood.
#[test]
fn a_server_that_was_never_reached_does_not_cost_the_base() {
    let world = World::new();
    let config = std::fs::read_to_string(world.home.config()).unwrap();
    let reader = world.home.maildir("alice");
    reader.messages("INBOX").iter().take(3).for_each(|mail| reader.delete(mail));
    let kept = reader.count("INBOX");
    fs::write(world.home.config(), config.replace("localhost", "nowhere.invalid")).unwrap();
    for arguments in [&["sync"][..], &["sync", "--dry-run"]] {
        assert!(!world.home.run(arguments).status.success());
    }
    fs::write(world.home.config(), config).unwrap();
    assert!(world.home.ok(&["sync", "--dry-run"]).contains("3 "));
    let told = world.home.ok(&["sync"]);
    assert!(!told.contains("paired") && reader.count("INBOX") == kept, "{told}");
}
