//! Whoever stands where the mail server should stand gets no credential: a certificate for another name or from
//! nobody we know, a start in the clear without STARTTLS or with bytes behind it, a session that claims to be open.
//!
//! Scripted servers note every byte they hear. The token server counts who asks it about a token: real servers behind
//! a wrong certificate would have to.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod, SslVersion};
use openssl::x509::X509;
use support::authority::Authority;
use support::dovecot::Options;
use support::listener::Listening;
use support::process::{Account, Home};
use support::{Host, wait};

const BINARY: &str = env!("CARGO_BIN_EXE_posthaste");

/// A server in the clear: a greeting, then each answer in turn, whatever is said. It notes what it hears.
struct Impostor {
    heard: Arc<Mutex<Vec<u8>>>,
    listening: Listening,
}

impl Impostor {
    fn saying(greeting: &'static str, answers: &'static [&'static str]) -> Impostor {
        let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
        let notes = heard.clone();
        let listening = Listening::start(move |mut stream: TcpStream| {
            let mut said = std::iter::once(greeting).chain(answers.iter().copied());
            let mut buffer = [0; 4096];
            loop {
                let gone = said.next().is_some_and(|words| stream.write_all(words.as_bytes()).is_err());
                match stream.read(&mut buffer) {
                    Ok(count @ 1..) if !gone => notes.lock().unwrap().extend_from_slice(&buffer[..count]),
                    _ => return,
                }
            }
        });
        Impostor { heard, listening }
    }

    /// Nothing that was heard is a credential, in whatever form.
    fn assert_innocent(&self, host: &Host, when: &str) {
        let heard = self.heard.lock().unwrap().clone();
        let text = String::from_utf8_lossy(&heard);
        assert!(!text.to_ascii_uppercase().contains("AUTH"), "{when}: {text}");
        for secret in host.tokens.secrets() {
            let sasl = format!("user=alice\x01auth=Bearer {secret}\x01\x01");
            for form in [secret.clone(), BASE64_STANDARD.encode(sasl)] {
                assert!(memchr::memmem::find(&heard, form.as_bytes()).is_none(), "{when}: a secret was said");
            }
        }
    }
}

fn home(account: Account, host: &Host) -> Home {
    let home = Home::new(BINARY);
    home.configure(&[account]);
    home.login("alice", &host.tokens.refresh_token("alice"));
    home
}

/// The pass ends with this code and these words.
fn assert_refused(home: &Home, code: i32, words: &str, when: &str) {
    let output = home.run(&["sync"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{when}: {said}");
    assert!(said.contains(words), "{when}: not {words:?}: {said}");
    assert!(!said.contains("go away"), "words from before TLS may be anybody's: {said}");
}

/// With mail to send, the status names the trouble of submission; the message stays.
fn assert_not_submitted(home: &Home, words: &str, when: &str) {
    let _daemon = home.start();
    wait::until(wait::PATIENCE, "the outbox", || home.outbox("alice").is_dir());
    home.send("alice", "letter.eml", b"To: bob@mail.test\nSubject: x\n\nx\n");
    // Dropped maybe before somebody watches; a second name says that it is whole. It may be taken already.
    let other = tempfile::tempdir_in(home.dir()).unwrap();
    fs::hard_link(home.outbox("alice").join("letter.eml"), other.path().join("copy")).ok();
    wait::until(wait::PATIENCE, &format!("{when}: status to say {words:?}"), || {
        let account = home.status()["accounts"][0].clone();
        account["error"].as_str().is_some_and(|error| error.contains("submission: ") && error.contains(words))
    });
    assert_eq!(home.status()["accounts"][0]["outbox"]["queued"], 1, "{when}");
}

#[test]
fn no_credential_is_said_to_an_imap_server_that_starts_wrong() {
    const CAPABLE: &str = "* CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR\r\nB1 OK done\r\n";
    let starts: [(&str, &[&str], &str); 7] = [
        ("* PREAUTH welcome home\r\n", &[CAPABLE], "PREAUTH"),
        ("* BYE go away\r\n", &[], "ended the session before TLS"),
        ("* OK ready\r\n", &["B1 NO not here\r\n", CAPABLE], "STARTTLS"),
        ("* OK ready\r\n", &["B1 BAD unknown\r\n", CAPABLE], "STARTTLS"),
        ("* OK ready\r\n", &["B1 OK go\r\n* BAD injected\r\n"], "bytes behind the answer to STARTTLS"),
        ("* OK ready\r\n", &["B1 OK go\r\n", "* OK no TLS at all\r\n"], "no TLS"),
        ("HTTP/1.1 200 OK\r\n\r\n", &[], "mail server"),
    ];
    let host = Host::start();
    for (greeting, answers, words) in starts {
        let impostor = Impostor::saying(greeting, answers);
        let account =
            Account { imap: (impostor.listening.port(), "starttls"), ..Account::of(&host, "alice") };
        assert_refused(&home(account, &host), 75, words, words);
        impostor.assert_innocent(&host, words);
    }
}

#[test]
fn no_credential_is_said_to_a_submission_server_that_starts_wrong() {
    const OFFERS: &str = "250-x\r\n250-STARTTLS\r\n250 AUTH XOAUTH2\r\n";
    let starts: [(&str, &[&str], &str); 5] = [
        ("220 x\r\n", &["250-x\r\n250 AUTH XOAUTH2\r\n"], "STARTTLS"),
        ("220 x\r\n", &[OFFERS, "454 not now\r\n", OFFERS], "refused at STARTTLS, before TLS"),
        ("220 x\r\n", &[OFFERS, "220 go\r\n250 injected\r\n"], "injected before TLS"),
        ("220 x\r\n", &[OFFERS, "220 go\r\n", "250 no TLS at all\r\n"], "no TLS"),
        ("554 not for you\r\n", &[], "before TLS"),
    ];
    let host = Host::start();
    for (greeting, answers, words) in starts {
        let impostor = Impostor::saying(greeting, answers);
        let account =
            Account { smtp: (impostor.listening.port(), "starttls"), ..Account::of(&host, "alice") };
        assert_not_submitted(&home(account, &host), words, words);
        impostor.assert_innocent(&host, words);
    }
}

/// A server in TLS of this version at most, with a good certificate; the handshakes that came to their end.
fn in_tls(authority: &Authority, version: SslVersion) -> (Listening, Arc<AtomicUsize>) {
    let identity = authority.localhost();
    let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls()).unwrap();
    acceptor.set_min_proto_version(None).unwrap();
    acceptor.set_max_proto_version(Some(version)).unwrap();
    // What OpenSSL itself would no longer do.
    acceptor.set_cipher_list("DEFAULT:@SECLEVEL=0").unwrap();
    acceptor.set_certificate(&X509::from_pem(&identity.certificate).unwrap()).unwrap();
    acceptor.set_private_key(&PKey::private_key_from_pem(&identity.key).unwrap()).unwrap();
    let (acceptor, done) = (acceptor.build(), Arc::new(AtomicUsize::new(0)));
    let count = done.clone();
    let listening = Listening::start(move |stream: TcpStream| {
        if let Ok(mut stream) = acceptor.accept(stream) {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(b"* BYE later\r\n");
        }
    });
    (listening, done)
}

#[test]
fn tls_before_1_2_is_refused() {
    let host = Host::start();
    for (version, finished) in [(SslVersion::TLS1_1, 0), (SslVersion::TLS1_2, 1)] {
        let (server, done) = in_tls(&host.authority, version);
        let account = Account { imap: (server.port(), "implicit"), ..Account::of(&host, "alice") };
        assert_refused(&home(account, &host), 75, if finished == 1 { "later" } else { "protocol" }, "TLS");
        assert_eq!(done.load(Ordering::SeqCst), finished, "{version:?}");
    }
}

#[test]
fn a_certificate_for_another_name_or_of_nobody_gets_no_token() {
    let good = Host::start();
    let elsewhere = Host::with(Options { wrong_name: true, ..Options::default() });
    let both = tempfile::NamedTempFile::new().unwrap();
    fs::write(both.path(), [good.authority.pem(), elsewhere.authority.pem()].concat()).unwrap();
    let stranger = tempfile::NamedTempFile::new().unwrap();
    fs::write(stranger.path(), Authority::new().pem()).unwrap();
    let ports = elsewhere.dovecot.ports;
    for (imap, ca) in [
        ((ports.imaps, "implicit"), both.path()),
        ((ports.imap, "starttls"), both.path()),
        ((good.dovecot.ports.imaps, "implicit"), stranger.path()),
        ((good.dovecot.ports.imap, "starttls"), stranger.path()),
    ] {
        let account = Account { imap, ca: ca.to_owned(), ..Account::of(&good, "alice") };
        assert_refused(&home(account, &good), 75, "certificate verify failed", imap.1);
    }
    for smtp in [(ports.submissions, "implicit"), (ports.submission, "starttls")] {
        let account = Account { smtp, ca: both.path().to_owned(), ..Account::of(&good, "alice") };
        assert_not_submitted(&home(account, &good), "certificate verify failed", smtp.1);
    }
    assert_eq!(elsewhere.tokens.introspections(), 0);
    let log = elsewhere.dovecot.log();
    assert!(!log.contains("method=XOAUTH2") && !log.contains("method=OAUTHBEARER"), "{log}");
}
