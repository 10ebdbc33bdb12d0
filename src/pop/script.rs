//! Sessions on servers that play a transcript ([`Server`]), and what they log in with.

use super::{Error, Session};
use crate::mail::sasl::Credentials;
pub(super) use crate::net::script::Server;
use crate::net::{Endpoint, Tls};

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
