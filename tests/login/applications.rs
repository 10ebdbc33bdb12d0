//! Accounts that log in without a person: by a client's secret, a certificate, or a service account (RFC 6749 §4.4,
//! RFC 7523). There is no refresh token: each new access token is asked for anew.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use super::scene::Scene;
use super::support::Host;
use super::support::process::Account;
use super::support::signer::Signer;
use super::support::tokens::{Client, Proof};
use super::support::wait::{PATIENCE, until};

/// How an application proves itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Application {
    Secret(&'static str),
    Certificate,
    ServiceAccount,
}

impl Application {
    /// Registers an application for `user`'s mailbox, with its files in `vault`; the account that uses it.
    pub(crate) fn account(self, host: &Host, vault: &Path, user: &str) -> Account {
        let client_id = format!("app-of-{user}");
        let signer = Signer::new();
        let save = |name: &str, content: &[u8]| {
            let path = vault.join(format!("{user}.{name}"));
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            path
        };
        let (proof, lines) = match self {
            Application::Secret(secret) => {
                (Proof::Secret(secret.to_owned()), format!("client_secret = {secret:?}"))
            }
            Application::Certificate => {
                let (certificate, key) = (save("crt", &signer.certificate()), save("key", &signer.key()));
                (
                    Proof::Certificate(signer.certificate()),
                    format!("certificate = {certificate:?}\nkey = {key:?}"),
                )
            }
            Application::ServiceAccount => {
                let key = json!({
                    "type": "service_account",
                    "client_email": client_id,
                    "private_key_id": "1",
                    "private_key": String::from_utf8(signer.key()).unwrap(),
                    "token_uri": host.tokens.token_url(),
                });
                let key = save("json", key.to_string().as_bytes());
                (Proof::ServiceAccount(signer.certificate()), format!("service_account = {key:?}"))
            }
        };
        host.tokens.register(&client_id, Client::app(proof, user));
        Account { client_id, oauth: format!("flow = \"client\"\n{lines}"), ..Account::of(host, user) }
    }
}

/// Alice by secret, bob by certificate, carol by service account.
fn scene(vault: &Path) -> Scene {
    let host = Host::start();
    let all = [Application::Secret("secret-of-alice"), Application::Certificate, Application::ServiceAccount];
    let accounts = all.iter().zip(["alice", "bob", "carol"]);
    let accounts: Vec<_> =
        accounts.map(|(application, user)| application.account(&host, vault, user)).collect();
    Scene::with(host, &accounts)
}

#[test]
fn applications_need_no_person_and_ask_anew_for_each_token() {
    let vault = tempfile::tempdir().unwrap();
    let scene = scene(vault.path());
    let tokens = &scene.host.tokens;
    let users = ["alice", "bob", "carol"];
    for user in users {
        let said = scene.login(&[user]).succeeds();
        assert!(said.contains("logs in by itself"), "{said}");
    }
    let daemon = scene.home.start();
    for user in users {
        scene.home.wait_state(user, "watching");
        scene.assert_mail_comes(user, "first");
        let before = tokens.requests(user);
        tokens.revoke_access(user);
        scene.host.dovecot.kick(user);
        scene.assert_mail_comes(user, "after the token was ended");
        until(PATIENCE, &format!("{user} to ask anew"), || tokens.requests(user) > before);
        assert!(!scene.token_file(user).exists(), "there is nothing to keep");
    }
    let grants = tokens.heard("/token");
    assert!(grants.iter().all(|form| form["grant_type"] != "refresh_token"));
    assert!(!daemon.stderr().contains("WARN"), "{}", daemon.stderr());
}

#[test]
fn a_refused_application_is_told_what_to_look_at() {
    let vault = tempfile::tempdir().unwrap();
    let scene = scene(vault.path());
    for (user, words) in [("alice", "client_secret"), ("bob", "AADSTS700027"), ("carol", "account not found")]
    {
        let other = match user {
            "alice" => Proof::Secret("another".to_owned()),
            "bob" => Proof::Certificate(Signer::new().certificate()),
            _ => Proof::Public,
        };
        scene.host.tokens.register(&format!("app-of-{user}"), Client::app(other, user));
        let (code, said) = scene.login(&[user]).end();
        assert!(code != 0 && said.contains(words), "{user}: {said}");
        assert!(scene.host.tokens.secrets().iter().all(|secret| !said.contains(secret)), "{said}");
    }
}
