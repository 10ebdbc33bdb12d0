//! A server that refuses, breaks off or talks nonsense at any command: nothing is lost, nothing is doubled, the trouble
//! has an exit code, and once the server is well again all is well.

use super::scene::Scene;
use super::support::pop_server::Fault;
use super::support::{message, wait};

/// Every step of a visit that fetches.
const COMMANDS: [&str; 8] = ["GREETING", "CAPA", "AUTH", "VERDICT", "UIDL", "LIST", "RETR", "QUIT"];

fn faults() -> Vec<(&'static str, Fault)> {
    let huge = [b"+OK ".as_slice(), &vec![b'x'; 4 << 20]].concat();
    let line = [b"+OK\r\n1 ".as_slice(), &vec![b'x'; 4 << 20], b"\r\n.\r\n"].concat();
    let other = b"+OK\r\n1 a\r\n1 a\r\n7 b\r\n.\r\n".to_vec();
    vec![
        ("-ERR", Fault::Answer(b"-ERR not for you\r\n".to_vec())),
        ("-ERR [SYS/TEMP]", Fault::Answer(b"-ERR [SYS/TEMP] come back later\r\n".to_vec())),
        ("close", Fault::Close),
        ("cut in the first line", Fault::Cut(2)),
        ("cut in the answer", Fault::Cut(9)),
        ("garbage", Fault::Answer(b"\xff\xfe\x00 220 smtp ready\r\n* BYE\r\n".to_vec())),
        ("endless line", Fault::Answer(huge)),
        ("huge line in a listing", Fault::Answer(line)),
        ("another listing", Fault::Answer(other)),
    ]
}

#[test]
fn every_fault_at_every_command_loses_and_doubles_nothing() {
    let scene = Scene::start();
    let mut all: Vec<String> = Vec::new();
    for (round, (name, fault)) in faults().into_iter().enumerate() {
        // What comes as a message is the message: nobody can tell another text from it.
        let is_lie = name.contains("listing");
        for command in COMMANDS.into_iter().filter(|&command| !(is_lie && command == "RETR")) {
            let when = format!("{name} at {command}");
            let subject = format!("{round}-{command}");
            scene.server.put(&subject, &message(&subject));
            all.push(subject);
            scene.server.fault(command, fault.clone());
            let output = scene.try_sync();
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            let code = output.status.code().unwrap_or_else(|| panic!("{when}: ended by a signal: {words}"));
            assert!([0, 1, 75, 77].contains(&code), "{when}: {code}: {words}");
            assert_whole(&scene, &all, &when);
            scene.server.calm();
        }
    }
    scene.sync();
    assert_whole(&scene, &all, "at the end");
    let here = scene.here();
    assert!(here.len() == all.len() && here.values().all(|&count| count == 1), "{here:?}");
}

#[test]
fn faults_while_messages_are_deleted_lose_and_double_nothing() {
    let scene = Scene::with("delete_after = \"1s\"");
    let mut all: Vec<String> = Vec::new();
    let deadly: Vec<_> =
        faults().into_iter().filter(|(name, _)| ["-ERR", "close", "garbage"].contains(name)).collect();
    for command in ["TOP", "DELE"] {
        // A refused TOP is no trouble: the whole message tells as well.
        for (name, fault) in deadly.iter().filter(|(name, _)| (command, *name) != ("TOP", "-ERR")) {
            let (when, subject) = (format!("{name} at {command}"), format!("{name}-{command}"));
            scene.server.put(&subject, &message(&subject));
            all.push(subject);
            scene.sync();
            scene.server.fault(command, fault.clone());
            let before = scene.seen(command);
            wait::until(wait::PATIENCE, &when, || {
                let _ = scene.try_sync();
                scene.seen(command) > before
            });
            assert_whole(&scene, &all, &when);
            assert!(!scene.there().is_empty(), "{when}: deleted although not all was well");
            scene.server.calm();
        }
    }
    scene.sync_until_empty();
    assert!(scene.here().len() == all.len());
}

#[test]
fn a_message_that_breaks_every_session_stands_in_nobodys_way() {
    let scene = Scene::with("delete_after = \"1s\"");
    scene.put(&["poison", "one"]);
    scene.server.fault("RETR 1", Fault::Close);
    let visit = || {
        let output = scene.try_sync();
        let words = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&words).into_owned())
    };
    assert!(!visit().0);
    scene.assert_here(&[]);
    assert!(!visit().0, "it comes last");
    scene.assert_here(&["one"]);
    let (_, words) = visit();
    assert!(words.contains("the next visit tries it once more"), "{words}");
    wait::until(wait::PATIENCE, "the other one to be deleted", || {
        visit();
        scene.there() == ["poison"]
    });
    scene.server.calm();
    wait::until(wait::PATIENCE, "the message", || visit().0);
    scene.assert_here(&["one", "poison"]);
}

#[test]
fn a_message_that_is_listed_too_large_is_told_and_does_not_stop_the_others() {
    let scene = Scene::start();
    scene.put(&["huge", "one"]);
    let sizes = format!("+OK\r\n1 400000000\r\n2 {}\r\n.\r\n", message("one").len());
    scene.server.fault("LIST", Fault::Answer(sizes.into_bytes()));
    let output = scene.try_sync();
    let words = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(words.contains("381 MiB are more than the 256 MiB"), "{words}");
    scene.assert_here(&["one"]);
    assert_eq!(scene.seen("RETR 1"), 0);
}

/// Every message is on the server or here, and none is here twice.
fn assert_whole(scene: &Scene, all: &[String], when: &str) {
    let (here, there) = (scene.here(), scene.there());
    for subject in all {
        let count = here.get(subject).copied().unwrap_or_default();
        assert!(count == 1 || (count == 0 && there.contains(subject)), "{when}: {subject}: {count}");
    }
}

#[test]
fn a_quit_without_an_answer_may_have_deleted_or_not_and_both_are_fine() {
    for (fault, left) in [(Fault::Close, 1), (Fault::Cut(0), 0)] {
        let scene = Scene::with("delete_after = \"1s\"");
        scene.put(&["one"]);
        scene.sync();
        scene.server.fault("QUIT", fault);
        wait::until(wait::PATIENCE, "a visit that deletes", || {
            let _ = scene.try_sync();
            scene.seen("DELE") > 0
        });
        assert_eq!(scene.there().len(), left);
        scene.server.calm();
        scene.sync_until_empty();
        scene.assert_here(&["one"]);
    }
}

#[test]
fn an_endless_listing_is_cut_off() {
    let scene = Scene::start();
    scene.put(&["one"]);
    let endless: Vec<u8> = (0..3_000_000).flat_map(|n: u32| format!("{n} id-{n}\r\n").into_bytes()).collect();
    scene.server.fault("UIDL", Fault::Answer([b"+OK\r\n".to_vec(), endless].concat()));
    let output = scene.try_sync();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(75), "{words}");
    assert!(words.contains("lists without end"), "{words}");
    scene.server.calm();
    scene.sync();
    scene.assert_here(&["one"]);
}

#[test]
fn a_daemon_names_the_trouble_and_recovers() {
    let scene = Scene::start();
    let _daemon = scene.home.start();
    scene.home.wait_state("drop", "watching");
    for (fault, words) in [
        (b"-ERR [IN-USE] maildrop locked\r\n".as_slice(), "maildrop locked"),
        (b"-ERR [SYS/PERM] POP is switched off\r\n", "POP is switched off"),
    ] {
        scene.server.fault("VERDICT", Fault::Answer(fault.to_vec()));
        wait::until(wait::PATIENCE, words, || {
            scene.home.status()["accounts"][0]["error"].to_string().contains(words)
        });
        scene.server.calm();
        scene.put(&[words]);
        scene.sync();
        wait::until(wait::PATIENCE, "all to be well", || {
            let account = &scene.home.status()["accounts"][0];
            account["error"].is_null() && account["push"] == "poll"
        });
    }
    scene.assert_here(&["POP is switched off", "maildrop locked"]);
}
