//! Logins as Microsoft and Google document and speak them, letter by letter: what is said, and what comes of it.
//!
//! The user and the token are those of Microsoft's own page about OAuth for IMAP, POP and SMTP, so that the line that
//! carries them can be compared with the published one. Refusals are classified: a login that a person must repeat, a
//! mailbox that is closed to a good login, trouble that passes.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use posthaste::error::{Class, Classified};
use posthaste::mail::sasl::Credentials;
use posthaste::net::{Endpoint, Tls};
use posthaste::{imap, smtp};
use support::script::Script;

/// How posthaste introduces itself.
const ID: &str = concat!("ID (\"name\" \"posthaste\" \"version\" \"", env!("CARGO_PKG_VERSION"), "\")");
/// As Microsoft prints it, without its line breaks.
const TOKEN: &str = "dXNlcj10ZXN0QGNvbnRvc28ub25taWNyb3NvZnQuY29tAWF1dGg9QmVhcmVyIEV3QkFBbDNCQUFVRkZwVUFvN0ozVmUwYmpMQldaV0NjbFJDM0VvQUEBAQ==";
/// `{"status":"401","schemes":"bearer mac","scope":"https://mail.google.com/"}`, as Google prints it.
const CHALLENGE: &str =
    "eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIG1hYyIsInNjb3BlIjoiaHR0cHM6Ly9tYWlsLmdvb2dsZS5jb20vIn0K";

const EXCHANGE_IMAP: &str = "S: * OK The Microsoft Exchange IMAP4 service is ready.
    C: B1 CAPABILITY
    S: * CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+
    S: B1 OK CAPABILITY completed.";
const GMAIL_IMAP: &str = "S: * OK Gimap ready for requests from 127.0.0.1
    C: B1 CAPABILITY
    S: * CAPABILITY IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA XLIST CHILDREN X-GM-EXT-1 XYZZY SASL-IR AUTH=XOAUTH2 AUTH=PLAIN AUTH=PLAIN-CLIENTTOKEN
    S: B1 OK Thats all she wrote!";
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
    S: 250-AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN
    S: 250 ENHANCEDSTATUSCODES";

fn credentials() -> Credentials {
    Credentials::Bearer {
        user: "test@contoso.onmicrosoft.com".into(),
        token: "EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA".to_owned().into(),
    }
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint { host: "127.0.0.1".into(), port, tls: Tls::None, ca: None }
}

/// Logs in by IMAP to a server that begins with `hello`; what the session can do, or the error.
async fn imap_login(hello: &str, dialogue: &str) -> Result<imap::Session, imap::Error> {
    let script = Script::play(&format!("{hello}\n{dialogue}").replace("TOKEN", TOKEN));
    let options = imap::Options {
        endpoint: endpoint(script.port()),
        disable: BTreeSet::new(),
        special_use: BTreeMap::new(),
    };
    let outcome = imap::connect(&options, &credentials()).await;
    script.finished();
    outcome
}

async fn smtp_login(hello: &str, dialogue: &str) -> Result<(), smtp::Error> {
    let script = Script::play(&format!("{hello}\n{dialogue}").replace("TOKEN", TOKEN));
    let mut session = smtp::Session::connect(&endpoint(script.port())).await.unwrap();
    let outcome = session.log_in(&credentials()).await;
    script.finished();
    outcome
}

#[tokio::test]
async fn imap_at_exchange_succeeds_and_the_capabilities_are_asked_again() {
    let dialogue = format!(
        "C: B2 AUTHENTICATE XOAUTH2 TOKEN
         S: B2 OK AUTHENTICATE completed.
         C: P1 CAPABILITY
         S: * CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CLIENTACCESSRULES CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE CHILDREN IDLE NAMESPACE LITERAL+
         S: P1 OK CAPABILITY completed.
         C: P2 {ID}
         S: * ID (\"name\" \"Microsoft.Exchange.Imap4.Imap4Server\" \"version\" \"15.20\")
         S: P2 OK ID completed"
    );
    let session = imap_login(EXCHANGE_IMAP, &dialogue).await.unwrap();
    assert!(session.capabilities().has("MOVE"), "listed only after the login");
    assert_eq!(session.mechanism(), "XOAUTH2");
}

#[tokio::test]
async fn imap_at_gmail_succeeds_with_its_capabilities_before_the_ok() {
    let dialogue = "C: B2 AUTHENTICATE XOAUTH2 TOKEN
        S: * CAPABILITY IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS COMPRESS=DEFLATE ENABLE MOVE CONDSTORE ESEARCH UTF8=ACCEPT LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE APPENDLIMIT=35651584
        S: B2 OK test@contoso.onmicrosoft.com authenticated (Success)
        C: P1 CAPABILITY
        S: * CAPABILITY IMAP4rev1 UNSELECT IDLE NAMESPACE ID UIDPLUS MOVE CONDSTORE LITERAL- SPECIAL-USE
        S: P1 OK Success
        C: P2 ";
    let dialogue = format!("{dialogue}{ID}\nS: * ID (\"name\" \"GImap\")\nS: P2 OK Success");
    assert!(imap_login(GMAIL_IMAP, &dialogue).await.unwrap().capabilities().has("CONDSTORE"));
}

#[tokio::test]
async fn imap_without_an_initial_response_waits_for_the_plus() {
    let hello = EXCHANGE_IMAP.replace(" SASL-IR", "");
    for plus in ["S: + ", "S: +"] {
        let dialogue = format!(
            "C: B2 AUTHENTICATE XOAUTH2\n{plus}\nC: TOKEN\nS: B2 OK AUTHENTICATE completed.
             C: P1 CAPABILITY\nS: * CAPABILITY IMAP4rev1\nS: P1 OK CAPABILITY completed.\nC: P2 {ID}\nS: P2 OK ID completed"
        );
        assert!(imap_login(&hello, &dialogue).await.is_ok(), "{plus:?}");
    }
}

#[tokio::test]
async fn imap_refusals_mean_what_they_mean() {
    let gmail = format!(
        "C: B2 AUTHENTICATE XOAUTH2 TOKEN\nS: + {CHALLENGE}\nC: \nS: B2 NO SASL authentication failed"
    );
    let exchange = "C: B2 AUTHENTICATE XOAUTH2 TOKEN\nS: B2 NO AUTHENTICATE failed.".to_owned();
    let connected = "C: B2 AUTHENTICATE XOAUTH2 TOKEN\nS: B2 OK AUTHENTICATE completed.\nC: P1 CAPABILITY
        S: P1 BAD User is authenticated but not connected.\nS: * BYE Connection closed. 14";
    let throttled = "C: B2 AUTHENTICATE XOAUTH2 TOKEN
        S: B2 BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds";
    for (hello, dialogue, class) in [
        (GMAIL_IMAP, gmail.as_str(), Class::NeedsLogin),
        (EXCHANGE_IMAP, &exchange, Class::NeedsLogin),
        (EXCHANGE_IMAP, connected, Class::Denied),
        (EXCHANGE_IMAP, throttled, Class::Retry { after: Some(std::time::Duration::from_millis(92_415)) }),
    ] {
        let error = imap_login(hello, dialogue).await.unwrap_err();
        assert_eq!(error.class(), class, "{dialogue}: {error}");
    }
}

#[tokio::test]
async fn smtp_succeeds_in_two_steps_whatever_the_334_looks_like() {
    for prompt in ["S: 334 ", "S: 334"] {
        let dialogue = format!("C: AUTH XOAUTH2\n{prompt}\nC: TOKEN\nS: 235 2.7.0 Authentication successful");
        assert!(smtp_login(EXCHANGE_SMTP, &dialogue).await.is_ok(), "{prompt:?}");
    }
}

#[tokio::test]
async fn smtp_refusals_mean_what_they_mean() {
    let asked = "C: AUTH XOAUTH2\nS: 334 \nC: TOKEN\n";
    for (hello, answer, class, hint) in [
        (
            EXCHANGE_SMTP,
            "S: 535 5.7.3 Authentication unsuccessful [SN2PR00CA0018.namprd00.prod.outlook.com]".to_owned(),
            Class::NeedsLogin,
            "",
        ),
        (
            GMAIL_SMTP,
            format!("S: 334 {CHALLENGE}\nC: \nS: 535-5.7.8 Username and Password not accepted.\nS: 535 5.7.8 - gsmtp"),
            Class::NeedsLogin,
            "",
        ),
        (
            EXCHANGE_SMTP,
            "S: 535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. \
             Visit https://aka.ms/smtp_auth_disabled for more information."
                .to_owned(),
            Class::Denied,
            "https://aka.ms/smtp_auth_disabled",
        ),
        (
            EXCHANGE_SMTP,
            "S: 535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy."
                .to_owned(),
            Class::Denied,
            "security defaults",
        ),
        (EXCHANGE_SMTP, "S: 432 4.3.2 Concurrent connections limit exceeded".to_owned(), Class::RETRY, ""),
    ] {
        let error = smtp_login(hello, &format!("{asked}{answer}")).await.unwrap_err();
        assert_eq!(error.class(), class, "{answer}: {error}");
        assert!(error.hint().unwrap_or_default().contains(hint), "{answer}: {:?}", error.hint());
    }
}
