//! Sessions on servers that play a transcript ([`Server`]), or that say something whatever they are told.

use super::bringup;
use super::{Error, Options, Session};
use crate::mail::sasl::Credentials;
pub(super) use crate::net::script::Server;
use crate::net::{Endpoint, Tls};
use bytes::BytesMut;
use std::collections::{BTreeMap, BTreeSet};
use tokio::io::{AsyncWriteExt, duplex};

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
