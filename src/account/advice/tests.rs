//! Each known answer, from the words on the wire to the state and the hint in `status`; what the driver makes of it and
//! what the table of answers says must be the same.

use super::super::board::Board;
use super::*;
use crate::config::{Account, Config};
use crate::error::{Class, Classified};
use crate::oauth::{self, answer};
use crate::provider::answers::explain;
use crate::status::{self, State};
use crate::{imap, smtp};
use jiff::Timestamp;
use std::path::Path;
use tokio::sync::watch;

/// What a test expects: the words, the class, the state in `status`, and words of the hint.
type Case<'a> = (&'a str, Class, State, &'a str);

const RETRY: (Class, State) = (Class::RETRY, State::Waiting);
const LOGIN: (Class, State) = (Class::NeedsLogin, State::NeedsLogin);
const DENIED: (Class, State) = (Class::Denied, State::Denied);
const WRONG: (Class, State) = (Class::Configuration, State::Stopped);

fn work() -> Account {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    let text = "[accounts.work]\naddress = \"a@contoso.com\"\nprovider = \"microsoft\"\n\
                oauth = { client_id = \"app-1\", tenant = \"contoso.com\" }\n";
    std::fs::write(&file, text).unwrap();
    Config::load(&file, std::iter::empty(), Path::new("/home/a")).unwrap().accounts.remove(0)
}

/// What `status` shows after trouble with reading mail.
fn shown(error: &impl Classified) -> status::Account {
    let (sender, status) = watch::channel(status::Account::default());
    Board::new(&work(), sender).trouble(&Complaint::new(error), None);
    status.borrow().clone()
}

fn check(stage: Stage, error: &impl Classified, (words, class, state, hint): Case<'_>) {
    let advice = explain(stage, words).unwrap_or_else(|| panic!("not known: {words}"));
    assert_eq!(discriminant(&error.class()), discriminant(&class), "the driver: {words}");
    assert_eq!(advice.class, class, "the table: {words}");
    if stage == Stage::Smtp {
        let (sender, status) = watch::channel(status::Account::default());
        Board::new(&work(), sender).outbox_trouble(Some(Complaint::new(error)));
        let shown = status.borrow().hint.clone().unwrap_or_default();
        assert!(shown.contains(hint), "{words}: {shown}");
        return;
    }
    let shown = shown(error);
    assert_eq!(shown.state, state, "{words}");
    assert!(shown.hint.as_ref().is_some_and(|shown| shown.contains(hint)), "{words}: {:?}", shown.hint);
}

/// The keeper's error for an answer of the token endpoint.
fn token_error(status: u16, code: &str, description: &str) -> oauth::Error {
    let body = serde_json::json!({ "error": code, "error_description": description }).to_string();
    let account = "work".to_owned();
    match answer::classify(status, None, body.as_bytes(), Timestamp::UNIX_EPOCH) {
        answer::Answer::NeedsLogin { error, description } => {
            oauth::Error::Refused { account, error, description }
        }
        answer::Answer::GiveUp { error, description, advice } => {
            oauth::Error::Client { account, error, description, advice }
        }
        answer::Answer::Retry { after, cause } => oauth::Error::Unavailable { account, cause, after },
        granted @ answer::Answer::Granted { .. } => panic!("{granted:?}"),
    }
}

/// Code, description, what it means, a part of the hint.
const TOKEN_ANSWERS: &[(&str, &str, (Class, State), &str)] = &[
    ("invalid_grant", "", LOGIN, "posthaste login work"),
    ("invalid_grant", "Token has been expired or revoked.", LOGIN, "Publish app"),
    ("invalid_grant", "AADSTS70000: The refresh token is invalid.", LOGIN, "account.microsoft.com"),
    ("invalid_grant", "AADSTS70008: expired", LOGIN, "90 days"),
    ("invalid_grant", "AADSTS700082: inactive for 90.00:00:00", LOGIN, "90 days"),
    ("invalid_grant", "AADSTS50173: revoked", LOGIN, "password was changed"),
    ("invalid_grant", "AADSTS50072: enrol", LOGIN, "second factor"),
    ("invalid_grant", "AADSTS50074: strong", LOGIN, "second factor"),
    ("invalid_grant", "AADSTS50076: MFA", LOGIN, "second factor"),
    ("invalid_grant", "AADSTS50079: enrol", LOGIN, "second factor"),
    ("invalid_grant", "AADSTS65001: no consent", LOGIN, "contoso.com/adminconsent?client_id=app-1"),
    ("invalid_grant", "AADSTS50196: loop", LOGIN, "wait some minutes"),
    ("interaction_required", "", LOGIN, "confirm"),
    ("interaction_required", "AADSTS50097: device", LOGIN, "this machine"),
    ("interaction_required", "AADSTS53000: not compliant", LOGIN, "this machine"),
    ("interaction_required", "AADSTS53001: not joined", LOGIN, "this machine"),
    ("interaction_required", "AADSTS53002: app", LOGIN, "approve application app-1"),
    ("interaction_required", "AADSTS53003: blocked", LOGIN, "Conditional Access"),
    ("interaction_required", "AADSTS53004: proof up", LOGIN, "aka.ms/mfasetup"),
    ("interaction_required", "AADSTS530032: blocked", LOGIN, "Conditional Access"),
    ("consent_required", "AADSTS65001: no consent", LOGIN, "adminconsent?client_id=app-1"),
    ("login_required", "", LOGIN, "log in again"),
    ("invalid_client", "", WRONG, "client_secret"),
    ("invalid_client", "AADSTS70002: secret", WRONG, "the secret's value"),
    ("invalid_client", "AADSTS7000215: Invalid client secret", WRONG, "not to its id"),
    ("invalid_client", "AADSTS7000222: expired", WRONG, "has expired"),
    ("invalid_client", "AADSTS7000218: secret required", WRONG, "Allow public client flows"),
    ("invalid_client", "AADSTS700025: public", WRONG, "leave client_secret out"),
    ("unauthorized_client", "", WRONG, "tenant"),
    ("unauthorized_client", "AADSTS700016: not found", WRONG, "client_id and tenant"),
    ("unauthorized_client", "AADSTS70001: disabled", WRONG, "switch application app-1 on"),
    ("unauthorized_client", "AADSTS7000112: disabled", WRONG, "switch application app-1 on"),
    ("unauthorized_client", "AADSTS90094: admin", WRONG, "approve application app-1"),
    ("invalid_scope", "", WRONG, "not to devices"),
    ("invalid_scope", "AADSTS70011: scope", WRONG, "IMAP.AccessAsUser.All"),
    ("invalid_scope", "AADSTS650052: service", WRONG, "IMAP.AccessAsUser.All"),
    ("invalid_scope", "AADSTS65005: resource", WRONG, "IMAP.AccessAsUser.All"),
    ("invalid_scope", "AADSTS700022: mixed", WRONG, "of another service"),
    ("invalid_request", "AADSTS90002: tenant", WRONG, "there is no such tenant"),
    ("invalid_request", "AADSTS90038: cloud", WRONG, "us-gov"),
    ("invalid_request", "AADSTS900382: cloud", WRONG, "us-gov"),
    ("invalid_request", "AADSTS50011: reply address", WRONG, "http://localhost"),
    ("unsupported_grant_type", "", WRONG, "token_url"),
    ("deleted_client", "", WRONG, "six months"),
    ("disabled_client", "", WRONG, "switched off"),
    ("admin_policy_enforced", "", WRONG, "Google Workspace"),
    ("org_internal", "", WRONG, "External"),
    ("temporarily_unavailable", "AADSTS90033: later", RETRY, "Microsoft's login service"),
    ("temporarily_unavailable", "", RETRY, "overloaded"),
    ("server_error", "", RETRY, "nothing is lost"),
];

#[test]
fn answers_of_the_token_endpoint() {
    for &(code, description, (class, state), hint) in TOKEN_ANSWERS {
        let error = token_error(400, code, description);
        check(Stage::OAuth, &error, (&format!("{code}: {description}"), class, state, hint.trim()));
    }
}

#[test]
fn answers_of_imap_servers() {
    let refused = |words: &str| imap::Error::Refused {
        command: "SELECT",
        code: None,
        text: words.to_owned(),
        is_bad: false,
    };
    for (words, (class, state), hint) in [
        ("User is authenticated but not connected.", DENIED, "switch IMAP on"),
        ("Request is throttled. Suggested Backoff Time: 92415 milliseconds", RETRY, "named time"),
        ("[ALERT] Too many simultaneous connections. (Failure)", RETRY, "close other mail programs"),
        ("Maximum number of connections from user+IP exceeded", RETRY, "mail_max_userip_connections"),
        ("[OVERQUOTA] Account exceeded command or bandwidth limits.", RETRY, "24 hours"),
        ("[OVERQUOTA]", RETRY, "make room"),
        ("Some messages could not be FETCHed (Failure)", RETRY, "the others are fetched"),
        ("Server Unavailable. 15", RETRY, "nothing is lost"),
        ("[UNAVAILABLE] Temporary System Problem (Failure)", RETRY, "nothing is lost"),
        ("[UNAVAILABLE] Failed to open mailbox", RETRY, "nothing is lost"),
        ("[LIMIT] UID FETCH Rate limit hit.", RETRY, "limits how much"),
        ("[SERVERBUG] UID FETCH Server error - Please try again later", RETRY, "nothing is lost"),
        ("[TEMPFAIL] SELECT completed", RETRY, "nothing is lost"),
        ("[INUSE]", RETRY, "in use"),
        ("Internal Server Error", RETRY, "fault"),
        ("Internal error. Try again later... (MARKER:x)", RETRY, "fault"),
        ("Error in IMAP command FETCH: Invalid messageset", RETRY, "nothing is lost"),
        ("SELECT Unsafe Login. Please contact the service", RETRY, "authorization code"),
        ("Session expired, please login again.", RETRY, "a new one is opened"),
        ("Autologout; idle for too long", RETRY, "a new one is opened"),
        ("Session invalidated - AccessTokenExpired", RETRY, "new token"),
    ] {
        check(Stage::Imap, &refused(words), (words, class, state, hint));
    }
    for (words, hint) in [
        ("AUTHENTICATE failed.", "IMAP.AccessAsUser.All"),
        ("SASL authentication failed", "posthaste login work"),
        ("[AUTHENTICATIONFAILED] Invalid credentials (Failure)", "posthaste login work"),
        ("[AUTHENTICATIONFAILED] Authentication failed.", "posthaste login work"),
        ("[ALERT] Web login required: https://support.google.com/mail/answer/78754", "web mail"),
        ("[ALERT] Application-specific password required", "app password"),
        ("[ALERT] Your account is not enabled for IMAP use.", "Forwarding and POP/IMAP"),
    ] {
        let (class, state) = LOGIN;
        check(Stage::Imap, &imap::Error::Login(words.to_owned()), (words, class, state, hint));
    }
}

#[test]
fn answers_of_submission_servers() {
    for (words, (class, state), hint) in [
        (
            "535 5.7.3 Authentication unsuccessful [SN2PR00CA0001.namprd00.prod.outlook.com]",
            LOGIN,
            "SMTP.Send",
        ),
        (
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. \
             Visit https://aka.ms/smtp_auth_disabled for more information.",
            DENIED,
            "in your organisation; ask an administrator",
        ),
        (
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.",
            DENIED,
            "for this mailbox; ask an administrator",
        ),
        (
            "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy.",
            DENIED,
            "security defaults",
        ),
        (
            "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
            DENIED,
            "auth = \"oauth2\"",
        ),
        (
            "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.",
            LOGIN,
            "login work",
        ),
        ("535 5.7.139 Authentication unsuccessful, a new reason.", DENIED, "aka.ms/smtp_auth_disabled"),
        (
            "550 5.7.30 Basic authentication is not supported for Client Submission.",
            DENIED,
            "auth = \"oauth2\"",
        ),
        ("530 5.7.57 Client not authenticated to send mail.", LOGIN, "SMTP.Send"),
        ("535 5.7.8 Username and Password not accepted.", LOGIN, "login work"),
        ("534 5.7.9 Application-specific password required.", LOGIN, "app password"),
        ("534 5.7.14 Please log in via your web browser", LOGIN, "web mail"),
        ("432 4.3.2 concurrent connection limit exceeded", RETRY, "three"),
        ("432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded.", RETRY, "three"),
    ] {
        let reply = smtp::Parser::default().line(words.as_bytes()).unwrap().unwrap();
        let error = smtp::Error::Refused { stage: smtp::Stage::Auth, reply };
        check(Stage::Smtp, &error, (words, class, state, hint));
    }
}

#[test]
fn what_is_not_known_keeps_the_words_of_the_driver() {
    let unknown = imap::Error::Login("[X] go away".to_owned());
    assert_eq!(shown(&unknown).hint, unknown.hint());
    // The words of a lasting refusal, from a driver that thinks otherwise.
    let other = imap::Error::Refused {
        command: "NOOP",
        code: None,
        text: "AUTHENTICATE failed.".to_owned(),
        is_bad: false,
    };
    assert_eq!(shown(&other).hint, None);
}
