//! Logins as Microsoft, Google and RFC 7628 document and speak them, octet by octet and through a socket: what is said, and
//! what comes of it.
//!
//! The users and tokens are those of the published pages, so that the lines that carry them can be compared with the printed
//! ones. Only RFC 7628's line depends on the server that was dialled; it is made here from its parts. A script ends when the
//! client has left without another word: a second attempt in the same session would be seen. Refusals are classified: a
//! login that a person must repeat, a mailbox that is closed to a good login, trouble that passes.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use posthaste::error::{Class, Classified};
use posthaste::mail::sasl::Credentials;
use posthaste::net::{Endpoint, Tls};
use posthaste::{imap, pop, smtp};
use support::script::Script;

/// How posthaste introduces itself.
const ID: &str = concat!("ID (\"name\" \"posthaste\" \"version\" \"", env!("CARGO_PKG_VERSION"), "\")");

/// A published example: who logs in, by which token, and the line of XOAUTH2 as printed, without its line breaks.
struct Example {
    user: &'static str,
    token: &'static str,
    line: &'static str,
}

const MICROSOFT: Example = Example {
    user: "test@contoso.onmicrosoft.com",
    token: "EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA",
    line: "dXNlcj10ZXN0QGNvbnRvc28ub25taWNyb3NvZnQuY29tAWF1dGg9QmVhcmVyIEV3QkFBbDNCQUFVRkZwVUFvN0ozVmUwYmpMQldaV0NjbFJDM0VvQUEBAQ==",
};
const GOOGLE: Example = Example {
    user: "someuser@example.com",
    token: "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg",
    line: "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==",
};
/// RFC 7628 §4.1; it has no XOAUTH2.
const STANDARD: Example =
    Example { user: "user@example.com", token: "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", line: "" };

/// `{"status":"401","schemes":"bearer mac","scope":"https://mail.google.com/"}`, as Google prints it.
const CHALLENGE: &str =
    "eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIG1hYyIsInNjb3BlIjoiaHR0cHM6Ly9tYWlsLmdvb2dsZS5jb20vIn0K";
/// `{"status":"400",…`
const CHALLENGE_400: &str =
    "eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ==";
/// `{"status":"invalid_token","scope":"example_scope","openid-configuration":…`, RFC 7628 §4.3.
const INVALID_TOKEN: &str = "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJleGFtcGxlX3Njb3BlIiwib3BlbmlkLWNvbmZpZ3VyYXRpb24iOiJodHRwczovL2V4YW1wbGUuY29tLy53ZWxsLWtub3duL29wZW5pZC1jb25maWd1cmF0aW9uIn0=";

const EXCHANGE_IMAP: &str = "S: * OK The Microsoft Exchange IMAP4 service is ready.
    C: B1 CAPABILITY
    S: * CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+
    S: B1 OK CAPABILITY completed.";
/// As Gmail lists it now.
const GMAIL_IMAP: &str = "S: * OK Gimap ready for requests from 127.0.0.1
    C: B1 CAPABILITY
    S: * CAPABILITY IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 XYZZY SASL-IR AUTH=XOAUTH2 AUTH=PLAIN AUTH=PLAIN-CLIENTTOKEN AUTH=OAUTHBEARER
    S: B1 OK Thats all she wrote!";
/// As on Google's page about XOAUTH2.
const GOOGLES_PAGE_IMAP: &str = "S: * OK Gimap ready for requests from 127.0.0.1
    C: B1 CAPABILITY
    S: * CAPABILITY IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA XLIST CHILDREN XYZZY SASL-IR AUTH=XOAUTH2
    S: B1 OK Completed";
const STANDARD_IMAP: &str = "S: * OK IMAP4rev1 Server Ready
    C: B1 CAPABILITY
    S: * CAPABILITY IMAP4rev1 AUTH=OAUTHBEARER SASL-IR
    S: B1 OK Completed";

const EXCHANGE_POP: &str = "S: +OK The Microsoft Exchange POP3 service is ready.
    C: CAPA\nS: +OK\nS: TOP\nS: UIDL\nS: SASL PLAIN XOAUTH2\nS: USER\nS: .";
const GMAIL_POP: &str = "S: +OK Gpop ready for requests from 127.0.0.1
    C: CAPA\nS: +OK Capability list follows\nS: USER\nS: RESP-CODES\nS: EXPIRE 0\nS: LOGIN-DELAY 300\nS: TOP\nS: UIDL
    S: X-GOOGLE-RICO\nS: SASL PLAIN XOAUTH2 OAUTHBEARER\nS: .";

const EXCHANGE_SMTP: &str = "S: 220 SN2PR00CA0018.outlook.office365.com Microsoft ESMTP MAIL Service ready
    C: EHLO [127.0.0.1]
    S: 250-SN2PR00CA0018.outlook.office365.com Hello [127.0.0.1]
    S: 250-SIZE 157286400
    S: 250-PIPELINING
    S: 250-AUTH LOGIN XOAUTH2
    S: 250 SMTPUTF8";
const GMAIL_SMTP: &str = "S: 220 smtp.gmail.com ESMTP ready - gsmtp
    C: EHLO [127.0.0.1]
    S: 250-smtp.gmail.com at your service, [127.0.0.1]
    S: 250-SIZE 35882577
    S: 250-8BITMIME
    S: 250-AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH
    S: 250-ENHANCEDSTATUSCODES
    S: 250-PIPELINING
    S: 250 SMTPUTF8";
/// As on Google's page about XOAUTH2.
const GOOGLES_PAGE_SMTP: &str = "S: 220 mx.google.com ESMTP 12sm2095603fks.9
    C: EHLO [127.0.0.1]
    S: 250-mx.google.com at your service, [127.0.0.1]
    S: 250-SIZE 35651584
    S: 250-8BITMIME
    S: 250-AUTH LOGIN PLAIN XOAUTH XOAUTH2
    S: 250-ENHANCEDSTATUSCODES
    S: 250 PIPELINING";

impl Example {
    fn credentials(&self) -> Credentials {
        Credentials::Bearer { user: self.user.into(), token: self.token.to_owned().into() }
    }

    /// Plays a dialogue in which `PRINTED` is the line of XOAUTH2, and `MADE` the one of OAUTHBEARER.
    fn play(&self, hello: &str, dialogue: &str) -> (Script, Endpoint) {
        let Example { user, token, line } = self;
        let script = Script::play(|port| {
            let bearer =
                format!("n,a={user},\x01host=127.0.0.1\x01port={port}\x01auth=Bearer {token}\x01\x01");
            let dialogue = dialogue.replace("PRINTED", line).replace("MADE", &BASE64_STANDARD.encode(bearer));
            format!("{hello}\n{dialogue}")
        });
        let endpoint = Endpoint { host: "127.0.0.1".into(), port: script.port(), tls: Tls::None, ca: None };
        (script, endpoint)
    }

    /// The mechanism by which it logged in, and whether the server is known to offer `capability` after that.
    async fn imap(
        &self,
        hello: &str,
        dialogue: &str,
        capability: &str,
    ) -> Result<(&'static str, bool), imap::Error> {
        let (script, endpoint) = self.play(hello, dialogue);
        let options = imap::Options { endpoint, disable: BTreeSet::new(), special_use: BTreeMap::new() };
        let outcome = imap::connect(&options, &self.credentials()).await;
        let outcome = outcome.map(|session| (session.mechanism(), session.capabilities().has(capability)));
        script.finished();
        outcome
    }

    async fn pop(&self, hello: &str, dialogue: &str) -> Result<&'static str, pop::Error> {
        let (script, endpoint) = self.play(hello, dialogue);
        let outcome = pop::connect(&endpoint, &self.credentials()).await.map(|session| session.mechanism());
        script.finished();
        outcome
    }

    async fn smtp(&self, hello: &str, dialogue: &str) -> Result<(), smtp::Error> {
        self.submit(hello, dialogue, &self.credentials()).await
    }

    /// Logs in to submit, and asks whether the user may.
    async fn submit(&self, hello: &str, dialogue: &str, by: &Credentials) -> Result<(), smtp::Error> {
        let (script, endpoint) = self.play(hello, dialogue);
        let mut session = smtp::Session::connect(&endpoint).await.unwrap();
        let mut outcome = session.log_in(by).await;
        if outcome.is_ok() && dialogue.contains("MAIL FROM") {
            outcome = session.try_sender(self.user).await;
        }
        drop(session);
        script.finished();
        outcome
    }
}

#[tokio::test]
async fn imap_at_exchange_succeeds_and_the_capabilities_are_asked_again() {
    let dialogue = format!(
        "C: B2 AUTHENTICATE XOAUTH2 PRINTED
         S: B2 OK AUTHENTICATE completed.
         C: P1 CAPABILITY
         S: * CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CLIENTACCESSRULES CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE CHILDREN IDLE NAMESPACE LITERAL+
         S: P1 OK CAPABILITY completed.
         C: P2 {ID}
         S: * ID (\"name\" \"Microsoft.Exchange.Imap4.Imap4Server\" \"version\" \"15.20\")
         S: P2 OK ID completed"
    );
    let (mechanism, moves) = MICROSOFT.imap(EXCHANGE_IMAP, &dialogue, "MOVE").await.unwrap();
    assert!(moves, "listed only after the login");
    assert_eq!(mechanism, "XOAUTH2");
}

#[tokio::test]
async fn imap_at_gmail_succeeds_with_its_capabilities_before_the_ok() {
    let rest = format!(
        "S: * CAPABILITY IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS COMPRESS=DEFLATE ENABLE MOVE CONDSTORE ESEARCH UTF8=ACCEPT LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE APPENDLIMIT=35651584
         S: B2 OK someuser@example.com authenticated (Success)
         C: P1 CAPABILITY
         S: * CAPABILITY IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS COMPRESS=DEFLATE ENABLE MOVE CONDSTORE ESEARCH UTF8=ACCEPT LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE APPENDLIMIT=35651584
         S: P1 OK Success
         C: P2 {ID}
         S: * ID (\"name\" \"GImap\" \"vendor\" \"Google, Inc.\")
         S: P2 OK Success"
    );
    for (hello, begin, mechanism) in [
        (GMAIL_IMAP, "C: B2 AUTHENTICATE OAUTHBEARER MADE", "OAUTHBEARER"),
        (GOOGLES_PAGE_IMAP, "C: B2 AUTHENTICATE XOAUTH2 PRINTED", "XOAUTH2"),
    ] {
        let outcome = GOOGLE.imap(hello, &format!("{begin}\n{rest}"), "CONDSTORE").await.unwrap();
        assert_eq!(outcome, (mechanism, true));
    }
}

#[tokio::test]
async fn imap_as_in_the_standard_succeeds() {
    let dialogue = "C: B2 AUTHENTICATE OAUTHBEARER MADE
        S: B2 OK SASL authentication succeeded
        C: P1 CAPABILITY\nS: * CAPABILITY IMAP4rev1\nS: P1 OK Completed";
    let outcome = STANDARD.imap(STANDARD_IMAP, dialogue, "IMAP4REV1").await.unwrap();
    assert_eq!(outcome.0, "OAUTHBEARER");
}

#[tokio::test]
async fn imap_without_an_initial_response_waits_for_the_plus() {
    let hello = EXCHANGE_IMAP.replace(" SASL-IR", "");
    for plus in ["S: + ", "S: +"] {
        let dialogue = format!(
            "C: B2 AUTHENTICATE XOAUTH2\n{plus}\nC: PRINTED\nS: B2 OK AUTHENTICATE completed.
             C: P1 CAPABILITY\nS: * CAPABILITY IMAP4rev1\nS: P1 OK CAPABILITY completed.\nC: P2 {ID}\nS: P2 OK ID completed"
        );
        assert!(MICROSOFT.imap(&hello, &dialogue, "").await.is_ok(), "{plus:?}");
    }
}

#[tokio::test]
async fn imap_refusals_mean_what_they_mean() {
    let xoauth2 = "C: B2 AUTHENTICATE XOAUTH2 PRINTED\n";
    let bearer = "C: B2 AUTHENTICATE OAUTHBEARER MADE\n";
    let no = "S: B2 NO SASL authentication failed";
    let throttled = Class::Retry { after: Some(Duration::from_millis(92_415)) };
    for (example, hello, dialogue, class) in [
        (&GOOGLE, GOOGLES_PAGE_IMAP, format!("{xoauth2}S: + {CHALLENGE}\nC: \n{no}"), Class::NeedsLogin),
        (&GOOGLE, GOOGLES_PAGE_IMAP, format!("{xoauth2}S: + {CHALLENGE_400}\nC: \n{no}"), Class::NeedsLogin),
        (
            &GOOGLE,
            GOOGLES_PAGE_IMAP,
            format!("{xoauth2}S: + {CHALLENGE}\nC: \nS: + {CHALLENGE}\nC: *\n{no}"),
            Class::NeedsLogin,
        ),
        (
            &GOOGLE,
            GMAIL_IMAP,
            format!(
                "{bearer}S: + {CHALLENGE}\nC: AQ==\nS: B2 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"
            ),
            Class::NeedsLogin,
        ),
        (&STANDARD, STANDARD_IMAP, format!("{bearer}S: + {INVALID_TOKEN}\nC: AQ==\n{no}"), Class::NeedsLogin),
        (&MICROSOFT, EXCHANGE_IMAP, format!("{xoauth2}S: B2 NO AUTHENTICATE failed."), Class::NeedsLogin),
        (
            &MICROSOFT,
            EXCHANGE_IMAP,
            format!(
                "{xoauth2}S: B2 OK AUTHENTICATE completed.\nC: P1 CAPABILITY\nC: P2 {ID}
                 S: P1 BAD User is authenticated but not connected.\nS: * BYE Connection closed. 14"
            ),
            Class::Denied,
        ),
        (
            &MICROSOFT,
            EXCHANGE_IMAP,
            format!("{xoauth2}S: B2 BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds"),
            throttled,
        ),
    ] {
        let error = example.imap(hello, &dialogue, "").await.unwrap_err();
        assert_eq!(error.class(), class, "{dialogue}: {error}");
    }
}

#[tokio::test]
async fn pop_succeeds_in_two_steps() {
    let after = "C: CAPA\nS: +OK\nS: UIDL\nS: .";
    for plus in ["S: + ", "S: +"] {
        let dialogue =
            format!("C: AUTH XOAUTH2\n{plus}\nC: PRINTED\nS: +OK User successfully authenticated.\n{after}");
        assert_eq!(MICROSOFT.pop(EXCHANGE_POP, &dialogue).await.unwrap(), "XOAUTH2", "{plus:?}");
    }
    let dialogue = format!("C: AUTH OAUTHBEARER\nS: + \nC: MADE\nS: +OK Welcome.\n{after}");
    assert_eq!(GOOGLE.pop(GMAIL_POP, &dialogue).await.unwrap(), "OAUTHBEARER");
}

#[tokio::test]
async fn pop_refusals_mean_what_they_mean() {
    let xoauth2 = "C: AUTH XOAUTH2\nS: + \nC: PRINTED\n";
    let bearer = "C: AUTH OAUTHBEARER\nS: + \nC: MADE\n";
    let told = &format!("{xoauth2}S: + {CHALLENGE}\nC: \n");
    let told_bearer = &format!("{bearer}S: + {CHALLENGE}\nC: AQ==\n");
    let unknown = "Authentication failure: unknown user name or bad password.";
    let refused = "[AUTH] Username and password not accepted.";
    let busy = "[SYS/TEMP] Temporary system problem. Please try again later.";
    let closed = "User is authenticated but not connected.";
    for (example, hello, begin, words, class) in [
        (&MICROSOFT, EXCHANGE_POP, xoauth2, unknown, Class::NeedsLogin),
        (&GOOGLE, EXCHANGE_POP, told, refused, Class::NeedsLogin),
        (&GOOGLE, GMAIL_POP, told_bearer, refused, Class::NeedsLogin),
        (&MICROSOFT, EXCHANGE_POP, xoauth2, closed, Class::Denied),
        (&GOOGLE, GMAIL_POP, bearer, busy, Class::RETRY),
    ] {
        let error = example.pop(hello, &format!("{begin}S: -ERR {words}")).await.unwrap_err();
        assert_eq!(error.class(), class, "{words}: {error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn smtp_succeeds_in_two_steps_whatever_the_334_looks_like() {
    for prompt in ["S: 334 ", "S: 334"] {
        let dialogue =
            format!("C: AUTH XOAUTH2\n{prompt}\nC: PRINTED\nS: 235 2.7.0 Authentication successful");
        assert!(MICROSOFT.smtp(EXCHANGE_SMTP, &dialogue).await.is_ok(), "{prompt:?}");
    }
    let dialogue = "C: AUTH OAUTHBEARER\nS: 334 \nC: MADE\nS: 235 2.7.0 Accepted";
    assert!(GOOGLE.smtp(GMAIL_SMTP, dialogue).await.is_ok());
}

/// Checks what a refusal means and that its hint has some words.
fn assert_means(error: &smtp::Error, class: Class, hint: &str) {
    assert_eq!(error.class(), class, "{error}");
    assert!(error.hint().unwrap_or_default().contains(hint), "{error}: {:?}", error.hint());
}

#[tokio::test]
async fn smtp_refusals_of_google_come_after_a_challenge() {
    let (one, two) = (
        "S: 535-5.7.1 Username and Password not accepted. Learn more at\nS: 535 5.7.1 https://support.google.com/mail/?p=BadCredentials",
        "S: 535-5.7.8 Username and Password not accepted.\nS: 535 5.7.8 - gsmtp",
    );
    for (hello, dialogue) in [
        (GOOGLES_PAGE_SMTP, format!("C: AUTH XOAUTH2\nS: 334 \nC: PRINTED\nS: 334 {CHALLENGE}\nC: \n{one}")),
        (GMAIL_SMTP, format!("C: AUTH OAUTHBEARER\nS: 334 \nC: MADE\nS: 334 {CHALLENGE}\nC: AQ==\n{two}")),
    ] {
        assert_means(&GOOGLE.smtp(hello, &dialogue).await.unwrap_err(), Class::NeedsLogin, "");
    }
}

#[tokio::test]
async fn smtp_refusals_of_exchange_mean_what_they_mean() {
    for (answer, class, hint) in [
        (
            "535 5.7.3 Authentication unsuccessful [SN2PR00CA0018.namprd00.prod.outlook.com]",
            Class::NeedsLogin,
            "",
        ),
        (
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. \
             Visit https://aka.ms/smtp_auth_disabled for more information.",
            Class::Denied,
            "https://aka.ms/smtp_auth_disabled",
        ),
        (
            "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy.",
            Class::Denied,
            "security defaults",
        ),
        ("432 4.3.2 Concurrent connections limit exceeded", Class::RETRY, ""),
    ] {
        let dialogue = format!("C: AUTH XOAUTH2\nS: 334 \nC: PRINTED\nS: {answer}");
        assert_means(&MICROSOFT.smtp(EXCHANGE_SMTP, &dialogue).await.unwrap_err(), class, hint);
    }
    let dialogue = format!(
        "C: AUTH XOAUTH2\nS: 334 \nC: PRINTED\nS: 235 2.7.0 Authentication successful\nC: MAIL FROM:<{}>
         S: 530 5.7.57 Client not authenticated to send mail.\nC: RSET\nS: 250 2.0.0 Resetting",
        MICROSOFT.user
    );
    assert_means(&MICROSOFT.smtp(EXCHANGE_SMTP, &dialogue).await.unwrap_err(), Class::NeedsLogin, "");
}

#[tokio::test]
async fn smtp_refusals_of_passwords_name_the_way_out() {
    let hello = EXCHANGE_SMTP.replace("AUTH LOGIN XOAUTH2", "AUTH PLAIN LOGIN XOAUTH2");
    let password = Credentials::Password { user: "u".into(), password: "p".to_owned().into() };
    for (answer, hint) in [
        ("550 5.7.30 Basic authentication is not supported for Client Submission.", "oauth2"),
        ("535 5.7.139 Authentication unsuccessful, basic authentication is disabled.", ""),
    ] {
        let dialogue = format!("C: AUTH PLAIN\nS: 334 \nC: AHUAcA==\nS: {answer}");
        let error = MICROSOFT.submit(&hello, &dialogue, &password).await.unwrap_err();
        assert_means(&error, Class::Denied, hint);
    }
}
