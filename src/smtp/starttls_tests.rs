//! STARTTLS against a real TLS server on an in-memory pipe, with a certificate made for the test.

use super::scripted::{XOAUTH2_LINE, bearer, follow};
use super::{Error, Session};
use crate::net::{self, Endpoint, Tls};
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};
use std::path::Path;
use std::time::Duration;
use tokio::io::duplex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A certificate for `localhost` that signs itself, and its key.
fn certificate() -> (X509, PKey<Private>) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    builder.set_pubkey(&key).unwrap();
    let alternative =
        SubjectAlternativeName::new().dns("localhost").build(&builder.x509v3_context(None, None));
    builder.append_extension(alternative.unwrap()).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    (builder.build(), key)
}

/// A server that follows `inside` once TLS stands; its anchor is written to `ca`. Ends with what it heard inside, or
/// nothing if there was no TLS.
fn serve(ca: &Path, inside: &str) -> (net::Stream, JoinHandle<Option<String>>) {
    let (certificate, key) = certificate();
    std::fs::write(ca, certificate.to_pem().unwrap()).unwrap();
    let key = key.private_key_to_pem_pkcs8().unwrap();
    let identity = native_tls::Identity::from_pkcs8(&certificate.to_pem().unwrap(), &key).unwrap();
    let acceptor = async_native_tls::TlsAcceptor::from(native_tls::TlsAcceptor::new(identity).unwrap());
    let (client, mut server) = duplex(4096);
    let inside = inside.to_owned();
    let run = async move {
        let clear = "S: 220 mx\nC: EHLO [127.0.0.1]\nS: 250-mx\nS: 250-AUTH PLAIN\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go";
        follow(clear, &mut server).await;
        match acceptor.accept(server).await {
            Ok(tls) => Some(follow(&inside, tls).await),
            Err(_) => None,
        }
    };
    let run = async { timeout(Duration::from_secs(20), run).await.expect("the script to end") };
    (Box::new(client), tokio::spawn(run))
}

fn endpoint(host: &str, ca: &Path) -> Endpoint {
    Endpoint { host: host.into(), port: 587, tls: Tls::StartTls, ca: Some(ca.to_owned()) }
}

#[tokio::test]
async fn after_starttls_the_server_is_asked_again_what_it_offers() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    let inside = format!(
        "C: EHLO [127.0.0.1]\nS: 250-mx\nS: 250 AUTH XOAUTH2\nC: AUTH XOAUTH2\nS: 334\n{XOAUTH2_LINE}\nS: 235 ok\nC: QUIT\nS: 221 bye"
    );
    let (stream, server) = serve(&ca, &inside);
    let mut session = Session::open(stream, &endpoint("localhost", &ca)).await.unwrap();
    assert_eq!(session.offers().mechanisms, ["XOAUTH2"], "what was said before TLS is forgotten");
    session.log_in(&bearer()).await.unwrap();
    session.quit().await;
    assert!(server.await.unwrap().is_some());
}

#[tokio::test]
async fn a_certificate_of_another_name_or_signer_ends_the_session() {
    let directory = tempfile::tempdir().unwrap();
    let (ca, other) = (directory.path().join("ca.pem"), directory.path().join("other.pem"));
    std::fs::write(&other, certificate().0.to_pem().unwrap()).unwrap();
    for (host, anchor) in [("wrong.test", &ca), ("localhost", &other)] {
        let (stream, server) = serve(&ca, "hang");
        let error = Session::open(stream, &endpoint(host, anchor)).await.unwrap_err();
        assert!(matches!(error, Error::Net(net::Error::Tls { .. })), "{host}: {error}");
        assert!(server.await.unwrap().is_none_or(|heard| heard.is_empty()), "not a word inside");
    }
}
