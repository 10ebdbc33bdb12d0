//! When certificates are read anew.

use super::super::{Endpoint, Error, Stream, Tls, start_tls};
use super::*;
use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};
use tokio::io::{AsyncReadExt, duplex};

/// A certificate for `localhost` that signs itself, and its key (PEM).
fn certificate() -> (Vec<u8>, Vec<u8>) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
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
    let names = SubjectAlternativeName::new().dns("localhost").build(&builder.x509v3_context(None, None));
    builder.append_extension(names.unwrap()).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    (builder.build().to_pem().unwrap(), key.private_key_to_pem_pkcs8().unwrap())
}

/// A server with this certificate.
fn server((certificate, key): &(Vec<u8>, Vec<u8>)) -> Stream {
    let identity = native_tls::Identity::from_pkcs8(certificate, key).unwrap();
    let acceptor = tokio_native_tls::TlsAcceptor::from(native_tls::TlsAcceptor::new(identity).unwrap());
    let (client, server) = duplex(4096);
    tokio::spawn(async move {
        if let Ok(mut stream) = acceptor.accept(server).await {
            // Until the client hangs up.
            let _ = stream.read_u8().await;
        }
    });
    Box::new(client)
}

#[tokio::test]
async fn certificates_are_read_once_and_again_after_a_handshake_that_failed() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    let endpoint = Endpoint { host: "localhost".into(), port: 1, tls: Tls::Implicit, ca: Some(ca.clone()) };
    let (old, new) = (certificate(), certificate());
    std::fs::write(&ca, &old.0).unwrap();
    start_tls(server(&old), &endpoint).await.unwrap();
    std::fs::write(&ca, &new.0).unwrap();
    start_tls(server(&old), &endpoint).await.unwrap();
    let refused = start_tls(server(&new), &endpoint).await;
    assert!(matches!(refused, Err(Error::Tls { .. })), "{refused:?}");
    start_tls(server(&new), &endpoint).await.unwrap();
}

#[test]
fn after_an_hour_certificates_are_read_anew() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, certificate().0).unwrap();
    let (mut connectors, made) = (Connectors::default(), Instant::now());
    let mut ask = |now| connectors.connector(Some(ca.clone()), now).map(drop);
    ask(made).unwrap();
    std::fs::remove_file(&ca).unwrap();
    ask(made + LIFE - Duration::from_secs(1)).unwrap();
    assert!(matches!(ask(made + LIFE), Err(Error::Anchor { .. })));
    assert!(matches!(ask(made + LIFE), Err(Error::Anchor { .. })), "a failure is not kept");
}
