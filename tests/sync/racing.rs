//! Readers that do not wait: files are renamed, flagged, moved and deleted while the daemon works on the same mailbox.
//!
//! What a reader loses is a race for one rename; it then looks again, as mutt does. At the end nothing is lost, nothing
//! doubled, and what the user did last is what both sides show.

use std::collections::BTreeMap;
use std::fs;

use super::scene::{SOON, Scene, place};
use super::support::maildir::Reader;
use super::support::sides::Dates;
use super::support::{message, wait};

/// Messages in INBOX at the start.
const MAIL: usize = 60;
/// Messages that the reader deletes; within the limits of the guard.
const DELETED: usize = 8;
/// Messages that the reader files away.
const MOVED: usize = 8;
/// Flag changes in a row.
const CHANGES: usize = 200;

fn subject(n: usize) -> String {
    format!("mail {n}.")
}

/// Where the file of a message is now: its path, looked up by its unique name.
fn now(mail: &Reader, unique: &str) -> Option<std::path::PathBuf> {
    let directories = ["new", "cur"].map(|part| mail.directory("INBOX").join(part));
    let entries = directories.iter().filter_map(|path| fs::read_dir(path).ok()).flatten().flatten();
    entries
        .map(|entry| entry.path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with(unique))
}

/// Renames a file as a reader does; looks again when somebody else was faster.
fn rename(mail: &Reader, unique: &str, mailbox: &str, flags: &str) {
    let target = mail.directory(mailbox).join("cur").join(format!("{unique}:2,{flags}"));
    wait::until(SOON, "a rename", || now(mail, unique).is_some_and(|path| fs::rename(path, &target).is_ok()));
}

/// The unique names by number of the subject.
fn names(mail: &Reader) -> BTreeMap<usize, String> {
    let number = |content: &[u8]| {
        let text = String::from_utf8_lossy(content).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("Subject: mail ").map(str::to_owned));
        line.and_then(|rest| rest.trim_end_matches('.').parse().ok()).expect("a number")
    };
    let unique = |path: &std::path::Path| {
        path.file_name().unwrap().to_string_lossy().split(":2,").next().unwrap().to_owned()
    };
    mail.messages("INBOX").iter().map(|one| (number(&one.content), unique(&one.path))).collect()
}

/// A synchronised INBOX of unread mail, and the daemon watching it.
fn watched() -> (Scene, super::support::process::Daemon) {
    let scene = Scene::start();
    scene.server().create("Archive");
    scene.put("INBOX", "", (0..MAIL).map(subject));
    scene.sync();
    let daemon = scene.home.start();
    scene.home.wait_state("alice", "watching");
    (scene, daemon)
}

#[test]
fn two_hundred_quick_flag_changes_end_as_the_last_of_them() {
    let (scene, _daemon) = watched();
    scene.host.explain(|_| {
        let names = names(&scene.mail);
        for change in 0..CHANGES {
            let n = change % 10;
            rename(&scene.mail, &names[&n], "INBOX", ["S", "FS", "RS", ""][change / 10 % 4]);
        }
        // The last round of ten was the twentieth: without flags.
        (0..5).for_each(|n| rename(&scene.mail, &names[&n], "INBOX", "FRS"));
        let flags = |n| if n < 5 { "FRS" } else { "" };
        let expected = (0..MAIL).map(|n| (subject(n), vec![place("INBOX", flags(n))])).collect();
        scene.wait_for(&expected);
    });
}

#[test]
fn a_busy_reader_and_a_busy_server_converge() {
    let (scene, _daemon) = watched();
    scene.host.explain(|host| {
        let names = names(&scene.mail);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                for n in 0..MAIL {
                    host.deliver("alice", &message(&format!("delivered {n}.")));
                }
            });
            threads.spawn(|| {
                let mut server = scene.server();
                server.select("INBOX");
                (1..=MAIL).rev().for_each(|uid| server.store(&uid.to_string(), '+', "\\Flagged"));
            });
            for n in 0..MAIL {
                match n {
                    _ if n < DELETED => rename_then_delete(&scene.mail, &names[&n]),
                    _ if n < DELETED + MOVED => rename(&scene.mail, &names[&n], "Archive", "S"),
                    _ => rename(&scene.mail, &names[&n], "INBOX", "S"),
                }
            }
        });
        let mut expected: BTreeMap<_, _> =
            (0..MAIL).map(|n| (format!("delivered {n}."), vec![place("INBOX", "")])).collect();
        expected.extend((DELETED + MOVED..MAIL).map(|n| (subject(n), vec![place("INBOX", "FS")])));
        scene.wait_for(&expected);
        everything_once(&scene);
    });
}

/// Reads a message, then deletes it, wherever a flag change has moved it meanwhile.
fn rename_then_delete(mail: &Reader, unique: &str) {
    rename(mail, unique, "INBOX", "S");
    wait::until(SOON, "a deletion", || now(mail, unique).is_some_and(|path| fs::remove_file(path).is_ok()));
}

/// Messages that left INBOX while the server flagged them: each is somewhere, exactly once.
fn everything_once(scene: &Scene) {
    let side = scene.remote(Dates::Ignore);
    let all = side.values().flatten().map(|item| item.label.clone());
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    all.for_each(|label| *count.entry(label).or_default() += 1);
    let doubled: Vec<_> = count.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    assert_eq!(count.len(), 2 * MAIL);
    assert_eq!((side["Trash"].len(), side["Archive"].len()), (DELETED, MOVED));
}

#[test]
fn mail_deleted_the_moment_it_arrives_stays_deleted() {
    let (scene, _daemon) = watched();
    scene.host.explain(|host| {
        for n in 0..10 {
            let name = format!("short lived {n}.");
            host.deliver("alice", &message(&name));
            let line = format!("Subject: {name}\n");
            let mail = wait::until_some(SOON, "the message", || scene.mail.find("INBOX", &line));
            scene.mail.delete(&mail);
        }
        let expected = (0..10).map(|n| (format!("short lived {n}."), vec![place("Trash", "")])).collect();
        scene.wait_for(&expected);
    });
}

#[test]
fn an_empty_file_is_not_uploaded_until_something_is_in_it() {
    let scene = Scene::start();
    scene.put("INBOX", "", ["known".to_owned()]);
    scene.sync();
    let known = scene.mail.find("INBOX", "known").unwrap();
    fs::write(&known.path, "").unwrap();
    let empty = scene.mail.add("INBOX", b"", "");
    let output = scene.home.run(&["sync"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    let name = empty.file_name().unwrap().to_str().unwrap();
    assert_eq!(told.matches(name).count(), 1, "named once: {told}");
    assert!(empty.exists());
    let count = || scene.remote(Dates::Ignore)["INBOX"].len();
    assert_eq!(count(), 1, "the truncated file counts as gone, or the empty one was uploaded");

    fs::write(&empty, "From: alice@mail.test\nSubject: written\n\nNow.\n").unwrap();
    scene.sync();
    assert_eq!(count(), 2);
}
