//! Every change on either side, with the daemon running and with it stopped, ends equal on both sides.
//!
//! One row is one change of one message by one side. Each row says where its message must be at the end; after each of
//! them both sides are compared whole, dates included, so that a row cannot spoil another unseen.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::scene::{DATE, Place, Scene, place, places_of};
use super::support::dovecot::Options;
use super::support::imap_client::ImapClient;
use super::support::maildir::{Mail, Reader};
use super::support::message;
use super::support::sides::{self, Dates};

/// IMAP4rev1 with IDLE and no other help.
const POOR: &str = "IMAP4rev1 SASL-IR ID ENABLE IDLE AUTH=XOAUTH2";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Flag,
    Unflag,
    Delete,
    Move,
    NewMessage,
    NewMailbox,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Server,
    Reader,
}

const CHANGES: [Change; 6] =
    [Change::Flag, Change::Unflag, Change::Delete, Change::Move, Change::NewMessage, Change::NewMailbox];

/// All rows; each has a message of its own, called like the row.
fn rows() -> impl Iterator<Item = (Change, By)> {
    CHANGES.into_iter().flat_map(|change| [(change, By::Server), (change, By::Reader)])
}

fn subject(change: Change, by: By) -> String {
    format!("the {change:?} by {by:?}")
}

fn new_mailbox(by: By) -> String {
    format!("Neu/Größe {by:?}")
}

/// Where the message of a row must be, once, on both sides.
fn expected(change: Change, by: By) -> Vec<Place> {
    match (change, by) {
        (Change::Flag, _) => vec![place("INBOX", "FS")],
        (Change::Unflag, _) => vec![place("INBOX", "S")],
        (Change::Delete, By::Server) => vec![],
        (Change::Delete, By::Reader) => vec![place("Trash", "S")],
        (Change::Move, _) => vec![place("Archive", "S")],
        (Change::NewMessage, _) => vec![place("INBOX", "S")],
        (Change::NewMailbox, by) => vec![place(&new_mailbox(by), "S")],
    }
}

/// The messages that rows change, on both sides before the first of them.
fn prepare(scene: &Scene) {
    scene.server().create("Archive");
    for (change, by) in rows() {
        match change {
            Change::NewMessage | Change::NewMailbox => {}
            Change::Unflag => scene.put("INBOX", "\\Seen \\Flagged", [subject(change, by)]),
            _ => scene.put("INBOX", "\\Seen", [subject(change, by)]),
        }
    }
}

fn perform(scene: &Scene, change: Change, by: By) {
    match by {
        By::Server => on_the_server(&mut scene.server(), change),
        By::Reader => in_the_maildir(&scene.mail, change),
    }
}

fn on_the_server(server: &mut ImapClient, change: Change) {
    let name = subject(change, By::Server);
    server.select("INBOX");
    let mut append = |mailbox: &str| server.append(mailbox, "\\Seen", Some(DATE), &message(&name));
    match change {
        Change::NewMessage => return append("INBOX"),
        Change::NewMailbox => {
            server.create(&new_mailbox(By::Server));
            return server.append(&new_mailbox(By::Server), "\\Seen", Some(DATE), &message(&name));
        }
        _ => {}
    }
    let found = server.search_header("Subject", &name);
    assert_eq!(found.len(), 1, "{name} is on the server");
    let uid = found[0].to_string();
    match change {
        Change::Flag => server.store(&uid, '+', "\\Flagged"),
        Change::Unflag => server.store(&uid, '-', "\\Flagged"),
        Change::Delete => server.expunge(&uid),
        _ => server.move_to(&uid, "Archive"),
    }
}

fn in_the_maildir(mail: &Reader, change: Change) {
    let name = subject(change, By::Reader);
    match change {
        Change::NewMessage => return add_old(mail, "INBOX", &name),
        Change::NewMailbox => {
            mail.create(&new_mailbox(By::Reader));
            return add_old(mail, &new_mailbox(By::Reader), &name);
        }
        _ => {}
    }
    let found = find(mail, &name);
    match change {
        Change::Flag => drop(mail.flag(&found, 'F')),
        Change::Unflag => drop(mail.unflag(&found, 'F')),
        Change::Delete => mail.delete(&found),
        _ => drop(mail.move_to(&found, "Archive")),
    }
}

fn find(mail: &Reader, subject: &str) -> Mail {
    mail.find("INBOX", &format!("Subject: {subject}\n")).unwrap_or_else(|| panic!("{subject} in the Maildir"))
}

/// A new file with the date that server-side messages have, written before it is placed.
fn add_old(mail: &Reader, mailbox: &str, subject: &str) {
    let path = mail.directory(mailbox).join("tmp").join(format!("{}.reader", subject.replace(' ', "-")));
    fs::write(&path, super::support::maildir::normal(&message(subject))).unwrap();
    let seconds = u64::try_from(sides::seconds(DATE)).unwrap();
    let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    fs::File::options().write(true).open(&path).unwrap().set_modified(date).unwrap();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    fs::rename(&path, mail.directory(mailbox).join("cur").join(format!("{name}:2,S"))).unwrap();
}

/// What must hold once a row's change has come through.
fn check(scene: &Scene, change: Change, by: By) {
    scene.assert_equal();
    let (name, side) = (subject(change, by), scene.remote(Dates::Compare));
    assert_eq!(places_of(&side, &name), expected(change, by), "{name}");
    let label = format!("Subject: {name}");
    for item in side.values().flatten().filter(|item| item.label == label) {
        assert_eq!(item.date, Some(sides::seconds(DATE)), "{name} keeps its date");
    }
    if (change, by) == (Change::Delete, By::Server) {
        assert!(scene.is_quarantined(&name), "the local copy of what the server deleted is kept for a while");
    }
}

/// Rows with posthaste stopped while they happen: one pass must do, and a second finds nothing.
fn stopped(scene: &Scene) {
    prepare(scene);
    scene.sync();
    scene.assert_equal();
    for (change, by) in rows() {
        perform(scene, change, by);
        scene.sync();
        check(scene, change, by);
        scene.assert_idle();
    }
}

#[test]
fn changes_while_stopped_are_carried_over_by_one_pass() {
    let scene = Scene::start();
    scene.host.explain(|_| stopped(&scene));
}

#[test]
fn changes_while_stopped_with_a_server_that_offers_nothing() {
    let options = Options { imap_capability: Some(POOR.to_owned()), ..Options::default() };
    let scene = Scene::with(&options, "");
    scene.host.explain(|_| stopped(&scene));
}

#[test]
fn all_changes_at_once_while_stopped() {
    let scene = Scene::start();
    scene.host.explain(|_| {
        prepare(&scene);
        scene.sync();
        rows().for_each(|(change, by)| perform(&scene, change, by));
        scene.sync();
        rows().for_each(|(change, by)| check(&scene, change, by));
    });
}

fn running(scene: &Scene) {
    prepare(scene);
    let daemon = scene.home.start();
    scene.home.wait_state("alice", "watching");
    for (change, by) in rows() {
        perform(scene, change, by);
        scene.wait_for(&BTreeMap::from([(subject(change, by), expected(change, by))]));
        check(scene, change, by);
    }
    let status = scene.home.wait_state("alice", "watching");
    assert!(status["error"].is_null(), "{status}");
    assert!(daemon.stop().0.success());
    scene.assert_idle();
}

#[test]
fn changes_while_the_daemon_runs() {
    let scene = Scene::start();
    scene.host.explain(|_| running(&scene));
}

#[test]
fn changes_while_the_daemon_runs_with_a_server_that_offers_nothing() {
    let options = Options { imap_capability: Some(POOR.to_owned()), ..Options::default() };
    let scene = Scene::with(&options, "");
    scene.host.explain(|_| running(&scene));
}

/// The files of a Maildir++ mailbox: names and contents.
fn plus_plus(scene: &Scene, directory: &str) -> Vec<Mail> {
    // The root is INBOX; seen from its parent it is a mailbox like others.
    let root = scene.mail.directory("");
    let (parent, name) = (root.parent().unwrap(), root.file_name().unwrap().to_string_lossy());
    let mailbox = Path::new(&*name).join(directory);
    Reader::new(parent).messages(&mailbox.to_string_lossy())
}

#[test]
fn maildir_plus_plus_and_mailboxes_below_inbox_with_a_dot_as_separator() {
    let options = Options { separator: '.', ..Options::default() };
    let scene = Scene::with(&options, "layout = \"maildir++\"");
    scene.host.explain(|_| {
        scene.server().create("INBOX.Töchter.eins");
        scene.put("INBOX", "\\Seen", ["top".to_owned()]);
        scene.put("INBOX.Töchter.eins", "\\Flagged", ["below".to_owned()]);
        scene.sync();
        let below = plus_plus(&scene, ".INBOX.Töchter.eins");
        assert_eq!((below.len(), plus_plus(&scene, "").len()), (1, 1));

        scene.mail.flag(&below[0], 'S');
        scene.mail.delete(&plus_plus(&scene, "")[0]);
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(scene.mail.directory(".Hier.neu").join(part)).unwrap();
        }
        add_old(&scene.mail, ".Hier.neu", "made here");
        scene.sync();
        let remote = scene.remote(Dates::Ignore);
        assert_eq!(places_of(&remote, "below"), [place("INBOX.Töchter.eins", "FS")]);
        assert_eq!(places_of(&remote, "top"), [place("Trash", "S")]);
        assert_eq!(places_of(&remote, "made here"), [place("Hier.neu", "S")]);
        assert_eq!(plus_plus(&scene, ".Trash").len(), 1);
        scene.assert_idle();
    });
}

#[test]
fn a_message_moved_below_inbox_and_back_is_one_message_all_the_time() {
    let scene = Scene::start();
    scene.host.explain(|_| {
        scene.server().create("INBOX/eins");
        scene.put("INBOX", "\\Seen", ["traveller".to_owned()]);
        scene.sync();
        for to in ["INBOX/eins", "INBOX"] {
            let from = if to == "INBOX" { "INBOX/eins" } else { "INBOX" };
            let mail = scene.mail.find(from, "Subject: traveller\n").expect("the message");
            scene.mail.move_to(&mail, to);
            let commands = scene.commands_during(|| drop(scene.sync()));
            assert!(!commands.iter().any(|line| line.contains("APPEND")), "moved, not copied: {commands:?}");
            assert_eq!(places_of(&scene.remote(Dates::Ignore), "traveller"), [place(to, "S")]);
            scene.assert_equal();
        }
    });
}
