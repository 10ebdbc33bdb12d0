//! The pages that a browser lands on after a login. Pure.
//!
//! Invariant: every byte is fixed when the program is built; nothing of a request or of a provider's answer is in a
//! page, so nothing can be injected into one. No script, and no resource from anywhere: the policy forbids all but
//! this style, by its hash (CSP Level 3 §2.3.1). A page says how the login ended, and where to look next.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

/// What the browser is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The account is logged in.
    Done,
    /// The person, or the provider, said no.
    Denied,
    /// Consent was given, and something went wrong afterwards.
    Failed,
    /// A request that belongs to no login.
    Stray,
}

impl Page {
    /// The whole response, headers included.
    pub(super) fn response(self) -> String {
        let body = self.body();
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            BASE64_STANDARD.encode(Sha256::digest(STYLE))
        );
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n\
             Content-Security-Policy: {policy}\r\n{HEADERS}\r\n{body}",
            status = self.status(),
            length = body.len(),
        )
    }

    fn status(self) -> &'static str {
        match self {
            Page::Done => "200 OK",
            Page::Denied => "403 Forbidden",
            Page::Failed => "502 Bad Gateway",
            Page::Stray => "400 Bad Request",
        }
    }

    fn body(self) -> String {
        let (kind, sign, title, text) = self.words();
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} · posthaste</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<main class=\"{kind}\">\n\
             <svg viewBox=\"0 0 48 48\" aria-hidden=\"true\"><circle cx=\"24\" cy=\"24\" r=\"22\"/>{sign}</svg>\n\
             <h1>{title}</h1>\n<p>{text}</p>\n<footer>posthaste</footer>\n</main>\n</body>\n</html>\n"
        )
    }

    /// The class, the sign in the circle, the title and the text.
    fn words(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Page::Done => (
                "good",
                CHECK,
                "You are logged in",
                "Your mail account is connected. You can close this window; posthaste goes on by itself.",
            ),
            Page::Denied => (
                "bad",
                CROSS,
                "Not logged in",
                "Access to the mail account was not given, and nothing was changed. \
                 The terminal in which you began says why, and how to try again.",
            ),
            Page::Failed => (
                "bad",
                CROSS,
                "The login did not work",
                "You gave access, but posthaste could not finish the login. \
                 The terminal in which you began says what went wrong and what to do.",
            ),
            Page::Stray => (
                "plain",
                DASH,
                "Nothing to do here",
                "This address only waits for the end of a login, and this was not it. \
                 Begin with the address that the terminal shows.",
            ),
        }
    }
}

/// A response without a page: wrong method, host or path.
pub(super) fn bare(status: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: 0\r\nContent-Security-Policy: default-src 'none'\r\n{HEADERS}\r\n"
    )
}

/// The address holds a code: it is neither kept nor told to anybody.
const HEADERS: &str = "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n\
                       X-Frame-Options: DENY\r\nCross-Origin-Resource-Policy: same-origin\r\nConnection: close\r\n";

const CHECK: &str = "<path d=\"M14 25l7 7 14-15\"/>";
const CROSS: &str = "<path d=\"M16 16l16 16M32 16L16 32\"/>";
const DASH: &str = "<path d=\"M15 24h18\"/>";

const STYLE: &str = "\
:root{--back:#f3f5f8;--card:#fff;--text:#1b2430;--soft:#566273;--edge:#e0e5ec;--good:#18794e;--bad:#c0362c;--plain:#566273}\
@media(prefers-color-scheme:dark){:root{--back:#10141a;--card:#1a2029;--text:#eef2f7;--soft:#a3afbf;--edge:#2c3542;\
--good:#4cc38a;--bad:#ff8a7d;--plain:#a3afbf}}\
*{box-sizing:border-box;margin:0}\
body{min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--back);color:var(--text);\
font:1.0625rem/1.6 system-ui,-apple-system,\"Segoe UI\",Cantarell,\"Noto Sans\",sans-serif}\
main{width:100%;max-width:29rem;padding:3rem 2.5rem 1.75rem;text-align:center;background:var(--card);\
border:1px solid var(--edge);border-radius:1.25rem;box-shadow:0 1.5rem 3rem -1.5rem rgba(16,24,40,.25)}\
svg{width:4rem;height:4rem;fill:none;stroke:currentColor;stroke-width:3;stroke-linecap:round;stroke-linejoin:round}\
circle{stroke-width:2;opacity:.35}\
.good svg{color:var(--good)}.bad svg{color:var(--bad)}.plain svg{color:var(--plain)}\
h1{margin:1.25rem 0 .75rem;font-size:1.6rem;line-height:1.25;font-weight:650;letter-spacing:-.01em}\
p{color:var(--soft)}\
footer{margin-top:2.25rem;padding-top:1.25rem;border-top:1px solid var(--edge);color:var(--soft);font-size:.875rem;\
letter-spacing:.04em}";

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Page; 4] = [Page::Done, Page::Denied, Page::Failed, Page::Stray];

    #[test]
    fn every_page_forbids_what_it_does_not_need_and_is_as_long_as_it_says() {
        for page in ALL {
            let response = page.response();
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
            for wanted in [
                "Content-Security-Policy: default-src 'none'; style-src 'sha256-",
                "Cache-Control: no-store",
                "Referrer-Policy: no-referrer",
                "X-Content-Type-Options: nosniff",
                "Connection: close",
            ] {
                assert!(head.contains(wanted), "{page:?}: {wanted}");
            }
            assert!(!body.contains("http") && !body.contains("<script") && !body.contains("url("), "{body}");
        }
    }

    #[test]
    fn the_hash_in_the_policy_is_that_of_the_style_in_the_page() {
        let response = Page::Done.response();
        let style = response.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let hash = BASE64_STANDARD.encode(Sha256::digest(style));
        assert!(response.contains(&format!("style-src 'sha256-{hash}'")));
    }

    #[test]
    fn success_and_failure_say_so_in_plain_words() {
        assert!(Page::Done.response().contains("<h1>You are logged in</h1>"));
        assert!(Page::Denied.response().contains("<h1>Not logged in</h1>"));
        assert!(Page::Failed.response().contains("<h1>The login did not work</h1>"));
        assert!(ALL.iter().skip(1).all(|page| !page.response().starts_with("HTTP/1.1 200")));
    }
}
