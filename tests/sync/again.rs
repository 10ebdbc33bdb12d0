//! Beginning again: a lost ledger, another UIDVALIDITY, a part of the mailboxes, a pass that only tells.

use std::fs;

use super::scene::{DATE, Scene, place, places_of, prints};
use super::support::dovecot::Options;
use super::support::filler;
use super::support::maildir::Reader;
use super::support::message;
use super::support::sides::Dates;

/// Headers of the messages below, not their bodies.
const HEADERS: usize = 60_000;

/// A synchronised account with mail whose bodies would be seen on the wire.
fn filled() -> Scene {
    let scene = Scene::start();
    let mut server = scene.server();
    server.create("Archive/2026");
    filler::fill(&mut server, "INBOX", filler::odd(200_000).into_iter().chain(filler::plain(40, 10_000)));
    filler::fill(&mut server, "Archive/2026", filler::plain(30, 20_000));
    scene.sync();
    scene.assert_equal();
    scene
}

/// The files of all mailboxes, with inode and dates.
fn files(scene: &Scene) -> Vec<(std::path::PathBuf, super::scene::Print)> {
    let all = prints(&[scene.home.maildir_path("alice")]).into_iter();
    all.filter(|(path, _)| {
        ["new", "cur"].iter().any(|part| path.parent().is_some_and(|dir| dir.ends_with(part)))
    })
    .collect()
}

/// One pass that moves no content, touches no file and deletes nothing.
fn assert_pairs_again(scene: &Scene) {
    let (before, bytes) = (files(scene), scene.bytes_down());
    let remote = scene.remote(Dates::Compare);
    let commands = scene.commands_during(|| drop(scene.sync()));
    for verb in ["BODY.PEEK[]", "APPEND", "UID STORE", "MOVE", "COPY", "EXPUNGE", "CREATE"] {
        assert!(!commands.iter().any(|line| line.contains(verb)), "{verb} in {commands:#?}");
    }
    let used = scene.bytes_down() - bytes;
    assert!(used < HEADERS, "{used} bytes came");
    assert_eq!(files(scene), before, "no file is touched");
    assert!(scene.remote(Dates::Compare) == remote, "the server is as it was");
    scene.assert_equal();
    scene.assert_idle();
}

#[test]
fn a_lost_ledger_is_made_again_without_transfer() {
    let scene = filled();
    scene.host.explain(|_| {
        for entry in fs::read_dir(scene.home.state("alice")).unwrap().flatten() {
            if entry.file_name().to_string_lossy().starts_with("ledger.db") {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        assert_pairs_again(&scene);
    });
}

#[test]
fn another_uidvalidity_is_paired_again_without_transfer() {
    let scene = filled();
    scene.host.explain(|host| {
        for mailbox in ["INBOX", "Archive/2026"] {
            let arguments = ["mailbox", "update", "-u", "alice", "--uid-validity", "4000000001", mailbox];
            let updated = host.dovecot.doveadm(&arguments);
            assert!(updated.status.success(), "{}", String::from_utf8_lossy(&updated.stderr));
        }
        assert_eq!(scene.server().select("INBOX"), 4_000_000_001);
        assert_pairs_again(&scene);
    });
}

#[test]
fn a_mailbox_made_again_on_the_server_in_another_order_is_paired_again() {
    let scene = filled();
    scene.host.explain(|_| {
        let mut server = scene.server();
        server.delete("Archive/2026");
        server.create("Archive/2026");
        let mut fixtures: Vec<_> = filler::plain(30, 20_000).collect();
        fixtures.reverse();
        filler::fill(&mut server, "Archive/2026", fixtures);
        assert_pairs_again(&scene);
    });
}

#[test]
fn messages_missing_after_another_uidvalidity_stay_here_and_are_not_uploaded() {
    let scene = filled();
    scene.host.explain(|_| {
        let mut server = scene.server();
        server.delete("Archive/2026");
        server.create("Archive/2026");
        filler::fill(&mut server, "Archive/2026", filler::plain(10, 20_000));
        let before = files(&scene);
        let commands = scene.commands_during(|| drop(scene.sync()));
        assert!(!commands.iter().any(|line| line.contains("APPEND")), "{commands:#?}");
        assert_eq!(files(&scene), before, "what the server lost is kept here");
        assert_eq!(scene.remote(Dates::Ignore)["Archive/2026"].len(), 10);
    });
}

/// Changes on both sides, of every kind that a plan has words for.
fn change_everything(scene: &Scene) {
    let mut server = scene.server();
    server.create("Neu");
    server.append("INBOX", "", Some(DATE), &message("fetch me"));
    server.select("INBOX");
    server.store("12", '+', "\\Flagged");
    server.expunge("14");
    let archive = scene.mail.messages("Archive/2026");
    scene.mail.delete(&archive[0]);
    scene.mail.move_to(&archive[1], "INBOX");
    let toggled = if archive[2].flags.contains(&'F') { Reader::unflag } else { Reader::flag };
    toggled(&scene.mail, &archive[2], 'F');
    scene.mail.add("INBOX", &message("upload me"), "S");
    scene.mail.create("Hier");
}

#[test]
fn a_dry_run_tells_all_and_changes_nothing() {
    let scene = filled();
    scene.host.explain(|_| {
        change_everything(&scene);
        let (remote, names) = (scene.remote(Dates::Compare), scene.server().list().into_keys());
        let before = prints(&[scene.home.maildir_path("alice"), scene.home.state("alice")]);
        let mut plan = String::new();
        let commands = scene.commands_during(|| plan = scene.home.ok(&["sync", "--dry-run"]));
        let mut after = prints(&[scene.home.maildir_path("alice"), scene.home.state("alice")]);
        // The lock file tells who holds the lock.
        after.extend(
            before.iter().filter(|(path, _)| path.ends_with("alice/lock")).map(|(p, x)| (p.clone(), *x)),
        );
        assert_eq!(after, before, "nothing on disk is touched");
        for verb in ["APPEND", "UID STORE", "MOVE", "COPY", "EXPUNGE", "CREATE", "BODY.PEEK[]"] {
            assert!(!commands.iter().any(|line| line.contains(verb)), "{verb} in {commands:#?}");
        }
        assert!(scene.remote(Dates::Compare) == remote && scene.server().list().into_keys().eq(names));
        for words in [
            "fetch message",
            "upload ",
            "to quarantine",
            "to Trash on the server",
            "to INBOX on the server",
            "set \\Flagged on message 12",
            "Neu: make the mailbox in the Maildir",
            "Hier: make the mailbox on the server",
            "alice: in all 1 to fetch, 1 to upload, 1 to move on the server, 2 to reflag, 1 to move to quarantine, \
             1 to remove on the server\n",
        ] {
            assert!(plan.contains(words), "{words:?} in the plan:\n{plan}");
        }

        scene.sync();
        scene.assert_equal();
        scene.assert_idle();
    });
}

#[test]
fn a_dry_run_before_the_first_pass_tells_what_it_would_fetch() {
    let scene = Scene::start();
    scene.host.explain(|_| {
        scene.put("INBOX", "", ["one".to_owned(), "two".to_owned()]);
        let plan = scene.home.ok(&["sync", "--dry-run"]);
        assert_eq!(plan.matches("INBOX: fetch message").count(), 2, "{plan}");
        assert!(plan.ends_with("alice: in all 2 to fetch\n"), "{plan}");
        assert!(scene.mail.mailboxes().is_empty());
    });
}

#[test]
fn a_glob_limits_a_pass_to_some_mailboxes() {
    let scene = Scene::start();
    scene.host.explain(|_| {
        for mailbox in ["Archive/2025", "Archive/2026", "Other"] {
            scene.server().create(mailbox);
            scene.put(mailbox, "\\Seen", [mailbox.replace('/', " ")]);
        }
        scene.home.ok(&["sync", "--mailbox", "Archive/*"]);
        assert_eq!(scene.mail.mailboxes(), ["Archive/2025", "Archive/2026"]);
        scene.sync();
        scene.assert_equal();

        let mail = scene.mail.find("Other", "Subject: Other\n").expect("the message");
        scene.mail.flag(&mail, 'F');
        scene.put("Archive/2025", "", ["newer".to_owned()]);
        scene.home.ok(&["sync", "--mailbox", "Archive/*"]);
        assert_eq!(scene.mail.count("Archive/2025"), 2);
        assert_eq!(places_of(&scene.remote(Dates::Ignore), "Other"), [place("Other", "S")]);
        scene.sync();
        scene.assert_equal();
    });
}

#[test]
fn a_pass_through_the_daemon_does_the_same() {
    let scene = Scene::with(&Options::default(), "poll_only = true");
    scene.host.explain(|_| {
        scene.put("INBOX", "\\Seen", ["first".to_owned()]);
        let _daemon = scene.home.start();
        scene.home.ok(&["sync", "alice"]);
        scene.assert_equal();
        scene.assert_idle();
        // Again and again: the daemon also looks at INBOX by itself, and then has it open.
        for n in 0..20 {
            scene.put("INBOX", "\\Seen", [format!("later {n}.")]);
            let commands = scene.commands_during(|| drop(scene.home.ok(&["sync", "--mailbox", "INBOX"])));
            assert_eq!(scene.mail.count("INBOX"), 2 + n, "{commands:?}");
        }
        scene.assert_equal();
    });
}
