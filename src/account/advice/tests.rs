//! What is told of a refusal: by whom it is mended, in the status, and whatever the driver thinks.

#[cfg(test)]
mod servers;
#[cfg(test)]
mod table;

use super::super::board::{Board, Complaint};
use super::*;
use crate::config::Config;
use crate::error::Classified;
use crate::imap;
use crate::status;
use std::path::Path;
use tokio::sync::watch;

const WORK: &str = "[accounts.work]\naddress = \"a@contoso.com\"\nprovider = \"microsoft\"\n\
                    oauth = { client_id = \"app-1\", tenant = \"contoso.com\" }\n";
const SHARED: &str = "[accounts.work]\naddress = \"team@contoso.com\"\nprovider = \"microsoft\"\n\
                      login_as = \"a@contoso.com\"\noauth.client_id = \"app-1\"\n";
const PROGRAM: &str = "[accounts.work]\naddress = \"team@contoso.com\"\nprovider = \"microsoft\"\n\
                       oauth = { flow = \"client\", tenant = \"contoso.com\", client_id = \"app-1\", client_secret = \"s\" }\n";
const PASSWORD: &str =
    "[accounts.work]\naddress = \"a@me.com\"\nauth = \"password\"\npassword_command = \"pass\"\n";

fn account(text: &str) -> Account {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(&file, std::iter::empty(), Path::new("/home/a")).unwrap().accounts.remove(0)
}

/// What `status` shows after trouble with reading mail, or with submission.
fn shown(account: &Account, stage: Stage, error: &impl Classified) -> status::Account {
    let (sender, status) = watch::channel(status::Account::default());
    let board = Board::new(account, sender);
    match stage {
        Stage::Smtp => board.outbox_trouble(Some(Complaint::new(error))),
        _ => board.trouble(&Complaint::new(error), None),
    }
    status.borrow().clone()
}

fn hint(text: &str, words: &str) -> String {
    let refused = imap::Error::Login(words.to_owned());
    shown(&account(text), Stage::Imap, &refused).hint.unwrap_or_default()
}

#[test]
fn a_refused_login_is_mended_by_whoever_logs_in() {
    // Of the one the table knows more than of the other.
    for words in ["AUTHENTICATE failed.", "go away"] {
        let own = hint(WORK, words);
        assert!(own.contains("run: posthaste login work"), "{own}");
        let shared = hint(SHARED, words);
        assert!(
            shared.contains("check that a@contoso.com has full access to team@contoso.com; if so, "),
            "{shared}"
        );
        assert!(shared.contains("posthaste login work"), "{shared}");
        let program = hint(PROGRAM, words);
        assert!(program.contains("ask ") && program.contains("administrator"), "{program}");
        assert!(program.contains("team@contoso.com") && !program.contains("posthaste login"), "{program}");
        let password = hint(PASSWORD, words);
        assert!(password.contains("check `user` and") && !password.contains("login"), "{password}");
    }
}

#[test]
fn a_login_in_the_browser_that_an_administrator_must_allow_leads_to_the_page_for_that() {
    let said = "account work: the login was refused (access_denied): AADSTS90094: An administrator must grant consent.";
    let hint = Adviser::new(&account(WORK)).hint(Stage::OAuth, Class::NeedsLogin, said, None).unwrap();
    assert!(hint.contains("ask an administrator"), "{hint}");
    assert!(
        hint.contains("https://login.microsoftonline.com/contoso.com/adminconsent?client_id=app-1"),
        "{hint}"
    );
}

#[test]
fn what_is_not_known_keeps_the_words_of_the_driver() {
    let adviser = Adviser::new(&account(WORK));
    let own = || Some("as the driver says".to_owned());
    assert_eq!(adviser.hint(Stage::Imap, Class::NeedsLogin, "go away", own()), own());
    assert_eq!(adviser.hint(Stage::Imap, Class::RETRY, "go away", None), None);
    // The words of a lasting refusal, from a driver that thinks otherwise; and words of another protocol.
    assert_eq!(adviser.hint(Stage::Imap, Class::RETRY, "AUTHENTICATE failed.", None), None);
    assert_eq!(adviser.hint(Stage::Smtp, Class::NeedsLogin, "AUTHENTICATE failed.", own()), own());
}
