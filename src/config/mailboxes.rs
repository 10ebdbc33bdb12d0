//! Which mailboxes are wanted: globs on mailbox names.
//!
//! `*` stands for anything, also across `/`; `?` for one character; a leading `!` excludes; the last glob that matches
//! decides, and a mailbox that none matches is not wanted. Names are compared with case, but for INBOX (RFC 9051 §5.1).
//! A glob crate was rejected: its `/` and `{}` rules are those of shells, and backtracking over a server's names
//! must be bounded, which one remembered star gives.

use crate::mail::MailboxName;

/// The compiled globs of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailboxes(Vec<Glob>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Glob {
    excludes: bool,
    pattern: MailboxName,
}

impl Mailboxes {
    /// Compiles globs as written; the error says which list can never want anything.
    pub fn new<S: AsRef<str>>(globs: &[S]) -> Result<Mailboxes, String> {
        let globs: Vec<Glob> = globs.iter().map(|glob| Glob::new(glob.as_ref())).collect();
        if globs.iter().any(|glob| glob.pattern.as_str().is_empty()) {
            return Err("an empty glob matches nothing, expected something like \"*\" or \"!Junk\"".into());
        }
        if globs.iter().all(|glob| glob.excludes) {
            return Err(
                "no mailbox would be wanted, expected at least one glob without `!`, like \"*\"".into()
            );
        }
        Ok(Mailboxes(globs))
    }

    /// Whether this mailbox is wanted.
    pub fn wants(&self, mailbox: &MailboxName) -> bool {
        let decisive = self.0.iter().rfind(|glob| glob.matches(mailbox));
        decisive.is_some_and(|glob| !glob.excludes)
    }

    /// The globs as written.
    pub fn globs(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|glob| format!("{}{}", if glob.excludes { "!" } else { "" }, glob.pattern))
    }
}

impl Glob {
    fn new(text: &str) -> Glob {
        let (excludes, pattern) = match text.strip_prefix('!') {
            Some(pattern) => (true, pattern),
            None => (false, text),
        };
        Glob { excludes, pattern: MailboxName::new(pattern) }
    }

    fn matches(&self, mailbox: &MailboxName) -> bool {
        let pattern: Vec<char> = self.pattern.as_str().chars().collect();
        let name: Vec<char> = mailbox.as_str().chars().collect();
        matches(&pattern, &name)
    }
}

/// Compares from the left; on a mismatch the last star swallows one character more. Time is at most the product of
/// the lengths.
fn matches(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while let Some(character) = name.get(read) {
        match pattern.get(at) {
            Some('*') => {
                last_star = Some((at, read));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == character => {
                at += 1;
                read += 1;
            }
            _ => match last_star {
                Some((star, swallowed)) => {
                    last_star = Some((star, swallowed + 1));
                    at = star + 1;
                    read = swallowed + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wants(globs: &[&str], mailbox: &str) -> bool {
        Mailboxes::new(globs).unwrap().wants(&MailboxName::new(mailbox))
    }

    #[test]
    fn a_star_crosses_levels_and_a_question_mark_is_one_character() {
        assert!(wants(&["*"], "INBOX"));
        assert!(wants(&["Work/*"], "Work/a/b"));
        assert!(!wants(&["Work/*"], "Work"));
        assert!(wants(&["*/20??"], "Archive/2024"));
        assert!(!wants(&["*/20??"], "Archive/20241"));
        assert!(wants(&["M?ller"], "Müller"));
        assert!(wants(&["a*b*c"], "aXbXbXc"));
        assert!(!wants(&["a*b*c"], "aXbXbX"));
    }

    #[test]
    fn the_last_match_wins() {
        let globs = ["*", "!Archive/*", "Archive/2024"];
        assert!(wants(&globs, "Sent"));
        assert!(!wants(&globs, "Archive/2023"));
        assert!(wants(&globs, "Archive/2024"));
        assert!(!wants(&["Work"], "Sent"));
    }

    #[test]
    fn case_counts_except_in_inbox() {
        assert!(wants(&["inbox"], "INBOX"));
        assert!(!wants(&["*", "!Inbox/Junk"], "INBOX/Junk"));
        assert!(!wants(&["junk"], "Junk"));
    }

    #[test]
    fn a_list_that_wants_nothing_is_refused() {
        assert!(Mailboxes::new::<&str>(&[]).is_err());
        assert!(Mailboxes::new(&["!Junk"]).is_err());
        assert!(Mailboxes::new(&["*", "!"]).is_err());
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        let pattern = "*a".repeat(200);
        assert!(!wants(&[&pattern], &"a".repeat(199)));
        assert!(wants(&[&pattern], &"a".repeat(4000)));
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_and_any_star_in_it(before in "[a-z/é]{0,8}", middle in "[a-z/é]{0,8}", after in "[a-z/é]{1,8}") {
            let name = format!("{before}{middle}{after}");
            prop_assert!(wants(&[&name], &name));
            let pattern = format!("{before}*{after}");
            prop_assert!(wants(&[&pattern], &name));
        }
    }
}
