//! What a server says it can (CAPA, RFC 2449). Pure.

use crate::net::words::LONGEST_DELAY;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The capabilities of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Name in upper case, and its arguments.
    tags: BTreeMap<String, Vec<String>>,
    /// Names in upper case that are not to be used, listed or not.
    disabled: BTreeSet<String>,
    /// Whether the server knows CAPA at all: without it nothing is known to be missing.
    known: bool,
}

impl Capabilities {
    /// From the lines of the answer.
    pub(super) fn new(lines: &[Vec<u8>]) -> Capabilities {
        let mut tags = BTreeMap::new();
        for line in lines {
            let line = String::from_utf8_lossy(line).into_owned();
            let mut words = line.split_ascii_whitespace().map(str::to_owned);
            if let Some(name) = words.next() {
                tags.insert(name.to_ascii_uppercase(), words.collect());
            }
        }
        Capabilities { tags, disabled: BTreeSet::new(), known: true }
    }

    /// The same without these, in upper case: the server's are known to fail.
    pub(super) fn without(mut self, disabled: &BTreeSet<String>) -> Capabilities {
        self.tags.retain(|name, _| !disabled.contains(name));
        self.disabled.clone_from(disabled);
        self
    }

    /// Whether the server lists this capability.
    pub fn has(&self, name: &str) -> bool {
        self.tags.contains_key(name)
    }

    /// Whether the server may have it: it lists it, or lists nothing.
    pub(super) fn may_have(&self, name: &str) -> bool {
        self.has(name) || !self.known && !self.disabled.contains(name)
    }

    /// Whether the server offers this SASL mechanism.
    pub fn offers_mechanism(&self, mechanism: &str) -> bool {
        self.mechanisms().iter().any(|offered| offered.eq_ignore_ascii_case(mechanism))
    }

    /// The SASL mechanisms, as written.
    pub fn mechanisms(&self) -> &[String] {
        self.tags.get("SASL").map(Vec::as_slice).unwrap_or_default()
    }

    /// How long the server wants to be left alone between two logins.
    pub fn login_delay(&self) -> Option<Duration> {
        let seconds: u64 = self.tags.get("LOGIN-DELAY")?.first()?.parse().ok()?;
        Some(Duration::from_secs(seconds).min(LONGEST_DELAY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(lines: &[&str]) -> Capabilities {
        Capabilities::new(&lines.iter().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    #[test]
    fn names_and_arguments_are_read_in_any_case() {
        let all = capabilities(&["TOP", "sasl PLAIN XOAUTH2", "Login-Delay 900 USER", "", "UIDL"]);
        assert!(all.has("TOP") && all.has("UIDL") && !all.has("STLS") && !all.may_have("STLS"));
        assert!(all.offers_mechanism("xoauth2") && !all.offers_mechanism("OAUTHBEARER"));
        assert_eq!(all.login_delay(), Some(Duration::from_secs(900)));
        assert!(Capabilities::default().may_have("UIDL"));
    }

    #[test]
    fn what_is_switched_off_is_not_used() {
        let off = BTreeSet::from(["PIPELINING".to_owned(), "TOP".to_owned()]);
        let all = capabilities(&["Pipelining", "UIDL"]).without(&off);
        assert!(all.has("UIDL") && !all.has("PIPELINING"));
        let unknown = Capabilities::default().without(&off);
        assert!(unknown.may_have("UIDL") && !unknown.may_have("TOP"));
    }

    #[test]
    fn a_delay_that_makes_no_sense_is_none_and_a_huge_one_is_a_day() {
        assert_eq!(capabilities(&["LOGIN-DELAY"]).login_delay(), None);
        assert_eq!(capabilities(&["LOGIN-DELAY soon"]).login_delay(), None);
        let huge = capabilities(&["LOGIN-DELAY 99999999"]).login_delay();
        assert_eq!(huge, Some(LONGEST_DELAY));
    }
}
