//! The queue on a real disk: acceptance, refusal, states, and a crash after every single step.

use super::disk::set_fuse;
use super::*;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub(super) const MESSAGE: &str = "From: me@x\nDate: d\nMessage-ID: <1@x>\nTo: a@x\nBcc: b@x\n\n.hello\n";

pub(super) struct Place {
    pub(super) root: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Place {
        let place = Place { root: tempfile::tempdir().unwrap() };
        fs::DirBuilder::new().mode(0o700).create(place.outbox()).unwrap();
        place
    }

    pub(super) fn outbox(&self) -> PathBuf {
        self.root.path().join("outbox")
    }

    pub(super) fn queue(&self) -> PathBuf {
        self.root.path().join("state/queue")
    }

    pub(super) fn drop_in(&self, name: &str, text: &str) {
        fs::write(self.outbox().join(name), text).unwrap();
    }

    pub(super) fn open(&self) -> Result<Spool, Error> {
        Spool::open(self.queue(), self.outbox())
    }

    fn failed(&self, name: &str) -> String {
        fs::read_to_string(self.outbox().join("failed").join(name)).unwrap()
    }

    /// Every complete file of the outbox.
    fn ready(&self) -> Vec<OutboxFile> {
        let mut outbox = Outbox::new(self.outbox());
        let now = now() + SignedDuration::from_hours(1);
        outbox.scan(now, &BTreeSet::new()).unwrap();
        outbox.scan(now + SignedDuration::from_secs(2), &BTreeSet::new()).unwrap().ready
    }

    pub(super) fn accept(&self, spool: &mut Spool) -> Result<Vec<Accepted>, Error> {
        self.ready().iter().map(|file| spool.accept(file, &me(), now())).collect()
    }

    pub(super) fn accepted(&self) -> (Spool, Id) {
        self.drop_in("m.eml", MESSAGE);
        let mut spool = self.open().unwrap();
        let [Accepted::Queued(id)] = &self.accept(&mut spool).unwrap()[..] else { panic!("not queued") };
        let id = id.clone();
        (spool, id)
    }
}

fn me() -> Sender {
    Sender { address: "me@x".into() }
}

pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

pub(super) fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn an_accepted_file_is_in_the_queue_and_gone_from_the_outbox() {
    let place = Place::new();
    let (mut spool, id) = place.accepted();
    assert_eq!(names(&place.outbox()), [""; 0]);
    assert_eq!(names(&place.queue()), [format!("{id}.eml"), format!("{id}.json")]);
    let mode = |name: String| fs::metadata(place.queue().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(format!("{id}.eml")), mode(format!("{id}.json"))), (0o600, 0o600));
    let mut text = String::new();
    spool.message(&id).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, MESSAGE.replace("Bcc: b@x\n", "").replace('\n', "\r\n"));
    let [entry] = &spool.due(now())[..] else { panic!("not due") };
    assert_eq!(entry.envelope.recipients, ["a@x", "b@x"]);
    assert_eq!(
        (entry.message_id.as_str(), entry.size, entry.name.as_str()),
        ("<1@x>", text.len() as u64, "m.eml")
    );
    assert_eq!(place.open().unwrap().entry(&id).unwrap().envelope, entry.envelope, "as stored");
}

#[test]
fn what_cannot_be_sent_goes_to_failed_untouched_and_nothing_is_overwritten() {
    let place = Place::new();
    let mut spool = place.open().unwrap();
    for text in ["Subject: to nobody\n", "To: a@x\n\nbare\rcr", "To: a@x, bob\n"] {
        place.drop_in("m", text);
        assert!(matches!(place.accept(&mut spool).unwrap()[..], [Accepted::Refused { .. }]), "{text}");
    }
    assert_eq!(names(&place.outbox().join("failed")), ["m", "m.1", "m.1.txt", "m.2", "m.2.txt", "m.txt"]);
    assert_eq!(place.failed("m.1"), "To: a@x\n\nbare\rcr");
    assert!(place.failed("m.2.txt").contains("\"bob\" is no mail address"));
    assert_eq!(names(&place.queue()), [""; 0]);
    assert_eq!(spool.counts().failed, 3);
}

#[test]
fn the_longest_name_has_room_for_its_reason() {
    let place = Place::new();
    let mut spool = place.open().unwrap();
    let name = "é".repeat(127);
    place.drop_in(&name, "Subject: to nobody\n");
    assert!(matches!(place.accept(&mut spool).unwrap()[..], [Accepted::Refused { .. }]));
    place.drop_in(&name, MESSAGE);
    let [Accepted::Queued(id)] = &place.accept(&mut spool).unwrap()[..] else { panic!("not queued") };
    spool.fail(id, "550 no").unwrap();
    let kept = "é".repeat(100);
    let expected = ["", ".1", ".1.txt", ".txt"].map(|ending| format!("{kept}{ending}"));
    assert_eq!(names(&place.outbox().join("failed")), expected);
}

#[test]
fn a_name_that_is_no_text_is_a_name() {
    let place = Place::new();
    fs::write(place.outbox().join(OsStr::from_bytes(b"caf\xe9")), MESSAGE).unwrap();
    let mut spool = place.open().unwrap();
    assert!(matches!(place.accept(&mut spool).unwrap()[..], [Accepted::Queued(_)]));
    assert_eq!(names(&place.outbox()), [""; 0]);
    assert_eq!(place.open().unwrap().due(now()).len(), 1);
}

#[test]
fn a_file_that_changes_while_it_is_taken_is_left_alone() {
    let place = Place::new();
    let mut spool = place.open().unwrap();
    place.drop_in("m", MESSAGE);
    let [file] = &place.ready()[..] else { panic!() };
    place.drop_in("m", &MESSAGE.repeat(2));
    assert_eq!(spool.accept(file, &me(), now()).unwrap(), Accepted::Changed);
    fs::remove_file(&file.path).unwrap();
    assert_eq!(spool.accept(file, &me(), now()).unwrap(), Accepted::Changed);
    assert_eq!(names(&place.queue()), [""; 0]);
}

#[test]
fn a_file_that_meets_a_defect_is_turned_down_and_holds_up_no_other() {
    let place = Place::new();
    place.drop_in("a.eml", "Planted-Defect: yes\n\n.\n");
    place.drop_in("b.eml", MESSAGE);
    let mut spool = place.open().unwrap();
    let accepted = place.accept(&mut spool).unwrap();
    assert!(accepted.iter().any(|it| matches!(it, Accepted::Refused { refusal: Refusal::Defect, .. })));
    assert_eq!(spool.due(now()).len(), 1, "{accepted:?}");
    assert_eq!(names(&place.outbox()), ["failed"]);
    assert_eq!(names(&place.queue()).len(), 2, "no copy is left");
    assert_eq!(place.failed("a.eml"), "Planted-Defect: yes\n\n.\n");
    assert!(place.failed("a.eml.txt").contains("internal error"));
}

#[test]
fn illegal_steps_are_refused_and_change_nothing() {
    let place = Place::new();
    let (mut spool, id) = place.accepted();
    for to in [State::DotSent, State::Sent, State::Filed, State::Uncertain] {
        assert!(matches!(spool.transition(&id, to, None), Err(Error::Illegal { .. })), "{to}");
    }
    assert_eq!(place.open().unwrap().entry(&id).unwrap().state, State::Queued);
    let other = Id::parse("1-2").unwrap();
    assert!(matches!(spool.transition(&other, State::Sending, None), Err(Error::Unknown(_))));
}

#[test]
fn a_deferred_message_waits_and_one_refused_for_too_long_fails() {
    let place = Place::new();
    let (mut spool, id) = place.accepted();
    let begin = now();
    spool.transition(&id, State::Sending, None).unwrap();
    let Next::At(at) = spool.defer(&id, "451 later", begin, 1.0).unwrap() else { panic!() };
    assert_eq!(at, begin + SignedDuration::from_secs(60));
    assert_eq!((spool.due(begin).len(), spool.next_due(begin)), (0, Some(at)));
    assert_eq!(spool.due(at).len(), 1);
    let late = begin + SignedDuration::from_hours(121);
    for attempt in 2..=10 {
        spool.transition(&id, State::Sending, None).unwrap();
        let next = spool.defer(&id, "451 still later", late, 1.0).unwrap();
        assert_eq!(next == Next::GiveUp, attempt == 10, "a machine that was off for five days");
    }
    assert!(
        place.failed("m.eml.txt").contains("given up after 10 attempts; the last answer: 451 still later")
    );
    assert_eq!(spool.entries().count(), 0);
}

#[test]
fn a_message_that_meets_the_accounts_limit_each_time_for_days_fails() {
    let place = Place::new();
    let (mut spool, id) = place.accepted();
    let begin = now();
    for attempt in 1..=20 {
        let at = begin + SignedDuration::from_hours(if attempt == 20 { 121 } else { 119 });
        spool.transition(&id, State::Sending, None).unwrap();
        assert_eq!(spool.throttle(&id, "450 4.7.1 too many", at).unwrap(), attempt == 20);
        assert_eq!(spool.due(at).len(), usize::from(attempt < 20), "it waits for the account alone");
    }
    let told = place.failed("m.eml.txt");
    assert!(
        told.contains("after 20 refusals for the account; the last answer: 450 4.7.1 too many"),
        "{told}"
    );
}

#[test]
fn a_clock_that_is_set_back_delays_no_message() {
    let place = Place::new();
    let (mut spool, id) = place.accepted();
    let right = now() - SignedDuration::from_hours(24 * 365);
    assert_eq!((spool.due(right).len(), spool.next_due(right)), (1, Some(right)), "accepted in a year");
    spool.transition(&id, State::Sending, None).unwrap();
    spool.defer(&id, "451 later", now(), 1.0).unwrap();
    assert_eq!((spool.due(right).len(), spool.next_due(right)), (1, Some(right)), "to be tried in a year");
}

#[test]
fn a_failed_message_comes_back_with_its_bcc_and_line_ends_and_can_be_dropped_again() {
    let place = Place::new();
    let (mut spool, id) = place.accepted();
    spool.transition(&id, State::Sending, None).unwrap();
    let at = spool.fail(&id, "550 5.1.1 nobody here").unwrap();
    assert_eq!(at, place.outbox().join("failed/m.eml"));
    assert!(place.failed("m.eml.txt").contains("550 5.1.1 nobody here"));
    let text = place.failed("m.eml");
    assert_eq!(text, format!("Bcc: b@x\n{}", MESSAGE.replace("Bcc: b@x\n", "")));
    fs::rename(at, place.outbox().join("again")).unwrap();
    place.accept(&mut spool).unwrap();
    let entry = spool.entries().next().unwrap();
    assert_eq!(entry.envelope.recipients.len(), 2);
    assert_eq!(entry.message_id, "<1@x>");
}

#[test]
fn the_reason_goes_with_a_message_that_is_moved_back_and_no_other_file_does() {
    let place = Place::new();
    let mut spool = place.open().unwrap();
    let failed = place.outbox().join("failed");
    for name in ["m", "n"] {
        place.drop_in(name, "Subject: to nobody\n");
    }
    place.accept(&mut spool).unwrap();
    fs::write(failed.join("o.txt"), "what the user keeps here").unwrap();
    let move_back = |name: &str, text: &str| {
        fs::rename(failed.join(name), place.outbox().join(name)).unwrap();
        place.drop_in(name, text);
    };
    move_back("m", "To: a@x, bob\n");
    place.accept(&mut spool).unwrap();
    assert_eq!(names(&failed), ["m", "m.txt", "n", "n.txt", "o.txt"], "refused again, for another reason");
    assert!(place.failed("m.txt").contains("bob"));
    move_back("m", MESSAGE);
    for name in ["n", "o"] {
        place.drop_in(name, MESSAGE);
    }
    place.accept(&mut spool).unwrap();
    assert_eq!(names(&failed), ["n", "n.txt", "o.txt"]);
    assert_eq!(spool.counts().queued, 3);
}

#[test]
fn the_user_may_hold_release_and_remove_but_not_what_the_server_has() {
    let place = Place::new();
    let (mut spool, id) = place.accepted();
    spool.transition(&id, State::Held, None).unwrap();
    assert_eq!((spool.due(now()).len(), spool.counts().held), (0, 1));
    spool.transition(&id, State::Queued, None).unwrap();
    spool.transition(&id, State::Sending, None).unwrap();
    spool.transition(&id, State::DotSent, None).unwrap();
    assert!(spool.remove(&id).is_err());
    let mut spool = place.open().unwrap();
    assert_eq!((spool.counts().uncertain, spool.due(now()).len()), (1, 0), "after a crash");
    spool.remove(&id).unwrap();
    assert_eq!(names(&place.queue()), [""; 0]);
}

#[test]
fn leftovers_go_and_what_cannot_be_read_stays() {
    let place = Place::new();
    drop(place.open().unwrap());
    for name in ["1-1.eml", "2-2.eml.tmp", "2-2.json.tmp", "3-3.eml", "3-3.json"] {
        fs::write(place.queue().join(name), "{").unwrap();
    }
    let mut spool = place.open().unwrap();
    assert_eq!((spool.entries().count(), spool.counts().held), (0, 1));
    let told = spool.plight().unwrap();
    assert!(told.contains("3-3.json is no record of a message") && told.contains("outbox"), "{told}");
    assert_eq!(names(&place.queue()), ["3-3.eml", "3-3.json"]);
    fs::remove_file(place.queue().join("3-3.json")).unwrap();
    spool.settle().unwrap();
    assert_eq!((spool.counts().held, spool.plight()), (0, None), "the user did as told");
}

#[test]
fn a_disk_that_does_not_give_a_record_now_gives_no_queue_yet() {
    let place = Place::new();
    let (spool, id) = place.accepted();
    drop(spool);
    let (record, elsewhere) = (place.queue().join(format!("{id}.json")), place.root.path().join("record"));
    fs::rename(&record, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&record, &record).unwrap();
    assert!(matches!(place.open(), Err(Error::Io { what: "read", .. })));
    fs::rename(&elsewhere, &record).unwrap();
    assert_eq!(place.open().unwrap().due(now()).len(), 1);
}

/// One life of the program: takes and sends whatever there is, until the disk stops or all is done. `wire` counts the
/// messages whose end left.
fn live(place: &Place, wire: &mut u32) -> Result<(), Error> {
    let mut spool = place.open()?;
    place.accept(&mut spool)?;
    for Entry { id, state, .. } in spool.entries().cloned().collect::<Vec<_>>() {
        if state == State::Uncertain {
            // The Sent mailbox tells whether it was sent.
            let found = if *wire > 0 { State::Sent } else { State::Queued };
            spool.transition(&id, found, None)?;
        }
    }
    for Entry { id, .. } in spool.due(now()) {
        spool.transition(&id, State::Sending, None)?;
        spool.transition(&id, State::DotSent, None)?;
        *wire += 1;
        spool.transition(&id, State::Sent, Some("250 ok"))?;
    }
    for Entry { id, .. } in spool.entries().cloned().collect::<Vec<_>>() {
        spool.transition(&id, State::Filed, None)?;
    }
    Ok(())
}

/// Runs `life` with a crash after every number of steps, and again without; `check` sees the end.
fn crash_everywhere(
    message: &str,
    life: impl Fn(&Place, &mut u32) -> Result<(), Error>,
    check: impl Fn(&Place, u32),
) {
    for steps in 0.. {
        let (place, mut wire) = (Place::new(), 0);
        place.drop_in("m", message);
        set_fuse(Some(steps));
        let crashed = life(&place, &mut wire).is_err();
        set_fuse(None);
        life(&place, &mut wire).unwrap();
        life(&place, &mut wire).unwrap();
        check(&place, wire);
        if !crashed {
            assert!(steps > 8, "the fuse was never lit");
            return;
        }
    }
}

#[test]
fn a_crash_after_any_step_loses_nothing_and_sends_once() {
    crash_everywhere(MESSAGE, live, |place, wire| {
        assert_eq!(wire, 1);
        assert_eq!(names(&place.outbox()), [""; 0]);
        assert_eq!(names(&place.queue()), [""; 0]);
    });
}

#[test]
fn a_crash_while_giving_back_leaves_one_message_and_one_reason() {
    let refused = |place: &Place, _: &mut u32| {
        let mut spool = place.open()?;
        place.accept(&mut spool)?;
        for Entry { id, .. } in spool.due(now()) {
            spool.transition(&id, State::Sending, None)?;
            spool.fail(&id, "550 no")?;
        }
        Ok(())
    };
    let check = |place: &Place, _| {
        assert_eq!(names(&place.outbox()), ["failed"]);
        assert_eq!(names(&place.outbox().join("failed")), ["m", "m.txt"]);
        assert_eq!(names(&place.queue()), [""; 0]);
    };
    crash_everywhere(MESSAGE, refused, check);
    crash_everywhere("Subject: to nobody\n", refused, check);
}
