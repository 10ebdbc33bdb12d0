//! The same logins against an authorization server by other people: oidc-provider, certified for OpenID Connect.
//!
//! It runs in Node on a loopback port, from packages whose versions and hashes are pinned in `tests/independent`. Its
//! own pages are driven by the browser. Without the packages (no registry could be reached) the tests say loudly that
//! they skip.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::scene::{Login, Scene};
use super::support::Host;
use super::support::browser::Browser;
use super::support::http::post;
use super::support::process::Account;
use super::support::signer::Signer;
use super::support::skip::skip;

/// By OpenID's rule only who is asked for consent can give access while he is away.
const PROMPT: &str = "prompt = \"consent\"";

/// A running oidc-provider; it ends when its standard input does.
struct Independent {
    process: Child,
    /// Kept open: Node ends when it has something to say and nobody listens.
    _output: BufReader<ChildStdout>,
    issuer: String,
}

impl Independent {
    fn start() -> Option<Independent> {
        Independent::with(&[])
    }

    /// With more arguments for it.
    fn with(arguments: &[&Path]) -> Option<Independent> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/independent");
        if !directory.join("node_modules/oidc-provider").exists() {
            skip("oidc-provider is not installed (tests/install-deps test does it)");
            return None;
        }
        let mut process = Command::new("node")
            .arg("server.mjs")
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node can be run");
        let mut issuer = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut issuer).unwrap();
        Some(Independent { process, _output: output, issuer: issuer.trim().to_owned() })
    }

    /// Alice's account, which logs in here.
    fn account(&self, host: &Host) -> Account {
        let issuer = &self.issuer;
        Account {
            client_id: "posthaste".to_owned(),
            token_url: Some(format!("{issuer}/token")),
            oauth: format!(
                "authorize_url = \"{issuer}/auth\"\ndevice_url = \"{issuer}/device/auth\"\n\
                 revoke_url = \"{issuer}/token/revocation\"\nparameters = {{ {PROMPT} }}"
            ),
            ..Account::of(host, "alice")
        }
    }

    fn is_active(&self, token: &str) -> bool {
        let form = [("client_id", "posthaste"), ("token", token)];
        post(&format!("{}/token/introspection", self.issuer), &form).json()["active"] == true
    }
}

impl Drop for Independent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A scene whose alice logs in at the independent server, and a browser; none where one of them is missing.
fn scene() -> Option<(Independent, Scene, Browser)> {
    let (server, browser) = (Independent::start()?, Browser::start()?);
    let host = Host::start();
    let account = server.account(&host);
    let scene = Scene::with(host, &[account]);
    change(&scene, "scopes = [\"mail\"]", "scopes = [\"offline_access\", \"mail\"]");
    Some((server, scene, browser))
}

/// Changes the configuration.
fn change(scene: &Scene, from: &str, to: &str) {
    let text = std::fs::read_to_string(scene.home.config()).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(scene.home.config(), text.replace(from, to)).unwrap();
}

/// The server's own pages: any name and password, then consent.
fn sign_in(browser: &mut Browser) {
    browser.fill("[name=login]", "alice");
    browser.fill("[name=password]", "anything");
    browser.click("[type=submit]");
    browser.wait_text("Authorize");
    browser.click("[type=submit]");
}

fn saved_token(scene: &Scene) -> String {
    let file = std::fs::read(scene.token_file("alice")).unwrap();
    let saved: Value = serde_json::from_slice(&file).unwrap();
    saved["refresh_token"].as_str().expect("a refresh token").to_owned()
}

/// A refresh gives a token that the server knows, and a new refresh token; logout ends both.
fn assert_lives_and_ends(server: &Independent, scene: &Scene, login: Login) {
    login.succeeds();
    let first = saved_token(scene);
    let access = scene.home.ok(&["token", "alice"]);
    assert!(server.is_active(access.trim()), "the access token is good");
    let second = saved_token(scene);
    assert_ne!(first, second, "rotated");
    assert!(server.is_active(&second) && !server.is_active(&first));
    scene.home.ok(&["logout", "alice"]);
    assert!(!server.is_active(&second), "revoked");
}

#[test]
fn a_login_in_the_browser_refreshes_rotates_and_is_revoked() {
    let Some((server, scene, mut browser)) = scene() else { return };
    let login = scene.login(&["alice", "--browser"]);
    browser.open(&scene.opened_address());
    sign_in(&mut browser);
    browser.wait_text("You are logged in");
    assert_lives_and_ends(&server, &scene, login);
}

#[test]
fn without_a_question_for_consent_there_is_no_refresh_token_and_no_login() {
    let Some((_server, scene, mut browser)) = scene() else { return };
    change(&scene, PROMPT, "");
    let login = scene.login(&["alice", "--browser"]);
    browser.open(&scene.opened_address());
    sign_in(&mut browser);
    browser.wait_text("did not work");
    let (code, said) = login.end();
    assert!(code != 0 && said.contains("offline_access"), "{code}: {said}");
    assert!(!scene.token_file("alice").exists());
}

#[test]
fn a_denial_is_told_on_the_page_and_in_the_terminal() {
    let Some((_server, scene, mut browser)) = scene() else { return };
    let login = scene.login(&["alice", "--browser"]);
    browser.open(&scene.opened_address());
    browser.click("a[href$='/abort']");
    browser.wait_text("Not logged in");
    login.fails(&scene.token_file("alice"), 77, &["access_denied"]);
}

#[test]
fn applications_prove_themselves_by_secret_and_by_certificate() {
    let (vault, signer) = (tempfile::tempdir().unwrap(), Signer::new());
    let save = |name: &str, content: Vec<u8>| {
        let path = vault.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let (certificate, key) = (save("crt", signer.certificate()), save("key", signer.key()));
    let Some(server) = Independent::with(&[&certificate]) else { return };
    let host = Host::start();
    let application = |user: &str, client_id: &str, proof: String| Account {
        client_id: client_id.to_owned(),
        token_url: Some(format!("{}/token", server.issuer)),
        oauth: format!("flow = \"client\"\n{proof}"),
        ..Account::of(&host, user)
    };
    let accounts = [
        application("alice", "by-secret", "client_secret = \"secret-of-an-application\"".to_owned()),
        application("bob", "by-certificate", format!("certificate = {certificate:?}\nkey = {key:?}")),
        application("carol", "by-secret", "client_secret = \"guessed\"".to_owned()),
    ];
    let scene = Scene::with(host, &accounts);
    for user in ["alice", "bob"] {
        let token = scene.home.ok(&["token", user]);
        assert!(server.is_active(token.trim()), "{user}");
    }
    let refused = scene.home.run(&["token", "carol"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("invalid_client"), "{said}");
}

#[test]
fn a_login_by_device_refreshes_rotates_and_is_revoked() {
    let Some((server, scene, mut browser)) = scene() else { return };
    let login = scene.login(&["alice", "--device"]);
    browser.open(&login.address());
    let code = login.user_code();
    browser.fill("[name=user_code]", &code);
    browser.click("[type=submit]");
    browser.wait_text(&code);
    browser.click("[type=submit]");
    sign_in(&mut browser);
    browser.wait_text("Success");
    assert_lives_and_ends(&server, &scene, login);
}

#[test]
fn a_reuse_of_a_rotated_token_ends_the_login_and_is_told() {
    let Some((server, scene, mut browser)) = scene() else { return };
    let login = scene.login(&["alice", "--browser"]);
    browser.open(&scene.opened_address());
    sign_in(&mut browser);
    browser.wait_text("You are logged in");
    login.succeeds();
    let stolen = saved_token(&scene);
    let form = [("grant_type", "refresh_token"), ("client_id", "posthaste"), ("refresh_token", &*stolen)];
    assert_eq!(post(&format!("{}/token", server.issuer), &form).status, 200, "the thief has it");
    let output = scene.home.run(&["token", "alice"]);
    assert_eq!(output.status.code(), Some(77));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("posthaste login alice"), "{said}");
}
