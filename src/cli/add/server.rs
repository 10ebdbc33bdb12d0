//! Servers as a person names them: `HOST` or `HOST:PORT`.

use super::ask;
use crate::cli::error::CommandError;
use crate::cli::output;
use crate::net::{Endpoint, Tls};
use crate::provider::is_host;

/// What a server is for: that decides its usual port, and the one that stands for STARTTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Imap,
    Pop,
    Submission,
}

impl Role {
    /// RFC 8314 §7 for TLS from the first byte, RFC 9051 §11.1, RFC 1939 §3 and RFC 6409 §3.1 else.
    fn ports(self) -> (u16, u16) {
        match self {
            Role::Imap => (993, 143),
            Role::Pop => (995, 110),
            Role::Submission => (465, 587),
        }
    }
}

/// The server that the words name: TLS from the first byte, unless the port is the one for STARTTLS.
pub(super) fn read(words: &str, role: Role) -> Option<Endpoint> {
    let (implicit, starttls) = role.ports();
    let (host, port) = match words.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port.parse().ok().filter(|&port| port > 0)?),
        _ => (words, implicit),
    };
    let tls = if port == starttls { Tls::StartTls } else { Tls::Implicit };
    is_host(host).then(|| Endpoint { host: host.to_owned(), port, tls, ca: None })
}

/// [`read`] for an option of the command line.
pub(super) fn option(role: Role) -> impl Fn(&str) -> Result<Endpoint, String> + Clone {
    move |words| read(words, role).ok_or_else(|| "expected HOST or HOST:PORT".to_owned())
}

/// The server, from the person; `None` for "none".
pub(super) async fn ask(question: &str, usual: &str, role: Role) -> Result<Option<Endpoint>, CommandError> {
    loop {
        let answer = ask::for_line(question, Some(usual)).await?.unwrap_or_default();
        if answer == "none" {
            return Ok(None);
        }
        match read(&answer, role) {
            Some(server) => return Ok(Some(server)),
            None => output::complain("this is no server; expected HOST or HOST:PORT"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_perhaps_a_port() {
        let read = |answer: &str| read(answer, Role::Imap).map(|it| (it.host, it.port, it.tls));
        assert_eq!(read("imap.x.test"), Some(("imap.x.test".into(), 993, Tls::Implicit)));
        assert_eq!(read("imap.x.test:143"), Some(("imap.x.test".into(), 143, Tls::StartTls)));
        assert_eq!(read("imap.x.test:0"), None);
        assert_eq!(read("https://x"), None);
        assert_eq!(read("a b"), None);
    }
}
