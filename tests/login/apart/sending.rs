//! What submission servers answer, to the login and to the message: it is kept or given back, and mail goes on, the
//! account's own too.

use serde_json::Value;

use super::super::scene::Scene;
use super::super::support::authority::Authority;
use super::super::support::process::Account;
use super::super::support::sink::{Sink, Stage, Step};
use super::super::support::wait::{PATIENCE, until, until_told};
use super::super::support::{Host, message};
use super::beside_bob;
use Outcome::{Deferred, Failed, Kept};

/// What becomes of the message.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// It waits in the queue, and `status` says why nothing is sent.
    Kept,
    /// It waits in the queue by itself.
    Deferred,
    /// It stands in `failed/` with the server's words.
    Failed,
}

const ANSWERS: &[(Stage, &str, Outcome)] = &[
    (
        Stage::Auth,
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. \
         Visit https://aka.ms/smtp_auth_disabled for more information.",
        Kept,
    ),
    (
        Stage::Auth,
        "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy.",
        Kept,
    ),
    (Stage::Auth, "535 5.7.3 Authentication unsuccessful [SN2PR00CA0018.namprd00.prod.outlook.com]", Kept),
    (Stage::Auth, "535 5.7.8 Username and Password not accepted.", Kept),
    (Stage::Auth, "550 5.7.30 Basic authentication is not supported for Client Submission.", Kept),
    (Stage::Auth, "454 4.7.0 Temporary authentication failure", Kept),
    (Stage::Auth, "432 4.3.2 Concurrent connections limit exceeded.", Kept),
    (Stage::Greeting, "421 4.3.2 Service not available", Kept),
    (Stage::Mail, "530 5.7.57 Client not authenticated to send mail.", Kept),
    (Stage::Dot, "451 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded.", Kept),
    (Stage::Dot, "451 4.3.0 Temporary server error", Deferred),
    (Stage::Recipient, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found", Failed),
    (Stage::Dot, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", Failed),
    (Stage::Dot, "554 5.2.252 SendAsDenied; not allowed to send as somebody else", Failed),
];

fn letter(from: &str, subject: &str) -> Vec<u8> {
    format!("From: {from}@mail.test\nTo: carol@mail.test\nSubject: {subject}\n\nHello.\n").into_bytes()
}

/// The account's status, once its message has come to this outcome at its server.
fn wait_outcome(scene: &Scene, sink: &Sink, user: &str, outcome: Outcome, words: &str) -> Value {
    until_told(PATIENCE, &format!("{user}: {outcome:?} {words}"), || {
        let status = scene.home.status();
        let account = status["accounts"].as_array()?.iter().find(|one| one["name"] == user)?.clone();
        let error = account["error"].as_str().unwrap_or_default();
        let is_so = match outcome {
            Kept => {
                account["outbox"]["queued"] == 1 && error.contains("submission: ") && error.contains(words)
            }
            Deferred => account["outbox"]["queued"] == 1 && has_quit(sink),
            Failed => account["outbox"]["failed"] == 1 && given_back(scene, user).contains(words),
        };
        is_so.then_some(account)
    })
}

fn has_quit(sink: &Sink) -> bool {
    sink.commands().iter().any(|line| line == "QUIT")
}

/// Everything in the account's `failed/`.
fn given_back(scene: &Scene, user: &str) -> String {
    let Ok(files) = std::fs::read_dir(scene.home.outbox(user).join("failed")) else { return String::new() };
    files.flatten().map(|file| std::fs::read_to_string(file.path()).unwrap_or_default()).collect()
}

#[test]
fn every_refusal_of_a_submission_server_is_its_own_accounts_and_mail_goes_on() {
    let host = Host::start();
    let sinks: Vec<Sink> = ANSWERS.iter().map(|_| Sink::submission(&host.authority, |_, _| true)).collect();
    let mut accounts = Vec::new();
    for (number, ((stage, answer, _), sink)) in ANSWERS.iter().zip(&sinks).enumerate() {
        sink.script(*stage, Step::Reply(answer), usize::MAX);
        let account = Account::of(&host, &format!("user{number}"));
        accounts.push(Account { smtp: (sink.port(), "implicit"), ..account });
    }
    let (scene, _daemon) = beside_bob(host, accounts, &[]);
    for number in 0..ANSWERS.len() {
        let user = format!("user{number}");
        scene.home.wait_state(&user, "watching");
        scene.home.send(&user, "letter", &letter(&user, "from somebody in trouble"));
    }
    for (number, ((stage, answer, outcome), sink)) in ANSWERS.iter().zip(&sinks).enumerate() {
        let user = format!("user{number}");
        let words = answer.split(' ').nth(1).unwrap();
        let status = wait_outcome(&scene, sink, &user, *outcome, words);
        assert_eq!(status["state"], "watching", "{answer}: {status}");
        if *stage == Stage::Dot {
            until(PATIENCE, &format!("{user}: QUIT"), || has_quit(sink));
        }
        if number % 4 == 0 {
            scene.home.send("bob", &format!("letter{number}"), &letter("bob", &format!("number {number}")));
            scene.host.sink.wait_for(number / 4 + 1);
        }
        scene.assert_mail_comes("bob", &format!("while {user} is refused"));
        scene.assert_mail_comes(&user, "nevertheless");
        assert!(scene.host.tokens.requests(&user) <= 4, "{answer}: {}", scene.host.tokens.requests(&user));
    }
}

#[test]
fn a_submission_server_without_trust_gets_no_message_and_mail_goes_on() {
    let host = Host::start();
    let impostor = Sink::submission(&Authority::new(), |_, _| true);
    let account = Account { smtp: (impostor.port(), "implicit"), ..Account::of(&host, "alice") };
    let (scene, _daemon) = beside_bob(host, vec![account], &[]);
    scene.home.wait_state("alice", "watching");
    scene.home.send("alice", "letter", &letter("alice", "for nobody"));
    wait_outcome(&scene, &impostor, "alice", Kept, "certificate verify failed");
    scene.assert_mail_comes("alice", "nevertheless");
    scene.home.send("bob", "letter", &letter("bob", "for carol"));
    until(PATIENCE, "bob's letter", || scene.host.sink.received().len() == 1);
    scene.host.deliver("bob", &message("and one to bob"));
    assert!(impostor.commands().is_empty(), "{:?}", impostor.commands());
}
