//! Messages on their way out, and where each of them is: outbox, queue, `failed/`, or the server.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use serde_json::Value;

use super::killing::{Killer, Moment, wait_for};
use super::support::process::Home;
use super::support::sides::{self, Dates};
use super::support::sink::{Sink, Stage, Step};
use super::support::{Host, wait};

/// Messages of a round.
const BATCH: usize = 4;
/// How long the server thinks over a message: room for a kill after the dot.
const THOUGHT: Duration = Duration::from_millis(15);

/// alice's outgoing mail and the server that takes it.
pub struct Post {
    /// Where the program runs.
    pub home: Home,
    sink: std::sync::Arc<Sink>,
    subjects: Vec<String>,
}

impl Post {
    /// With a submission server of its own: Dovecot would stand between the dot and the eye.
    pub fn new(host: &Host, home: Home) -> Post {
        let sink = Sink::submission(&host.authority, |user, _| user == "alice");
        sink.script(Stage::Dot, Step::Delay(THOUGHT), usize::MAX);
        let text = fs::read_to_string(home.config()).unwrap();
        let (before, after) = (host.dovecot.ports.submissions, sink.port());
        fs::write(home.config(), text.replace(&format!("port = {before}"), &format!("port = {after}")))
            .unwrap();
        fs::create_dir_all(home.outbox("alice").join("new")).unwrap();
        Post { home, sink: sink.into(), subjects: Vec::new() }
    }

    /// Puts messages into the outbox, as a Maildir or as files that have been there for a while.
    pub fn drop_messages(&mut self, rng: &mut Rng) {
        for _ in 0..BATCH {
            let subject = format!("letter-{}-", self.subjects.len());
            let body = "some words of a letter\n".repeat(rng.usize(1..2_000));
            let text = format!(
                "From: alice@mail.test\nTo: bob@mail.test\nSubject: {subject}\nMessage-ID: <{subject}@mail.test>\n\n{body}"
            );
            let temporary = self.home.outbox("alice").join(".writing");
            fs::write(&temporary, text).unwrap();
            let earlier = SystemTime::now() - Duration::from_secs(5);
            fs::File::options().write(true).open(&temporary).unwrap().set_modified(earlier).unwrap();
            fs::rename(&temporary, self.home.outbox("alice").join("new").join(&subject)).unwrap();
            self.subjects.push(subject);
        }
    }

    /// How many messages there were.
    pub fn dropped(&self) -> usize {
        self.subjects.len()
    }

    /// Runs the daemon and kills it; false when all was settled before.
    pub fn strike(&mut self, killer: &mut Killer) -> bool {
        let events = self.events();
        let (moment, is_event) = killer.choose(1.0, events);
        let daemon = self.home.spawn();
        let killed = wait_for(moment, || self.is_settled());
        daemon.kill();
        killer.count(killed, is_event);
        killed
    }

    /// Lets the daemon do what is left.
    pub fn settle(&self) {
        let daemon = self.home.start();
        wait::until(wait::PATIENCE, "the outbox and the queue to be done", || self.is_settled());
        wait::until(wait::PATIENCE, "status to show what is uncertain", || {
            let uncertain = self.home.status()["accounts"][0]["outbox"]["uncertain"].as_u64();
            uncertain == Some(self.records().len() as u64)
        });
        daemon.kill();
    }

    /// Nothing waits in the outbox, and the queue holds only what is uncertain.
    pub fn is_settled(&self) -> bool {
        let waiting = fs::read_dir(self.home.outbox("alice").join("new")).unwrap().count();
        waiting == 0 && self.records().iter().all(|record| record["state"] == "uncertain")
    }

    /// At any moment each message is somewhere, and the server has it once at most.
    pub fn assert_nothing_lost(&self) {
        for subject in &self.subjects {
            let (sent, queued, waiting, failed) = self.places(subject);
            assert!(sent + queued + waiting + failed > 0, "{subject} is lost");
            assert!(sent <= 1, "{subject} was sent {sent} times");
        }
    }

    /// At rest each message is in one place, or uncertain and then perhaps with the server.
    pub fn assert_each_in_one_place(&self) {
        let uncertain = self.uncertain();
        for subject in &self.subjects {
            let (sent, queued, waiting, failed) = self.places(subject);
            let expected = if uncertain.contains(subject) { (sent.min(1), 1, 0, 0) } else { (1, 0, 0, 0) };
            assert_eq!((sent, queued, waiting, failed), expected, "{subject}: sent, queued, waiting, failed");
        }
    }

    /// The messages of which nobody can say whether they were sent.
    pub fn uncertain(&self) -> BTreeSet<String> {
        let name = |record: &Value| record["name"].as_str().unwrap().to_owned();
        self.records().iter().filter(|record| record["state"] == "uncertain").map(name).collect()
    }

    /// Each message that is known to be sent has one copy in Sent on both sides.
    pub fn assert_copies(&self, host: &Host) {
        while !self.home.ok(&["sync"]).contains("in step") {}
        sides::assert_equal(host, "alice", &self.home.maildir("alice"), Dates::Ignore);
        let sent = sides::remote(host, "alice", Dates::Ignore).remove("Sent").unwrap();
        let copies: BTreeSet<String> = sent.iter().map(|item| item.label.replace("Subject: ", "")).collect();
        assert_eq!(copies.len(), sent.len(), "a copy is doubled");
        let mut expected: BTreeSet<String> = self.subjects.iter().cloned().collect();
        expected.retain(|subject| !self.uncertain().contains(subject));
        assert_eq!(copies, expected);
    }

    fn places(&self, subject: &str) -> (usize, usize, usize, usize) {
        let holds =
            |text: &[u8]| memchr::memmem::find(text, format!("Subject: {subject}").as_bytes()).is_some();
        let count = |directory: PathBuf, extension: &str| {
            let files = files(&directory).into_iter().filter(|path| {
                extension.is_empty() || path.extension().is_some_and(|found| found == extension)
            });
            // A text in the queue without its record is a leftover: the next start removes it.
            let files = files.filter(|path| extension.is_empty() || path.with_extension("json").exists());
            files.filter(|path| fs::read(path).is_ok_and(|text| holds(&text))).count()
        };
        let sent = self.sink.received().iter().filter(|one| holds(&one.message)).count();
        let outbox = self.home.outbox("alice");
        let queue = self.home.state("alice").join("queue");
        (sent, count(queue, "eml"), count(outbox.join("new"), ""), count(outbox.join("failed"), ""))
    }

    /// The queue's records as they are on disk.
    fn records(&self) -> Vec<Value> {
        records(&self.home.state("alice").join("queue"))
    }

    fn events(&self) -> Vec<Moment> {
        let (commands, received) = (self.sink.commands().len(), self.sink.received().len());
        let mut events = Vec::new();
        for verb in ["AUTH", "MAIL", "DATA", "QUIT"] {
            let sink = self.sink.clone();
            let seen = move || sink.commands().iter().skip(commands).any(|line| line.starts_with(verb));
            events.push(Moment::when(verb, seen));
        }
        let sink = self.sink.clone();
        events.push(Moment::when("a message kept", move || sink.received().len() > received));
        let queue = self.home.state("alice").join("queue");
        for state in ["queued", "sending", "dot-sent", "sent"] {
            let queue = queue.clone();
            let stands = move || records(&queue).iter().any(|record| record["state"] == state);
            events.push(Moment::when(&format!("a record {state}"), stands));
        }
        events.push(Moment::when("a temporary file in the queue", move || {
            files(&queue).iter().any(|path| path.extension().is_some_and(|found| found == "tmp"))
        }));
        events
    }
}

/// Records are replaced by rename, so what is read is whole.
fn records(queue: &Path) -> Vec<Value> {
    let paths = files(queue).into_iter().filter(|path| path.extension().is_some_and(|found| found == "json"));
    paths.filter_map(|path| fs::read(path).ok()).map(|text| serde_json::from_slice(&text).unwrap()).collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
