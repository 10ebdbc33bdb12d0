//! Hosts and URLs by name: what is a host, what is this machine, what is below a domain. Pure; nothing is looked up.

use std::net::IpAddr;
use url::Url;

/// A name or address literal; a colon is right in IPv6 only.
pub fn is_host(host: &str) -> bool {
    let plain = |character: char| character.is_alphanumeric() || "-._".contains(character);
    host.parse::<IpAddr>().is_ok() || (!host.is_empty() && host.chars().all(plain))
}

/// Whether a host is this machine by its very name.
pub fn is_loopback(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a URL is a loopback redirect (RFC 8252 §7.3): it ends at this machine and carries no port, not even the usual
/// one, because each login listens on a free port. Nothing stands behind its path, where the answer will, and it is
/// spelled as a browser spells it (`127.1` is not), because the browser's request is compared with it.
pub fn is_redirect(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let normal = url.as_str();
    let is_normal = normal == text || normal.strip_suffix('/') == Some(text);
    url.scheme() == "http"
        && url.host_str().is_some_and(is_loopback)
        && url.port().is_none()
        && is_plain
        && is_normal
}

/// The host of a URL as names are compared, in lower case and without a final dot; empty where there is none.
pub(super) fn host_of(url: &str) -> String {
    let host = Url::parse(url).ok().and_then(|url| url.host_str().map(plain));
    host.unwrap_or_default()
}

/// The domain whose hosts are neighbours of this one; none for an address, or right below a top-level domain.
pub(super) fn neighbourhood(host: &str) -> Option<&str> {
    let (_, domain) = host.trim_end_matches('.').split_once('.')?;
    (host.parse::<IpAddr>().is_err() && domain.contains('.')).then_some(domain)
}

/// Whether a name is a domain or below it, label by label; case and a final dot do not matter.
pub(super) fn is_below(name: &str, domain: &str) -> bool {
    let (name, domain) = (plain(name), plain(domain));
    !domain.is_empty()
        && name.strip_suffix(&domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_by_name() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example.org", "0.0.0.0", "10.0.0.1", "127.0.0.1.nip.io", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_host_has_no_port_and_no_blanks() {
        assert!(is_host("imap.example.org") && is_host("::1") && is_host("bücher.example"));
        assert!(!is_host("imap.example.org:993") && !is_host("a b") && !is_host("") && !is_host("https://x"));
    }

    #[test]
    fn a_redirect_is_to_this_machine_and_without_a_port() {
        for url in ["http://127.0.0.1", "http://localhost/", "http://[::1]/back", "http://localhost/a:b"] {
            assert!(is_redirect(url), "{url}");
        }
        for url in [
            "http://127.0.0.1:80",
            "http://[::1]:9",
            "http://me@localhost",
            "https://localhost",
            "x",
            "http://evil.test",
            "http://127.1",
            "http://LOCALHOST",
            "http://localhost?x=1",
            "http://localhost/back?",
            "http://localhost/#top",
            "http://:secret@localhost",
        ] {
            assert!(!is_redirect(url), "{url}");
        }
    }

    #[test]
    fn below_a_domain_is_told_label_by_label() {
        assert!(is_below("ASPMX.l.google.com.", "google.com") && is_below("google.com", "Google.com"));
        assert!(!is_below("evilgoogle.com", "google.com") && !is_below("google.com.evil.test", "google.com"));
        assert!(!is_below("anything", "") && !is_below("", "google.com"));
    }

    #[test]
    fn neighbours_are_below_one_domain_that_is_somebodys() {
        assert_eq!(neighbourhood("imap.gmail.com."), Some("gmail.com"));
        assert_eq!((neighbourhood("gmail.com"), neighbourhood("127.0.0.1")), (None, None));
        assert_eq!(host_of("https://OAuth2.googleapis.com./token"), "oauth2.googleapis.com");
        assert_eq!((host_of("mail-w"), host_of("mail:imap_full")), (String::new(), String::new()));
    }
}
