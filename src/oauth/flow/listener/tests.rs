//! The listener against browsers, and against everything else that can reach a port of this machine.

use super::*;
use crate::error::{Class, Classified};
use secrecy::ExposeSecret;
use std::net::{Ipv4Addr, Ipv6Addr};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(600);
/// Longer than a request may take.
const SOON: Duration = Duration::from_secs(20);
const RIGHT: &str = "/?code=c1&state=right";

/// A listener that waits.
struct Scene {
    port: u16,
    host: String,
    waiting: JoinHandle<Result<Caught, Error>>,
}

impl Scene {
    async fn of(redirect: &str) -> Scene {
        let listener = Listener::bind(redirect).await.unwrap();
        let (port, host) = (listener.port(), listener.place.host.clone());
        let expected = Expected {
            state: "right".into(),
            authorize_url: "https://login.test/authorize".parse().unwrap(),
        };
        let waiting = tokio::spawn(async move { listener.wait(&expected, PATIENCE).await });
        Scene { port, host, waiting }
    }

    async fn start() -> Scene {
        Scene::of("http://127.0.0.1").await
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.unwrap()
    }

    /// Sends these bytes and reads what comes until the end; nothing where the connection is cut.
    async fn send(&self, bytes: &[u8]) -> String {
        let mut peer = self.connect().await;
        // Where the listener has heard enough it closes, and the rest cannot be written.
        let _ = peer.write_all(bytes).await;
        read(&mut peer).await
    }

    async fn get(&self, target: &str) -> String {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host).as_bytes()).await
    }

    /// The code of the right redirect, which is still waited for.
    async fn finish(self) -> String {
        let mut browser = self.connect().await;
        let request = format!("GET {RIGHT} HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\n\r\n", self.host);
        browser.write_all(request.as_bytes()).await.unwrap();
        let caught = self.waiting.await.unwrap().unwrap();
        code(caught.callback)
    }
}

async fn read(peer: &mut TcpStream) -> String {
    let mut response = Vec::new();
    let _ = timeout(SOON, peer.read_to_end(&mut response)).await.expect("an answer, or the end");
    String::from_utf8(response).unwrap()
}

fn code(callback: Callback) -> String {
    match callback {
        Callback::Code(code) => code.expose_secret().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_browser_is_answered_when_the_login_is_over() {
    let scene = Scene::start().await;
    let mut browser = scene.connect().await;
    let request = format!("GET {RIGHT} HTTP/1.1\r\nHost: {}\r\n\r\n", scene.host);
    // A browser may send its request in pieces.
    for piece in request.as_bytes().chunks(7) {
        browser.write_all(piece).await.unwrap();
    }
    let caught = scene.waiting.await.unwrap().unwrap();
    assert_eq!(code(caught.callback), "c1");
    caught.browser.tell(Page::Done).await;
    let response = read(&mut browser).await;
    assert!(
        response.starts_with("HTTP/1.1 200 OK\r\n") && response.contains("You are logged in"),
        "{response}"
    );
}

#[tokio::test]
async fn the_redirect_keeps_its_spelling_and_is_bound_before_it_is_told() {
    for (redirect, path) in [
        ("http://127.0.0.1", ""),
        ("http://127.0.0.1/", "/"),
        ("http://localhost", ""),
        ("http://localhost/Login", "/Login"),
    ] {
        let listener = Listener::bind(redirect).await.unwrap();
        let whole = redirect.strip_suffix(path).unwrap();
        assert_eq!(listener.redirect(), format!("{whole}:{}{path}", listener.port()));
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, listener.port())).await.is_ok());
    }
    for foreign in ["http://mail.test", "https://127.0.0.1", "http://0.0.0.0", "127.0.0.1"] {
        assert!(Listener::bind(foreign).await.is_err(), "{foreign}");
    }
}

#[tokio::test]
async fn a_random_path_is_new_for_each_login_and_the_only_one_that_is_answered() {
    let (one, other) = (with_random_path("http://127.0.0.1"), with_random_path("http://127.0.0.1/"));
    let path = |redirect: &str| redirect.strip_prefix("http://127.0.0.1/").unwrap().to_owned();
    assert!(path(&one).len() >= 22 && path(&one) != path(&other), "128 bits: {one} {other}");
    let scene = Scene::of(&one).await;
    assert!(scene.get(RIGHT).await.starts_with("HTTP/1.1 404 "));
    let mut browser = scene.connect().await;
    let right = RIGHT.replacen('/', &format!("/{}", path(&one)), 1);
    let request = format!("GET {right} HTTP/1.1\r\nHost: {}\r\n\r\n", scene.host);
    browser.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(code(scene.waiting.await.unwrap().unwrap().callback), "c1");
}

#[tokio::test]
async fn the_name_localhost_is_answered_in_both_families() {
    let scene = Scene::of("http://localhost").await;
    if let Ok(mut peer) = TcpStream::connect((Ipv6Addr::LOCALHOST, scene.port)).await {
        peer.write_all(format!("GET /x HTTP/1.1\r\nHost: {}\r\n\r\n", scene.host).as_bytes()).await.unwrap();
        assert!(read(&mut peer).await.starts_with("HTTP/1.1 404 "));
    }
    assert_eq!(scene.finish().await, "c1");
}

#[tokio::test]
async fn a_wrong_state_is_waited_past_and_told_nothing() {
    let scene = Scene::start().await;
    for target in ["/?code=CANARY&state=wrong", "/?error=access_denied&state=wrong", "/?code=CANARY", "/"] {
        let response = scene.get(target).await;
        assert!(
            response.starts_with("HTTP/1.1 400 ") && response.contains("Nothing to do here"),
            "{response}"
        );
        assert!(!response.contains("CANARY") && !response.contains("wrong"), "{response}");
    }
    assert_eq!(scene.finish().await, "c1");
}

#[tokio::test]
async fn another_host_is_refused_even_with_the_right_state() {
    let scene = Scene::start().await;
    let port = scene.port;
    for hosts in [
        String::new(),
        format!("Host: evil.test:{port}\r\n"),
        format!("Host: localhost:{port}\r\n"),
        "Host: 127.0.0.1\r\n".to_owned(),
        format!("Host: 127.0.0.1:{}\r\n", port ^ 1),
        format!("Host: 127.0.0.1:{port}\r\nHost: evil.test\r\n"),
    ] {
        let response = scene.send(format!("GET {RIGHT} HTTP/1.1\r\n{hosts}\r\n").as_bytes()).await;
        assert!(response.starts_with("HTTP/1.1 421 "), "{hosts}: {response}");
    }
    assert_eq!(scene.finish().await, "c1");
}

#[tokio::test]
async fn only_a_get_of_the_exact_path_counts() {
    let scene = Scene::of("http://127.0.0.1/login").await;
    let host = scene.host.clone();
    for (request, status) in [
        ("POST /login?code=c1&state=right HTTP/1.1", "405"),
        ("HEAD /login?code=c1&state=right HTTP/1.1", "405"),
        ("get /login?code=c1&state=right HTTP/1.1", "405"),
        ("GET /?code=c1&state=right HTTP/1.1", "404"),
        ("GET /login/?code=c1&state=right HTTP/1.1", "404"),
        ("GET /Login?code=c1&state=right HTTP/1.1", "404"),
        ("GET /favicon.ico HTTP/1.1", "404"),
        ("GET http://127.0.0.1/login?code=c1&state=right HTTP/1.1", "404"),
        ("GET /login?code=c1&state=right HTTP/2", "400"),
        ("GET /login?code=c1&state=right", "400"),
        ("GET /login?code=c1 &state=right HTTP/1.1", "400"),
    ] {
        let response = scene.send(format!("{request}\r\nHost: {host}\r\n\r\n").as_bytes()).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {response}");
        assert!(
            response.contains("Connection: close\r\n") && response.contains("default-src 'none'"),
            "{response}"
        );
    }
    assert!(!scene.waiting.is_finished());
}

#[tokio::test]
async fn what_is_too_long_or_no_text_is_cut_and_waited_past() {
    let scene = Scene::start().await;
    let long = format!("GET {RIGHT} HTTP/1.1\r\nCookie: {}", "x".repeat(2 * LONGEST_HEAD));
    assert_eq!(scene.send(long.as_bytes()).await, "");
    assert_eq!(scene.send(b"\x16\x03\x01\xff\xfe\r\n\r\n").await, "");
    let cookies = format!("Cookie: {}\r\n", "x".repeat(12 * 1024));
    let request = format!("GET {RIGHT} HTTP/1.1\r\nHost: {}\r\n{cookies}\r\n", scene.host);
    let mut browser = scene.connect().await;
    browser.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(code(scene.waiting.await.unwrap().unwrap().callback), "c1");
}

#[tokio::test(start_paused = true)]
async fn silent_connections_are_cut_and_keep_no_browser_out() {
    let scene = Scene::start().await;
    let mut silent = Vec::new();
    for _ in 0..AT_ONCE + 4 {
        silent.push(scene.connect().await);
    }
    silent.first_mut().unwrap().write_all(b"GET / HT").await.unwrap();
    assert_eq!(read(silent.first_mut().unwrap()).await, "", "cut when its time was over");
    assert_eq!(scene.finish().await, "c1");
}

#[tokio::test]
async fn a_flood_of_requests_changes_nothing() {
    let scene = Scene::start().await;
    for _ in 0..1000 {
        let mut peer = scene.connect().await;
        let _ = peer.write_all(b"GET / HTTP/1.1\r\n\r\n").await;
        read(&mut peer).await;
    }
    assert_eq!(scene.finish().await, "c1");
}

#[tokio::test]
async fn nothing_listens_once_the_redirect_is_there() {
    let scene = Scene::start().await;
    let mut browser = scene.connect().await;
    let request = format!("GET {RIGHT} HTTP/1.1\r\nHost: {}\r\n\r\n", scene.host);
    browser.write_all(request.as_bytes()).await.unwrap();
    let caught = scene.waiting.await.unwrap().unwrap();
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, scene.port)).await.is_err());
    caught.browser.tell(Page::Done).await;
    assert!(read(&mut browser).await.contains("You are logged in"));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_waited_for_without_end() {
    let scene = Scene::start().await;
    let error = scene.waiting.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the login was not finished within 10 minutes");
    assert_eq!(error.class(), Class::NeedsLogin);
}

#[tokio::test]
async fn a_refusal_and_another_issuer_end_the_wait() {
    let scene = Scene::start().await;
    let mut browser = scene.connect().await;
    let target = "/?error=access_denied&state=right";
    browser
        .write_all(format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", scene.host).as_bytes())
        .await
        .unwrap();
    let caught = scene.waiting.await.unwrap().unwrap();
    assert!(matches!(caught.callback, Callback::Denied { .. }));
    caught.browser.tell(Page::Denied).await;
    assert!(read(&mut browser).await.contains("Not logged in"));

    let scene = Scene::start().await;
    let mut browser = scene.connect().await;
    let target = "/?code=c1&state=right&iss=https%3A%2F%2Fevil.test";
    browser
        .write_all(format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", scene.host).as_bytes())
        .await
        .unwrap();
    let caught = scene.waiting.await.unwrap().unwrap();
    assert!(matches!(caught.callback, Callback::OtherIssuer { .. }));
}
