//! Queued mail that nobody sends, below the accounts of `posthaste status`: where it lies and what to do. Pure.

use super::output::harmless;
use super::render::wrapped;
use crate::status::Stranded;

/// Two lines for each queue; nothing where there is none.
pub fn lines(queues: &[Stranded], width: Option<usize>) -> String {
    queues.iter().map(|queue| told(queue, width)).collect()
}

fn told(Stranded { account, queue, messages }: &Stranded, width: Option<usize>) -> String {
    let (account, queue) = (harmless(account), harmless(queue));
    let noun = if *messages == 1 { "message" } else { "messages" };
    let trouble = format!("nobody sends {messages} {noun} that account {account} queued: {queue}");
    let hint = format!(
        "hint: configure an account {account} that can send until they are gone, or remove that directory; then: posthaste reload"
    );
    wrapped(&trouble, "", "  ", width) + &wrapped(&hint, "  ", "    ", width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_told_with_its_place_and_what_to_do() {
        let queue = |messages| Stranded { account: "old".into(), queue: "/s/old/queue".into(), messages };
        let expected = "\
nobody sends 2 messages that account old queued: /s/old/queue
  hint: configure an account old that can send until they are gone, or remove that directory; then: posthaste reload
";
        assert_eq!(lines(&[queue(2)], None), expected);
        assert!(
            lines(&[queue(1)], Some(40)).starts_with("nobody sends 1 message that account old\n  queued:")
        );
        assert_eq!(lines(&[], None), "");
    }
}
