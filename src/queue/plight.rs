//! What a look at the queue shows: how many messages wait, and what keeps single ones from leaving.

use super::record::{Entry, State};
use super::returned;
use super::spool::{Spool, Unreadable};
use crate::status;

/// Refusals after which a message that waits is worth a word: the first is a greylist's, which passes by itself.
const WORTH_A_WORD: u32 = 2;

impl Spool {
    /// What waits, in the numbers that `status` shows.
    pub fn counts(&self) -> status::Outbox {
        let held = u32::try_from(self.unreadable.len()).unwrap_or(u32::MAX);
        let failed = returned::count(&self.outbox);
        let mut counts = status::Outbox { failed, held, ..status::Outbox::default() };
        for entry in self.entries.values() {
            match entry.state {
                State::Held => counts.held += 1,
                State::Uncertain | State::DotSent => counts.uncertain += 1,
                State::Failed => counts.failed += 1,
                State::Queued | State::Sending | State::Deferred => counts.queued += 1,
                State::Sent | State::Filed => {}
            }
        }
        counts
    }

    /// Why a message does not leave although nothing is wrong with the way: the gravest case, and how many more there are.
    pub fn plight(&self) -> Option<String> {
        let unreadable = self.unreadable.iter().map(|Unreadable { path, why }| {
            let path = path.display();
            format!(
                "a message is not sent: {path} is no record of a message ({why}); put its text back into the outbox, and remove both files there"
            )
        });
        let damaged =
            self.entries.values().filter(|entry| entry.damaged).filter_map(|entry| entry.words.clone());
        let put_off = self.entries.values().filter(|entry| is_put_off(entry)).map(|entry| self.told(entry));
        let mut all = unreadable.chain(damaged).chain(put_off);
        let first = all.next()?;
        match all.count() {
            0 => Some(first),
            more => Some(format!("{more} more, and {first}")),
        }
    }

    /// The file's name comes last: a report for a help desk cuts it off.
    fn told(&self, entry: &Entry) -> String {
        let words = entry.words.as_deref().unwrap_or_default().replace('\n', "; ");
        let next = entry.next_try.map(|at| at.strftime(", next try %Y-%m-%d %H:%M UTC").to_string());
        let (count, next) = (entry.attempts, next.unwrap_or_default());
        format!("put off {count} times{next} ({words}): {}", self.outbox.join(&entry.name).display())
    }
}

fn is_put_off(entry: &Entry) -> bool {
    entry.state == State::Deferred && entry.attempts >= WORTH_A_WORD
}

#[cfg(test)]
mod tests {
    use super::super::spool_tests::Place;
    use super::*;
    use std::fs;

    #[test]
    fn a_message_that_is_put_off_again_is_told_with_its_file_the_answer_and_the_next_try() {
        let place = Place::new();
        let (mut spool, id) = place.accepted();
        let begin: jiff::Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
        for expected in
            [None, Some("put off 2 times, next try 2026-11-22 08:02 UTC (451 4.7.1 Greylisted; a@x: no): ")]
        {
            spool.transition(&id, State::Sending, None).unwrap();
            spool.defer(&id, "451 4.7.1 Greylisted\na@x: no", begin, 1.0).unwrap();
            let file = place.outbox().join("m.eml");
            assert_eq!(spool.plight(), expected.map(|words| format!("{words}{}", file.display())));
        }
        spool.transition(&id, State::Sending, None).unwrap();
        assert_eq!(spool.plight(), None);
    }

    #[test]
    fn what_failed_is_counted_whatever_its_name() {
        let place = Place::new();
        let mut spool = place.open().unwrap();
        for name in ["letter.txt", "other"] {
            place.drop_in(name, "Subject: to nobody\n");
            place.accept(&mut spool).unwrap();
        }
        assert_eq!(spool.counts().failed, 2);
        fs::remove_file(place.outbox().join("failed/letter.txt")).unwrap();
        assert_eq!(spool.counts().failed, 1, "a reason alone is no message");
    }
}
