//! What mail servers answer to a login, in their own words; servers that cannot be trusted; secrets that cannot be had.

use super::super::support::Host;
use super::super::support::authority::Authority;
use super::super::support::listener::Listening;
use super::super::support::process::Account;
use super::super::support::script::play_to_all;
use super::beside_bob;

/// How Exchange begins, up to the token.
const IMAP: &str = "S: * OK The Microsoft Exchange IMAP4 service is ready.\nC: B1 CAPABILITY\n\
    S: * CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR ID\nS: B1 OK CAPABILITY completed.\nC: B2 AUTHENTICATE XOAUTH2 *\n";
const POP: &str = "S: +OK The Microsoft Exchange POP3 service is ready.\nC: CAPA\nS: +OK\nS: TOP\nS: UIDL\n\
    S: SASL PLAIN XOAUTH2\nS: USER\nS: .\nC: AUTH XOAUTH2\nS: + \nC: dXNlcj *\n";

/// What an IMAP server says to a token, and the state that its account must end in.
const IMAP_ANSWERS: &[(&str, &str)] = &[
    ("S: B2 NO AUTHENTICATE failed.", "needs-login"),
    ("S: + eyJzdGF0dXMiOiI0MDEifQ==\nC: \nS: B2 NO SASL authentication failed", "needs-login"),
    (
        "S: B2 OK AUTHENTICATE completed.\nC: P1 CAPABILITY\n\
         S: P1 BAD User is authenticated but not connected.\nS: * BYE Connection closed. 14",
        "denied",
    ),
    ("S: B2 BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds", "waiting"),
    ("S: B2 NO [UNAVAILABLE] Temporary authentication failure.", "waiting"),
    ("S: * BYE Too many simultaneous connections", "waiting"),
    ("S: * BYE Session invalidated - AccessTokenExpired", "waiting"),
    ("", "waiting"),
];

/// The same of POP servers.
const POP_ANSWERS: &[(&str, &str)] = &[
    ("S: -ERR Authentication failure: unknown user name or bad password.", "needs-login"),
    ("S: + eyJzdGF0dXMiOiI0MDEifQ==\nC: \nS: -ERR [AUTH] Invalid credentials", "needs-login"),
    ("S: -ERR [SYS/PERM] Your account is not enabled for POP access.", "denied"),
    ("S: -ERR User is authenticated but not connected.", "denied"),
    ("S: -ERR [SYS/TEMP] Temporary system problem", "waiting"),
    ("S: -ERR [IN-USE] Unable to lock maildrop", "waiting"),
    ("S: -ERR [LOGIN-DELAY] minimum time between mail checks violation", "waiting"),
    ("S: -ERR Request is throttled. Suggested Backoff Time: 92000 milliseconds", "waiting"),
    ("", "waiting"),
];

#[test]
fn every_refusal_of_a_mail_server_parks_its_own_account_and_bob_never_misses_a_message() {
    let host = Host::start();
    let all = IMAP_ANSWERS.iter().map(|(answer, state)| (IMAP, answer, *state));
    let all: Vec<_> = all.chain(POP_ANSWERS.iter().map(|(answer, state)| (POP, answer, *state))).collect();
    let servers: Vec<_> =
        all.iter().map(|(hello, answer, _)| play_to_all(&format!("{hello}{answer}"))).collect();
    let refused = all.iter().zip(&servers).enumerate().map(|(number, ((hello, ..), server))| {
        let account = Account::of(&host, &format!("user{number}"));
        match *hello {
            IMAP => Account { imap: (server.port(), "none"), ..account },
            _ => Account { pop: Some((server.port(), "none")), ..account },
        }
    });
    let accounts = refused.collect();
    let (scene, _daemon) = beside_bob(host, accounts, &[]);
    for (number, (_, answer, state)) in all.iter().enumerate() {
        let user = format!("user{number}");
        let account = scene.home.wait_state(&user, state);
        assert!(account["error"].is_string(), "{answer}: {account}");
        scene.assert_mail_comes("bob", &format!("while {user} is refused"));
        assert!(scene.host.tokens.requests(&user) <= 4, "{answer}: {}", scene.host.tokens.requests(&user));
    }
}

/// Accounts that cannot begin to trust their server.
fn distrustful(host: &Host, stranger: &std::path::Path, clear: &Listening) -> Vec<(Account, &'static str)> {
    let (imaps, pops) = (host.dovecot.ports.imaps, host.dovecot.ports.pops);
    let of = |user: &str| Account::of(host, user);
    vec![
        (Account { ca: stranger.to_owned(), ..of("nobodys") }, "waiting"),
        (Account { ca: stranger.to_owned(), pop: Some((pops, "implicit")), ..of("nobodys-pop") }, "waiting"),
        (Account { imap: (clear.port(), "implicit"), ..of("clear") }, "waiting"),
        (Account { pop: Some((clear.port(), "implicit")), ..of("clear-pop") }, "waiting"),
        (Account { imap: (clear.port(), "starttls"), ..of("stripped") }, "waiting"),
        (Account { imap: (imaps, "starttls"), ..of("mistaken") }, "connecting"),
    ]
}

/// Accounts whose secret, or whose client, is not to be had.
fn secretless(host: &Host) -> Vec<(Account, &'static str)> {
    let password = |user: &str, command: &str| Account {
        token_url: None,
        password_command: command.to_owned(),
        ..Account::of(host, user)
    };
    let secret = |user: &str, command: &str| {
        let account = Account { client_id: "confidential".to_owned(), ..Account::of(host, user) };
        Account { oauth: format!("{}\nclient_secret_command = {command:?}", account.oauth), ..account }
    };
    vec![
        (password("locked", "echo the agent is locked >&2; exit 1"), "waiting"),
        (password("lost", "/nowhere/pass"), "stopped"),
        (password("wrong", "echo wrong"), "needs-login"),
        (secret("locked-client", "exit 1"), "waiting"),
        (secret("lost-client", "/nowhere/pass"), "stopped"),
        (Account { client_id: String::new(), ..Account::of(host, "clientless") }, "needs-login"),
    ]
}

#[test]
fn a_server_without_trust_and_a_secret_that_is_lost_stop_only_their_own_account() {
    let host = Host::start();
    let stranger = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(stranger.path(), Authority::new().pem()).unwrap();
    let clear = play_to_all(
        "S: * OK all in the clear\nC: B1 CAPABILITY\nS: * CAPABILITY IMAP4rev1 AUTH=XOAUTH2\nS: B1 OK done",
    );
    let all = [distrustful(&host, stranger.path(), &clear), secretless(&host)].concat();
    let (scene, _daemon) = beside_bob(host, all.iter().map(|(account, _)| account.clone()).collect(), &[]);
    for (account, state) in &all {
        let status = scene.home.wait_state(&account.name, state);
        assert!(*state == "connecting" || status["error"].is_string(), "{status}");
        scene.assert_mail_comes("bob", &format!("beside {}", account.name));
    }
    let told = scene.home.status().to_string();
    assert!(scene.host.tokens.secrets().iter().all(|secret| !told.contains(secret)), "{told}");
}
