//! An RSA key with a self-signed certificate, and JWTs signed by it (RFC 7515, RFC 7523): the other opinion on what a
//! right assertion is, beside the program's own.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer as Signature};
use openssl::x509::{X509, X509NameBuilder};
use serde_json::{Value, json};

/// The key and its certificate.
pub struct Signer {
    key: PKey<Private>,
    certificate: X509,
}

impl Signer {
    /// A new key.
    pub fn new() -> Signer {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", "application").unwrap();
        let name = name.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(&name).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Signer { key, certificate: builder.build() }
    }

    /// The certificate, PEM.
    pub fn certificate(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }

    /// The private key, PEM (PKCS #8).
    pub fn key(&self) -> Vec<u8> {
        self.key.private_key_to_pem_pkcs8().unwrap()
    }

    /// An assertion by which `client` proves itself; `algorithm` is RS256 or PS256.
    pub fn client_assertion(&self, algorithm: &str, client: &str, audience: &str) -> String {
        self.sign(algorithm, json!({"iss": client, "sub": client, "aud": audience}))
    }

    /// An assertion by which a service account acts for `person`.
    pub fn delegation(&self, account: &str, person: &str, scope: &str, audience: &str) -> String {
        self.sign("RS256", json!({"iss": account, "sub": person, "scope": scope, "aud": audience}))
    }

    fn sign(&self, algorithm: &str, mut claims: Value) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        claims["iat"] = now.into();
        claims["exp"] = (now + 600).into();
        claims["jti"] = format!("{:016x}", fastrand::u64(..)).into();
        let digest = self.certificate.digest(MessageDigest::sha256()).unwrap();
        let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(digest);
        let header = json!({"alg": algorithm, "typ": "JWT", "x5t#S256": thumbprint});
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let mut signer = Signature::new(MessageDigest::sha256(), &self.key).unwrap();
        if algorithm == "PS256" {
            signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
            signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).unwrap();
        }
        let signature = signer.sign_oneshot_to_vec(signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}
