//! Who asks: registered clients and how each proves to be itself (RFC 6749 §2.3, RFC 7521, RFC 7523).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Public};
use openssl::rsa::Padding;
use openssl::sign::{RsaPssSaltlen, Verifier};
use openssl::x509::X509;
use serde_json::Value;

use super::http::{Answer, Request};
use super::state::State;

/// RFC 7523 §2.2.
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// An assertion that lives longer than an hour is refused, as the big servers do; in seconds.
const LONGEST_ASSERTION: u64 = 3600;

/// A registered client.
pub struct Client {
    /// Redirects without their port.
    pub redirects: Vec<String>,
    /// How it proves to be itself.
    pub proof: Proof,
    /// The mailbox that it may use by itself, without a person.
    pub mailbox: Option<String>,
}

/// How a client proves to be itself.
pub enum Proof {
    /// Not at all: a program on a person's machine. It must not send a secret.
    Public,
    /// A secret, in the form or by Basic.
    Secret(String),
    /// A certificate (PEM): assertions are signed with its key and name its thumbprint.
    Certificate(Vec<u8>),
    /// A service account's certificate (PEM): the assertion is the grant itself (RFC 7523 §2.1).
    ServiceAccount(Vec<u8>),
}

impl Client {
    /// A program on a person's machine.
    pub fn public() -> Client {
        let redirects = ["http://127.0.0.1", "http://localhost"].map(str::to_owned);
        Client { redirects: redirects.to_vec(), proof: Proof::Public, mailbox: None }
    }

    /// The same with a secret, as Google gives to desktop programs.
    pub fn with_secret(secret: &str) -> Client {
        Client { proof: Proof::Secret(secret.to_owned()), ..Client::public() }
    }

    /// A client that uses `mailbox` by itself.
    pub fn app(proof: Proof, mailbox: &str) -> Client {
        Client { redirects: Vec::new(), proof, mailbox: Some(mailbox.to_owned()) }
    }
}

fn invalid(words: &str) -> Answer {
    Answer::error(401, "invalid_client", words)
}

impl State {
    /// The client of a request, proved.
    pub(super) fn client(&mut self, request: &Request) -> Result<String, Answer> {
        let named = request.basic.as_ref().map_or(request.posted("client_id"), |(user, _)| user);
        let given = request.basic.as_ref().map_or(request.posted("client_secret"), |(_, secret)| secret);
        let Some(client) = self.clients.get(named) else {
            return Err(Answer::error(400, "unauthorized_client", "AADSTS700016: no such application"));
        };
        let assertion = request.posted("client_assertion").to_owned();
        match &client.proof {
            Proof::Public if given.is_empty() && assertion.is_empty() => (),
            Proof::Public => return Err(invalid("AADSTS700025: a public client must not send a secret")),
            Proof::Secret(secret) if secret == given => (),
            Proof::Secret(_) if given.is_empty() => {
                return Err(invalid(
                    "AADSTS7000218: the request must contain client_assertion or client_secret",
                ));
            }
            Proof::Secret(_) => return Err(invalid("AADSTS7000215: Invalid client secret provided.")),
            Proof::Certificate(pem) => {
                if request.posted("client_assertion_type") != ASSERTION {
                    return Err(invalid("AADSTS7000218: client_assertion is missing"));
                }
                let claims = self.verified(&assertion, pem, true).map_err(|words| invalid(&words))?;
                if claims["iss"] != named || claims["sub"] != named {
                    return Err(invalid("iss and sub must both be the client"));
                }
                self.accept_once(&assertion, &claims)?;
            }
            Proof::ServiceAccount(_) => {
                return Err(invalid("a service account sends its assertion as the grant"));
            }
        }
        Ok(named.to_owned())
    }

    /// `grant_type=…jwt-bearer`: a service account acts for a person of its organisation.
    pub(super) fn service_account(&mut self, request: &Request) -> Result<Answer, Answer> {
        let assertion = request.posted("assertion").to_owned();
        let issuer = peek(&assertion).and_then(|claims| claims["iss"].as_str().map(str::to_owned));
        let issuer = issuer.unwrap_or_default();
        let Some(Client { proof: Proof::ServiceAccount(pem), mailbox, .. }) = self.clients.get(&issuer)
        else {
            return Err(Answer::error(400, "invalid_grant", "Invalid grant: account not found"));
        };
        let wrong = |words: String| Answer::error(400, "invalid_grant", &words);
        let (claims, mailbox) = (self.verified(&assertion, pem, false).map_err(wrong)?, mailbox.clone());
        let person = claims["sub"].as_str().and_then(|address| address.split('@').next()).map(str::to_owned);
        if person.is_none() || person != mailbox {
            let words = "Client is unauthorized to retrieve access tokens using this method.";
            return Err(Answer::error(401, "unauthorized_client", words));
        }
        self.accept_once(&assertion, &claims)?;
        let scope = claims["scope"].as_str().unwrap_or_default().to_owned();
        self.app_token(&issuer, &scope)
    }

    /// A token for the client's own mailbox, never with a refresh token (RFC 6749 §4.4.3).
    pub(super) fn app_token(&mut self, client: &str, scope: &str) -> Result<Answer, Answer> {
        let mailbox = self.clients.get(client).and_then(|client| client.mailbox.clone());
        let Some(mailbox) = mailbox else {
            return Err(Answer::error(
                400,
                "unauthorized_client",
                "AADSTS7000112: no mailbox for this application",
            ));
        };
        if scope.is_empty() {
            return Err(Answer::error(
                400,
                "invalid_scope",
                "AADSTS1002012: the scope must end in /.default",
            ));
        }
        self.count(&mailbox)?;
        let grant = self.grant(&mailbox, client, scope.split(' ').map(str::to_owned).collect());
        Ok(self.issued(grant, None))
    }

    /// The claims of a JWT (RFC 7519) signed by the certificate's key for this token endpoint.
    fn verified(&self, jwt: &str, pem: &[u8], thumbprint: bool) -> Result<Value, String> {
        let certificate = X509::from_pem(pem).expect("a certificate");
        let header = part(jwt, 0).ok_or("AADSTS50027: the token is no JWT")?;
        let signed = jwt.rsplit_once('.').map(|(signed, _)| signed).unwrap_or_default();
        let signature = jwt.rsplit('.').next().and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
        let key = certificate.public_key().expect("its key");
        if !is_signed(header["alg"].as_str(), &key, signed, &signature.unwrap_or_default()) {
            return Err("AADSTS700027: the assertion's signature is not the certificate's".to_owned());
        }
        let digest =
            BASE64_URL_SAFE_NO_PAD.encode(certificate.digest(MessageDigest::sha256()).expect("SHA-256"));
        if thumbprint && header["x5t#S256"] != digest.as_str() {
            return Err("AADSTS700027: x5t#S256 is not a registered certificate".to_owned());
        }
        let claims = peek(jwt).ok_or("AADSTS50027: no claims")?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let expires = claims["exp"].as_u64().unwrap_or_default();
        if expires <= now || expires > now + LONGEST_ASSERTION + 60 {
            return Err("AADSTS700024: the assertion is not within its valid time range".to_owned());
        }
        if claims["aud"] != format!("{}/token", self.base) {
            return Err("AADSTS700023: the assertion's audience is not this endpoint".to_owned());
        }
        Ok(claims)
    }

    /// RFC 7523 §3: a `jti` counts once.
    fn accept_once(&mut self, assertion: &str, claims: &Value) -> Result<(), Answer> {
        self.secrets.insert(assertion.to_owned());
        match claims["jti"].as_str() {
            Some(id) if !self.assertions.insert(id.to_owned()) => {
                Err(invalid("the assertion was used before"))
            }
            _ => Ok(()),
        }
    }
}

fn is_signed(algorithm: Option<&str>, key: &PKey<Public>, signed: &str, signature: &[u8]) -> bool {
    let mut verifier = Verifier::new(MessageDigest::sha256(), key).expect("a verifier");
    match algorithm {
        Some("RS256") => (),
        Some("PS256") => {
            verifier.set_rsa_padding(Padding::PKCS1_PSS).expect("an RSA key");
            verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).expect("an RSA key");
        }
        _ => return false,
    }
    verifier.verify_oneshot(signature, signed.as_bytes()).unwrap_or(false)
}

/// The claims, not verified.
fn peek(jwt: &str) -> Option<Value> {
    part(jwt, 1)
}

fn part(jwt: &str, index: usize) -> Option<Value> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(jwt.split('.').nth(index)?).ok()?).ok()
}
