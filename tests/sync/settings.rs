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
