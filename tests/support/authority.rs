//! A fresh certificate authority per host, so that no test trusts a key that stands in a repository.
//!
//! Built with the `openssl` crate: the one TLS stack of the project.

use std::ops::Range;

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

/// Seconds in a day.
const DAY: i64 = 86_400;

/// Signs server certificates.
#[derive(Clone)]
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// A server's certificate and key, both PEM.
pub struct Identity {
    /// The certificate.
    pub certificate: Vec<u8>,
    /// Its private key (PKCS #8).
    pub key: Vec<u8>,
}

impl Authority {
    /// A new authority with its own key.
    pub fn new() -> Authority {
        let key = fresh_key();
        let name = common_name("posthaste test authority");
        let mut builder = builder(&name, &name, &key, -DAY..30 * DAY);
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        let usage = KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap();
        builder.append_extension(usage).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Authority { certificate: builder.build(), key }
    }

    /// The authority's certificate, PEM.
    pub fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }

    /// A certificate for `localhost` and 127.0.0.1.
    pub fn localhost(&self) -> Identity {
        self.issue(&["localhost"], true, 30 * DAY)
    }

    /// A certificate that is right in all but the name.
    pub fn wrong_name(&self) -> Identity {
        self.issue(&["elsewhere.test"], false, 30 * DAY)
    }

    /// A certificate for localhost that expired an hour ago.
    pub fn expired(&self) -> Identity {
        self.issue(&["localhost"], true, -3_600)
    }

    /// A certificate for localhost that is good from tomorrow on, as every one of today is where the clock stands still.
    pub fn not_yet_valid(&self) -> Identity {
        self.issue_from(DAY, &["localhost"], true, 30 * DAY)
    }

    /// A day early: a clock that is a little slow must not fail a test.
    fn issue(&self, names: &[&str], loopback: bool, lifetime: i64) -> Identity {
        self.issue_from(-DAY, names, loopback, lifetime)
    }

    /// Good from `start` to `lifetime`, in seconds from now.
    fn issue_from(&self, start: i64, names: &[&str], loopback: bool, lifetime: i64) -> Identity {
        let key = fresh_key();
        let issuer = self.certificate.subject_name().to_owned().unwrap();
        let mut builder = builder(&common_name(names[0]), &issuer, &key, start..lifetime);
        let mut alternative = SubjectAlternativeName::new();
        for name in names {
            alternative.dns(name);
        }
        if loopback {
            alternative.ip("127.0.0.1");
        }
        let alternative = alternative.build(&builder.x509v3_context(Some(&self.certificate), None)).unwrap();
        builder.append_extension(alternative).unwrap();
        builder.append_extension(ExtendedKeyUsage::new().server_auth().build().unwrap()).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        Identity {
            certificate: builder.build().to_pem().unwrap(),
            key: key.private_key_to_pem_pkcs8().unwrap(),
        }
    }
}

fn fresh_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn common_name(name: &str) -> X509Name {
    let mut builder = X509NameBuilder::new().unwrap();
    builder.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    builder.build()
}

/// A certificate that is good between these seconds from now.
fn builder(subject: &X509Name, issuer: &X509Name, key: &PKey<Private>, good: Range<i64>) -> X509Builder {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let now = i64::try_from(now).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(127, MsbOption::MAYBE_ZERO, false).unwrap();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(subject).unwrap();
    builder.set_issuer_name(issuer).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(now + good.start).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(now + good.end).unwrap()).unwrap();
    builder
}
