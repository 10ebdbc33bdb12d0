//! A server that plays a transcript: `S:` lines are sent, `C:` lines are expected, `D:` lines are sent an octet in 50 s;
//! `X:` sends raw bytes with `\r`, `\n` written so. Then the connection ends.

use super::{Error, Session};
use crate::mail::sasl::Credentials;
use crate::net::{Endpoint, Stream, Tls};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The server's end; its outcome tells whether the client said what was expected.
pub(super) struct Server(JoinHandle<()>);

impl Server {
    /// Plays a transcript.
    pub(super) fn play(transcript: String) -> (Stream, Server) {
        let (client, server) = duplex(1 << 20);
        (Box::new(client), Server(tokio::spawn(speak(server, transcript))))
    }

    /// The whole transcript was played as written.
    pub(super) async fn finished(self) {
        timeout(Duration::from_secs(20), self.0).await.expect("the script to end").unwrap();
    }
}

async fn speak(stream: DuplexStream, transcript: String) {
    let mut stream = BufReader::new(stream);
    for line in transcript.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
        let (kind, said) = line.split_at(2);
        let said = said.strip_prefix(' ').unwrap_or(said);
        match kind {
            "S:" => stream.write_all(format!("{said}\r\n").as_bytes()).await.unwrap(),
            "X:" => {
                let raw = said.replace("\\r", "\r").replace("\\n", "\n");
                stream.write_all(raw.as_bytes()).await.unwrap();
            }
            "D:" => {
                for octet in said.bytes() {
                    sleep(Duration::from_secs(50)).await;
                    if stream.write_all(&[octet]).await.is_err() {
                        return;
                    }
                }
            }
            "C:" => {
                let mut heard = String::new();
                stream.read_line(&mut heard).await.unwrap();
                assert_eq!(heard.trim_end_matches(['\r', '\n']), said);
            }
            other => panic!("{other}"),
        }
    }
}

pub(super) fn endpoint(tls: Tls) -> Endpoint {
    Endpoint { host: "localhost".into(), port: 995, tls, ca: None }
}

pub(super) fn bearer() -> Credentials {
    let token = "EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA".to_owned().into();
    Credentials::Bearer { user: "test@contoso.onmicrosoft.com".into(), token }
}

pub(super) fn password(password: &str) -> Credentials {
    Credentials::Password { user: "alice".into(), password: password.to_owned().into() }
}

/// What comes of a login on a server that plays the transcript.
pub(super) async fn log_in(transcript: &str, credentials: &Credentials) -> Result<Session, Error> {
    let (stream, server) = Server::play(transcript.to_owned());
    let outcome = Session::bring_up(async { Ok(stream) }, &endpoint(Tls::Implicit), credentials).await;
    server.finished().await;
    outcome
}

/// A session on a server with these capabilities, which then plays the transcript.
pub(super) async fn session(capabilities: &str, transcript: &str) -> (Session, Server) {
    let listed: String = capabilities.split(',').map(|one| format!("S: {one}\n")).collect();
    let capa = format!("C: CAPA\nS: +OK\n{listed}S: .\n");
    let login = format!(
        "S: +OK ready\nC: CAPA\nS: +OK\nS: SASL PLAIN\nS: .\nC: AUTH PLAIN\nS: + \nC: AGFsaWNlAHNlY3JldA==\nS: +OK\n{capa}"
    );
    let (stream, server) = Server::play(format!("{login}{transcript}"));
    let opened = Session::bring_up(async { Ok(stream) }, &endpoint(Tls::Implicit), &password("secret")).await;
    (opened.unwrap(), server)
}
