//! What the user meant by a word that is not known: the one most like it among those that were expected. Pure.
//!
//! Works on the words of a refusal, "unknown key `swep`, expected one of `address`, `sweep`": serde tells what it
//! expected in no other way, and our own refusals of providers and clouds are worded the same.

/// From 0 (nothing in common) to 1; measured: `swep`, `password` for `password_command` and `mailbox` lie above,
/// `server` for `user` below.
const LIKE: f64 = 0.8;
/// More names are no help.
const MOST: usize = 12;

/// The expected word that is most like the unknown one, if one is.
pub(super) fn meant(message: &str) -> Option<&str> {
    let (unknown, expected) = message.strip_prefix("unknown ")?.split_once(", expected ")?;
    nearest(unknown.split('`').nth(1)?, expected.split('`').skip(1).step_by(2))
}

/// What to say to who named something that is not there: the name that is most like it, else those that there are.
pub fn suggestion<'a>(unknown: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(unknown, known.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => {
            let names: Vec<&str> = known.clone().take(MOST).collect();
            let more = if known.count() > MOST { ", …" } else { "" };
            format!("known: {}{more}", names.join(", "))
        }
    }
}

fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let unknown = unknown.to_lowercase();
    let likeness = |word: &str| strsim::jaro_winkler(&unknown, &word.to_lowercase());
    let words = known.map(|word| (likeness(word), word));
    let best = words.max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(likeness, _)| *likeness >= LIKE).map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn among(unknown: &str) -> Option<&'static str> {
        let keys = "`address`, `user`, `mailboxes`, `sweep`, `sent`, `password_command`, `protocol`";
        let message = format!("unknown key `{unknown}`, expected one of {keys}");
        meant(Box::leak(message.into_boxed_str()))
    }

    #[test]
    fn a_slip_of_the_pen_is_recognised() {
        for (unknown, known) in [
            ("swep", "sweep"),
            ("Sweep", "sweep"),
            ("adress", "address"),
            ("mailbox", "mailboxes"),
            ("password", "password_command"),
            ("prot", "protocol"),
        ] {
            assert_eq!(among(unknown), Some(known), "{unknown}");
        }
    }

    #[test]
    fn a_name_that_is_not_there_is_met_with_the_one_most_like_it_or_with_all() {
        let there = ["Archive", "INBOX", "Entwürfe"];
        assert_eq!(suggestion("archiv*", there.into_iter()), "did you mean `Archive`?");
        assert_eq!(suggestion("Papers", there.into_iter()), "known: Archive, INBOX, Entwürfe");
        assert_eq!(suggestion("x", ["a"; 13].into_iter()), format!("known: {}, …", ["a"; 12].join(", ")));
    }

    #[test]
    fn another_word_is_not_taken_for_a_slip() {
        for unknown in ["server", "tenant", "x", "", "ü"] {
            assert_eq!(among(unknown), None, "{unknown}");
        }
        for message in ["", "unknown", "unknown key, expected `a`", "invalid type: x, expected `x`"] {
            assert_eq!(meant(message), None, "{message}");
        }
    }
}
