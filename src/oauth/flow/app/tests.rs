//! Assertions as the other side reads them: verified with the public key.

use super::*;
use crate::error::{Class, Classified};
use crate::oauth::Keeper;
use crate::oauth::flow::scripted::{Script, config};
use openssl::asn1::Asn1Time;
use openssl::rsa::Rsa;
use openssl::sign::Verifier;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;

const TOKEN: &str = r#"{"token_type":"Bearer","access_token":"a1","expires_in":3600}"#;

struct Keys {
    directory: TempDir,
    key: PKey<Private>,
}

impl Keys {
    fn new() -> Keys {
        let keys = Keys {
            directory: tempfile::tempdir().unwrap(),
            key: PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
        };
        let pem = keys.key.private_key_to_pem_pkcs8().unwrap();
        keys.write("key.pem", &pem, 0o600);
        keys.write("certificate.pem", &keys.certificate().to_pem().unwrap(), 0o644);
        let service = json!({
            "type": "service_account", "client_email": "robot@project.test", "private_key_id": "k1",
            "private_key": String::from_utf8(pem).unwrap(), "token_uri": "https://evil.test/token",
        });
        keys.write("service.json", service.to_string().as_bytes(), 0o600);
        keys
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8], mode: u32) {
        std::fs::write(self.path(name), bytes).unwrap();
        std::fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    fn certificate(&self) -> X509 {
        let mut builder = X509::builder().unwrap();
        builder.set_pubkey(&self.key).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        builder.build()
    }

    fn app(&self) -> App {
        App::Certificate { certificate: self.path("certificate.pem"), key: self.path("key.pem") }
    }

    fn service(&self) -> App {
        App::ServiceAccount { key: self.path("service.json"), subject: "alice@domain.test".into() }
    }

    /// The header and the claims, if the signature is right.
    fn verified(&self, jwt: &str, padding: Padding) -> (Value, Value) {
        let (text, signature) = jwt.rsplit_once('.').unwrap();
        let (header, claims) = text.split_once('.').unwrap();
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
        let public = self.certificate().public_key().unwrap();
        let mut verifier = Verifier::new(MessageDigest::sha256(), &public).unwrap();
        verifier.set_rsa_padding(padding).unwrap();
        verifier.update(text.as_bytes()).unwrap();
        assert!(verifier.verify(&decode(signature)).unwrap(), "the signature is wrong");
        (serde_json::from_slice(&decode(header)).unwrap(), serde_json::from_slice(&decode(claims)).unwrap())
    }
}

async fn ask(script: &Script, app: &App) -> Result<Answer, Error> {
    request(&config(&script.url), app, endpoint::DEADLINE).await
}

#[tokio::test]
async fn a_secret_goes_along_with_the_client_and_what_it_wants() {
    let script = Script::start([(200, TOKEN)]).await;
    let config = KeeperConfig { client_secret: Some("s3".into()), ..config(&script.url) };
    let answer = request(&config, &App::Secret, endpoint::DEADLINE).await.unwrap();
    assert!(matches!(answer, Answer::Granted { refresh: None, .. }), "{answer:?}");
    let form = script.form(0);
    for (name, value) in [
        ("grant_type", "client_credentials"),
        ("client_id", "app"),
        ("client_secret", "s3"),
        ("scope", "mail offline_access"),
    ] {
        assert_eq!(form[name], value);
    }
}

#[tokio::test]
async fn the_assertion_of_a_certificate_is_signed_and_for_this_endpoint_only() {
    let keys = Keys::new();
    let script = Script::start([(200, TOKEN), (200, TOKEN)]).await;
    for _ in 0..2 {
        assert!(matches!(ask(&script, &keys.app()).await.unwrap(), Answer::Granted { .. }));
    }
    let form = script.form(0);
    assert_eq!(form["client_assertion_type"], ASSERTION_TYPE);
    assert!(!form.contains_key("client_secret"));
    let (header, claims) = keys.verified(&form["client_assertion"], Padding::PKCS1_PSS);
    let filed = X509::from_pem(&std::fs::read(keys.path("certificate.pem")).unwrap()).unwrap();
    let thumbprint = filed.digest(MessageDigest::sha256()).unwrap();
    assert_eq!(header["alg"], "PS256");
    assert_eq!(header["x5t#S256"], BASE64_URL_SAFE_NO_PAD.encode(thumbprint));
    assert_eq!((claims["aud"].as_str(), claims["iss"].as_str()), (Some(script.url.as_str()), Some("app")));
    assert_eq!(claims["sub"], "app");
    let (from, until) = (claims["nbf"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    assert!((0..=600).contains(&(until - from)));
    let (_, second) = keys.verified(&script.form(1)["client_assertion"], Padding::PKCS1_PSS);
    assert_ne!(claims["jti"], second["jti"]);
}

#[tokio::test]
async fn a_service_account_asks_for_a_person_of_its_domain() {
    let keys = Keys::new();
    let script = Script::start([(200, TOKEN)]).await;
    ask(&script, &keys.service()).await.unwrap();
    let form = script.form(0);
    assert_eq!(form["grant_type"], JWT_BEARER);
    let (header, claims) = keys.verified(&form["assertion"], Padding::PKCS1);
    assert_eq!((header["alg"].as_str(), header["kid"].as_str()), (Some("RS256"), Some("k1")));
    assert_eq!(
        (claims["iss"].as_str(), claims["sub"].as_str()),
        (Some("robot@project.test"), Some("alice@domain.test"))
    );
    assert_eq!(claims["aud"].as_str(), Some(script.url.as_str()), "not where the key file says");
    assert_eq!(claims["scope"], "mail offline_access");
}

#[tokio::test]
async fn a_key_that_others_can_read_or_that_is_none_is_not_used() {
    let keys = Keys::new();
    let script = Script::start([]).await;
    keys.write("key.pem", &keys.key.private_key_to_pem_pkcs8().unwrap(), 0o640);
    assert!(matches!(ask(&script, &keys.app()).await, Err(Error::Exposed { .. })));
    keys.write("key.pem", b"CANARY", 0o600);
    let error = ask(&script, &keys.app()).await.unwrap_err();
    assert_eq!(error.class(), Class::Configuration);
    assert!(!error.to_string().contains("CANARY"));
    keys.write("service.json", b"{}", 0o600);
    assert!(matches!(ask(&script, &keys.service()).await, Err(Error::Key { .. })));
    std::fs::remove_file(keys.path("certificate.pem")).unwrap();
    assert!(matches!(ask(&script, &keys.app()).await, Err(Error::Io { .. })));
    assert_eq!(script.count(), 0);
}

#[tokio::test]
async fn a_keeper_asks_again_by_the_same_request_and_saves_nothing() {
    let keys = Keys::new();
    let script = Script::start([(200, TOKEN), (200, r#"{"access_token":"a2"}"#)]).await;
    let store = keys.path("state/token.json");
    let config = KeeperConfig { app: Some(keys.app()), store: store.clone(), ..config(&script.url) };
    let keeper = Keeper::new(config);
    let first = keeper.token().await.unwrap();
    assert!(keeper.token().await.unwrap().is_same(&first), "kept while it is good");
    assert_eq!(keeper.renew("lab", &first).await.unwrap().unwrap().secret.expose_secret(), "a2");
    assert_eq!(script.count(), 2);
    assert!(!store.exists());
}

#[tokio::test]
async fn a_refused_program_is_a_matter_of_its_configuration() {
    let keys = Keys::new();
    let refusal = r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
    let script = Script::start([(400, refusal)]).await;
    let config = KeeperConfig { app: Some(keys.service()), ..config(&script.url) };
    let keeper = Keeper::new(config);
    let error = keeper.token().await.unwrap_err();
    assert_eq!(error.class(), Class::Configuration, "{error}");
    assert!(error.to_string().contains("Invalid JWT Signature."), "{error}");
    assert!(keeper.token().await.is_err());
    assert_eq!(script.count(), 1, "not asked again and again");
}
