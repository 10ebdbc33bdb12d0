//! The first pass brings all byte for byte; the second finds nothing to do and does nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::scene::{Print, Scene, prints};
use super::support::filler::{self, Fixture};
use super::support::maildir::normal;
use super::support::sides;

/// More than login, LIST and logout need, less than any mailbox or message.
const A_FEW: usize = 12_000;

/// What `filler::standard` puts on the server.
fn standard() -> BTreeMap<&'static str, Vec<Fixture>> {
    [
        ("INBOX", filler::odd(20 << 20).into_iter().chain(filler::plain(240, 3_000)).collect()),
        ("Projekte/Grüße & Küsse/日本", filler::plain(100, 2_000).collect()),
        ("Archive/2026", filler::plain(150, 2_000).collect()),
    ]
    .into()
}

/// Content, flags and date of a message as they must stand on disk.
type Arrived = (Vec<u8>, String, u64);

fn wanted(fixtures: &[Fixture], bytes: fn(&[u8]) -> Vec<u8>) -> Vec<Arrived> {
    const LETTERS: [(&str, char); 5] =
        [("\\Draft", 'D'), ("\\Flagged", 'F'), ("\\Answered", 'R'), ("\\Seen", 'S'), ("\\Deleted", 'T')];
    let one = |fixture: &Fixture| {
        let flags = LETTERS.iter().filter(|(flag, _)| fixture.flags.contains(flag));
        let date = u64::try_from(sides::seconds(&fixture.date)).unwrap();
        (bytes(&fixture.message), flags.map(|(_, letter)| letter).collect(), date)
    };
    sorted(fixtures.iter().map(one).collect())
}

fn arrived(scene: &Scene, mailbox: &str) -> Vec<Arrived> {
    let one = |mail: super::support::maildir::Mail| {
        let date = mail.modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        (mail.content, mail.flags.iter().collect(), date)
    };
    sorted(scene.mail.messages(mailbox).into_iter().map(one).collect())
}

fn sorted(mut list: Vec<Arrived>) -> Vec<Arrived> {
    list.sort();
    list
}

fn assert_arrived(scene: &Scene, bytes: fn(&[u8]) -> Vec<u8>) {
    for (mailbox, fixtures) in standard() {
        let (wanted, arrived) = (wanted(&fixtures, bytes), arrived(scene, mailbox));
        assert_eq!(arrived.len(), wanted.len(), "messages in {mailbox}");
        for (found, due) in arrived.iter().zip(&wanted) {
            let start = String::from_utf8_lossy(&due.0[..due.0.len().min(200)]).into_owned();
            assert!(found.0 == due.0, "{mailbox}: content of {start}");
            assert_eq!((&found.1, found.2), (&due.1, due.2), "{mailbox}: flags and date of {start}");
        }
    }
}

#[test]
fn five_hundred_messages_arrive_byte_exact_and_a_second_pass_does_nothing() {
    let scene = Scene::start();
    scene.host.explain(|_| {
        filler::standard(&mut scene.server());
        scene.sync();
        assert_arrived(&scene, normal);
        for mail in scene.mail.messages("INBOX") {
            let is_new = mail.path.parent().unwrap().ends_with("new");
            assert_eq!(is_new, mail.flags.is_empty(), "{}", mail.path.display());
        }

        let places = [scene.home.maildir_path("alice"), scene.home.state("alice")];
        let (before, bytes) = (prints(&places), scene.bytes_down());
        let commands = scene.commands_during(|| drop(scene.sync()));
        let reads = ["SELECT", "EXAMINE", "FETCH", "STATUS ", "SEARCH"];
        let opened = |line: &&String| !line.starts_with("LIST") && reads.iter().any(|it| line.contains(it));
        assert_eq!(commands.iter().find(opened), None, "a second pass opens nothing: {commands:?}");
        assert!(commands.iter().any(|line| line.starts_with("LIST")), "{commands:?}");
        assert!(scene.bytes_down() - bytes < A_FEW, "{} bytes", scene.bytes_down() - bytes);
        let after = prints(&places);
        // The lock file tells who holds the lock: that is the process, not the pass.
        let is_lock = |path: &PathBuf| path.ends_with("alice/lock");
        let changed =
            |(path, print): &(&PathBuf, &Print)| !is_lock(path) && before.get(*path) != Some(*print);
        let touched: Vec<_> = after.iter().filter(changed).collect();
        assert!(touched.is_empty(), "a second pass touches nothing: {touched:#?}");
        assert_eq!(after.len(), before.len(), "a second pass removes nothing");
        assert!(after.keys().any(|path| path.ends_with("alice/ledger.db")), "the ledger is looked at");
    });
}

#[test]
fn with_crlf_wanted_the_files_are_what_the_server_has() {
    let scene = Scene::with(&super::support::dovecot::Options::default(), "line_endings = \"crlf\"");
    scene.host.explain(|_| {
        filler::standard(&mut scene.server());
        scene.sync();
        assert_arrived(&scene, <[u8]>::to_vec);
        scene.assert_equal();
    });
}
