//! Which refusals mean the account as a whole: whatever is submitted next is refused as well, so the queue waits.
//!
//! Pure. Exchange: `432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded`, to be tried again. Gmail: `550 5.4.5
//! Daily user sending limit exceeded`, which ends within a day although it is said to be for ever. 4.7.x is also said of
//! one message (a greylist, a scanner): there the words tell. At RCPT only the day's limit is believed; the rest may be
//! the recipient's.

use super::error::Stage;
use super::reply::{EnhancedCode, Reply};
use std::time::Duration;

/// Microsoft counts messages by the minute.
const MINUTE: Duration = Duration::from_secs(60);
/// A day's limit is counted over the last 24 hours and ends at any time.
const DAILY: Duration = Duration::from_secs(3600);
/// Of a sender who is too busy, not of a message. Whole words: "moderated" and "unlimited" say nothing of the kind.
const TOO_MUCH: [&str; 10] = [
    "rate",
    "rates",
    "limit",
    "limits",
    "limited",
    "ratelimit",
    "ratelimited",
    "throttled",
    "throttling",
    "too many",
];

/// How long to submit nothing after this refusal; `None` where it is about the message.
pub(super) fn pause(stage: Stage, reply: &Reply) -> Option<Duration> {
    let code = reply.enhanced().map(|EnhancedCode { class, subject, detail }| (class, subject, detail));
    match code {
        Some((5, 4, 5)) => Some(DAILY),
        _ if stage == Stage::Rcpt || !reply.is_temporary() => None,
        Some((_, 3, 2)) => Some(MINUTE),
        Some((_, 7, _)) => is_too_much(reply).then_some(MINUTE),
        _ => (reply.code() == 432).then_some(MINUTE),
    }
}

fn is_too_much(reply: &Reply) -> bool {
    let text = reply.to_string().to_ascii_lowercase();
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let text = format!(" {} ", words.join(" "));
    TOO_MUCH.iter().any(|words| text.contains(&format!(" {words} ")))
}

#[cfg(test)]
mod tests {
    use super::super::reply::Parser;
    use super::*;

    #[test]
    fn limits_of_the_account_are_told_from_refusals_of_a_message() {
        let cases = [
            (Stage::Mail, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded.", Some(MINUTE)),
            (Stage::Dot, "432 4.3.2 Concurrent connections limit exceeded", Some(MINUTE)),
            (Stage::Mail, "432 later", Some(MINUTE)),
            (Stage::Dot, "450 4.7.28 Unusual rate of mail", Some(MINUTE)),
            (Stage::Mail, "451 4.7.500 Too many requests", Some(MINUTE)),
            (Stage::Dot, "550 5.4.5 Daily user sending limit exceeded.", Some(DAILY)),
            (Stage::Rcpt, "550 5.4.5 Daily user sending limit exceeded.", Some(DAILY)),
            (Stage::Mail, "450 4.7.0 Sender is rate-limited", Some(MINUTE)),
            (Stage::Dot, "451 4.7.1 Greylisted", None),
            (Stage::Dot, "451 4.7.1 To be moderated", None),
            (Stage::Dot, "450 4.7.1 Upgrade for unlimited mail", None),
            (Stage::Rcpt, "450 4.7.1 Rate limit for this recipient", None),
            (Stage::Mail, "451 4.3.0 Local error", None),
            (Stage::Mail, "550 5.7.1 Rate of spam too high", None),
            (Stage::Dot, "250 2.0.0 Ok", None),
        ];
        for (stage, line, expected) in cases {
            let reply = Parser::default().line(line.as_bytes()).unwrap().unwrap();
            assert_eq!(pause(stage, &reply), expected, "{line}");
        }
    }
}
