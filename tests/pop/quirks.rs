//! What happens on either side while nobody looks: nothing is lost, nothing comes twice, nothing is deleted too early.

use std::fs;

use super::scene::Scene;
use super::support::pop_server::Fault;
use super::support::{message, wait};

#[test]
fn a_message_that_vanished_from_the_server_stays_here() {
    let scene = Scene::start();
    scene.put(&["one", "two"]);
    scene.sync();
    scene.server.replace(Vec::new());
    scene.put(&["three"]);
    scene.sync();
    scene.assert_here(&["one", "three", "two"]);
    assert!(scene.sync().contains("in step"));
}

#[test]
fn what_is_deleted_read_or_filed_here_stays_so_and_the_server_keeps_its_copy() {
    let scene = Scene::start();
    scene.put(&["deleted", "filed", "read"]);
    scene.sync();
    scene.mail.create("Archive");
    scene.mail.delete(&scene.mail.find("INBOX", "Subject: deleted").unwrap());
    scene.mail.move_to(&scene.mail.find("INBOX", "Subject: filed").unwrap(), "Archive");
    scene.mail.flag(&scene.mail.find("INBOX", "Subject: read").unwrap(), 'S');
    scene.mail.add("INBOX", &message("written here"), "S");
    for _ in 0..3 {
        scene.sync();
        scene.assert_here(&["read", "written here"]);
        assert!(scene.mail.find("INBOX", "Subject: read").unwrap().flags.contains(&'S'));
        assert!(scene.mail.find("Archive", "Subject: filed").is_some());
        assert_eq!(scene.there(), ["deleted", "filed", "read"]);
    }
    assert_eq!(scene.seen("RETR"), 3);
}

#[test]
fn messages_that_hide_for_a_while_do_not_come_twice() {
    let scene = Scene::start();
    scene.put(&["one", "two"]);
    scene.sync();
    let hidden = scene.server.replace(Vec::new());
    scene.sync();
    scene.server.replace(hidden);
    scene.sync();
    scene.assert_here(&["one", "two"]);
    assert_eq!(scene.seen("RETR"), 2);
}

#[test]
fn unique_ids_given_again_after_a_reset_are_other_messages() {
    let scene = Scene::start();
    scene.server.put("1", &message("old"));
    scene.server.put("2", &message("also old"));
    scene.sync();
    // The same ids: one with another size, one with the same size after an empty maildrop was seen.
    scene.server.replace(vec![("1".into(), message("a longer subject"))]);
    scene.sync();
    scene.server.put("2", &message("also new"));
    scene.sync();
    scene.assert_here(&["a longer subject", "also new", "also old", "old"]);
}

#[test]
fn equal_unique_ids_in_one_listing_are_different_messages() {
    let scene = Scene::start();
    scene.server.put("same", &message("one"));
    scene.server.put("same", &message("other"));
    scene.sync();
    scene.sync();
    scene.assert_here(&["one", "other"]);
}

#[test]
fn long_unique_ids_are_ids_like_others() {
    let scene = Scene::start();
    scene.server.put(&"x".repeat(5000), &message("one"));
    scene.server.put(&format!("{}y", "x".repeat(5000)), &message("two"));
    scene.sync();
    scene.sync();
    scene.assert_here(&["one", "two"]);
    assert_eq!(scene.seen("RETR"), 2);
}

#[test]
fn a_server_without_unique_ids_is_refused_in_clear_words() {
    let scene = Scene::start();
    scene.server.offer(&["SASL PLAIN", "TOP"]);
    scene.put(&["one"]);
    let output = scene.try_sync();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("no unique-ids (UIDL)") && words.contains("IMAP"), "{words}");
}

#[test]
fn a_lost_ledger_pairs_again_with_top_and_without() {
    for capabilities in [&["SASL PLAIN", "UIDL", "TOP"][..], &["SASL PLAIN", "UIDL"]] {
        let scene = Scene::start();
        scene.server.offer(capabilities);
        scene.put(&["one", "two", "three"]);
        scene.sync();
        for file in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
            let _ = fs::remove_file(scene.home.state("drop").join(file));
        }
        scene.put(&["four"]);
        scene.sync();
        scene.assert_here(&["four", "one", "three", "two"]);
        assert!(scene.sync().contains("in step"));
    }
}

#[test]
fn a_dry_run_changes_nothing_on_either_side() {
    let scene = Scene::start();
    scene.put(&["one"]);
    let plan = scene.home.ok(&["sync", "--dry-run"]);
    assert!(plan.contains("INBOX"), "{plan}");
    assert_eq!(scene.seen("RETR"), 0);
    scene.sync();
    scene.assert_here(&["one"]);
    // Nor does one that breaks while it looks whether this is the message under another id.
    scene.server.replace(vec![("two".into(), message("one"))]);
    scene.server.fault("TOP", Fault::Close);
    assert!(!scene.home.run(&["sync", "--dry-run"]).status.success());
    scene.server.calm();
    scene.sync();
    scene.assert_here(&["one"]);
    assert_eq!(scene.seen("RETR"), 1);
}

#[test]
fn who_asks_what_is_held_deletes_nothing() {
    let scene = Scene::with("delete_after = \"1s\"");
    scene.put(&["one"]);
    scene.sync();
    let moment = std::time::Instant::now();
    wait::until(wait::PATIENCE, "two seconds of visits", || {
        scene.home.ok(&["held", "list"]);
        moment.elapsed().as_secs() >= 2
    });
    assert_eq!((scene.seen("DELE"), scene.there().len()), (0, 1));
    scene.sync_until_empty();
}

#[test]
fn what_is_here_long_enough_is_deleted_there_and_only_that() {
    let scene = Scene::with("delete_after = \"1s\"");
    scene.put(&["one", "two"]);
    scene.sync();
    assert_eq!(scene.there(), ["one", "two"], "not in the visit that fetched it");
    scene.sync_until_empty();
    scene.assert_here(&["one", "two"]);
    assert!(scene.sync().contains("in step"));
}

#[test]
fn what_the_user_deleted_here_is_deleted_there_in_its_time() {
    let scene = Scene::with("delete_after = \"1s\"");
    scene.put(&["one"]);
    scene.sync();
    scene.mail.delete(&scene.mail.find("INBOX", "Subject: one").unwrap());
    scene.sync_until_empty();
    scene.assert_here(&[]);
}

#[test]
fn another_message_under_the_same_id_and_size_is_fetched_and_not_deleted_in_its_place() {
    let scene = Scene::with("delete_after = \"1s\"");
    scene.server.put("1", &message("kept"));
    scene.sync();
    scene.server.replace(vec![("1".into(), message("more"))]);
    scene.sync_until_empty();
    scene.assert_here(&["kept", "more"]);
}

#[test]
fn nothing_is_deleted_there_while_the_maildir_is_not_the_one_we_know() {
    let scene = Scene::with("delete_after = \"1s\"");
    scene.put(&["one"]);
    scene.sync();
    let (place, aside) = (scene.home.maildir_path("drop"), scene.home.dir().join("unmounted"));
    fs::rename(&place, &aside).unwrap();
    fs::create_dir(&place).unwrap();
    let moment = std::time::Instant::now();
    wait::until(wait::PATIENCE, "two seconds of visits", || {
        let _ = scene.try_sync();
        moment.elapsed().as_secs() >= 2
    });
    assert_eq!((scene.seen("DELE"), scene.there().len()), (0, 1));
    fs::remove_dir_all(&place).unwrap();
    fs::rename(&aside, &place).unwrap();
    scene.sync_until_empty();
    scene.assert_here(&["one"]);
}

#[test]
fn a_server_that_wants_to_be_left_alone_is() {
    let scene = Scene::start();
    scene.server.offer(&["SASL PLAIN", "UIDL", "LOGIN-DELAY 3600"]);
    scene.put(&["one"]);
    let _daemon = scene.home.start();
    scene.home.wait_state("drop", "watching");
    // Three times the sweep; an order of the user's is carried out all the same.
    let moment = std::time::Instant::now();
    wait::until(wait::PATIENCE, "three sweeps", || moment.elapsed().as_secs() >= 3);
    assert_eq!(scene.seen("AUTH"), 1);
    scene.put(&["two"]);
    scene.sync();
    scene.assert_here(&["one", "two"]);
    assert_eq!(scene.seen("AUTH"), 2);
}

#[test]
fn a_server_is_left_alone_after_a_failed_visit_and_over_a_restart() {
    let scene = Scene::start();
    scene.server.offer(&["SASL PLAIN", "UIDL", "LOGIN-DELAY 3600"]);
    let rests = || scene.home.status()["accounts"][0]["detail"].to_string().contains("left alone");
    let daemon = scene.home.start();
    scene.home.wait_state("drop", "watching");
    scene.server.fault("UIDL", Fault::Answer(b"-ERR [SYS/TEMP] later\r\n".to_vec()));
    assert!(!scene.try_sync().status.success());
    wait::until(wait::PATIENCE, "the delay to be kept after a failure", rests);
    drop(daemon);
    scene.server.calm();
    let _daemon = scene.home.start();
    wait::until(wait::PATIENCE, "the delay to be kept after a restart", rests);
    assert_eq!(scene.seen("AUTH"), 2);
}

#[test]
fn a_mass_deletion_here_is_held_back_although_nothing_is_deleted_there_yet() {
    let scene = Scene::start();
    let all: Vec<String> = (0..30).map(|number| format!("m{number}")).collect();
    scene.put(&all.iter().map(String::as_str).collect::<Vec<_>>());
    scene.sync();
    for mail in scene.mail.messages("INBOX") {
        scene.mail.delete(&mail);
    }
    let _ = scene.try_sync();
    assert!(scene.home.ok(&["held", "list"]).contains("30"));
    scene.home.ok(&["held", "restore", "drop/INBOX"]);
    assert_eq!(scene.here().len(), 30);
}

#[test]
fn a_mass_deletion_here_is_held_back_where_the_servers_copies_would_follow() {
    let scene = Scene::with("delete_after = \"1s\"");
    let all: Vec<String> = (0..30).map(|number| format!("m{number}")).collect();
    scene.put(&all.iter().map(String::as_str).collect::<Vec<_>>());
    scene.sync();
    for mail in scene.mail.messages("INBOX") {
        scene.mail.delete(&mail);
    }
    // Fetched after all of them, and deleted in its time.
    scene.put(&["clock"]);
    wait::until(wait::PATIENCE, "the time to be over", || {
        let _ = scene.try_sync();
        scene.seen("DELE") > 0
    });
    assert_eq!(scene.there(), all);
    scene.home.ok(&["held", "restore", "drop/INBOX"]);
    assert_eq!((scene.here().len(), scene.there()), (31, all), "what came again is durable since now");
}
