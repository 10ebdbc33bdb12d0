//! The test host proves itself against real Dovecot, without posthaste: what other tests stand on must hold.

// The helpers below are test code too; clippy's exceptions cover only functions marked `#[test]`.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use support::dovecot::{Options, PASSWORD};
use support::filler;
use support::imap_client::ImapClient;
use support::maildir::Reader;
use support::meddler::{Act, Meddler};
use support::proxy::{Direction, Mood, Proxy};
use support::sides::{self, Dates};
use support::sink::{Sink, Stage, Step};
use support::tokens::{Failure, TokenServer};
use support::wait::{self, FileWatch, PATIENCE};
use support::{Host, lmtp, message, utf7};

fn xoauth2(user: &str, token: &str) -> String {
    BASE64_STANDARD.encode(format!("user={user}\x01auth=Bearer {token}\x01\x01"))
}

/// Challenge and outcome of an XOAUTH2 login as alice over TLS.
fn authenticate_alice(host: &Host, token: &str) -> (Option<String>, String) {
    let mut client = ImapClient::connect_tls(host.dovecot.ports.imaps, &host.ca());
    client.authenticate("XOAUTH2", &xoauth2("alice", token))
}

/// One line dialogues with the token server, SMTP and the meddler's greeting.
struct Lines(BufReader<Box<dyn support::imap_client::Wire>>);

impl Lines {
    fn tcp(port: u16) -> Lines {
        Lines(BufReader::new(Box::new(TcpStream::connect(("127.0.0.1", port)).unwrap())))
    }

    fn tls(port: u16, host: &Host) -> Lines {
        let mut builder = openssl::ssl::SslConnector::builder(openssl::ssl::SslMethod::tls()).unwrap();
        builder.set_ca_file(host.ca()).unwrap();
        let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
        Lines(BufReader::new(Box::new(builder.build().connect("localhost", tcp).unwrap())))
    }

    fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The next line; empty at the end of the stream.
    fn line(&mut self) -> String {
        let mut line = String::new();
        let _ = self.0.read_line(&mut line);
        line.trim_end().to_owned()
    }

    /// Says a line and reads a reply of one or more lines; its last line.
    fn ask(&mut self, text: &str) -> String {
        self.say(&format!("{text}\r\n"));
        self.reply()
    }

    fn reply(&mut self) -> String {
        loop {
            let line = self.line();
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }
}

/// Status and JSON body of a refresh.
fn refresh(tokens: &TokenServer, token: &str) -> (String, serde_json::Value) {
    let url = url::Url::parse(&tokens.token_url()).unwrap();
    let mut peer = Lines::tcp(url.port().unwrap());
    let body = format!("grant_type=refresh_token&client_id=test&refresh_token={token}");
    peer.say(&format!("POST /token HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let status = peer.line().split(' ').nth(1).unwrap_or_default().to_owned();
    let mut last = String::new();
    loop {
        let line = peer.line();
        match (line.is_empty(), last.is_empty()) {
            (true, false) => break,
            (false, _) => last = line,
            (true, true) => return (status, serde_json::Value::Null),
        }
    }
    (status, serde_json::from_str(&peer.line()).unwrap_or_default())
}

#[test]
fn a_valid_token_is_accepted_over_tls() {
    Host::start().explain(|host| {
        let token = host.tokens.access_token("alice");
        for mechanism in ["XOAUTH2", "OAUTHBEARER"] {
            let initial = match mechanism {
                "XOAUTH2" => xoauth2("alice", &token),
                _ => BASE64_STANDARD.encode(format!("n,a=alice,\x01auth=Bearer {token}\x01\x01")),
            };
            let mut client = ImapClient::connect_tls(host.dovecot.ports.imaps, &host.ca());
            let (challenge, outcome) = client.authenticate(mechanism, &initial);
            assert!(outcome.starts_with("OK"), "{mechanism}: {outcome}");
            assert_eq!(challenge, None);
        }
        assert_eq!(host.tokens.introspections(), 2);
    });
}

#[test]
fn revoked_and_expired_tokens_are_refused_with_the_json_challenge() {
    Host::start().explain(|host| {
        let revoked = host.tokens.access_token("alice");
        host.tokens.revoke_access("alice");
        host.tokens.set_lifetime(Duration::ZERO);
        let expired = host.tokens.access_token("alice");
        for token in [revoked, expired] {
            let (challenge, outcome) = authenticate_alice(host, &token);
            assert!(outcome.starts_with("NO [AUTHENTICATIONFAILED]"), "{token}: {outcome}");
            let challenge = BASE64_STANDARD.decode(challenge.expect("a challenge")).unwrap();
            let challenge: serde_json::Value = serde_json::from_slice(&challenge).unwrap();
            assert_eq!(challenge["status"], "401", "{challenge}");
        }
    });
}

// Dovecot 2.3 refuses this one with the challenge too, 2.4 without.
#[test]
fn a_token_of_somebody_else_is_refused() {
    Host::start().explain(|host| {
        let (_, outcome) = authenticate_alice(host, &host.tokens.access_token("bob"));
        assert!(outcome.starts_with("NO [AUTHENTICATIONFAILED]"), "{outcome}");
        assert_eq!(host.tokens.introspections(), 1);
    });
}

#[test]
fn refresh_tokens_rotate_and_a_reuse_is_noticed() {
    let tokens = TokenServer::start();
    let first = tokens.refresh_token("alice");
    let (status, body) = refresh(&tokens, &first);
    assert_eq!((status.as_str(), body["expires_in"].as_u64()), ("200", Some(3600)));
    let second = body["refresh_token"].as_str().unwrap().to_owned();
    assert!(!tokens.was_reused("alice"));
    assert_eq!(refresh(&tokens, &first).1["error"], "invalid_grant");
    assert!(tokens.was_reused("alice"));
    tokens.set_rotation(false);
    assert_eq!(refresh(&tokens, &second).1["refresh_token"], serde_json::Value::Null);
    assert_eq!(refresh(&tokens, &second).0, "200");
    assert_eq!(tokens.requests("alice"), 4);
}

#[test]
fn scripted_failures_of_the_token_endpoint_come_and_go() {
    let tokens = TokenServer::start();
    tokens.set_rotation(false);
    let (alice, bob) = (tokens.refresh_token("alice"), tokens.refresh_token("bob"));
    let failures = [
        (Failure::InvalidGrant, "400"),
        (Failure::Internal, "500"),
        (Failure::Unavailable(7), "503"),
        (Failure::TooMany(7), "429"),
        (Failure::Html, "200"),
        (Failure::BrokenJson, "200"),
        (Failure::Close, ""),
    ];
    for (failure, status) in failures {
        tokens.fail("alice", failure, 1);
        let (answered, body) = refresh(&tokens, &alice);
        assert_eq!(answered, status, "{failure:?}");
        assert_eq!(body["access_token"], serde_json::Value::Null, "{failure:?}");
        assert_eq!(refresh(&tokens, &bob).0, "200");
        assert_eq!(refresh(&tokens, &alice).0, "200", "after {failure:?}");
    }
}

#[test]
fn lmtp_delivery_is_seen_by_imap() {
    Host::start().explain(|host| {
        host.deliver("alice", &message("first"));
        let mut client = host.imap("alice");
        client.select("INBOX");
        let messages = client.messages();
        assert_eq!(messages.len(), 1);
        let body = String::from_utf8_lossy(&messages[&1].body).into_owned();
        assert!(body.ends_with("\r\n\r\nBody of first.\r\n"), "{body}");
        let special = client.list();
        assert!(special["Sent"].contains(&"\\Sent".to_owned()), "{special:?}");
    });
}

#[test]
fn a_submission_goes_through_the_sink_into_another_mailbox() {
    Host::start().explain(|host| {
        let token = host.tokens.access_token("alice");
        let mut smtp = Lines::tls(host.dovecot.ports.submissions, host);
        assert!(smtp.reply().starts_with("220"));
        assert!(smtp.ask("EHLO test").starts_with("250"));
        assert!(smtp.ask(&format!("AUTH XOAUTH2 {}", xoauth2("alice", &token))).starts_with("235"));
        assert!(smtp.ask("MAIL FROM:<alice@mail.test>").starts_with("250"));
        host.sink.script(Stage::Recipient, Step::Reply("550 5.1.1 No such user"), 1);
        assert!(smtp.ask("RCPT TO:<nobody@mail.test>").starts_with("550"));
        assert!(smtp.ask("RCPT TO:<bob@mail.test>").starts_with("250"));
        assert!(smtp.ask("DATA").starts_with("354"));
        smtp.say(&String::from_utf8(message("for bob")).unwrap());
        assert!(smtp.ask("..dot\r\n.").starts_with("250"));

        let received = host.sink.wait_for(1);
        assert_eq!(received[0].recipients, ["bob@mail.test"]);
        assert!(received[0].message.ends_with(b"\r\n.dot\r\n"));
        let mut bob = host.imap("bob");
        bob.select("INBOX");
        assert!(String::from_utf8_lossy(&bob.messages()[&1].body).contains("Subject: for bob"));
    });
}

#[test]
fn a_submission_server_of_its_own_can_end_after_the_dot() {
    let host = Host::start();
    let tokens = host.tokens.clone();
    let good = tokens.access_token("alice");
    let expected = good.clone();
    let sink = Sink::submission(&host.authority, move |user, token| user == "alice" && token == expected);
    sink.limit(1_000_000);
    sink.script(Stage::Dot, Step::KeepAndClose, 1);

    let mut refused = Lines::tls(sink.port(), &host);
    refused.reply();
    assert!(refused.ask(&format!("AUTH XOAUTH2 {}", xoauth2("alice", "wrong"))).starts_with("334 "));
    assert!(refused.ask("").starts_with("535"));

    let mut smtp = Lines::tls(sink.port(), &host);
    smtp.reply();
    assert!(smtp.ask(&format!("AUTH XOAUTH2 {}", xoauth2("alice", &good))).starts_with("235"));
    assert!(smtp.ask("MAIL FROM:<a@mail.test> SIZE=1000001").starts_with("552"));
    assert!(smtp.ask("MAIL FROM:<a@mail.test> SIZE=10").starts_with("250"));
    assert!(smtp.ask("RCPT TO:<b@mail.test>").starts_with("250"));
    assert!(smtp.ask("DATA").starts_with("354"));
    assert_eq!(smtp.ask("text\r\n."), "");
    assert_eq!(sink.received()[0].message, b"text\r\n");
}

#[test]
fn the_filler_makes_what_it_says_and_a_side_is_equal_to_itself() {
    Host::start().explain(|host| {
        filler::standard(&mut host.imap("alice"));
        let side = sides::remote(host, "alice", Dates::Compare);
        let counts: Vec<usize> =
            ["INBOX", "Projekte/Grüße & Küsse/日本", "Archive/2026"].map(|name| side[name].len()).to_vec();
        assert_eq!(counts, [250, 100, 150]);

        let odd = filler::odd(20 << 20);
        let mut client = host.imap("alice");
        client.select("INBOX");
        let messages = client.messages();
        for (fixture, message) in odd.iter().zip(messages.values()) {
            assert!(fixture.message == message.body, "byte for byte");
            assert_eq!(sides::seconds(&fixture.date), sides::seconds(&message.date));
            let flags: Vec<&str> = fixture.flags.split_whitespace().collect();
            assert!(flags.iter().all(|flag| message.flags.contains(*flag)), "{flags:?} {:?}", message.flags);
        }
    });
}

#[test]
fn a_difference_between_the_sides_is_named() {
    Host::start().explain(|host| {
        let directory = tempfile::tempdir().unwrap();
        let reader = Reader::new(directory.path());
        for mailbox in ["INBOX", "Sent", "Trash", "Drafts", "Junk"] {
            reader.create(mailbox);
        }
        host.imap("alice").append("INBOX", "\\Seen", None, &message("same"));
        let path = reader.add("INBOX", &message("same"), "");
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            sides::assert_equal(host, "alice", &reader, Dates::Ignore);
        }));
        let words = outcome.unwrap_err().downcast_ref::<String>().unwrap().clone();
        assert!(words.contains("only remote") && words.contains("Subject: same"), "{words}");

        let mail = reader.find("INBOX", "Subject: same").unwrap();
        assert_eq!(mail.path, path);
        reader.flag(&mail, 'S');
        sides::assert_equal(host, "alice", &reader, Dates::Ignore);

        let mail = reader.find("INBOX", "Subject: same").unwrap();
        reader.unflag(&mail, 'S');
        assert_ne!(sides::remote(host, "alice", Dates::Ignore), sides::local(&reader, Dates::Ignore));
        let mail = reader.find("INBOX", "Subject: same").unwrap();
        reader.move_to(&mail, "Trash");
        let mut client = host.imap("alice");
        client.select("INBOX");
        client.store("1", '-', "\\Seen");
        client.move_to("1", "Trash");
        sides::assert_equal(host, "alice", &reader, Dates::Ignore);
        reader.delete(&reader.find("Trash", "Subject: same").unwrap());
        client.select("Trash");
        client.expunge("1:*");
        sides::assert_equal(host, "alice", &reader, Dates::Ignore);
    });
}

#[test]
fn the_meddler_bends_answers_and_passes_the_rest() {
    Host::start().explain(|host| {
        host.deliver("alice", &message("one"));
        let meddler = Meddler::to(host.dovecot.ports.imap, &host.authority);
        let login = || {
            let mut client = ImapClient::connect_tls(meddler.port(), &host.ca());
            client.ok(&format!("LOGIN alice {PASSWORD}"));
            client
        };
        let mut client = login();
        client.select("INBOX");
        meddler.rule("UID FETCH", 1, 1, Act::Answer(b"* 9 EXISTS\r\n{tag} NO [SERVERBUG] no\r\n"));
        assert_eq!(client.messages().len(), 1);
        let (responses, outcome) = client.command("UID FETCH 1:* (UID)");
        assert_eq!((responses.len(), outcome.as_str()), (1, "NO [SERVERBUG] no"));
        assert_eq!(client.messages().len(), 1);

        meddler.always("NOOP", Act::Conclude("{tag} BAD odd"));
        assert_eq!(client.command("NOOP").1, "BAD odd");
        meddler.always("APPEND", Act::Answer(b"{tag} NO [OVERQUOTA] full\r\n"));
        let (_, outcome) = client.command("APPEND INBOX {3+}\r\nabc");
        assert_eq!(outcome, "NO [OVERQUOTA] full");
        meddler.calm();
        client.append("INBOX", "", None, &message("two"));
        assert_eq!(client.messages().len(), 2);
        assert!(meddler.commands().contains(&"LOGIN".to_owned()), "no password is kept");

        meddler.always("UID FETCH", Act::CloseInAnswer);
        let closed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.messages()));
        assert!(closed.is_err());
        meddler.calm();
        meddler.greet(b"* BYE too busy\r\n");
        assert_eq!(Lines::tls(meddler.port(), host).line(), "* BYE too busy");
        meddler.calm();
        login();
    });
}

#[test]
fn the_proxy_counts_cuts_and_recovers() {
    Host::start().explain(|host| {
        let proxy = Proxy::to(host.dovecot.ports.imap);
        let mut client = ImapClient::login(proxy.port(), "alice");
        client.append("INBOX", "", None, &filler::odd(1_000_000)[9].message);
        assert!(proxy.bytes(Direction::Up) > 1_000_000);
        client.select("INBOX");
        proxy.set(Mood::CutAfter(Direction::Down, 5_000));
        let cut = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.messages()));
        assert!(cut.is_err());
        let mut client = ImapClient::login(proxy.port(), "alice");
        client.select("INBOX");
        assert_eq!(client.messages().len(), 1);
        proxy.set(Mood::Refuse);
        assert_eq!(Lines::tcp(proxy.port()).line(), "");
        assert_eq!(proxy.connections(), 3);
    });
}

#[test]
fn dovecot_dies_and_comes_back_with_its_mail() {
    let mut host = Host::start();
    host.deliver("alice", &message("before"));
    host.dovecot.kill();
    assert!(TcpStream::connect(("127.0.0.1", host.dovecot.ports.imaps)).is_err());
    host.dovecot.restart();
    host.deliver("alice", &message("after"));
    let mut client = host.imap("alice");
    client.select("INBOX");
    assert_eq!(client.messages().len(), 2);
}

#[test]
fn a_poorer_server_can_be_played() {
    let line = "IMAP4rev1 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+";
    let options = Options { imap_capability: Some(line.to_owned()), separator: '.', ..Options::default() };
    let host = Host::with(options);
    let mut client = host.imap("alice");
    let capability: Vec<String> =
        client.ok("CAPABILITY")[0].iter().skip(1).map(|value| value.text()).collect();
    assert_eq!(capability.join(" "), line);
    client.create("a.b");
    assert!(client.list().contains_key("a.b"));
}

#[test]
fn a_kick_ends_a_session() {
    Host::start().explain(|host| {
        let mut client = host.imap("alice");
        client.select("INBOX");
        host.dovecot.kick("alice");
        // Dovecot ends it by a signal, and a command may still be answered before that arrives.
        wait::until(PATIENCE, "the session to end", || {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.messages())).is_err()
        });
    });
}

#[test]
fn a_wrong_name_is_seen_by_a_client_that_checks() {
    let host = Host::with(Options { wrong_name: true, ..Options::default() });
    let attempt = || ImapClient::connect_tls(host.dovecot.ports.imaps, &host.ca());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(attempt)).is_err());
}

#[test]
fn a_file_that_appears_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let watch = FileWatch::new(directory.path());
    let path = directory.path().join("x");
    let before = std::time::Instant::now();
    std::fs::write(&path, "x").unwrap();
    let (seen, at) = watch.next(PATIENCE).unwrap();
    assert_eq!(seen, path);
    assert!(at >= before);
}

#[test]
fn lmtp_refusals_are_errors() {
    let sink = Sink::relay();
    assert!(lmtp::deliver(sink.port(), "a@b", &["c@d"], b"text\r\n").is_err(), "LHLO is not for SMTP");
}

#[test]
fn modified_utf7_agrees_with_the_standard() {
    // RFC 3501 §5.1.3.
    let (name, wire) = ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
    assert_eq!(utf7::encode(name), wire);
    assert_eq!(utf7::decode(wire), name);
    assert_eq!(utf7::decode(&utf7::encode("A & B + 😀")), "A & B + 😀");
}
