//! Queued mail that nobody will send: its account was renamed or removed, or lost its way out.
//!
//! Only looks. The messages stay where they are; what becomes of them is for the user to say.

use crate::queue;
use crate::status::Stranded;
use std::fs;
use std::path::Path;

/// The queue in the state directory of an account.
pub(super) const QUEUE: &str = "queue";

/// The queues below `state_dir` that have messages, and no account that `sends`; by account. Blocks.
pub fn stranded(state_dir: &Path, sends: impl Fn(&str) -> bool) -> Vec<Stranded> {
    let Ok(listing) = fs::read_dir(state_dir) else { return Vec::new() };
    let accounts = listing.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut found: Vec<Stranded> = accounts
        .filter(|account| !sends(account))
        .map(|account| {
            let queue = state_dir.join(&account).join(QUEUE);
            Stranded { messages: queue::count(&queue), queue: queue.display().to_string(), account }
        })
        .filter(|queue| queue.messages > 0)
        .collect();
    found.sort_by(|one, other| one.account.cmp(&other.account));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_with_records_and_no_sender_is_told() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(stranded(&state.path().join("nothing"), |_| false), []);
        for (account, files) in [
            ("old", &["1.eml", "1.json", "2.eml", "2.json"][..]),
            ("lab", &["3.eml", "3.json"]),
            ("done", &[]),
        ] {
            let queue = state.path().join(account).join(QUEUE);
            fs::create_dir_all(&queue).unwrap();
            files.iter().for_each(|file| fs::write(queue.join(file), "").unwrap());
        }
        fs::create_dir(state.path().join("without a queue")).unwrap();
        fs::write(state.path().join("lock"), "").unwrap();
        let queue = state.path().join("old/queue").display().to_string();
        let old = Stranded { account: "old".into(), queue, messages: 2 };
        assert_eq!(stranded(state.path(), |account| account == "lab"), [old]);
        assert_eq!(stranded(state.path(), |_| false).len(), 2);
    }
}
