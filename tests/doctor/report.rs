//! What a help desk gets: facts, without secrets and persons.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::process::Account;
use crate::support::tokens::Client;
use crate::support::{Host, dovecot, filler, wait};
use crate::visit::{beside, home_of};
use serde_json::Value;

#[test]
fn a_report_holds_what_was_found_and_neither_secrets_nor_persons() {
    let host = Host::start();
    let account = Account {
        name: "work".into(),
        extra: "on_delete = \"trash\"".into(),
        ..Account::of(&host, "wilhelmina.canary")
    };
    let private = Account { name: "private".into(), token_url: None, ..Account::of(&host, "theodora") };
    let home = home_of(&host, &[account, private]);
    let config = fs::read_to_string(home.config()).unwrap();
    let config = config.replacen(
        "client_id = \"test\"",
        "client_id = \"test\"\nclient_secret = \"planted-in-config\"",
        1,
    );
    fs::write(home.config(), config).unwrap();
    host.tokens.register("test", Client::with_secret("planted-in-config"));
    let _daemon = home.start();
    home.wait_state("work", "watching");
    host.imap("wilhelmina.canary").create("Divorce papers");
    let file = home.dir().join("report.json");
    let to = format!("--report={}", file.display());
    let output = home.run(&["doctor", &to]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&found["schema"], &found["doctor"]["ok"]), (&Value::from(1), &Value::Bool(true)));
    assert_eq!(found["status"]["accounts"].as_array().unwrap().len(), 2);
    assert!(text.contains("sweep = "), "the configuration is in it: {text}");
    // Who is whom stays to be seen, also across the parts of the report.
    let config: Vec<&str> = found["config"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for person in ["user1", "user2"] {
        assert!(config.contains(&&*format!("address = \"{person}@mail.test\"")), "{config:#?}");
        assert!(config.contains(&&*format!("user = \"{person}\"")), "{config:#?}");
    }
    let mut planted = host.tokens.secrets();
    planted.extend(["planted-in-config", "wilhelmina", "canary", "theodora", "Divorce"].map(str::to_owned));
    planted.push(format!("printf {}", dovecot::PASSWORD));
    for secret in planted {
        assert!(!text.contains(&secret), "{secret} in {text}");
    }
    let again = home.run(&["doctor", &to]);
    assert_eq!(again.status.code(), Some(1), "a file that is there is not written over");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

/// Prints the log of the daemon as the journal would, with the name of the machine unless that is not wanted.
const JOURNALCTL: &str = r#"case " $* " in *" --no-hostname "*) host= ;; *) host=" annas-laptop" ;; esac
while read -r line; do echo "2026-11-22T08:00:00+00:00$host posthaste[7]: $line"; done < "$HOME/log""#;

#[test]
fn what_went_wrong_is_told_without_the_names_in_it() {
    let host = Host::start();
    let extra =
        "mailboxes = [\"*\", \"!Tax fraud/*\"]\ndeletion_limit = { messages = 1, percent = 10 }".into();
    let account = Account { name: "work".into(), extra, ..Account::of(&host, "wilhelmina") };
    let home = home_of(&host, &[account]);
    for mailbox in ["Divorce papers", "Lost letters"] {
        host.imap("wilhelmina").create(mailbox);
        filler::fill(&mut host.imap("wilhelmina"), mailbox, filler::plain(2, 300));
    }
    let daemon = home.start();
    home.wait_state("work", "watching");
    let logged = |words: &str| {
        wait::until(wait::PATIENCE, words, || daemon.stderr().contains(words));
    };
    logged("mailbox=Divorce papers");
    home.send("work", "About the lawyer.eml", b"From: wilhelmina@mail.test\nSubject: x\n\nfor nobody\n");
    logged("About the lawyer.eml");
    // Deletions that are held back, and a file where the directory of a mailbox was.
    for message in home.maildir("work").messages("Divorce papers") {
        fs::remove_file(message.path).unwrap();
    }
    let shows = |key: &str, words: &str| {
        wait::until(wait::PATIENCE, words, || {
            home.status()["accounts"][0][key].as_str().is_some_and(|told| told.contains(words))
        });
    };
    shows("hint", "held approve work/Divorce papers");
    let directory = home.maildir_path("work").join("Lost letters");
    fs::rename(&directory, home.dir().join("aside")).unwrap();
    fs::write(&directory, "").unwrap();
    shows("error", "Lost letters");
    fs::write(home.dir().join("home/log"), daemon.stderr()).unwrap();

    let file = home.dir().join("report.json");
    let to = format!("--report={}", file.display());
    let output = beside(&home, &["doctor", &to], &[("journalctl", JOURNALCTL)]).output().unwrap();
    let text = fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let found: Value = serde_json::from_str(&text).unwrap();
    let log: Vec<&str> = found["log"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let tells = |words: &[&str]| log.iter().any(|line| words.iter().all(|words| line.contains(words)));
    assert!(tells(&["2026-11-22T08:00:00+00:00 posthaste[7]: ", "synced", "mailbox=mailbox "]), "{log:#?}");
    assert!(tells(&["refused", "path=", "/outbox/work/…", "reason="]), "{log:#?}");
    let account = &found["status"]["accounts"][0];
    assert!(account["error"].as_str().unwrap().contains("mailbox mailbox "), "{account:#}");
    assert!(account["hint"].as_str().unwrap().contains("held approve work/mailbox "), "{account:#}");
    for name in ["wilhelmina", "divorce", "papers", "letters", "lawyer", "tax fraud", "laptop"] {
        assert!(!text.to_lowercase().contains(name), "{name} in {text}");
    }
}

#[test]
fn an_account_behind_the_report_is_an_account() {
    let host = Host::start();
    let home = home_of(&host, &[Account::of(&host, "alice"), Account::of(&host, "bob")]);
    let mut command = home.command(&["doctor", "--report", "bob"]);
    let output = command.current_dir(home.dir()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("\nbob\n") && !said.contains("\nalice\n"), "{said}");
    assert!(!home.dir().join("bob").exists());
    let is_report = |name: &str| name.starts_with("posthaste-report-");
    let written = fs::read_dir(home.dir()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(written.filter(|name| is_report(&name.to_string_lossy())).count(), 1);
}
