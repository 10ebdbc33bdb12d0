//! kill -9 at random moments of visits that fetch and delete: after each of them every message is on the server or here,
//! whole; at the end each is here once.

use std::sync::Arc;
use std::time::Instant;

use super::killing::{Killer, Moment};
use super::scene::{Scene, subject};
use super::support::{message, wait};

/// Kills that must meet a living program.
const KILLS: usize = 25;
/// Messages that come between two kills.
const EACH: usize = 12;

fn drop_in(scene: &Scene, all: &mut Vec<Vec<u8>>) {
    for _ in 0..EACH {
        let mut content = message(&format!("message {:04}", all.len()));
        content.extend(
            std::iter::repeat_n(b"a line of text in a message, as long as they are\r\n", 40).flatten(),
        );
        scene.server.put(&format!("id-{}", all.len()), &content);
        all.push(content);
    }
}

/// Whole messages only, none twice, none lost.
fn assert_whole(scene: &Scene, all: &[Vec<u8>]) {
    let there = scene.server.messages();
    let here: Vec<Vec<u8>> = scene.mail.messages("INBOX").iter().map(|mail| mail.content.clone()).collect();
    for content in all {
        let local = super::support::maildir::normal(content);
        let count = here.iter().filter(|one| **one == local).count();
        let is_there = there.iter().any(|(_, one)| one == content);
        assert!(count == 1 || (count == 0 && is_there), "{}: {count} here", subject(content));
    }
    assert!(here.len() <= all.len(), "something half or doubled is here");
}

#[test]
fn a_visit_killed_again_and_again_neither_loses_nor_doubles() {
    let scene = Arc::new(Scene::with("delete_after = \"1s\""));
    let (mut all, mut killer) = (Vec::new(), Killer::new(11));
    drop_in(&scene, &mut all);
    let start = Instant::now();
    scene.sync();
    killer.span = start.elapsed();
    let mut tries = 0;
    while killer.kills < KILLS {
        drop_in(&scene, &mut all);
        let before = scene.server.commands().len();
        let events = ["AUTH", "UIDL", "RETR", "TOP", "DELE", "QUIT"].map(|verb| {
            let scene = scene.clone();
            Moment::when(verb, move || {
                scene.server.commands().iter().skip(before).any(|line| line.starts_with(verb))
            })
        });
        killer.strike(&scene.home, 1.0, events.into());
        assert_whole(&scene, &all);
        tries += 1;
        assert!(tries < 20 * KILLS, "hardly any kill met a living program");
    }
    wait::until(wait::PATIENCE, "the maildrop to be empty", || {
        scene.sync();
        scene.server.messages().is_empty()
    });
    assert_whole(&scene, &all);
    assert_eq!(scene.mail.count("INBOX"), all.len());
    assert!(scene.seen("DELE") > 0);
    killer.tell("POP3 visits");
}
