//! A server that plays a transcript: `S:` lines are sent, `D:` lines are sent too but an octet in 50 s, `C:` lines are
//! expected, `W:` is a pause of so many seconds; then the connection ends. Whoever pauses stops the clock of the test.

use super::bringup;
use super::{Error, Options, Session};
use crate::mail::sasl::Credentials;
use crate::net::{Endpoint, Stream, Tls};
use bytes::BytesMut;
use std::collections::{BTreeMap, BTreeSet};
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
        if let Some(said) = line.strip_prefix("S: ") {
            stream.write_all(format!("{said}\r\n").as_bytes()).await.unwrap();
        } else if let Some(pause) = line.strip_prefix("W: ") {
            sleep(Duration::from_secs(pause.parse().unwrap())).await;
        } else if let Some(said) = line.strip_prefix("D: ") {
            drip(&mut stream, said).await;
        } else {
            let expected = line.strip_prefix("C:").unwrap();
            let mut heard = String::new();
            stream.read_line(&mut heard).await.unwrap();
            assert_eq!(heard.trim_end_matches(['\r', '\n']), expected.strip_prefix(' ').unwrap_or(expected));
        }
    }
}

/// Says a line, an octet in 50 s, until the client hangs up.
async fn drip(stream: &mut BufReader<DuplexStream>, said: &str) {
    for octet in format!("{said}\r\n").bytes() {
        sleep(Duration::from_secs(50)).await;
        if stream.write_all(&[octet]).await.is_err() {
            return;
        }
    }
}

/// A session with these capabilities on a server that then plays the transcript; its first tag is P2.
pub(super) async fn session(capabilities: &str, transcript: &str) -> (Session, Server) {
    let hello =
        format!("C: P1 CAPABILITY\nS: * CAPABILITY IMAP4rev1 {capabilities}\nS: P1 OK done\n{transcript}");
    let (stream, server) = Server::play(hello);
    let mut session = Session::new(stream, BytesMut::new(), "XOAUTH2");
    session.introduce(false, &BTreeSet::new()).await.unwrap();
    (session, server)
}

/// Options for a scripted server.
pub(super) fn options(tls: Tls) -> Options {
    let endpoint = Endpoint { host: "localhost".into(), port: 0, tls, ca: None };
    Options { endpoint, disable: BTreeSet::new(), special_use: BTreeMap::new() }
}

/// Brings up a session against the transcript.
pub(super) async fn bring_up(tls: Tls, transcript: &str) -> (Result<Session, Error>, Server) {
    let (stream, server) = Server::play(transcript.to_owned());
    let credentials = Credentials::Bearer { user: "u@x".into(), token: "tok".to_owned().into() };
    let dialled = std::future::ready(Ok(stream));
    (bringup::bring_up(dialled, &options(tls), &credentials).await, server)
}

/// A session whose server says these bytes, whatever it is told, and then ends the connection.
pub(super) async fn deaf(bytes: &[u8]) -> Result<Session, Error> {
    let (client, server) = duplex(1 << 20);
    let (mut heard, mut says) = tokio::io::split(server);
    let bytes = bytes.to_vec();
    // What the client writes is taken and forgotten; it may be gone before all is said.
    tokio::spawn(async move { tokio::io::copy(&mut heard, &mut tokio::io::sink()).await });
    tokio::spawn(async move {
        says.write_all(&bytes).await?;
        says.shutdown().await
    });
    let mut session = Session::new(Box::new(client), BytesMut::new(), "XOAUTH2");
    session.introduce(false, &BTreeSet::new()).await?;
    Ok(session)
}
