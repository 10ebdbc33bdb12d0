//! One fault of the disk amid an acceptance or a submission: what is known stays known, and what waits goes on.

use super::disk::{fail_once, set_fuse};
use super::spool_tests::{MESSAGE, Place, names, now};
use super::{Error, Id, Spool, State};

/// A step of a submission that the server has answered.
type Answer = fn(&mut Spool, &Id) -> Result<(), Error>;

#[test]
fn one_fault_of_the_disk_after_any_answer_loses_neither_the_message_nor_the_answer() {
    let answers: [(&str, bool, Answer, State); 7] = [
        ("sent", true, |spool, id| spool.transition(id, State::Sent, Some("250 ok")), State::Sent),
        ("perhaps sent", true, |spool, id| spool.transition(id, State::Uncertain, None), State::Uncertain),
        ("put off", true, |spool, id| spool.defer(id, "451", now(), 1.0).map(drop), State::Deferred),
        ("too much", true, |spool, id| spool.throttle(id, "450", now()).map(drop), State::Deferred),
        ("refused", true, |spool, id| spool.fail(id, "550").map(drop), State::Failed),
        ("broken off", false, |spool, id| spool.break_off(id, "lost", now()).map(drop), State::Queued),
        ("no connection", false, |spool, id| spool.transition(id, State::Queued, None), State::Queued),
    ];
    for (what, has_dot, answer, end) in answers {
        for steps in 0.. {
            let place = Place::new();
            let (mut spool, id) = place.accepted();
            spool.transition(&id, State::Sending, None).unwrap();
            if has_dot {
                spool.transition(&id, State::DotSent, None).unwrap();
            }
            fail_once(steps);
            let failed = answer(&mut spool, &id).is_err();
            set_fuse(None);
            spool.settle().unwrap();
            for spool in [&spool, &place.open().unwrap()] {
                let state = spool.entry(&id).map_or(State::Failed, |entry| entry.state);
                assert_eq!(state, end, "{what}, after fault {steps}");
                assert_eq!(spool.counts().failed, u32::from(end == State::Failed));
            }
            if !failed {
                break;
            }
        }
    }
}

#[test]
fn one_fault_of_the_disk_before_an_intent_leaves_the_message_due() {
    for intent in [State::Sending, State::DotSent] {
        for steps in 0.. {
            let place = Place::new();
            let (mut spool, id) = place.accepted();
            if intent == State::DotSent {
                spool.transition(&id, State::Sending, None).unwrap();
            }
            fail_once(steps);
            let failed = spool.transition(&id, intent, None).is_err();
            set_fuse(None);
            if !failed {
                break;
            }
            spool.settle().unwrap();
            assert_eq!(spool.due(now()).len(), 1, "{intent}, after fault {steps}");
        }
    }
}

#[test]
fn one_fault_of_the_disk_at_any_step_of_acceptance_makes_no_second_submission() {
    for steps in 0.. {
        let place = Place::new();
        place.drop_in("m", MESSAGE);
        let mut spool = place.open().unwrap();
        fail_once(steps);
        let failed = place.accept(&mut spool).is_err();
        set_fuse(None);
        assert!(!failed || spool.due(now()).is_empty(), "not due while its file stands in the outbox");
        place.accept(&mut spool).unwrap();
        spool.settle().unwrap();
        assert_eq!(spool.due(now()).len(), 1, "after fault {steps}");
        assert_eq!(names(&place.outbox()), [""; 0]);
        assert_eq!(place.open().unwrap().entries().count(), 1, "also on disk, after fault {steps}");
        if !failed {
            assert!(steps > 5);
            return;
        }
    }
}
