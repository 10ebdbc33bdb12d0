//! What the settings of an account make of a deletion and of IDLE, seen on a real server.

use super::scene::Scene;
use super::support::dovecot::Options;
use super::support::sides::Dates;
use super::support::wait::{PATIENCE, until};

/// Enough for one deletion not to look like an accident.
const MESSAGES: usize = 20;

/// Both sides have the messages `number 0.` and so on; the reader deletes the first.
fn first_deleted(on_delete: &str) -> Scene {
    let scene = Scene::with(&Options::default(), &format!("on_delete = \"{on_delete}\""));
    scene.put("INBOX", "\\Seen", (0..MESSAGES).map(|number| format!("number {number}.")));
    scene.sync();
    let first = scene.mail.find("INBOX", "number 0.").unwrap();
    scene.mail.delete(&first);
    scene.sync();
    scene
}

/// How many messages a mailbox of the server has.
fn on_the_server(scene: &Scene, mailbox: &str) -> usize {
    scene.remote(Dates::Ignore)[mailbox].len()
}

#[test]
fn a_deletion_is_kept_from_the_server_under_keep_and_does_not_come_back() {
    let scene = first_deleted("keep");
    scene.host.explain(|_| {
        let before = scene.remote(Dates::Compare);
        assert_eq!((on_the_server(&scene, "INBOX"), on_the_server(&scene, "Trash")), (MESSAGES, 0));
        // Neither by itself nor because the server changes it.
        scene.sync();
        assert!(scene.remote(Dates::Compare) == before, "the server's side changed");
        let mut server = scene.server();
        server.select("INBOX");
        server.store("1", '+', "\\Flagged");
        scene.sync();
        assert_eq!(scene.mail.count("INBOX"), MESSAGES - 1);
        assert!(scene.mail.find("INBOX", "number 0.").is_none(), "it came back");
        assert_eq!((on_the_server(&scene, "INBOX"), on_the_server(&scene, "Trash")), (MESSAGES, 0));
    });
}

#[test]
fn a_deletion_leaves_no_copy_on_the_server_under_expunge() {
    let scene = first_deleted("expunge");
    scene.host.explain(|_| {
        assert_eq!((on_the_server(&scene, "INBOX"), on_the_server(&scene, "Trash")), (MESSAGES - 1, 0));
        let mut server = scene.server();
        server.select("INBOX");
        assert!(server.search_header("Subject", "number 0.").is_empty(), "another message went");
        assert_eq!(scene.mail.count("INBOX"), MESSAGES - 1);
        scene.assert_equal();
        scene.assert_idle();
    });
}

#[test]
fn new_mail_arrives_by_the_sweep_and_nothing_idles_under_poll_only() {
    let scene = Scene::with(&Options::default(), "poll_only = true");
    scene.host.explain(|_| {
        let _daemon = scene.home.start();
        until(PATIENCE, "the first pass", || scene.mail.directory("INBOX").exists());
        for subject in ["one.", "two."] {
            scene.put("INBOX", "", [subject.to_owned()]);
            until(PATIENCE, subject, || scene.mail.find("INBOX", subject).is_some());
        }
        assert_eq!(scene.home.status()["accounts"][0]["push"], "poll");
        let commands = scene.meddler.commands();
        assert!(commands.iter().any(|command| command.contains("STATUS")), "{commands:?}");
        assert!(!commands.iter().any(|command| command.contains("IDLE")), "{commands:?}");
    });
}

#[test]
fn a_mailbox_that_is_not_there_is_met_with_the_one_that_was_meant() {
    let scene = Scene::with(&Options::default(), "mailboxes = [\"*\", \"!Secret\"]");
    ["Archive", "Secret"].iter().for_each(|mailbox| scene.server().create(mailbox));
    let refused = |arguments: &[&str], words: &[&str]| {
        let output = scene.home.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        words.iter().for_each(|words| assert!(said.contains(words), "{arguments:?}: no {words:?} in {said}"));
    };
    let all = || {
        refused(&["sync", "--mailbox", "Archiv", "--dry-run"], &["no mailbox matches Archiv", "`Archive`?"]);
        refused(&["sync", "--mailbox", "Archiv"], &["no mailbox matches Archiv", "did you mean `Archive`?"]);
        refused(&["sync", "--mailbox", "Papers"], &["known: Archive, "]);
        refused(&["sync", "--mailbox", "Secret"], &["no mailbox matches Secret"]);
        refused(&["sync", "alise"], &["no account is called alise", "did you mean `alice`?"]);
        assert!(scene.home.ok(&["sync", "--mailbox", "Archive"]).contains("alice: "));
        assert!(scene.home.ok(&["sync", "--mailbox", "Arch*", "--dry-run"]).contains("alice: "));
    };
    all();
    let _daemon = scene.home.start();
    scene.home.wait_state("alice", "watching");
    all();
    refused(&["status", "alise"], &["no account is called alise", "did you mean `alice`?"]);
    assert!(scene.home.ok(&["status", "alice"]).contains("\nalice "));
}
