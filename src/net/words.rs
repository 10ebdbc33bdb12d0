//! What mail servers say, whichever protocol they say it in.
//!
//! Invariant: text of a server is printable and short before it is kept, so that no server can play with a terminal or a
//! log. Exchange says the same words in IMAP and POP3: what they mean is here. Pure.

use std::time::Duration;

/// Text that is kept; longer texts are cut.
const TEXT: usize = 300;
/// A longer delay is not believed: one wrong number must not silence an account for years.
pub const LONGEST_DELAY: Duration = Duration::from_secs(24 * 3600);

/// Text fit for a log line: no control characters, not too long.
pub fn printable(text: &str) -> String {
    let kept = text.trim().chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    kept.take(TEXT).collect::<String>().trim().to_owned()
}

/// Exchange: the login was good, the mailbox is not for it (protocol off, licence, policy).
pub fn is_denied(text: &str) -> bool {
    text.contains("authenticated but not connected")
}

/// Exchange: `Request is throttled. Suggested Backoff Time: 92415 milliseconds`.
pub fn suggested_delay(text: &str) -> Option<Duration> {
    let text = text.to_ascii_lowercase();
    let (_, rest) = text.split_once("suggested backoff time:")?;
    let (number, _) = rest.trim_start().split_once(' ')?;
    number.parse().ok().map(|number| Duration::from_millis(number).min(LONGEST_DELAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_delay_is_believed_up_to_a_day() {
        let delay = |number: &str| {
            suggested_delay(&format!("Request is throttled. Suggested Backoff Time: {number} milliseconds"))
        };
        assert_eq!(delay("92415"), Some(Duration::from_millis(92_415)));
        assert_eq!(delay("18446744073709551615"), Some(LONGEST_DELAY));
        assert_eq!(delay("many"), None);
        assert_eq!(suggested_delay("Suggested Backoff Time: soon"), None);
    }

    #[test]
    fn text_is_made_printable_and_cut() {
        assert_eq!(printable(" a\r\n\x07b \r\n"), "a   b");
        assert_eq!(printable(&"x".repeat(5000)).len(), TEXT);
    }
}
