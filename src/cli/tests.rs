//! The arguments, and the commands against a control server.

use super::*;
use crate::control::server::{Handler, Replies, Server};
use crate::control::{Code, HeldRequest, Refusal, Request, Response};
use crate::status::Summary;
use clap::CommandFactory;
use futures_util::future::BoxFuture;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

#[test]
fn the_arguments_are_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn shared_arguments_are_taken_before_and_after_the_command() {
    let before = Arguments::try_parse_from(["posthaste", "-vv", "--config", "/c", "status"]).unwrap();
    let after = Arguments::try_parse_from(["posthaste", "status", "-vv", "--config", "/c"]).unwrap();
    for arguments in [before, after] {
        assert_eq!(arguments.shared.verbose, 2);
        assert_eq!(arguments.shared.config.as_deref(), Some(Path::new("/c")));
    }
}

#[test]
fn wrong_usage_is_exit_code_2_and_help_is_0() {
    let code = |arguments: &[&str]| Arguments::try_parse_from(arguments).unwrap_err().exit_code();
    assert_eq!(code(&["posthaste", "fly"]), 2);
    assert_eq!(code(&["posthaste", "-v", "-q", "status"]), 2);
    assert_eq!(code(&["posthaste"]), 2);
    assert_eq!(code(&["posthaste", "--help"]), 0);
    assert_eq!(code(&["posthaste", "--version"]), 0);
}

/// Answers every request with the same responses and remembers what was asked.
#[derive(Default)]
struct Script {
    asked: Mutex<Vec<Request>>,
    answers: Vec<Response>,
    refusal: Option<Refusal>,
}

impl Handler for Script {
    fn handle(&self, request: Request, replies: Replies) -> BoxFuture<'_, Result<(), Refusal>> {
        self.asked.lock().unwrap().push(request);
        Box::pin(async move {
            for answer in &self.answers {
                replies.send(answer.clone()).await;
            }
            self.refusal.clone().map_or(Ok(()), Err)
        })
    }
}

/// What the commands of `lines` ask of the daemon that follows `script`, and how each of them ends.
async fn outcomes(script: Script, lines: &[&str]) -> (Vec<Request>, Vec<Result<(), CommandError>>) {
    let directory = tempfile::tempdir().unwrap();
    let context = context(directory.path());
    let server = Server::bind(&context.socket()).await.unwrap();
    let (script, stop) = (Arc::new(script), CancellationToken::new());
    let serving = tokio::spawn(server.run(script.clone(), stop.clone()));
    let mut ends = Vec::new();
    for line in lines {
        ends.push(carry_out(line, &context).await);
    }
    stop.cancel();
    serving.await.unwrap();
    let asked = script.asked.lock().unwrap().clone();
    (asked, ends)
}

async fn carry_out(line: &str, context: &Context) -> Result<(), CommandError> {
    let words = std::iter::once("posthaste").chain(line.split(' '));
    match Arguments::try_parse_from(words).unwrap().command {
        Command::Sync(sync) => sync.run(context).await,
        Command::Status(status) => status.run(context).await,
        Command::Held(held) => held.run(context).await,
        Command::Config(config) => config.run(context),
        other => panic!("{other:?} asks no daemon"),
    }
}

fn context(directory: &Path) -> Context {
    let environment = Environment {
        home: directory.to_owned(),
        user: None,
        config_file: directory.join("config.toml"),
        state_dir: directory.join("state"),
        runtime_dir: directory.join("run"),
        allows_colour: false,
        has_browser: false,
        ssh: None,
        log: None,
        journal_stream: None,
        variables: Vec::new(),
    };
    Context {
        config_file: environment.config_file.clone(),
        environment,
        is_quiet: true,
        keepers: Keepers::default(),
    }
}

#[tokio::test]
async fn commands_ask_what_their_arguments_say() {
    let answers = vec![Response::Held { deletions: vec![], quarantined: vec![] }];
    let script = Script { answers, ..Script::default() };
    let lines = ["sync lab work --mailbox IN* --dry-run", "held", "held approve lab/INBOX/a"];
    let (asked, ends) = outcomes(script, &lines).await;
    let approve = HeldRequest::Approve { account: "lab".into(), mailbox: "INBOX/a".into() };
    let sync = Request::Sync {
        accounts: vec!["lab".into(), "work".into()],
        mailbox: Some("IN*".into()),
        dry_run: true,
    };
    assert_eq!(asked, [sync, Request::Status, Request::Held(HeldRequest::List), Request::Held(approve)]);
    assert!(ends.iter().all(Result::is_ok), "{ends:?}");
}

#[tokio::test]
async fn a_refusal_and_half_an_answer_fail_the_command() {
    let refusal =
        Refusal::new(Code::NeedsLogin, "lab: the token is refused").with_hint("posthaste login lab");
    let refusing = Script { refusal: Some(refusal), ..Script::default() };
    let (_, ends) = outcomes(refusing, &["sync"]).await;
    let error = ends[0].as_ref().unwrap_err();
    assert_eq!((error.exit, error.hint.as_deref()), (Exit::NeedsLogin, Some("posthaste login lab")));

    let (_, ends) = outcomes(Script::default(), &["status", "held list"]).await;
    assert_eq!(ends[0].as_ref().unwrap_err().exit, Exit::Unavailable);
    assert_eq!(ends[1].as_ref().unwrap_err().exit, Exit::Failed);

    let errors = vec!["INBOX: connection lost".to_owned()];
    let summary = Summary { errors, ..Summary::default() };
    let report = Response::Report { account: "lab".into(), summary };
    let (_, ends) = outcomes(Script { answers: vec![report], ..Script::default() }, &["sync"]).await;
    assert_eq!(ends[0].as_ref().unwrap_err().exit, Exit::Failed);
}

#[tokio::test]
async fn without_a_daemon_there_is_no_status_and_passes_need_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let context = context(directory.path());
    for (line, exit) in [("status --json", 69), ("sync", 78), ("held", 78)] {
        assert_eq!(carry_out(line, &context).await.unwrap_err().exit as u8, exit, "{line}");
    }
}

#[tokio::test]
async fn a_configuration_without_an_account_says_what_to_write() {
    let directory = tempfile::tempdir().unwrap();
    let context = context(directory.path());
    std::fs::write(&context.config_file, "maildir_root = \"~/Mail\"\n").unwrap();
    for line in ["sync", "held", "config check"] {
        let error = carry_out(line, &context).await.unwrap_err();
        assert_eq!(error.exit, Exit::Configuration, "{line}");
        assert!(error.message.ends_with("config.toml: no account is configured"), "{line}: {error}");
        assert!(error.hint.as_ref().unwrap().contains("posthaste add"), "{line}: {error}");
    }
}
