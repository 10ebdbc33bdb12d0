//! What a help desk gets: facts, without secrets and persons.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::process::Account;
use crate::support::tokens::Client;
use crate::support::{Host, dovecot};
use crate::visit::home_of;
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
    let output = home.run(&["doctor", "--report", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&found["schema"], &found["doctor"]["ok"]), (&Value::from(1), &Value::Bool(true)));
    assert_eq!(found["status"]["accounts"].as_array().unwrap().len(), 2);
    assert!(text.contains("sweep = ") && text.contains("@mail.test"), "the configuration is in it: {text}");
    let mut planted = host.tokens.secrets();
    planted.extend(["planted-in-config", "wilhelmina", "canary", "theodora", "Divorce"].map(str::to_owned));
    planted.push(format!("printf {}", dovecot::PASSWORD));
    for secret in planted {
        assert!(!text.contains(&secret), "{secret} in {text}");
    }
    let again = home.run(&["doctor", "--report", file.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1), "a file that is there is not written over");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}
