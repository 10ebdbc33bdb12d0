//! The keeper against a token server in this process: one that rotates, refuses, stalls, lies and floods.
//!
//! The server answers each request by a script and records what it was sent; a gate holds answers back, so that a
//! test says when they arrive. No clock is waited for: pauses and lives are ended by hand.

use super::refresh::now;
use super::*;
use crate::oauth::token::{Lease, Moment};
use futures_util::future::join_all;
use secrecy::ExposeSecret;
use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};

/// One answer of the server.
#[derive(Clone)]
enum Reply {
    Http(u16, &'static str, String),
    Stall,
    Close,
    Flood,
}

struct Server {
    url: Url,
    script: Arc<Mutex<VecDeque<Reply>>>,
    requests: Arc<Mutex<Vec<String>>>,
    arrived: Arc<Notify>,
    gate: Arc<Semaphore>,
}

impl Server {
    async fn start(script: impl IntoIterator<Item = Reply>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap()).parse().unwrap();
        let server = Server {
            url,
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            requests: Arc::default(),
            arrived: Arc::default(),
            gate: Arc::new(Semaphore::new(1000)),
        };
        let (script, requests) = (server.script.clone(), server.requests.clone());
        let (arrived, gate) = (server.arrived.clone(), server.gate.clone());
        tokio::spawn(async move {
            while let Ok((mut peer, _)) = listener.accept().await {
                let body = read_request(&mut peer).await;
                requests.lock().unwrap().push(body);
                arrived.notify_one();
                let reply = script.lock().unwrap().pop_front().unwrap_or(Reply::Close);
                let gate = gate.clone();
                tokio::spawn(async move {
                    gate.acquire().await.unwrap().forget();
                    answer(&mut peer, reply).await;
                });
            }
        });
        server
    }

    fn close_gate(&self) {
        self.gate.forget_permits(usize::MAX);
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// The refresh tokens that were sent, in order.
    fn refresh_tokens(&self) -> Vec<String> {
        let of = |body: &String| {
            let form = url::form_urlencoded::parse(body.as_bytes());
            form.into_owned().find(|(key, _)| key == "refresh_token").map(|(_, value)| value).unwrap()
        };
        self.requests().iter().map(of).collect()
    }
}

async fn read_request(peer: &mut TcpStream) -> String {
    let mut text = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = peer.read(&mut chunk).await.unwrap();
        text.extend_from_slice(&chunk[..count]);
        let whole = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = whole.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length: usize =
            head.split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
        if body.len() >= length {
            return body.to_owned();
        }
    }
}

async fn answer(peer: &mut TcpStream, reply: Reply) {
    match reply {
        Reply::Http(status, headers, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n"
            );
            peer.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
        Reply::Stall => std::future::pending().await,
        Reply::Close => {}
        Reply::Flood => {
            let chunk = vec![b' '; 64 * 1024];
            peer.write_all(b"HTTP/1.1 200 X\r\nconnection: close\r\n\r\n").await.unwrap();
            while peer.write_all(&chunk).await.is_ok() {}
        }
    }
}

fn grant(access: &str, refresh: Option<&str>) -> Reply {
    let refresh = refresh.map(|token| format!(r#","refresh_token":"{token}""#)).unwrap_or_default();
    let body = format!(r#"{{"token_type":"Bearer","access_token":"{access}","expires_in":3600{refresh}}}"#);
    Reply::Http(200, "content-type: application/json\r\n", body)
}

fn refusal(error: &str) -> Reply {
    let body = format!(
        r#"{{"error":"{error}","error_description":"AADSTS700082 CANARYCANARYCANARYCANARYCANARYCANARYCANARY"}}"#
    );
    Reply::Http(400, "", body)
}

struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    fn new() -> Home {
        Home { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("lab/token.json")
    }

    fn keeper(&self, server: &Server) -> Keeper {
        Keeper::with_deadline(
            KeeperConfig {
                account: "lab".into(),
                client_id: "client".into(),
                client_secret: Some("CANARY-secret".into()),
                token_url: server.url.clone(),
                scopes: vec!["imap".into(), "smtp".into()],
                store: self.path(),
                is_sealed: false,
                app: None,
            },
            Duration::from_secs(10),
        )
    }

    /// A keeper for which somebody has logged in with `r1`.
    fn logged_in(&self, server: &Server) -> Keeper {
        let keeper = self.keeper(server);
        let lock = keeper.inner.store.try_lock().unwrap().unwrap();
        keeper.inner.store.save(&lock, &keeper.inner.grant("r1".into()), Timestamp::now()).unwrap();
        keeper
    }

    fn saved(&self) -> String {
        let text = std::fs::read_to_string(self.path()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json["refresh_token"].as_str().unwrap().to_owned()
    }
}

fn secret(token: &AccessToken) -> &str {
    token.secret.expose_secret()
}

/// The pause after a failure is over.
fn end_pause(keeper: &Keeper) {
    let mut state = keeper.inner.state();
    state.failure = None;
    state.forced.clear();
}

/// So much of the token's hour has gone by.
fn age_token(keeper: &Keeper, seconds: u64) {
    let mut state = keeper.inner.state();
    let token = state.lease.take().unwrap().token;
    let life = Duration::from_secs(3600);
    let moment = now();
    let then = Moment {
        wall: moment.wall - jiff::SignedDuration::from_secs(seconds.cast_signed()),
        boot: moment.boot.saturating_sub(Duration::from_secs(seconds)),
    };
    state.lease = Some(Lease::new(token.secret, Some(life), then, 0.0));
}

#[tokio::test]
async fn a_rotated_token_is_on_disk_when_its_access_token_is_handed_out() {
    let (home, server) = (Home::new(), Server::start([grant("a1", Some("r2"))]).await);
    let keeper = home.logged_in(&server);
    assert_eq!(keeper.expires(), None);
    let token = keeper.token().await.unwrap();
    assert_eq!((secret(&token), home.saved().as_str()), ("a1", "r2"));
    assert_eq!(keeper.expires(), token.expires);
    let request = &server.requests()[0];
    for part in [
        "grant_type=refresh_token",
        "refresh_token=r1",
        "client_id=client",
        "client_secret=CANARY-secret",
        "scope=imap+smtp",
    ] {
        assert!(request.contains(part), "{request}");
    }
}

#[tokio::test]
async fn without_rotation_the_refresh_token_stays() {
    let (home, server) = (Home::new(), Server::start([grant("a1", None), grant("a2", None)]).await);
    let keeper = home.logged_in(&server);
    keeper.token().await.unwrap();
    age_token(&keeper, 2881);
    assert_eq!(secret(&keeper.token().await.unwrap()), "a2");
    assert_eq!(server.refresh_tokens(), ["r1", "r1"]);
    assert_eq!(home.saved(), "r1");
}

#[tokio::test]
async fn fifty_callers_cost_one_request() {
    let (home, server) = (Home::new(), Server::start([grant("a1", Some("r2"))]).await);
    server.close_gate();
    let keeper = home.logged_in(&server);
    let callers = join_all((0..50).map(|_| keeper.token()));
    let opener = async {
        server.arrived.notified().await;
        server.gate.add_permits(1);
    };
    let (tokens, ()) = tokio::join!(callers, opener);
    assert!(tokens.iter().all(|token| secret(token.as_ref().unwrap()) == "a1"));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn fifty_callers_of_a_server_in_trouble_cost_one_request_too() {
    let down = Reply::Http(503, "retry-after: 60\r\n", String::new());
    let (home, server) = (Home::new(), Server::start([down]).await);
    let keeper = home.logged_in(&server);
    let tokens = join_all((0..50).map(|_| keeper.token())).await;
    assert!(tokens.iter().all(|token| matches!(token, Err(Error::Unavailable { .. }))));
    assert_eq!(server.requests().len(), 1);
}

/// A keeper whose caller went away when the request had reached the server, which answers at a permit of its gate.
async fn asking(home: &Home, server: &Server) -> Keeper {
    server.close_gate();
    let keeper = home.logged_in(server);
    tokio::select! {
        outcome = keeper.token() => panic!("{outcome:?}"),
        () = server.arrived.notified() => {}
    }
    keeper
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_lose_the_rotated_token() {
    let (home, server) = (Home::new(), Server::start([grant("a1", Some("r2"))]).await);
    let keeper = asking(&home, &server).await;
    server.gate.add_permits(1);
    keeper.settle().await;
    assert_eq!(home.saved(), "r2");
    assert_eq!(secret(&keeper.token().await.unwrap()), "a1");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_refused_token_is_sent_once_however_often_one_asks() {
    for error in ["invalid_grant", "interaction_required"] {
        let (home, server) = (Home::new(), Server::start([refusal(error)]).await);
        let keeper = home.logged_in(&server);
        for _ in 0..5 {
            let refused = keeper.token().await.unwrap_err();
            assert_eq!(refused.class(), Class::NeedsLogin);
            assert_eq!(refused.hint().unwrap(), "run: posthaste login lab");
            assert!(refused.to_string().contains("AADSTS700082"), "{refused}");
        }
        join_all((0..5).map(|_| keeper.token())).await;
        assert_eq!(server.requests().len(), 1);
        assert_eq!(home.saved(), "r1");
    }
}

#[tokio::test]
async fn after_a_login_elsewhere_the_same_keeper_goes_on() {
    let script = [refusal("invalid_grant"), grant("a8", None), grant("a9", None)];
    let (home, server) = (Home::new(), Server::start(script).await);
    let keeper = home.logged_in(&server);
    keeper.token().await.unwrap_err();
    let other_process = home.keeper(&server);
    assert_eq!(secret(&other_process.import("r9".into()).await.unwrap()), "a8");
    assert_eq!(home.saved(), "r9");
    assert_eq!(secret(&keeper.token().await.unwrap()), "a9");
    assert_eq!(server.refresh_tokens(), ["r1", "r9", "r9"]);
}

#[tokio::test]
async fn a_login_that_is_refused_saves_nothing_and_harms_nothing() {
    let script = [refusal("invalid_grant"), grant("a1", None)];
    let (home, server) = (Home::new(), Server::start(script).await);
    let keeper = home.logged_in(&server);
    assert_eq!(keeper.import("wrong".into()).await.unwrap_err().class(), Class::NeedsLogin);
    assert_eq!(home.saved(), "r1");
    assert_eq!(secret(&keeper.token().await.unwrap()), "a1");
}

#[tokio::test]
async fn trouble_of_every_kind_is_passing_and_keeps_the_refresh_token() {
    let http = |status, headers, body: &str| Reply::Http(status, headers, body.to_owned());
    let troubles = [
        http(500, "", "{}"),
        http(503, "", r#"{"error":"invalid_grant"}"#),
        http(429, "", ""),
        http(200, "content-type: text/html\r\n", "<html>hotel</html>"),
        http(302, "location: http://127.0.0.1:9/\r\n", ""),
        http(307, "location: /elsewhere\r\n", ""),
        http(200, "", r#"{"access_token":"CANARY"#),
        http(200, "", "{}"),
        http(400, "", "<html>"),
        Reply::Close,
        Reply::Flood,
    ];
    for trouble in troubles {
        let (home, server) = (Home::new(), Server::start([trouble, grant("a1", None)]).await);
        let keeper = home.logged_in(&server);
        let error = keeper.token().await.unwrap_err();
        assert!(matches!(error.class(), Class::Retry { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("CANARY"));
        assert_eq!((server.requests().len(), home.saved().as_str()), (1, "r1"));
        end_pause(&keeper);
        assert_eq!(secret(&keeper.token().await.unwrap()), "a1");
    }
}

#[tokio::test]
async fn an_endpoint_that_stalls_meets_the_deadline() {
    let (home, server) = (Home::new(), Server::start([Reply::Stall]).await);
    let config = home.logged_in(&server).inner.config.clone();
    let keeper = Keeper::with_deadline(config, Duration::from_millis(100));
    let error = keeper.token().await.unwrap_err();
    assert!(error.to_string().contains("does not answer"), "{error}");
    assert_eq!(home.saved(), "r1");
}

#[tokio::test]
async fn retry_after_is_kept_and_told() {
    let slow = Reply::Http(429, "retry-after: 120\r\n", String::new());
    let (home, server) = (Home::new(), Server::start([slow]).await);
    let keeper = home.logged_in(&server);
    for _ in 0..3 {
        let Class::Retry { after: Some(after) } = keeper.token().await.unwrap_err().class() else { panic!() };
        assert!((118..=120).contains(&after.as_secs()), "{after:?}");
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_pause_that_no_server_asked_for_is_passed_on_as_patience() {
    let (home, server) = (Home::new(), Server::start([Reply::Close]).await);
    let keeper = home.logged_in(&server);
    for _ in 0..3 {
        assert_eq!(keeper.token().await.unwrap_err().class(), Class::RETRY);
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_token_that_is_due_still_serves_while_the_endpoint_is_down() {
    let down = Reply::Http(503, "retry-after: 60\r\n", String::new());
    let (home, server) = (Home::new(), Server::start([grant("a1", None), down.clone(), down]).await);
    let keeper = home.logged_in(&server);
    keeper.token().await.unwrap();
    age_token(&keeper, 3000);
    assert_eq!(secret(&keeper.token().await.unwrap()), "a1");
    age_token(&keeper, 3600);
    keeper.token().await.unwrap_err();
    assert_eq!(server.requests().len(), 2, "the pause after the failure is respected");
}

#[tokio::test]
async fn renewal_replaces_the_refused_token_once_for_all_who_saw_it() {
    let script = [grant("a1", Some("r2")), grant("a2", Some("r3"))];
    let (home, server) = (Home::new(), Server::start(script).await);
    let keeper = home.logged_in(&server);
    let refused = keeper.token().await.unwrap();
    let renewed = join_all((0..5).map(|_| keeper.renew("lab", &refused))).await;
    assert!(renewed.iter().all(|token| secret(token.as_ref().unwrap().as_ref().unwrap()) == "a2"));
    assert_eq!(server.refresh_tokens(), ["r1", "r2"]);
    assert_eq!(home.saved(), "r3");
}

#[tokio::test]
async fn a_mail_server_that_refuses_every_token_forces_few_refreshes_and_a_login_allows_more() {
    let script = ["a1", "a2", "a3", "a4", "a5", "a6"].map(|token| grant(token, None));
    let (home, server) = (Home::new(), Server::start(script).await);
    let keeper = home.logged_in(&server);
    let mut token = keeper.token().await.unwrap();
    for _ in 0..4 {
        token = keeper.renew("lab", &token).await.unwrap().expect("a token may be revoked more than once");
    }
    assert!(keeper.renew("lab", &token).await.unwrap().is_none());
    assert_eq!(secret(&keeper.token().await.unwrap()), "a5", "others may still be served by it");
    assert_eq!(server.requests().len(), 5);
    keeper.reconsider();
    assert_eq!(secret(&keeper.renew("lab", &token).await.unwrap().unwrap()), "a6");
}

#[tokio::test]
async fn two_keepers_of_one_file_never_send_the_same_rotating_token_twice() {
    let script = [grant("a1", Some("r2")), grant("a2", Some("r3"))];
    let (home, server) = (Home::new(), Server::start(script).await);
    let (one, other) = (home.logged_in(&server), home.keeper(&server));
    let (first, second) = tokio::join!(one.token(), other.token());
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(server.refresh_tokens(), ["r1", "r2"]);
    assert_eq!(home.saved(), "r3");
}

#[tokio::test]
async fn a_refused_client_is_a_matter_of_configuration() {
    let (home, server) = (Home::new(), Server::start([refusal("invalid_client")]).await);
    let keeper = home.logged_in(&server);
    for _ in 0..3 {
        let error = keeper.token().await.unwrap_err();
        assert_eq!(error.class(), Class::Configuration);
        assert!(error.hint().unwrap().starts_with("in [accounts.lab.oauth]: check `client_id`"));
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn nothing_is_sent_without_a_login_or_with_one_that_is_not_safe_or_not_ours() {
    let (home, server) = (Home::new(), Server::start([]).await);
    let keeper = home.keeper(&server);
    assert!(matches!(keeper.token().await, Err(Error::NotLoggedIn { .. })));
    let keeper = home.logged_in(&server);
    let other = KeeperConfig { client_id: "other".into(), ..keeper.inner.config.clone() };
    assert!(matches!(Keeper::new(other).token().await, Err(Error::OtherClient { .. })));
    let mut moved = keeper.inner.config.clone();
    moved.token_url.set_path("/another-tenant/token");
    let error = Keeper::new(moved).token().await.unwrap_err();
    let saved = keeper.inner.config.token_url.as_str();
    assert!(error.to_string().ends_with(&format!(" at {saved}")), "the path tells tenants apart: {error}");
    let plain = KeeperConfig {
        token_url: "http://login.test/token?key=CANARY".parse().unwrap(),
        ..keeper.inner.config.clone()
    };
    let error = Keeper::new(plain).import("r1".into()).await.unwrap_err();
    assert!(
        matches!(error, flow::Error::Token(Error::Insecure { .. })) && !error.to_string().contains("CANARY")
    );
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(keeper.token().await, Err(Error::Exposed { mode: 0o644, .. })));
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn nothing_that_can_be_printed_holds_a_secret() {
    let script = [grant("CANARY-access", Some("CANARY-refresh")), refusal("invalid_grant")];
    let (home, server) = (Home::new(), Server::start(script).await);
    let keeper = home.logged_in(&server);
    let token = keeper.token().await.unwrap();
    let mut shown = format!("{token:?} {keeper:?} {:?}", keeper.inner.config);
    end_pause(&keeper);
    let error = keeper.renew("lab", &token).await.unwrap_err();
    shown.push_str(&format!("{error} {error:?} {:?} {keeper:?}", error.hint()));
    shown.push_str(&format!("{:?}", keeper.inner.store.load().unwrap()));
    assert!(shown.contains("AADSTS700082"), "the server's words are there");
    assert!(!shown.contains("CANARY"), "{shown}");
}

/// A TLS server whose certificate nobody trusts; the task ends with whether a client shook hands with it.
fn untrusted_server() -> (Url, tokio::task::JoinHandle<bool>) {
    use openssl::{asn1::Asn1Time, hash::MessageDigest, pkey::PKey, rsa::Rsa, ssl, x509};
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = x509::X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut certificate = x509::X509::builder().unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    let mut acceptor = ssl::SslAcceptor::mozilla_intermediate_v5(ssl::SslMethod::tls()).unwrap();
    acceptor.set_private_key(&key).unwrap();
    acceptor.set_certificate(&certificate.build()).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/token", listener.local_addr().unwrap().port()).parse().unwrap();
    let task = tokio::task::spawn_blocking(move || {
        let (peer, _) = listener.accept().unwrap();
        acceptor.build().accept(peer).is_ok()
    });
    (url, task)
}

/// A server that takes a connection and never says a word of TLS; the task ends with the connection.
fn silent_server() -> (Url, tokio::task::JoinHandle<std::net::TcpStream>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/token", listener.local_addr().unwrap()).parse().unwrap();
    (url, tokio::task::spawn_blocking(move || listener.accept().unwrap().0))
}

#[tokio::test]
async fn a_token_endpoint_whose_certificate_is_not_trusted_gets_no_token() {
    let home = Home::new();
    let (url, shook_hands) = untrusted_server();
    let config = home.keeper(&Server::start([]).await).inner.config.clone();
    let keeper = Keeper::new(KeeperConfig { token_url: url, ..config });
    let error = keeper.import("r1".into()).await.unwrap_err();
    assert!(error.to_string().contains("certificate verify failed"), "{error}");
    assert!(matches!(error.class(), Class::Retry { .. }));
    assert!(!shook_hands.await.unwrap());
}

mod ending;
mod guests;
mod logout;
