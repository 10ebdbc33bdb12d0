//! The file before and after a change.

use super::*;
use std::path::PathBuf;

const OLD: &str = "# mine\nmaildir_root = \"~/M\"   # aligned\n\n[accounts.b]   # first\naddress = \"b@gmail.com\"\n\
                   [accounts.b.oauth]\n# the client of the team\nclient_id = \"x\"\n\n# the end\n";

fn draft() -> Draft {
    Draft {
        name: "work".into(),
        address: "a@contoso.test".into(),
        provider: Some("microsoft".into()),
        cloud: Some("us-gov".into()),
        client: Client { id: Some("c".into()), secret_command: None },
        ..Draft::default()
    }
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

fn change(path: &Path, change: Change) -> Result<Config, Error> {
    edit(path, std::iter::empty(), Path::new("/home/a"), &change)?;
    Config::load(path, std::iter::empty(), Path::new("/home/a"))
}

fn add(path: &Path, draft: Draft) -> Result<Config, Error> {
    change(path, Change::Add(Box::new(draft)))
}

#[test]
fn an_account_is_added_behind_all_that_is_there() {
    let (_directory, path) = file(OLD);
    std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let config = add(&path, draft()).unwrap();
    assert_eq!(config.account("work").unwrap().incoming.server().host, "outlook.office365.us");
    let text = std::fs::read_to_string(&path).unwrap();
    let new = "\n[accounts.work]\naddress = \"a@contoso.test\"\nprovider = \"microsoft\"\n\n\
               [accounts.work.oauth]\nclient_id = \"c\"\ncloud = \"us-gov\"\n";
    assert_eq!(text, format!("{OLD}{new}"));
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o640);
    assert_eq!(path.parent().unwrap().read_dir().unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_missing_file_is_made_private_with_its_directory() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("config/posthaste/config.toml");
    add(&path, draft()).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("[accounts.work]\n"));
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
    assert_eq!(path.parent().unwrap().metadata().unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn a_link_stays_a_link() {
    let (directory, path) = file(OLD);
    let link = directory.path().join("link.toml");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    add(&link, draft()).unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert!(std::fs::read_to_string(&path).unwrap().contains("[accounts.work]"));
}

#[test]
fn every_way_to_write_tables_is_met() {
    for old in [
        "accounts.b.address = \"b@gmail.com\"\n",
        "accounts = { b = { address = \"b@gmail.com\" } }\n",
        "[accounts]\nb = { address = \"b@gmail.com\" }\n[accounts.c]\naddress = \"c@gmail.com\"",
        "[accounts.\"x.y\"]\r\naddress = \"c@gmail.com\"\r\n",
    ] {
        let (_directory, path) = file(old);
        let config = add(&path, draft()).unwrap_or_else(|error| panic!("{old}: {error}"));
        assert!(config.account("work").is_some() && config.accounts.len() > 1, "{old}");
    }
}

#[test]
fn servers_of_ones_own_are_written_on_a_line_each() {
    let (_directory, path) = file("");
    let server = |host: &str, port, tls| Some(Endpoint { host: host.into(), port, tls, ca: None });
    let own = Draft {
        provider: None,
        cloud: None,
        client: Client::default(),
        user: Some("a".into()),
        password_command: Some("pass \"lab\"".into()),
        imap: server("imap.test", 993, Tls::Implicit),
        smtp: server("smtp.test", 587, Tls::StartTls),
        ..draft()
    };
    let shown = own.to_toml();
    let config = add(&path, own).unwrap();
    assert_eq!(config.accounts[0].user, "a");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, shown);
    assert!(text.contains("imap = { host = \"imap.test\", port = 993, tls = \"implicit\" }\n"), "{text}");
}

#[test]
fn a_client_is_named_in_place() {
    let (_directory, path) = file(OLD);
    let named = |account: &str| Change::Name {
        account: account.into(),
        client: Client { id: Some("y".into()), secret_command: Some("pass c".into()) },
    };
    change(&path, named("b")).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let now = OLD.replace("client_id = \"x\"\n", "client_id = \"y\"\nclient_secret_command = \"pass c\"\n");
    assert_eq!(text, now);
    assert!(change(&path, named("c")).is_err());
    let (_directory, bare) =
        file("[accounts.b]\naddress = \"b@gmail.com\"\n[accounts.z]\naddress = \"z@gmail.com\"\n");
    change(&bare, named("b")).unwrap();
    for inline in [
        "[accounts]\nb = { address = \"b@gmail.com\" }\n",
        "[accounts.b]\naddress = \"b@gmail.com\"\noauth = {}\n",
    ] {
        let (_directory, path) = file(inline);
        let config = change(&path, named("b")).unwrap_or_else(|error| panic!("{inline}: {error}"));
        assert!(config.accounts[0].to_toml().contains("client_id = \"y\""), "{inline}");
    }
}

#[test]
fn an_account_turns_to_a_password_where_the_provider_takes_one() {
    let (_directory, path) = file("[accounts.b]\naddress = \"b@gmail.com\"   # mine\n");
    let turned = |account: &str| Change::Password { account: account.into(), command: "pass b".into() };
    change(&path, turned("b")).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let now = "[accounts.b]\naddress = \"b@gmail.com\"   # mine\nauth = \"password\"\npassword_command = \"pass b\"\n";
    assert_eq!(text, now);
    let (_directory, work) = file("[accounts.b]\naddress = \"b@x.test\"\nprovider = \"microsoft\"\n");
    assert!(change(&work, turned("b")).unwrap_err().to_string().contains("cannot be used with a password"));
}

#[test]
fn a_file_that_is_wrong_before_or_after_is_left_alone() {
    let (_directory, path) = file("[accounts.b]\naddres = \"b@gmail.com\"\n");
    assert!(add(&path, draft()).unwrap_err().to_string().contains("config.toml:2:1: unknown field"));
    let (_directory, path) = file(OLD);
    let wrong = Draft { provider: Some("gmial".into()), ..draft() };
    assert!(add(&path, wrong).unwrap_err().to_string().contains("unknown provider"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), OLD);
}
