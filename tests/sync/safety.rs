//! What must never be taken for a deletion: lost directories, lost mailboxes, many files gone at once.

use std::fs;

use super::scene::{SOON, Scene, place, places_of};
use super::support::maildir::Reader;
use super::support::process::Daemon;
use super::support::sides::Dates;
use super::support::{message, wait};

/// Messages in INBOX, and how many of them go at once: more than 20 and more than a quarter.
const ALL: usize = 60;
const GONE: usize = 40;

/// A synchronised INBOX of [`ALL`] messages.
fn filled() -> Scene {
    let scene = Scene::start();
    scene.put("INBOX", "\\Seen", (0..ALL).map(|n| format!("mail {n}.")));
    scene.sync();
    scene.assert_equal();
    scene
}

fn on_server(scene: &Scene, mailbox: &str) -> usize {
    scene.remote(Dates::Ignore)[mailbox].len()
}

/// Removes [`GONE`] files as `rm` does.
fn remove_many(mail: &Reader) {
    mail.messages("INBOX").iter().take(GONE).for_each(|one| mail.delete(one));
}

/// Expunges [`GONE`] messages on the server.
fn expunge_many(scene: &Scene) {
    let mut server = scene.server();
    server.select("INBOX");
    let uids: Vec<String> = server.flags().keys().take(GONE).map(u32::to_string).collect();
    server.expunge(&uids.join(","));
}

/// The pass is not complete, and says which mailbox and what to do.
fn refused(scene: &Scene) -> String {
    let output = scene.home.run(&["sync"]);
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!([Some(1), Some(75)].contains(&output.status.code()), "{}: {text}", output.status);
    text
}

#[test]
fn many_deleted_files_are_held_back_until_approved() {
    let scene = filled();
    scene.host.explain(|_| {
        remove_many(&scene.mail);
        for _ in 0..2 {
            let said = scene.sync();
            assert!(said.contains("40 deletions held back") && said.contains("posthaste held"), "{said}");
            assert_eq!(on_server(&scene, "INBOX"), ALL);
        }
        let list = scene.home.ok(&["held", "list"]);
        assert!(list.contains("alice/INBOX: 40 of 60 messages disappeared from the Maildir"), "{list}");
        scene.home.ok(&["held", "approve", "alice/INBOX"]);
        assert_eq!((on_server(&scene, "INBOX"), on_server(&scene, "Trash")), (ALL - GONE, GONE));
        scene.assert_equal();
        assert!(scene.home.ok(&["held"]).starts_with("nothing is held back"));
    });
}

#[test]
fn many_deleted_files_come_back_with_restore() {
    let scene = filled();
    scene.host.explain(|_| {
        remove_many(&scene.mail);
        scene.sync();
        scene.home.ok(&["held", "restore", "alice/INBOX"]);
        assert_eq!((scene.mail.count("INBOX"), on_server(&scene, "INBOX")), (ALL, ALL));
        assert_eq!(on_server(&scene, "Trash"), 0);
        scene.assert_equal();
        scene.assert_idle();
    });
}

#[test]
fn restore_brings_back_what_is_held_and_nothing_that_was_deleted_before() {
    let scene = filled();
    scene.host.explain(|_| {
        let mut server = scene.server();
        server.select("INBOX");
        let uid = server.flags().keys().next().map(u32::to_string).expect("a message");
        server.expunge(&uid);
        scene.sync();
        remove_many(&scene.mail);
        scene.sync();
        for (messages, quarantined) in [(ALL - 1, 1), (ALL, 0)] {
            scene.home.ok(&["held", "restore", "alice/INBOX"]);
            assert_eq!((scene.mail.count("INBOX"), on_server(&scene, "INBOX")), (messages, messages));
            assert_eq!(scene.quarantined().len(), quarantined);
        }
    });
}

#[test]
fn many_messages_expunged_on_the_server_are_held_back_until_approved() {
    let scene = filled();
    scene.host.explain(|_| {
        expunge_many(&scene);
        assert!(scene.sync().contains("40 deletions held back"));
        assert_eq!(scene.mail.count("INBOX"), ALL);
        let list = scene.home.ok(&["held"]);
        assert!(list.contains("alice/INBOX: 40 of 60 messages disappeared from the server"), "{list}");
        scene.home.ok(&["held", "approve", "alice/INBOX"]);
        assert_eq!((scene.mail.count("INBOX"), scene.quarantined().len()), (ALL - GONE, GONE));
        scene.assert_equal();

        scene.home.ok(&["held", "restore", "alice/INBOX"]);
        assert_eq!((scene.mail.count("INBOX"), on_server(&scene, "INBOX")), (ALL, ALL));
        assert_eq!(scene.quarantined().len(), 0);
        scene.assert_equal();
    });
}

#[test]
fn many_messages_expunged_on_the_server_come_back_with_restore() {
    let scene = filled();
    scene.host.explain(|_| {
        expunge_many(&scene);
        scene.sync();
        scene.home.ok(&["held", "restore", "alice/INBOX"]);
        assert_eq!((scene.mail.count("INBOX"), on_server(&scene, "INBOX")), (ALL, ALL));
        scene.assert_equal();
        scene.assert_idle();
    });
}

/// Starts the daemon, removes many files, waits until it says that it holds the deletions back.
fn held_by_the_daemon(scene: &Scene) -> Daemon {
    let daemon = scene.home.start();
    scene.home.wait_state("alice", "watching");
    remove_many(&scene.mail);
    wait::until(SOON, "status to tell of the held deletions", || {
        scene.home.status()["accounts"][0]["deletions_held"] == GONE
    });
    assert_eq!(on_server(scene, "INBOX"), ALL);
    let status = scene.home.ok(&["status"]);
    assert!(status.contains("40") && status.contains("posthaste held"), "{status}");
    daemon
}

#[test]
fn the_daemon_holds_deletions_back_and_obeys_approve() {
    let scene = filled();
    scene.host.explain(|_| {
        let _daemon = held_by_the_daemon(&scene);
        scene.home.ok(&["held", "approve", "alice/INBOX"]);
        assert_eq!((on_server(&scene, "INBOX"), on_server(&scene, "Trash")), (ALL - GONE, GONE));
        scene.wait_for(&[].into());
        assert_eq!(scene.home.status()["accounts"][0]["deletions_held"], 0);
    });
}

#[test]
fn the_daemon_holds_deletions_back_and_obeys_restore() {
    let scene = filled();
    scene.host.explain(|_| {
        let _daemon = held_by_the_daemon(&scene);
        scene.home.ok(&["held", "restore", "alice/INBOX"]);
        assert_eq!((scene.mail.count("INBOX"), on_server(&scene, "Trash")), (ALL, 0));
        scene.wait_for(&[].into());
        assert_eq!(scene.home.status()["accounts"][0]["deletions_held"], 0);
    });
}

#[test]
fn deletions_within_the_limits_are_not_held_back() {
    let scene = filled();
    scene.host.explain(|_| {
        scene.mail.messages("INBOX").iter().take(20).for_each(|one| scene.mail.delete(one));
        scene.sync();
        assert_eq!(on_server(&scene, "INBOX"), ALL - 20);
        scene.assert_equal();
    });
}

#[test]
fn an_unmounted_mailbox_deletes_nothing_and_is_well_when_it_is_back() {
    let scene = filled();
    scene.host.explain(|_| {
        let (inbox, aside) = (scene.mail.directory("INBOX"), scene.mail.directory(".aside"));
        fs::rename(&inbox, &aside).unwrap();
        // What stands under a mount point: nothing, an empty directory, a Maildir of somebody else.
        let said = refused(&scene);
        assert!(said.contains("directory of mailbox INBOX is missing"), "{said}");
        assert!(said.contains("held restore"), "{said}");
        fs::create_dir(&inbox).unwrap();
        refused(&scene);
        scene.mail.create("INBOX");
        refused(&scene);
        assert_eq!((on_server(&scene, "INBOX"), on_server(&scene, "Trash")), (ALL, 0));
        assert_eq!(scene.mail.count("INBOX"), 0, "nothing is written under a mount point");

        fs::remove_dir_all(&inbox).unwrap();
        fs::rename(&aside, &inbox).unwrap();
        let bytes = scene.bytes_down();
        scene.sync();
        scene.assert_equal();
        assert!(scene.bytes_down() - bytes < 20_000, "nothing is fetched again");
    });
}

#[test]
fn a_removed_mailbox_directory_deletes_nothing_and_is_restored_on_demand() {
    let scene = filled();
    scene.host.explain(|_| {
        fs::remove_dir_all(scene.mail.directory("INBOX")).unwrap();
        refused(&scene);
        assert_eq!((on_server(&scene, "INBOX"), on_server(&scene, "Trash")), (ALL, 0));
        scene.home.ok(&["held", "restore", "alice/INBOX"]);
        assert_eq!(scene.mail.count("INBOX"), ALL);
        scene.assert_equal();
    });
}

#[test]
fn a_mailbox_restored_from_a_backup_fetches_what_the_backup_lacks() {
    let scene = filled();
    scene.host.explain(|_| {
        let (inbox, copy) = (scene.mail.directory("INBOX"), scene.mail.directory(".copy"));
        let copied = std::process::Command::new("cp").arg("-a").args([&inbox, &copy]).status().unwrap();
        assert!(copied.success());
        fs::remove_dir_all(&inbox).unwrap();
        fs::rename(&copy, &inbox).unwrap();
        remove_many(&scene.mail);
        scene.sync();
        assert_eq!((on_server(&scene, "INBOX"), scene.mail.count("INBOX")), (ALL, ALL));
        scene.assert_equal();
        scene.mail.delete(&scene.mail.messages("INBOX")[0]);
        scene.sync();
        assert_eq!(on_server(&scene, "INBOX"), ALL - 1, "a deletion counts again");
    });
}

#[test]
fn a_removed_maildir_root_deletes_nothing() {
    let scene = filled();
    scene.host.explain(|_| {
        fs::remove_dir_all(scene.home.maildir_path("alice")).unwrap();
        refused(&scene);
        refused(&scene);
        assert_eq!((on_server(&scene, "INBOX"), on_server(&scene, "Trash")), (ALL, 0));
        assert_eq!(scene.mail.count("INBOX"), 0);
    });
}

#[test]
fn a_maildir_root_removed_under_the_daemon_deletes_nothing() {
    let scene = filled();
    scene.host.explain(|_| {
        let daemon = scene.home.start();
        scene.home.wait_state("alice", "watching");
        fs::remove_dir_all(scene.home.maildir_path("alice")).unwrap();
        wait::until(SOON, "status to tell of the trouble", || {
            !scene.home.status()["accounts"][0]["error"].is_null()
        });
        refused(&scene);
        assert_eq!((on_server(&scene, "INBOX"), on_server(&scene, "Trash")), (ALL, 0));
        assert!(daemon.stop().0.success());
    });
}

#[test]
fn a_mailbox_deleted_on_the_server_stays_here_and_is_not_made_again() {
    let scene = Scene::start();
    scene.host.explain(|_| {
        scene.server().create("Projekt/alt");
        scene.put("Projekt/alt", "\\Seen", ["old".to_owned()]);
        scene.sync();
        scene.server().delete("Projekt/alt");
        for _ in 0..3 {
            scene.sync();
        }
        assert!(!scene.server().list().contains_key("Projekt/alt"));
        assert_eq!(places_of(&scene.local(Dates::Ignore), "old"), [place("Projekt/alt", "S")]);
        assert!(scene.quarantined().is_empty());
    });
}

#[test]
fn a_mailbox_deleted_on_the_server_under_the_daemon_stays_here() {
    let scene = Scene::start();
    scene.host.explain(|_| {
        scene.server().create("Projekt");
        scene.put("Projekt", "\\Seen", ["old".to_owned()]);
        let daemon = scene.home.start();
        wait::until(SOON, "the first sync", || scene.mail.count("Projekt") == 1);
        scene.home.wait_state("alice", "watching");
        scene.server().delete("Projekt");
        scene.home.ok(&["sync"]);
        // Whatever comes later goes on.
        scene.host.deliver("alice", &message("later"));
        wait::until(SOON, "later mail", || scene.mail.count("INBOX") == 1);
        scene.home.ok(&["sync"]);
        assert!(!scene.server().list().contains_key("Projekt"));
        assert_eq!(scene.mail.count("Projekt"), 1);
        assert!(daemon.stop().0.success());
    });
}

#[test]
fn a_deletion_goes_to_the_trash_although_the_trash_is_not_synchronised() {
    let extra = "mailboxes = [\"*\", \"!Trash\"]";
    let scene = Scene::with(&super::support::dovecot::Options::default(), extra);
    scene.host.explain(|_| {
        scene.put("INBOX", "\\Seen", ["by command".to_owned(), "by daemon".to_owned()]);
        scene.sync();
        let remove = |subject: &str| {
            scene
                .mail
                .delete(&scene.mail.find("INBOX", &format!("Subject: {subject}\n")).expect("the message"));
        };
        remove("by command");
        scene.sync();
        assert_eq!(places_of(&scene.remote(Dates::Ignore), "by command"), [place("Trash", "S")]);
        let _daemon = scene.home.start();
        scene.home.wait_state("alice", "watching");
        remove("by daemon");
        wait::until(SOON, "the deletion in the Trash", || {
            places_of(&scene.remote(Dates::Ignore), "by daemon") == [place("Trash", "S")]
        });
    });
}
