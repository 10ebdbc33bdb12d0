//! What is wrong with a certificate, in words that say what to change. Pure.
//!
//! Works on the reasons of X.509 verification as OpenSSL words them (`X509_verify_cert_error_string`): behind the TLS
//! layer nothing else is left of them. Wordings of OpenSSL 1.1 and 3 differ in hyphens.

use super::chart::Failed;
use crate::error::Classified;
use crate::net;

/// A reason in OpenSSL's words, ours, and the remedy. The first that fits counts: a chain that is self-signed is also one
/// that cannot be traced back.
const PROBLEMS: &[(&[&str], &str, &str)] = &[
    (
        &["certificate has expired"],
        "the server's certificate has expired",
        "the server's operator must renew it; if this machine's clock is ahead, set the clock",
    ),
    (
        &["not yet valid"],
        "the server's certificate is not yet valid",
        "look at this machine's clock first: it is most likely behind",
    ),
    (
        &["hostname mismatch", "ip address mismatch"],
        "the server's certificate is for another name",
        "set `host` to a name that the certificate holds; where the name is right, somebody else answers in its place",
    ),
    (
        &["self-signed certificate in certificate chain", "self signed certificate in certificate chain"],
        "the server's certificate comes from an authority that this machine does not know",
        "for a private authority set `ca` in the account; on a guest network log in to its page first; a virus scanner \
         that opens TLS must be told to leave mail alone",
    ),
    (
        &["self-signed certificate", "self signed certificate"],
        "the server's certificate is self-signed",
        "if the server is yours (or Proton Bridge), save its certificate as a PEM file and set `ca` to it",
    ),
    (
        &["unable to get local issuer", "unable to verify the first certificate", "unable to get issuer"],
        "the issuer of the server's certificate is not known here",
        "for a private authority set `ca` in the account; else install the package ca-certificates, or tell the server's \
         operator that the intermediate certificate is missing",
    ),
    (
        &["certificate signature failure"],
        "the issuer of the server's certificate has the name of a trusted one and another key",
        "the private authority was made anew: set `ca` in the account to its certificate of today",
    ),
    (
        &["certificate revoked"],
        "the server's certificate was revoked",
        "do not use this server before its operator has replaced the certificate",
    ),
    (
        &["unsupported protocol", "version too low", "alert protocol version"],
        "the server speaks only TLS versions that are no longer safe",
        "TLS 1.2 is the least; the server's operator must switch it on",
    ),
    (
        &["wrong version number", "packet length too long"],
        "what answers on this port does not begin with TLS",
        "check `port`, or set tls = \"starttls\"",
    ),
];

/// Whether a certificate was refused because of the time.
pub(super) fn is_about_time(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["certificate has expired", "not yet valid"].iter().any(|reason| lower.contains(reason))
}

/// The failure of a TLS step.
pub(super) fn failed(error: &net::Error) -> Failed {
    let net::Error::Tls { endpoint, cause } = error else { return Failed::of(error) };
    let lower = cause.to_ascii_lowercase();
    let fits = |reasons: &[&str]| reasons.iter().any(|reason| lower.contains(reason));
    match PROBLEMS.iter().find(|(reasons, ..)| fits(reasons)) {
        Some((_, problem, remedy)) => Failed::new(format!("{endpoint}: {problem} ({cause})"), *remedy),
        None => Failed { detail: error.to_string(), advice: error.hint() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_of_openssl_has_its_name() {
        for (cause, words) in [
            ("certificate verify failed (certificate has expired)", "has expired"),
            ("certificate verify failed (certificate is not yet valid)", "not yet valid"),
            ("certificate verify failed (Hostname mismatch)", "another name"),
            ("certificate verify failed (IP address mismatch)", "another name"),
            ("certificate verify failed (self-signed certificate)", "is self-signed"),
            ("certificate verify failed (self signed certificate)", "is self-signed"),
            ("certificate verify failed (self-signed certificate in certificate chain)", "does not know"),
            ("certificate verify failed (unable to get local issuer certificate)", "issuer"),
            ("wrong version number", "does not begin with TLS"),
        ] {
            let error = net::Error::Tls { endpoint: "mail.test:993".into(), cause: cause.into() };
            let Failed { detail, advice } = failed(&error);
            assert!(detail.contains(words) && detail.contains(cause), "{cause}: {detail}");
            assert!(detail.starts_with("mail.test:993: ") && advice.is_some(), "{detail}");
        }
    }

    #[test]
    fn an_unknown_reason_keeps_the_words() {
        let error = net::Error::Tls { endpoint: "mail.test:993".into(), cause: "sslv3 alert".into() };
        assert_eq!(failed(&error).detail, "no TLS with mail.test:993: sslv3 alert");
    }
}
