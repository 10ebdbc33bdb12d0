//! Servers that refuse with given words, and what their drivers make of it.

use crate::error::Classified;
use crate::imap;
use crate::mail::MailboxName;
use crate::mail::sasl::Credentials;
use crate::net::{Endpoint, Tls};
use crate::oauth::flow::scripted::{Script, config};
use crate::oauth::{self, Keeper, KeeperConfig};
use crate::pop;
use crate::smtp;
use std::collections::{BTreeMap, BTreeSet};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// At which point of the session the server refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Login,
    Later,
}
use When::{Later, Login};

/// A server that says the first line, and after each line heard the next; `{tag}` is the first word heard.
async fn server(lines: Vec<String>) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut heard = String::new();
        for line in lines {
            let said = line.replace("{tag}", heard.split(' ').next().unwrap_or_default().trim());
            stream.write_all(format!("{said}\r\n").as_bytes()).await.unwrap();
            heard.clear();
            // Whoever has heard enough hangs up.
            if stream.read_line(&mut heard).await.is_err() {
                return;
            }
        }
    });
    Endpoint { host: "127.0.0.1".into(), port, tls: Tls::None, ca: None }
}

fn credentials() -> Credentials {
    Credentials::Bearer { user: "u@x".into(), token: "token".to_owned().into() }
}

fn lines(common: &[&str], when: When, later: &[&str], words: &str) -> Vec<String> {
    let more = if when == Later { later } else { &[] };
    common.iter().chain(more).map(|&line| line.to_owned()).chain([words.to_owned()]).collect()
}

/// `words` are an answer as a whole, but for the tag.
pub(super) async fn imap(when: When, words: &str) -> imap::Error {
    let answer = if words.starts_with("* ") { words.to_owned() } else { format!("{{tag}} {words}") };
    let greeting = ["* OK ready", "* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2\r\n{tag} OK done"];
    let inside = ["{tag} OK in", "* CAPABILITY IMAP4rev1\r\n{tag} OK done"];
    let endpoint = server(lines(&greeting, when, &inside, &answer)).await;
    let options = imap::Options { endpoint, disable: BTreeSet::new(), special_use: BTreeMap::new() };
    match (imap::connect(&options, &credentials()).await, when) {
        (Err(error), Login) => error,
        (Ok(mut session), Later) => session.examine(&MailboxName::inbox()).await.unwrap_err(),
        (outcome, _) => panic!("{words}: {outcome:?}"),
    }
}

pub(super) async fn pop(when: When, words: &str) -> pop::Error {
    let greeting = ["+OK ready", "+OK\r\nSASL XOAUTH2\r\nUIDL\r\n.", "+ "];
    let inside = ["+OK in", "+OK\r\nUIDL\r\n."];
    let endpoint = server(lines(&greeting, when, &inside, &format!("-ERR {words}"))).await;
    match (pop::connect(&endpoint, &credentials()).await, when) {
        (Err(error), Login) => error,
        (Ok(mut session), Later) => session.survey().await.unwrap_err(),
        (outcome, _) => panic!("{words}: {outcome:?}"),
    }
}

pub(super) async fn smtp(when: When, words: &str) -> smtp::Error {
    let greeting = ["220 ready", "250-here\r\n250 AUTH XOAUTH2", "334 "];
    let endpoint = server(lines(&greeting, when, &["235 in"], words)).await;
    let mut session = smtp::Session::connect(&endpoint).await.unwrap();
    match (session.log_in(&credentials()).await, when) {
        (Err(error), Login) => error,
        (Ok(()), Later) => session.try_sender("a@x").await.unwrap_err(),
        (outcome, _) => panic!("{words}: {outcome:?}"),
    }
}

/// What the keeper makes of an answer to a refresh.
pub(super) async fn token(code: &str, description: &str) -> oauth::Error {
    let body = serde_json::json!({ "error": code, "error_description": description }).to_string();
    let granted =
        r#"{"access_token":"access","token_type":"Bearer","expires_in":3600,"refresh_token":"next"}"#;
    let script = Script::start([(200, granted), (400, &*body.leak())]).await;
    let state = tempfile::tempdir().unwrap();
    let store = state.path().join("work/token.json");
    let keeper = Keeper::new(KeeperConfig { account: "work".into(), store, ..config(&script.url) });
    let access = keeper.import("refresh".to_owned().into()).await.unwrap();
    keeper.renew("lab", &access).await.unwrap_err()
}

/// What a login makes of a redirect that brings a refusal.
pub(super) async fn browser(code: &str, description: &str) -> impl Classified {
    use oauth::flow::Callback;
    use oauth::flow::code::{Attempt, Authorize};
    let config = config(&"https://login.test/token".parse().unwrap());
    let url = "https://login.test/authorize".parse().unwrap();
    let authorize = Authorize { url, login_hint: "u@x".into(), extra: Vec::new() };
    let attempt = Attempt::new(&config, &authorize, "http://localhost:4711").unwrap();
    let denied = Callback::Denied { error: code.into(), description: description.into() };
    attempt.redeem(&config, denied).await.unwrap_err()
}
