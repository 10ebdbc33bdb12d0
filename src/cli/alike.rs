//! What failed in several mailboxes alike, said once: where a disk is not mounted it is all of them. Pure.

use std::collections::BTreeSet;

/// A line for each failure, given with the name of its mailbox; what differs in the name alone is one line.
pub(super) fn gathered<'a>(failed: impl Iterator<Item = (&'a str, String)>) -> Vec<String> {
    let mut alike: Vec<(String, Vec<String>)> = Vec::new();
    let mut known = BTreeSet::new();
    for (mailbox, line) in failed.filter(|(_, line)| known.insert(line.clone())) {
        let words = if mailbox.is_empty() { line.clone() } else { line.replace(mailbox, "") };
        match alike.iter_mut().find(|(known, _)| *known == words) {
            Some((_, said)) if mailbox.is_empty() || said.iter().any(|it| it == mailbox) => {}
            Some((_, said)) => said.push(mailbox.to_owned()),
            None => alike.push((words, vec![line])),
        }
    }
    let joined = |said: Vec<String>| match said.as_slice() {
        [line, others @ ..] if !others.is_empty() => format!("{line} (so in {})", others.join(", ")),
        _ => said.concat(),
    };
    alike.into_iter().map(|(_, said)| joined(said)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_in_the_name_alone_is_said_once() {
        let lost = |name: &'static str| (name, format!("{name}: the directory of {name} is missing"));
        let all = [lost("INBOX"), ("Sent", "Sent: refused".to_owned()), lost("Old/2024"), lost("Trash")];
        assert_eq!(
            gathered(all.into_iter()),
            ["INBOX: the directory of INBOX is missing (so in Old/2024, Trash)", "Sent: refused"]
        );
        for line in [("", "no route"), ("INBOX", "INBOX: the disk is full")] {
            let twice = [line; 2].map(|(name, line)| (name, line.to_owned()));
            assert_eq!(gathered(twice.into_iter()), [line.1]);
        }
    }
}
