//! kill -9 at random moments of a first sync, of a two-way pass and of a submission: nothing lost, nothing doubled.
//!
//! Each test first measures the undisturbed thing, then kills it again and again on the same state, at times spread
//! over that duration and at events seen from outside. After every kill a reader must find only whole messages; after
//! the last one both sides must come to what a model says. Tokens do not rotate here: a kill between the server's
//! rotation and our fsync costs a login on any client, which is not the subject.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr
)]
// The modules below are parts of this one test.
#![allow(unreachable_pub)]

#[path = "crash/busy.rs"]
mod busy;
#[path = "crash/killing.rs"]
mod killing;
#[path = "crash/submission.rs"]
mod submission;
mod support;

use std::sync::Arc;
use std::time::Instant;

use killing::{Killer, events};
use support::dovecot::Options;
use support::filler;
use support::meddler::Meddler;
use support::process::{Account, Home};
use support::sides::{self, Dates, Side};
use support::{Host, wait};

/// Kills of each scenario.
const KILLS: usize = 50;
/// Kills in a row on the same state, before it may run to its end.
const IN_A_ROW: usize = 8;

/// alice at `host`, by way of the meddler.
fn home(host: &Host, meddler: &Meddler) -> Home {
    let home = Home::new(env!("CARGO_BIN_EXE_posthaste"));
    let account = Account { imap: (meddler.port(), "implicit"), ..Account::of(host, "alice") };
    home.configure(&[account]);
    home.login("alice", &host.tokens.refresh_token("alice"));
    home
}

fn host(options: Options) -> (Host, Arc<Meddler>) {
    let host = Host::with(options);
    host.tokens.set_rotation(false);
    let meddler = Arc::new(Meddler::to(host.dovecot.ports.imap, &host.authority));
    (host, meddler)
}

/// Passes until one finds nothing to do, then looks at the ledger.
fn converge(home: &Home) {
    let in_step = (0..6).any(|_| home.ok(&["sync"]).contains("in step"));
    assert!(in_step, "the sides never come to rest");
    let state = home.state("alice");
    for entry in std::fs::read_dir(&state).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(!name.contains("broken"), "the ledger was found broken: {name}");
    }
    let ledger = rusqlite::Connection::open(state.join("ledger.db")).unwrap();
    let check: String = ledger.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

/// Every message in place is one of `model`, whole, with its flags and date, and none stands there twice.
fn assert_only_whole_messages(home: &Home, model: &Side) {
    for (mailbox, items) in sides::local(&home.maildir("alice"), Dates::Compare) {
        let mut left = model.get(&mailbox).cloned().unwrap_or_default();
        for item in items {
            let at = left.iter().position(|known| *known == item);
            left.swap_remove(at.unwrap_or_else(|| panic!("half, changed or doubled in {mailbox}: {item:?}")));
        }
    }
}

fn count(side: &Side) -> usize {
    side.values().map(Vec::len).sum()
}

#[test]
fn a_first_sync_killed_again_and_again_neither_loses_nor_doubles() {
    let (host, meddler) = host(Options::default());
    let mut client = host.imap("alice");
    client.create("Archive/2026");
    client.create("Grüße/日本");
    filler::fill(&mut client, "INBOX", filler::odd(2 << 20).into_iter().chain(filler::plain(150, 6_000)));
    filler::fill(&mut client, "Archive/2026", filler::plain(120, 2_000));
    filler::fill(&mut client, "Grüße/日本", filler::plain(60, 2_000));
    let model = sides::remote(&host, "alice", Dates::Compare);

    let mut killer = Killer::new(1);
    let undisturbed = home(&host, &meddler);
    let start = Instant::now();
    undisturbed.ok(&["sync"]);
    killer.span = start.elapsed();
    sides::assert_equal(&host, "alice", &undisturbed.maildir("alice"), Dates::Compare);

    let mut rounds = 0;
    while killer.kills < KILLS {
        let home = home(&host, &meddler);
        for _ in 0..IN_A_ROW {
            let here = count(&sides::local(&home.maildir("alice"), Dates::Ignore));
            let rest = 1.0 - 0.6 * here as f64 / count(&model) as f64;
            let events = events(&home, &meddler, &["AUTHENTICATE", "LIST", "SELECT", "FETCH", "LOGOUT"]);
            if !killer.strike(&home, rest, events) {
                break;
            }
            assert_only_whole_messages(&home, &model);
        }
        converge(&home);
        sides::assert_equal(&host, "alice", &home.maildir("alice"), Dates::Compare);
        assert!(sides::remote(&host, "alice", Dates::Compare) == model, "a first sync changed the server");
        rounds += 1;
    }
    killer.tell(&format!("first sync, {rounds} rounds"));
}

#[test]
fn a_two_way_pass_killed_again_and_again_comes_to_the_same_end() {
    two_way(2, Options::default());
}

/// Neither CONDSTORE nor UIDPLUS.
#[test]
fn a_two_way_pass_with_a_poor_server_comes_to_the_same_end() {
    let poor = "IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE NAMESPACE CHILDREN UNSELECT SPECIAL-USE MOVE";
    two_way(3, Options { imap_capability: Some(poor.to_owned()), ..Options::default() });
}

fn two_way(seed: u64, options: Options) {
    let (host, meddler) = host(options);
    let home = home(&host, &meddler);
    home.ok(&["sync"]);
    let mut world = busy::World::new(&host, &home);
    let mut killer = Killer::new(seed);
    world.round();
    let start = Instant::now();
    home.ok(&["sync"]);
    killer.span = start.elapsed();
    converge(&home);
    world.assert_end();

    let patterns =
        ["LIST", "FETCH", "APPEND", "STORE", "UID MOVE", "UID COPY", "EXPUNGE", "CREATE", "SEARCH"];
    while killer.kills < KILLS {
        world.round();
        for _ in 0..IN_A_ROW {
            let events = events(&home, &meddler, &patterns);
            if !killer.strike(&home, 1.0, events) {
                break;
            }
        }
        converge(&home);
        world.assert_end();
    }
    killer.tell("two-way pass");
}

#[test]
fn a_submission_killed_again_and_again_is_sent_once_or_visibly_uncertain() {
    let mut killer = Killer::new(4);
    let (host, meddler) = host(Options::default());
    let mut post = submission::Post::new(&host, home(&host, &meddler));
    post.drop_messages(killer.rng());
    let start = Instant::now();
    let daemon = post.home.spawn();
    wait::until(wait::PATIENCE, "the messages to be sent", || post.is_settled());
    killer.span = start.elapsed();
    daemon.kill();
    while killer.kills < KILLS {
        post.drop_messages(killer.rng());
        for _ in 0..IN_A_ROW {
            if !post.strike(&mut killer) {
                break;
            }
            post.assert_nothing_lost();
        }
        post.settle();
        post.assert_each_in_one_place();
    }
    post.assert_copies(&host);
    killer.tell(&format!("submission, {} messages, {} uncertain", post.dropped(), post.uncertain().len()));
}
