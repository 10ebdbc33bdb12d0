//! Which message is which, where the server does not say: what is in doubt is fetched rather than taken for known, and
//! stays on the server whatever `delete_after` says.

use super::scene::{Scene, short};
use super::support::message;
use super::support::pop_server::Fault;

/// The message whose deletion tells that the time of the others is over too.
const CLOCK: &str = "clock";

#[test]
fn another_copy_under_the_same_id_stays_on_the_server() {
    let scene = Scene::with("delete_after = \"1s\"");
    scene.put(&["one", CLOCK]);
    scene.sync();
    // The same Message-ID and another body: a list's copy, under an id that is given again.
    let other = [message("one"), b"A footer.\r\n".to_vec()].concat();
    scene.server.replace(vec![("one".into(), other), (CLOCK.into(), message(CLOCK))]);
    scene.sync_until_gone(CLOCK);
    assert_eq!(scene.there(), ["one"]);
    scene.assert_here(&[CLOCK, "one"]);
}

#[test]
fn a_message_that_nothing_tells_from_another_stays_on_the_server() {
    let scene = Scene::with("delete_after = \"1s\"");
    scene.server.put("same", b"Subject: log\r\n\r\none\r\n");
    scene.put(&[CLOCK]);
    scene.sync();
    let other = b"Subject: log\r\n\r\ntwo\r\n".to_vec();
    scene.server.replace(vec![("same".into(), other), (CLOCK.into(), message(CLOCK))]);
    scene.sync_until_gone(CLOCK);
    assert_eq!(scene.there(), ["same"]);
}

#[test]
fn a_message_that_came_short_stays_on_the_server() {
    let scene = Scene::with("delete_after = \"1s\"");
    scene.put(&["half", CLOCK]);
    scene.server.fault("RETR 1", short("half"));
    scene.sync();
    scene.server.calm();
    scene.sync_until_gone(CLOCK);
    assert_eq!(scene.there(), ["half"]);
}

#[test]
fn messages_with_new_ids_are_not_fetched_again() {
    let scene = Scene::start();
    scene.put(&["one", "two", "three"]);
    scene.sync();
    let moved = scene.server.replace(Vec::new()).into_iter();
    scene.server.replace(moved.map(|(uidl, message)| (format!("moved-{uidl}"), message)).collect());
    scene.put(&["four"]);
    scene.sync();
    scene.assert_here(&["four", "one", "three", "two"]);
    assert_eq!(scene.seen("RETR"), 4);
    assert!(scene.sync().contains("in step"));
}

/// A message as one delivery leaves it in a maildrop.
fn delivered(by: &str, message: &[u8]) -> Vec<u8> {
    [format!("Received: by {by}.mail.test\r\n").into_bytes(), message.to_vec()].concat()
}

#[test]
fn a_new_copy_that_comes_while_another_one_goes_is_fetched() {
    let scene = Scene::start();
    scene.server.put("one", &delivered("a", &message("copy")));
    scene.sync();
    // Of the same Message-ID and size.
    scene.server.replace(vec![("other".into(), delivered("b", &message("copy")))]);
    scene.sync();
    assert_eq!((scene.here()["copy"], scene.seen("RETR")), (2, 2));
    scene.server.replace(vec![("moved".into(), delivered("b", &message("copy")))]);
    scene.sync();
    assert_eq!((scene.here()["copy"], scene.seen("RETR")), (2, 2));
}

#[test]
fn ids_that_are_positions_double_no_message_without_a_message_id_and_hide_none() {
    let scene = Scene::start();
    scene.server.number();
    let log = |text: &str| (String::new(), format!("Subject: log\r\n\r\n{text}\r\n").into_bytes());
    scene.server.replace(vec![log("first"), log("the second"), log("the last one")]);
    scene.sync();
    scene.server.replace(vec![log("the second"), log("the last one")]);
    scene.sync();
    assert_eq!(scene.here()["log"], 3);
    // One of the same header and size as the last one, which goes.
    scene.server.replace(vec![log("one more and longer"), log("short"), log("the last two")]);
    scene.sync();
    assert_eq!(scene.here()["log"], 6);
    assert!(scene.sync().contains("in step"));
}

#[test]
fn a_message_with_a_new_id_that_broke_a_session_is_still_looked_at() {
    let scene = Scene::start();
    scene.put(&["one"]);
    scene.sync();
    scene.server.replace(vec![("moved".into(), message("one"))]);
    scene.server.fault("TOP", Fault::Close);
    assert!(!scene.try_sync().status.success());
    scene.server.calm();
    scene.sync();
    scene.assert_here(&["one"]);
    assert_eq!(scene.seen("RETR"), 1);
}

#[test]
fn another_copy_of_what_we_deleted_on_the_server_is_fetched() {
    let scene = Scene::with("delete_after = \"1s\"");
    scene.put(&["one"]);
    scene.sync();
    scene.sync_until_empty();
    // The visit that deleted it knows that it is gone: this is the next listing.
    let other = String::from_utf8(message("one")).unwrap().replace("Body of", "Copy of").into_bytes();
    scene.server.put("another id", &other);
    scene.sync_until_empty();
    assert_eq!((scene.seen("RETR"), scene.here()["one"]), (2, 2));
}

#[test]
fn ids_that_are_positions_double_nothing_when_messages_are_deleted() {
    let scene = Scene::with("delete_after = \"1s\"");
    scene.server.number();
    scene.put(&["read elsewhere", CLOCK, "half of it"]);
    scene.server.fault("RETR 3", short("half of it"));
    scene.sync();
    scene.server.calm();
    let rest = scene.server.messages().split_off(1);
    scene.server.replace(rest);
    // Our own deletion moves the last one once more.
    scene.sync_until_gone(CLOCK);
    scene.sync();
    scene.assert_here(&[CLOCK, "half of it", "read elsewhere"]);
    assert_eq!((scene.seen("RETR"), scene.there()), (3, vec!["half of it".to_owned()]));
}

#[test]
fn a_server_that_refuses_headers_is_asked_for_messages() {
    let scene = Scene::with("delete_after = \"1s\"");
    scene.put(&["one", "two"]);
    scene.server.fault("TOP", Fault::Answer(b"-ERR not for you\r\n".to_vec()));
    scene.sync();
    scene.sync_until_empty();
    scene.assert_here(&["one", "two"]);
    assert!(scene.seen("TOP") >= 2 && scene.seen("RETR") >= 4);
}

#[test]
fn a_message_that_the_server_does_not_show_stops_nothing_and_stays() {
    let scene = Scene::with("delete_after = \"1s\"");
    scene.put(&["hidden", CLOCK]);
    scene.sync();
    for command in ["TOP 1", "RETR 1"] {
        scene.server.fault(command, Fault::Answer(b"-ERR [SYS/TEMP] poison\r\n".to_vec()));
    }
    scene.sync_until_gone(CLOCK);
    assert_eq!(scene.there(), ["hidden"]);
    // Under another size it may be another message: nobody knows as long as the server does not show it.
    let longer = [message("hidden"), b"more\r\n".to_vec()].concat();
    scene.server.replace(vec![("hidden".into(), longer)]);
    scene.put(&["new"]);
    scene.sync();
    scene.assert_here(&[CLOCK, "hidden", "new"]);
    scene.server.calm();
    scene.sync();
    scene.assert_here(&[CLOCK, "hidden", "new"]);
}
