//! The state of the open mailbox, kept true by whatever the server says under whatever command.
//!
//! Pure. Knows only counts and marks: which messages there are is the business of a listing.

use super::parse::{self, Code, Response};
use crate::mail::{Flags, MailboxName};

/// What the server said about the selected mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selected {
    pub(super) name: Option<MailboxName>,
    pub(super) exists: Option<u32>,
    pub(super) uid_validity: Option<u32>,
    pub(super) uid_next: Option<u32>,
    pub(super) highest_mod_seq: Option<u64>,
    pub(super) read_only: bool,
    /// PERMANENTFLAGS; without it all flags are permanent (RFC 3501 §7.1).
    pub(super) permanent: Option<Flags>,
}

impl Selected {
    /// Takes in untagged data.
    pub(super) fn apply(&mut self, response: &Response) {
        match response {
            Response::Exists(count) => self.exists = Some(*count),
            Response::Expunge => self.forget(1),
            Response::Vanished { earlier: false, uids } => self.forget(uids.len()),
            Response::Condition(condition) => {
                if let Some(code) = &condition.code {
                    self.apply_code(code);
                }
            }
            _ => {}
        }
    }

    /// Takes in the code of a status response, tagged or not.
    pub(super) fn apply_code(&mut self, code: &Code) {
        match code {
            Code::UidValidity(number) => self.uid_validity = Some(*number),
            Code::UidNext(number) => self.uid_next = Some(*number),
            Code::HighestModSeq(number) => self.highest_mod_seq = Some(*number),
            Code::NoModSeq => self.highest_mod_seq = None,
            Code::ReadOnly => self.read_only = true,
            Code::PermanentFlags(names) => self.permanent = Some(permanent(names)),
            // RFC 7162 §3.2.11: the mailbox that was open before is closed, what follows is about the new one.
            Code::Closed => *self = Selected::default(),
            _ => {}
        }
    }

    fn forget(&mut self, count: u64) {
        if let Some(exists) = self.exists.as_mut() {
            *exists = exists.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }
}

/// The flags that PERMANENTFLAGS lets us store; `\*` allows new keywords, `$Forwarded` among them.
fn permanent(names: &[String]) -> Flags {
    let any = names.iter().any(|name| name == "\\*");
    parse::flags(names) | if any { Flags::FORWARDED } else { Flags::NONE }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(lines: &[&str]) -> Selected {
        let mut selected = Selected::default();
        for line in lines {
            selected.apply(&parse::response(line.as_bytes()));
        }
        selected
    }

    #[test]
    fn counts_follow_what_comes_and_goes() {
        assert_eq!(after(&["* 5 EXISTS", "* 2 EXPUNGE", "* VANISHED 3:4"]).exists, Some(2));
        assert_eq!(after(&["* 5 EXISTS", "* VANISHED (EARLIER) 3:4"]).exists, Some(5));
        assert_eq!(after(&["* 0 EXISTS", "* 9 EXPUNGE"]).exists, Some(0));
        assert_eq!(after(&["* 1 EXISTS", "* VANISHED 1:4294967295"]).exists, Some(0));
    }

    #[test]
    fn what_was_said_before_closed_is_about_another_mailbox() {
        let lines = ["* 5 EXISTS", "* OK [HIGHESTMODSEQ 9] x", "* OK [CLOSED] x"];
        assert_eq!(after(&lines), Selected::default());
    }

    #[test]
    fn new_keywords_allow_forwarded() {
        let storable = |flags: &str| after(&[&format!("* OK [PERMANENTFLAGS ({flags})] x")]).permanent;
        assert_eq!(storable("\\Seen \\*"), Some(Flags::SEEN | Flags::FORWARDED));
        assert_eq!(storable("\\Seen $Forwarded"), Some(Flags::SEEN | Flags::FORWARDED));
        assert_eq!(storable("\\Seen"), Some(Flags::SEEN));
    }
}
