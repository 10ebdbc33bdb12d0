//! The test authorization server itself, asked by plain HTTP and by a browser: a client that is wrong in any way is
//! refused, so that a login which works against it works by the rules (RFC 6749, 7009, 7523, 7636, 8628, 9207).

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use support::browser::Browser;
use support::http::{Response, get, post};
use support::listener::Listening;
use support::person::{Decision, activate, decide};
use support::signer::Signer;
use support::tokens::{Client, Failure, Issuer, Proof, REFUSALS, TokenServer};
use url::Url;

/// RFC 7636 App. B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "http://127.0.0.1:4711";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// An authorization URL that is right but for `changes`.
fn authorize_url(tokens: &TokenServer, changes: &[(&str, &str)]) -> String {
    let mut url = Url::parse(&tokens.authorize_url()).unwrap();
    let usual = [
        ("response_type", "code"),
        ("client_id", "test"),
        ("redirect_uri", REDIRECT),
        ("scope", "imap smtp"),
        ("state", "xyz"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("login_hint", "alice@mail.test"),
    ];
    for (name, value) in usual {
        let changed = changes.iter().find(|(change, _)| *change == name);
        url.query_pairs_mut().append_pair(name, changed.map_or(value, |(_, value)| value));
    }
    url.into()
}

fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// A code for alice, who allows everything.
fn code(tokens: &TokenServer) -> String {
    parameter(&decide(&authorize_url(tokens, &[]), Decision::Allow), "code").unwrap()
}

/// The redemption of a code, right but for `changes`.
fn redeem(tokens: &TokenServer, code: &str, changes: &[(&str, &str)]) -> Response {
    let usual = [
        ("grant_type", "authorization_code"),
        ("client_id", "test"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    let mut form: Vec<_> =
        usual.into_iter().filter(|(name, _)| changes.iter().all(|(change, _)| change != name)).collect();
    form.extend(changes);
    post(&tokens.token_url(), &form)
}

fn refresh(tokens: &TokenServer, token: &str) -> Response {
    let form = [("grant_type", "refresh_token"), ("client_id", "test"), ("refresh_token", token)];
    post(&tokens.token_url(), &form)
}

fn is_active(tokens: &TokenServer, token: &str) -> bool {
    post(&tokens.introspection_url(), &[("token", token)]).json()["active"] == true
}

fn text<'a>(response: &'a serde_json::Value, member: &str) -> &'a str {
    response[member].as_str().unwrap_or_else(|| panic!("no {member} in {response}"))
}

#[test]
fn a_code_is_exchanged_once_and_its_second_use_ends_the_login() {
    let tokens = TokenServer::start();
    let redirect = decide(&authorize_url(&tokens, &[]), Decision::Allow);
    assert!(redirect.starts_with("http://127.0.0.1:4711/?"), "{redirect}");
    assert_eq!(parameter(&redirect, "state").as_deref(), Some("xyz"));
    assert_eq!(parameter(&redirect, "iss"), Some(tokens.token_url().replace("/token", "")));
    let code = parameter(&redirect, "code").unwrap();
    let answer = redeem(&tokens, &code, &[]);
    assert_eq!((answer.status, &answer.json()["scope"]), (200, &"imap smtp".into()));
    let answer = answer.json();
    assert!(is_active(&tokens, text(&answer, "access_token")));
    assert_eq!(redeem(&tokens, &code, &[]).json()["error"], "invalid_grant");
    assert!(!is_active(&tokens, text(&answer, "access_token")));
    assert_eq!(refresh(&tokens, text(&answer, "refresh_token")).status, 400);
}

#[test]
fn a_redemption_that_is_wrong_in_one_thing_is_refused() {
    let tokens = TokenServer::start();
    tokens.register("other", Client::public());
    for (name, value, error) in [
        ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl", "invalid_grant"),
        ("code_verifier", CHALLENGE, "invalid_grant"),
        ("code_verifier", "", "invalid_grant"),
        ("redirect_uri", "http://127.0.0.1:4712", "invalid_grant"),
        ("redirect_uri", "http://127.0.0.1:4711/", "invalid_grant"),
        ("client_id", "other", "invalid_grant"),
        ("client_id", "nobody", "unauthorized_client"),
        ("client_secret", "hunter2", "invalid_client"),
        ("grant_type", "password", "unsupported_grant_type"),
        ("code", "guessed", "invalid_grant"),
    ] {
        let answer = redeem(&tokens, &code(&tokens), &[(name, value)]);
        assert_eq!(answer.json()["error"], error, "{name}={value}: {}", answer.body);
    }
}

#[test]
fn an_authorization_request_that_is_wrong_in_one_thing_is_refused() {
    let tokens = TokenServer::start();
    for (name, value) in [
        ("client_id", "nobody"),
        ("redirect_uri", "http://127.0.0.1:4711/"),
        ("redirect_uri", "http://evil.test"),
        ("redirect_uri", "http://127.0.0.1.evil.test"),
        ("redirect_uri", "https://127.0.0.1:4711"),
    ] {
        let answer = get(&authorize_url(&tokens, &[(name, value)]));
        assert_eq!(answer.status, 400, "{name}={value}: told to the person, never redirected");
    }
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("scope", "", "invalid_scope"),
    ] {
        let answer = get(&authorize_url(&tokens, &[(name, value)]));
        let location = answer.header("location").unwrap_or_else(|| panic!("{name}: {}", answer.body));
        assert_eq!(parameter(location, "error").as_deref(), Some(error), "{name}={value}");
        assert_eq!(parameter(location, "state").as_deref(), Some("xyz"));
    }
}

#[test]
fn a_person_may_deny_or_allow_less_and_the_issuer_is_as_told() {
    let tokens = TokenServer::start();
    let denied = decide(&authorize_url(&tokens, &[]), Decision::Deny);
    assert_eq!(parameter(&denied, "error").as_deref(), Some("access_denied"));
    assert_eq!((parameter(&denied, "code"), parameter(&denied, "state")), (None, Some("xyz".to_owned())));
    let less = decide(&authorize_url(&tokens, &[]), Decision::AllowWithout("smtp"));
    let answer = redeem(&tokens, &parameter(&less, "code").unwrap(), &[]).json();
    assert_eq!(answer["scope"], "imap");
    for (issuer, told) in [(Issuer::Absent, None), (Issuer::Wrong, Some("https://login.elsewhere.test"))] {
        tokens.set_issuer(issuer);
        let redirect = decide(&authorize_url(&tokens, &[]), Decision::Allow);
        assert_eq!(parameter(&redirect, "iss").as_deref(), told);
    }
}

#[test]
fn tokens_may_lack_a_refresh_token_or_be_for_another_resource() {
    let tokens = TokenServer::start();
    tokens.withhold_refresh("alice", true);
    let answer = redeem(&tokens, &code(&tokens), &[]).json();
    assert_eq!(answer["refresh_token"], serde_json::Value::Null);
    assert!(is_active(&tokens, text(&answer, "access_token")));
    tokens.misdirect("alice", true);
    let answer = redeem(&tokens, &code(&tokens), &[]).json();
    assert!(!is_active(&tokens, text(&answer, "access_token")));
}

#[test]
fn a_reuse_ends_the_whole_login_where_it_is_detected_and_no_other() {
    let tokens = TokenServer::start();
    tokens.set_reuse_detection(true);
    let other = tokens.refresh_token("alice");
    let first = tokens.refresh_token("alice");
    let second = refresh(&tokens, &first).json();
    assert_eq!(refresh(&tokens, &first).json()["error"], "invalid_grant");
    assert!(tokens.was_reused("alice"));
    assert_eq!(refresh(&tokens, text(&second, "refresh_token")).status, 400);
    assert!(!is_active(&tokens, text(&second, "access_token")));
    assert_eq!(refresh(&tokens, &other).status, 200);
}

#[test]
fn a_refresh_is_for_the_client_of_the_login_and_never_for_more_than_it_was_allowed() {
    let tokens = TokenServer::start();
    tokens.register("test", Client::with_secret("s3cret"));
    tokens.register("other", Client::public());
    let token =
        text(&redeem(&tokens, &code(&tokens), &[("client_secret", "s3cret")]).json(), "refresh_token")
            .to_owned();
    let ask = |token: &str, client: &str, more: &[(&str, &str)]| {
        let usual = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", client)];
        post(&tokens.token_url(), &[&usual, more].concat()).json()
    };
    let mine = ("client_secret", "s3cret");
    assert_eq!(ask(&token, "other", &[])["error"], "invalid_grant");
    assert_eq!(ask(&token, "nobody", &[])["error"], "unauthorized_client");
    assert_eq!(ask(&token, "test", &[])["error"], "invalid_client");
    assert_eq!(ask(&token, "test", &[mine, ("scope", "imap graph")])["error"], "invalid_scope");
    let less = ask(&token, "test", &[mine, ("scope", "imap")]);
    assert_eq!(less["scope"], "imap", "{less}");
    let again = ask(text(&less, "refresh_token"), "test", &[mine]);
    assert_eq!(again["scope"], "imap smtp", "what a refresh gave up was given up for one access token");
}

#[test]
fn a_revoked_token_takes_its_login_with_it() {
    let tokens = TokenServer::start();
    let answer = redeem(&tokens, &code(&tokens), &[]).json();
    let revoke = |token: &str, client: &str| {
        post(&tokens.revoke_url(), &[("token", token), ("client_id", client)]).status
    };
    let token = text(&answer, "refresh_token");
    assert_eq!(revoke("unknown", "test"), 200, "RFC 7009 §2.2");
    assert_eq!(revoke(token, "other"), 400);
    assert_eq!((tokens.logins("alice"), revoke(token, "test"), tokens.logins("alice")), (1, 200, 0));
    assert!(!is_active(&tokens, text(&answer, "access_token")));
}

#[test]
fn a_device_waits_for_its_person_and_is_slowed_down_when_it_hurries() {
    let tokens = TokenServer::start();
    let begin = || post(&tokens.device_url(), &[("client_id", "test"), ("scope", "imap smtp")]).json();
    let poll = |device: &serde_json::Value| {
        let code = text(device, "device_code");
        post(&tokens.token_url(), &[("grant_type", DEVICE), ("client_id", "test"), ("device_code", code)])
            .json()
    };
    tokens.set_device(3600, 900);
    let hurried = begin();
    assert_eq!(poll(&hurried)["error"], "authorization_pending");
    assert_eq!(poll(&hurried)["error"], "slow_down");
    tokens.set_device(0, 900);
    for (allows, outcome) in [(true, None), (false, Some("access_denied"))] {
        let device = begin();
        assert_eq!(poll(&device)["error"], "authorization_pending");
        let page = text(&device, "verification_uri");
        assert_eq!(activate(page, "BBBB-BBBB", "alice", true).status, 400);
        assert_eq!(activate(page, text(&device, "user_code"), "alice", allows).status, 200);
        let answer = poll(&device);
        assert_eq!(answer["error"].as_str(), outcome);
        assert_eq!(answer["refresh_token"].is_string(), allows);
    }
    tokens.set_device(0, 0);
    assert_eq!(poll(&begin())["error"], "expired_token");
}

#[test]
fn an_application_proves_itself_by_secret_or_by_certificate() {
    let tokens = TokenServer::start();
    let signer = Signer::new();
    tokens.register("secret", Client::app(Proof::Secret("s3cret".to_owned()), "alice"));
    tokens.register("certificate", Client::app(Proof::Certificate(signer.certificate()), "alice"));
    let ask = |client: &str, more: &[(&str, &str)]| {
        let mut form =
            vec![("grant_type", "client_credentials"), ("client_id", client), ("scope", "x/.default")];
        form.extend(more);
        post(&tokens.token_url(), &form).json()
    };
    let granted = ask("secret", &[("client_secret", "s3cret")]);
    assert!(is_active(&tokens, text(&granted, "access_token")));
    assert_eq!(granted["refresh_token"], serde_json::Value::Null);
    assert_eq!(ask("secret", &[("client_secret", "wrong")])["error"], "invalid_client");
    assert_eq!(ask("secret", &[])["error"], "invalid_client");
    let (url, strange) = (tokens.token_url(), Signer::new());
    for (algorithm, assertion, works) in [
        ("RS256", signer.client_assertion("RS256", "certificate", &url), true),
        ("PS256", signer.client_assertion("PS256", "certificate", &url), true),
        ("other key", strange.client_assertion("RS256", "certificate", &url), false),
        ("other audience", signer.client_assertion("RS256", "certificate", "https://elsewhere.test"), false),
        ("other client", signer.client_assertion("RS256", "secret", &url), false),
        ("none", "e30.e30.".to_owned(), false),
    ] {
        let proof = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", &*assertion)];
        let answer = ask("certificate", &proof);
        assert_eq!(answer["access_token"].is_string(), works, "{algorithm}: {answer}");
        assert_eq!(ask("certificate", &proof)["error"], "invalid_client", "{algorithm}: a second time");
    }
}

#[test]
fn a_service_account_acts_only_for_its_person() {
    let tokens = TokenServer::start();
    let signer = Signer::new();
    let account = "robot@project.test";
    tokens.register(account, Client::app(Proof::ServiceAccount(signer.certificate()), "alice"));
    let ask = |person: &str| {
        let assertion = signer.delegation(account, person, "https://mail.test/", &tokens.token_url());
        post(&tokens.token_url(), &[("grant_type", JWT_BEARER), ("assertion", &assertion)]).json()
    };
    assert!(is_active(&tokens, text(&ask("alice@mail.test"), "access_token")));
    assert_eq!(ask("bob@mail.test")["error"], "unauthorized_client");
}

#[test]
fn every_failure_is_answered_as_scripted_and_passes() {
    let tokens = TokenServer::start();
    tokens.set_rotation(false);
    let token = tokens.refresh_token("alice");
    for (refusal, _) in REFUSALS {
        tokens.fail("alice", Failure::Refusal(*refusal), 1);
        let answer = refresh(&tokens, &token);
        assert_eq!((answer.status, &answer.json()["error"]), (refusal.status, &refusal.error.into()));
        assert_eq!(answer.json()["error_description"], refusal.description);
    }
    tokens.fail("alice", Failure::Cut, 1);
    let cut = refresh(&tokens, &token);
    assert!(cut.body.len() < cut.header("content-length").unwrap().parse().unwrap(), "{}", cut.body);
    tokens.fail("alice", Failure::Slow(Duration::from_millis(50)), 1);
    let begun = std::time::Instant::now();
    assert_eq!(refresh(&tokens, &token).status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(50));
    tokens.fail("/token", Failure::TooMany(7), 1);
    assert_eq!(refresh(&tokens, &token).header("retry-after"), Some("7"));
    assert_eq!(refresh(&tokens, &token).status, 200);
}

/// A client's listener that shows a page.
fn landing() -> Listening {
    Listening::start(|mut stream| {
        let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
        let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<p>Landed";
        let _ = std::io::Write::write_all(&mut stream, page.as_bytes());
    })
}

#[test]
fn a_browser_unticks_a_scope_and_lands_with_a_code() {
    let tokens = TokenServer::start();
    let landing = landing();
    let redirect = format!("http://127.0.0.1:{}", landing.port());
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&authorize_url(&tokens, &[("redirect_uri", &redirect)]));
    let page = browser.text();
    assert!(page.contains("asks for access") && page.contains("imap") && page.contains("smtp"), "{page}");
    browser.click("[name=scope][value=smtp]");
    browser.click("[value=allow]");
    browser.wait_text("Landed");
    let code = parameter(&browser.address(), "code").unwrap();
    let answer = redeem(&tokens, &code, &[("redirect_uri", &redirect)]).json();
    assert_eq!(answer["scope"], "imap");
    browser.open(&authorize_url(&tokens, &[("redirect_uri", &redirect)]));
    browser.click("[value=deny]");
    browser.wait_text("Landed");
    assert_eq!(parameter(&browser.address(), "error").as_deref(), Some("access_denied"));
}
