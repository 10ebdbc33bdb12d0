//! What the server offers, less what is switched off for it.

use std::collections::BTreeSet;

/// The capabilities in use after login, in upper case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    offered: BTreeSet<String>,
    disabled: BTreeSet<String>,
}

impl Capabilities {
    /// What the server listed, without what is disabled.
    pub(super) fn new(
        offered: impl IntoIterator<Item = String>,
        disabled: &BTreeSet<String>,
    ) -> Capabilities {
        let disabled: BTreeSet<String> = disabled.iter().map(|name| name.to_ascii_uppercase()).collect();
        let offered = offered.into_iter().map(|name| name.to_ascii_uppercase());
        Capabilities { offered: offered.filter(|name| !disabled.contains(name)).collect(), disabled }
    }

    /// Whether the server offers it and it is not switched off; the name in upper case.
    pub fn has(&self, name: &str) -> bool {
        self.offered.contains(name)
    }

    /// The octets above which the server takes no message (RFC 7889), where it is the same for all mailboxes.
    pub(super) fn append_limit(&self) -> Option<u64> {
        self.offered.iter().find_map(|name| name.strip_prefix("APPENDLIMIT=")?.parse().ok())
    }

    /// Every capability in use.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.offered.iter().map(String::as_str)
    }

    /// Whether it is switched off by name, offered or not.
    pub(super) fn is_disabled(&self, name: &str) -> bool {
        self.disabled.contains(name)
    }

    /// Takes one away that the server offers and then refuses.
    pub(super) fn withdraw(&mut self, name: &str) {
        self.offered.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_switched_off_is_not_offered() {
        let off = BTreeSet::from(["condstore".to_owned()]);
        let mut all = Capabilities::new(["Move".into(), "CONDSTORE".into()], &off);
        assert_eq!(all.iter().collect::<Vec<_>>(), ["MOVE"]);
        assert!(all.is_disabled("CONDSTORE"));
        assert_eq!(all.append_limit(), None);
        let limited = Capabilities::new(["APPENDLIMIT=35651584".into()], &off);
        assert_eq!(limited.append_limit(), Some(35_651_584));
        all.withdraw("MOVE");
        assert!(!all.has("MOVE"));
    }
}
