//! Uploads that failed, and when each is tried again.
//!
//! A message that a server refuses is sent whole before the refusal comes: without a pause an import into a full mailbox
//! would be sent again at every look. Kept in memory: a new process may try everything once.

use crate::backoff::Backoff;
use crate::mail::{MailboxName, UniqueName};
use crate::sync::report::Report;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Between two attempts: from one sweep to an hour, within which room that was made should be used.
const REST: Backoff = Backoff { floor: Duration::from_secs(60), ceiling: Duration::from_secs(3600) };

/// Files whose upload failed.
#[derive(Debug, Default)]
pub(super) struct Refused(BTreeMap<(MailboxName, UniqueName), Attempt>);

#[derive(Debug)]
struct Attempt {
    failures: u32,
    next: Instant,
    why: String,
}

impl Refused {
    /// Those that are not tried yet again, and why.
    pub(super) fn resting(&self) -> BTreeMap<(MailboxName, UniqueName), String> {
        let now = Instant::now();
        let resting = self.0.iter().filter(|(_, attempt)| attempt.next > now);
        resting.map(|(file, attempt)| (file.clone(), attempt.why.clone())).collect()
    }

    /// Takes in what a pass brought. A file whose time had come and that was not refused again is there, or gone here;
    /// where something else went wrong it may not have been tried.
    pub(super) fn learn(&mut self, report: &Report) {
        let now = Instant::now();
        for (mailbox, done) in &report.mailboxes {
            for (name, why) in &done.refused {
                let fresh = || Attempt { failures: 0, next: now, why: String::new() };
                let attempt = self.0.entry((mailbox.clone(), name.clone())).or_insert_with(fresh);
                attempt.next = now + REST.delay(attempt.failures, 1.0);
                attempt.failures += 1;
                attempt.why.clone_from(why);
            }
        }
        let was_tried = |mailbox: &MailboxName| {
            report.trouble.is_none()
                && report.mailboxes.get(mailbox).is_some_and(|done| done.trouble.is_none())
        };
        self.0.retain(|(mailbox, _), attempt| attempt.next > now || !was_tried(mailbox));
    }

    /// The user wants everything to be tried now.
    pub(super) fn try_again(&mut self) {
        let now = Instant::now();
        self.0.values_mut().for_each(|attempt| attempt.next = now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::report::MailboxReport;
    use crate::sync::{Scope, Trouble, directory_lost};

    fn lost() -> Trouble {
        Trouble { scope: Scope::Pass, ..directory_lost("lab", &MailboxName::inbox()) }
    }

    fn report(refused: &[&str]) -> Report {
        let refused = refused.iter().map(|&name| (UniqueName::new(name), "full".to_owned())).collect();
        let done = MailboxReport { refused, ..MailboxReport::default() };
        Report { mailboxes: [(MailboxName::inbox(), done)].into(), ..Report::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_rests_longer_after_each_refusal_and_is_forgotten_when_there_was_none() {
        let mut refused = Refused::default();
        for rest in [60, 120, 240] {
            refused.learn(&report(&["a"]));
            tokio::time::advance(Duration::from_secs(rest - 1)).await;
            refused.learn(&report(&[]));
            assert_eq!(refused.resting().into_values().collect::<Vec<_>>(), ["full"]);
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(refused.resting().is_empty());
        }
        refused.learn(&report(&["a"]));
        refused.try_again();
        refused.learn(&Report { trouble: Some(lost()), ..report(&[]) });
        assert_eq!(refused.0.len(), 1, "nothing was tried");
        assert!(refused.resting().is_empty());
        refused.learn(&report(&[]));
        assert!(refused.0.is_empty());
    }
}
