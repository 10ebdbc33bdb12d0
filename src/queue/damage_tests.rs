//! Messages in the queue whose text was damaged.

use super::spool_tests::{MESSAGE, Place, now};
use super::{Accepted, Id, Spool, State};
use std::fs;
use std::path::Path;

/// What happens to a text.
type Damage = fn(&Path);

/// Two accepted messages, the older first.
fn two_accepted(place: &Place) -> (Spool, Id, Id) {
    let (mut spool, first) = place.accepted();
    place.drop_in("n.eml", &MESSAGE.replace("<1@x>", "<2@x>"));
    let [Accepted::Queued(second)] = &place.accept(&mut spool).unwrap()[..] else { panic!("not queued") };
    let second = second.clone();
    (spool, first, second)
}

#[test]
fn a_message_whose_text_is_damaged_is_held_and_stops_no_other() {
    let damages: [(&str, Damage); 4] = [
        ("is gone", |text| fs::remove_file(text).unwrap()),
        ("has 0 bytes instead of", |text| drop(fs::File::create(text).unwrap())),
        ("cannot be read", |text| {
            fs::rename(text, text.with_extension("kept")).unwrap();
            std::os::unix::fs::symlink(text.with_extension("kept"), text).unwrap();
        }),
        ("bytes instead of", |text| {
            fs::remove_file(text).unwrap();
            fs::create_dir(text).unwrap();
        }),
    ];
    for (expected, damage) in damages {
        let place = Place::new();
        let (mut spool, first, second) = two_accepted(&place);
        damage(&place.queue().join(format!("{first}.eml")));
        let due: Vec<Id> = spool.due(now()).into_iter().map(|entry| entry.id).collect();
        assert_eq!(due, [second], "{expected}");
        let mut spool = place.open().unwrap();
        let words = spool.entry(&first).unwrap().words.clone().unwrap();
        assert!(words.contains(expected) && words.contains(&format!("{first}.eml")), "{words}");
        assert_eq!((spool.counts().held, spool.due(now()).len()), (1, 1), "{expected}");
        assert!(spool.plight().unwrap().contains(expected));
        assert_eq!(spool.due(now()).len(), 1, "without its text it stays held");
    }
}

#[test]
fn a_held_message_goes_out_once_its_text_is_back() {
    let place = Place::new();
    let (mut spool, id) = place.accepted();
    let text = place.queue().join(format!("{id}.eml"));
    let bytes = fs::read(&text).unwrap();
    fs::remove_file(&text).unwrap();
    assert_eq!((spool.due(now()).len(), spool.counts().held), (0, 1));
    let mut spool = place.open().unwrap();
    fs::write(&text, bytes).unwrap();
    assert_eq!((spool.due(now()).len(), spool.counts().held, spool.plight()), (1, 0, None));
}

#[test]
fn a_message_that_the_user_holds_stays_held() {
    let place = Place::new();
    let (mut spool, id) = place.accepted();
    spool.transition(&id, State::Held, None).unwrap();
    assert_eq!((spool.due(now()).len(), spool.plight()), (0, None));
}

#[test]
fn a_queue_whose_directory_is_gone_holds_nothing() {
    let place = Place::new();
    let (mut spool, first, _) = two_accepted(&place);
    fs::rename(place.queue(), place.root.path().join("elsewhere")).unwrap();
    assert_eq!(spool.due(now()).len(), 2);
    assert!(spool.message(&first).is_err(), "the attempt tells");
    fs::rename(place.root.path().join("elsewhere"), place.queue()).unwrap();
    assert_eq!(place.open().unwrap().counts().held, 0);
}

#[test]
fn a_sent_message_whose_copy_is_lost_does_not_stay_for_ever() {
    let place = Place::new();
    let (mut spool, first, _) = two_accepted(&place);
    for state in [State::Sending, State::DotSent, State::Sent] {
        spool.transition(&first, state, None).unwrap();
    }
    spool.settle().unwrap();
    assert!(spool.entry(&first).is_ok(), "as long as the copy stands it is owed");
    fs::remove_file(place.queue().join(format!("{first}.eml"))).unwrap();
    spool.settle().unwrap();
    assert!(spool.entry(&first).is_err());
    assert_eq!(place.open().unwrap().entries().count(), 1);
}
