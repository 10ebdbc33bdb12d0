//! What an authorization server says beside a token: the time, and what it did not grant.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::Host;
use crate::support::listener::Listening;
use crate::support::process::{Account, Home};
use crate::visit::{examine, step};
use serde_json::{Value, json};

/// An authorization server that grants whatever it is asked with these words, at this time of its own.
struct Clerk {
    answer: Arc<Mutex<Value>>,
    /// How long it thinks before it answers.
    slow: Arc<Mutex<Duration>>,
    listening: Listening,
}

impl Clerk {
    fn at(date: &'static str, answer: Value) -> Clerk {
        let answer = Arc::new(Mutex::new(answer));
        let slow = Arc::<Mutex<Duration>>::default();
        let (said, thinks) = (answer.clone(), slow.clone());
        let listening = Listening::start(move |stream: TcpStream| {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|length| length > 2) {
                line.clear();
            }
            let body = said.lock().unwrap().to_string();
            let pause = *thinks.lock().unwrap();
            std::thread::sleep(pause);
            // Whoever hangs up early has heard enough.
            let _ = write!(
                stream.get_mut(),
                "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            );
        });
        Clerk { answer, slow, listening }
    }

    fn home(&self, host: &Host) -> Home {
        let token_url = Some(format!("http://127.0.0.1:{}/token", self.listening.port()));
        let home = Home::new(env!("CARGO_BIN_EXE_posthaste"));
        home.configure(&[Account { token_url, ..Account::of(host, "alice") }]);
        home.login("alice", "some-refresh-token");
        home
    }
}

fn grant(host: &Host) -> Value {
    json!({"token_type": "Bearer", "expires_in": 3600, "access_token": host.tokens.access_token("alice")})
}

#[test]
fn a_clock_that_disagrees_with_the_authorization_server_is_a_warning() {
    let host = Host::start();
    let clerk = Clerk::at("Sun, 06 Nov 1994 08:49:37 GMT", grant(&host));
    let (found, code) = examine(&clerk.home(&host), &[]);
    let clock = step(&found["accounts"][0], "clock");
    assert_eq!((code, &clock["outcome"]), (0, &Value::from("warn")), "{found:#}");
    assert!(clock["detail"].as_str().unwrap().contains("min ahead of the authorization server"), "{clock}");
    assert!(clock["advice"].as_str().unwrap().contains("timedatectl"), "{clock}");
}

#[test]
fn a_permission_that_was_not_granted_is_named() {
    let host = Host::start();
    let clerk = Clerk::at("Sun, 06 Nov 1994 08:49:37 GMT", grant(&host));
    let home = clerk.home(&host);
    clerk.answer.lock().unwrap()["scope"] = "calendar".into();
    let (found, code) = examine(&home, &[]);
    let token = step(&found["accounts"][0], "token");
    assert_eq!((code, &token["outcome"]), (0, &Value::from("warn")), "{found:#}");
    assert!(token["advice"].as_str().unwrap().starts_with("not granted: mail; log in again"), "{token}");
}

#[test]
fn a_token_that_comes_after_the_patience_of_the_check_is_kept() {
    let host = Host::start();
    let clerk = Clerk::at("Sun, 06 Nov 1994 08:49:37 GMT", grant(&host));
    let home = clerk.home(&host);
    clerk.answer.lock().unwrap()["refresh_token"] = "the-next-refresh-token".into();
    *clerk.slow.lock().unwrap() = Duration::from_secs(2);
    let (found, code) = examine(&home, &["--timeout", "1"]);
    let token = step(&found["accounts"][0], "token");
    assert_eq!((code, &token["detail"]), (1, &Value::from("no answer within 1 s")), "{found:#}");
    let advice = token["advice"].as_str().unwrap();
    assert!(advice.contains("authorization server is silent"), "{advice}");
    let saved = std::fs::read_to_string(home.state("alice").join("token.json")).unwrap();
    assert!(saved.contains("the-next-refresh-token"), "the token that came with the answer is lost");
}
