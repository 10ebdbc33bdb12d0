//! Every row of the table of answers: said by a server, made an error by its driver, found in the table again with the same
//! class, and shown in `status` with its help.

use super::servers::When::{self, Later, Login};
use super::servers::{browser, imap, pop, smtp, token};
use super::*;
use crate::error::chain;
use crate::provider::answers::{self, Advice};
use crate::status::State;

/// A class, and the state in which it leaves the account.
type Fate = (Class, State);

const RETRY: Fate = (Class::RETRY, State::Waiting);
const LOGIN: Fate = (Class::NeedsLogin, State::NeedsLogin);
const DENIED: Fate = (Class::Denied, State::Denied);
const WRONG: Fate = (Class::Configuration, State::Stopped);

/// When it is said, the words, what becomes of the account, and a part of the hint.
type Said = (When, &'static str, Fate, &'static str);

/// `error`, `error_description`, what becomes of the account, and a part of the hint.
type Row = (&'static str, &'static str, (Class, State), &'static str);

const TOKEN_ANSWERS: &[Row] = &[
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
    ("consent_required", "", LOGIN, "allow what the page asks for"),
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
    ("invalid_request", "", WRONG, "token_url, tenant and cloud"),
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
    ("temporarily_unavailable", "AADSTS50033: later", RETRY, "Microsoft's login service"),
    ("temporarily_unavailable", "AADSTS50087: later", RETRY, "Microsoft's login service"),
    ("temporarily_unavailable", "AADSTS90006: later", RETRY, "Microsoft's login service"),
    ("server_error", "AADSTS90024: later", RETRY, "Microsoft's login service"),
    ("temporarily_unavailable", "AADSTS90055: tenant throttled", RETRY, "of your organisation at once"),
    ("redirect_uri_mismatch", "Bad Request", WRONG, "desktop application"),
    ("disallowed_useragent", "", WRONG, "full browser"),
    ("invalid_request", "AADSTS70004: redirect", WRONG, "http://localhost"),
    ("invalid_grant", "AADSTS700005: another tenant", LOGIN, "the tenant's own id"),
    ("invalid_grant", "AADSTS50134: wrong data centre", LOGIN, "without --device"),
];

const REDIRECTS: &[Row] = &[
    ("access_denied", "", LOGIN, "declined in the browser"),
    ("access_denied", "AADSTS65004: declined", LOGIN, "consent was declined"),
    ("org_internal", "", WRONG, "External"),
    ("admin_policy_enforced", "", WRONG, "Google Workspace"),
    ("redirect_uri_mismatch", "", WRONG, "desktop application"),
];

const IMAP: &[Said] = &[
    (Login, "NO AUTHENTICATE failed.", LOGIN, "IMAP.AccessAsUser.All"),
    (Login, "NO SASL authentication failed", LOGIN, "posthaste login work"),
    (Login, "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", LOGIN, "posthaste login work"),
    (Login, "NO [AUTHENTICATIONFAILED] Authentication failed.", LOGIN, "posthaste login work"),
    (Login, "NO [ALERT] Web login required: https://support.google.com/mail/answer/78754", LOGIN, "web mail"),
    (Login, "NO [ALERT] Please log in via your web browser: https://support.google.com/", LOGIN, "web mail"),
    (Login, "NO [ALERT] Application-specific password required", LOGIN, "app password"),
    (Login, "NO [ALERT] Your account is not enabled for IMAP use.", LOGIN, "Forwarding and POP/IMAP"),
    (Login, "NO [ALERT] Too many simultaneous connections. (Failure)", RETRY, "close other mail programs"),
    (Login, "NO Maximum number of connections from user+IP exceeded", RETRY, "mail_max_userip_connections"),
    (Login, "BAD Server Unavailable. 15", RETRY, "nothing is lost"),
    (Later, "BAD User is authenticated but not connected.", DENIED, "switch IMAP (or POP) on"),
    (Later, "BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds", RETRY, "named time"),
    (Later, "NO [OVERQUOTA] Account exceeded command or bandwidth limits.", RETRY, "24 hours"),
    (Later, "NO [OVERQUOTA] Mailbox is full", RETRY, "make room"),
    (Later, "NO Some messages could not be FETCHed (Failure)", RETRY, "the others are fetched"),
    (Later, "NO [UNAVAILABLE] Temporary System Problem (Failure)", RETRY, "nothing is lost"),
    (Later, "NO [UNAVAILABLE] Failed to open mailbox", RETRY, "nothing is lost"),
    (Later, "NO [LIMIT] UID FETCH Rate limit hit.", RETRY, "limits how much"),
    (Later, "NO [SERVERBUG] UID FETCH Server error - Please try again later", RETRY, "nothing is lost"),
    (Later, "NO [TEMPFAIL] SELECT completed", RETRY, "passing trouble"),
    (Later, "NO [INUSE] later", RETRY, "in use"),
    (Later, "BAD Internal Server Error", RETRY, "fault"),
    (Later, "NO Internal error. Try again later... (MARKER:x)", RETRY, "fault"),
    (Later, "BAD Error in IMAP command FETCH: Invalid messageset", RETRY, "nothing is lost"),
    (Later, "NO SELECT Unsafe Login. Please contact the service", RETRY, "authorization code"),
    (Later, "* BYE Session expired, please login again.", RETRY, "a new one is opened"),
    (Later, "* BYE Autologout; idle for too long", RETRY, "a new one is opened"),
    (Later, "* BYE Session invalidated - AccessTokenExpired", RETRY, "new token"),
];

const POP: &[Said] = &[
    (Login, "Authentication failure: unknown user name or bad password.", LOGIN, "POP.AccessAsUser.All"),
    (Login, "[AUTH] Application-specific password required", LOGIN, "app password"),
    (Login, "[AUTH] Web login required: https://support.google.com/mail/answer/78754", LOGIN, "web mail"),
    (Login, "[AUTH] Please log in via your web browser", LOGIN, "web mail"),
    (Login, "[IN-USE] Unable to lock maildrop", RETRY, "another program reads the mailbox"),
    (Login, "[LOGIN-DELAY] minimum time between mail checks violation", RETRY, "left alone for so long"),
    (Login, "[SYS/TEMP] Temporary system problem", RETRY, "passing trouble"),
    (Login, "Request is throttled. Suggested Backoff Time: 92000 milliseconds", RETRY, "named time"),
    (Later, "User is authenticated but not connected.", DENIED, "switch IMAP (or POP) on"),
];

const SMTP: &[Said] = &[
    (
        Login,
        "535 5.7.3 Authentication unsuccessful [SN2PR00CA0001.namprd00.prod.outlook.com]",
        LOGIN,
        "SMTP.Send",
    ),
    (
        Login,
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit \
         https://aka.ms/smtp_auth_disabled for more information.",
        DENIED,
        "in your organisation; ask an administrator",
    ),
    (
        Login,
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.",
        DENIED,
        "for this mailbox; ask an administrator",
    ),
    (
        Login,
        "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy.",
        DENIED,
        "security defaults",
    ),
    (
        Login,
        "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
        DENIED,
        "auth = \"oauth2\"",
    ),
    (
        Login,
        "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.",
        LOGIN,
        "login work",
    ),
    (Login, "535 5.7.139 Authentication unsuccessful, a new reason.", DENIED, "aka.ms/smtp_auth_disabled"),
    (
        Login,
        "550 5.7.30 Basic authentication is not supported for Client Submission.",
        DENIED,
        "auth = \"oauth2\"",
    ),
    (Later, "530 5.7.57 Client not authenticated to send mail.", LOGIN, "SMTP.Send"),
    (Login, "535 5.7.8 Username and Password not accepted.", LOGIN, "login work"),
    (
        Login,
        "534-5.7.9 Application-specific password required. Learn more at\r\n534 5.7.9 https://support.google.com/",
        LOGIN,
        "app password",
    ),
    (Login, "534 5.7.14 Please log in via your web browser", LOGIN, "web mail"),
    (Login, "432 4.3.2 concurrent connection limit exceeded", RETRY, "three"),
    (Later, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded.", RETRY, "three"),
    (Later, "550 5.4.5 Daily user sending limit exceeded.", RETRY, "within a day"),
];

/// The error of a driver, seen by the table and in the status of the account; what the table said of it.
fn check(
    account: &Account,
    stage: Stage,
    error: &impl Classified,
    (class, state): Fate,
    hint: &str,
) -> (Stage, Advice) {
    let text = chain(error);
    assert_eq!(discriminant(&error.class()), discriminant(&class), "the driver: {text}");
    let advice = answers::explain(stage, &text).unwrap_or_else(|| panic!("not known: {text}"));
    assert_eq!(advice.class, class, "the table: {text}");
    let shown = shown(account, stage, error);
    assert!(shown.hint.as_ref().is_some_and(|shown| shown.contains(hint)), "{text}: {:?}", shown.hint);
    // Mail goes on while submission does not.
    let state = if stage == Stage::Smtp { State::default() } else { state };
    assert_eq!(shown.state, state, "{text}");
    (stage, advice)
}

/// Says every sample; what the table made of each.
async fn said() -> Vec<(Stage, Advice)> {
    let usual = account(WORK);
    let by_pop = account(&WORK.replacen("oauth", "protocol = \"pop3\"\noauth", 1));
    let mut told = Vec::new();
    for &(code, description, fate, hint) in TOKEN_ANSWERS {
        told.push(check(&usual, Stage::OAuth, &token(code, description).await, fate, hint));
    }
    for &(code, description, fate, hint) in REDIRECTS {
        told.push(check(&usual, Stage::OAuth, &browser(code, description).await, fate, hint));
    }
    for &(when, words, fate, hint) in IMAP {
        told.push(check(&usual, Stage::Imap, &imap(when, words).await, fate, hint));
    }
    for &(when, words, fate, hint) in POP {
        told.push(check(&by_pop, Stage::Pop, &pop(when, words).await, fate, hint));
    }
    for &(when, words, fate, hint) in SMTP {
        told.push(check(&usual, Stage::Smtp, &smtp(when, words).await, fate, hint));
    }
    told
}

#[tokio::test]
async fn each_row_is_reached_by_an_answer_of_a_server_and_means_what_the_driver_makes_of_it() {
    let told = said().await;
    let is_reached = |row: &answers::Row| told.iter().any(|(stage, it)| *stage == row.stage && row.gave(it));
    let rows = answers::rows();
    let silent: Vec<_> =
        rows.iter().filter(|row| !is_reached(row)).map(|row| (row.stage, &row.key)).collect();
    assert!(rows.len() > 100 && silent.is_empty(), "{} rows, never reached: {silent:#?}", rows.len());
}
