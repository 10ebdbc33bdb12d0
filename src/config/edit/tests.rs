//! The file before and after a change.

use super::*;
use crate::net::{Endpoint, Tls};
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

const OLD: &str = "# mine\nmaildir_root = \"~/M\"   # aligned\n\n[accounts.b]   # first\naddress = \"b@gmail.com\"\n\
                   [accounts.b.oauth]\n# the client of the team\nclient_id = \"x\"\n\n# the end\n";

fn draft() -> Draft {
    Draft {
        name: "work".into(),
        address: Some("a@contoso.test".into()),
        provider: Some("microsoft".into()),
        client: Client { id: Some("c".into()), cloud: Some("us-gov".into()), ..Client::default() },
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
fn a_link_stays_a_link_though_its_target_is_still_missing() {
    let home = tempfile::tempdir().unwrap();
    let link = home.path().join("config.toml");
    std::os::unix::fs::symlink("dotfiles/mail/config.toml", &link).unwrap();
    add(&link, draft()).unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    let target = home.path().join("dotfiles/mail/config.toml");
    assert!(std::fs::read_to_string(target).unwrap().contains("[accounts.work]"));
}

#[test]
fn what_a_crash_left_behind_is_in_nobodys_way_and_goes() {
    let (_directory, path) = file(OLD);
    let left = path.with_file_name(".config.toml.new");
    std::fs::write(&left, "[accounts.ha").unwrap();
    add(&path, draft()).unwrap();
    assert!(!left.exists());
    assert!(std::fs::read_to_string(&path).unwrap().starts_with(OLD));
}

#[test]
fn of_two_that_add_at_once_neither_is_lost() {
    let (_directory, path) = file(OLD);
    let named = |number: usize| Draft { name: format!("work{number}"), ..draft() };
    std::thread::scope(|scope| {
        for number in 0..8 {
            let path = &path;
            scope.spawn(move || add(path, named(number)).unwrap());
        }
    });
    let config = Config::load(&path, std::iter::empty(), Path::new("/home/a")).unwrap();
    assert_eq!(config.accounts.len(), 9);
}

#[test]
fn a_file_that_cannot_be_written_gets_the_table_to_be_pasted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("no-directory/config.toml");
    std::fs::write(directory.path().join("no-directory"), "").unwrap();
    let error = add(&path, draft()).unwrap_err();
    assert!(error.to_string().starts_with("cannot write "), "{error}");
    let hint = crate::error::Classified::hint(&error).unwrap();
    assert!(hint.contains("\n[accounts.work]\naddress = \"a@contoso.test\"\n"), "{hint}");
}

#[test]
fn every_way_to_write_tables_is_met_and_its_comments_stay() {
    let new = "[accounts.work]\naddress = \"a@contoso.test\"\nprovider = \"microsoft\"\n\n\
               [accounts.work.oauth]\nclient_id = \"c\"\ncloud = \"us-gov\"\n";
    let inline = "work = { address = \"a@contoso.test\", provider = \"microsoft\", oauth = { client_id = \"c\", cloud = \"us-gov\" } }";
    for (old, expected) in [
        ("# a\naccounts.b.address = \"b@gmail.com\" # b\n\n# end\n", None),
        (
            "# a\naccounts = { b = { address = \"b@gmail.com\" } } # b\n\n# end\n",
            Some(format!(
                "# a\naccounts = {{ b = {{ address = \"b@gmail.com\" }} , {inline} }} # b\n\n# end\n"
            )),
        ),
        (
            "[accounts] # a\n# b\nb = { address = \"b@gmail.com\" }\n# c\n[accounts.c]\naddress = \"c@gmail.com\" # end",
            None,
        ),
        ("[accounts.\"x.y\"] # a\naddress = \"c@gmail.com\"\n# end\n", None),
        ("# only words\n", None),
    ] {
        let (_directory, path) = file(old);
        let config = add(&path, draft()).unwrap_or_else(|error| panic!("{old}: {error}"));
        assert!(config.account("work").is_some(), "{old}");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, expected.unwrap_or_else(|| format!("{}\n\n{new}", old.trim_end())), "{old}");
    }
}

#[test]
fn line_ends_of_windows_are_read() {
    let (_directory, path) = file("[accounts.\"x.y\"]\r\naddress = \"c@gmail.com\"\r\n");
    assert_eq!(add(&path, draft()).unwrap().accounts.len(), 2);
}

#[test]
fn servers_of_ones_own_are_written_on_a_line_each() {
    let (_directory, path) = file("");
    let server =
        |host: &str, port, tls| Some(Server::from(Endpoint { host: host.into(), port, tls, ca: None }));
    let own = Draft {
        provider: None,
        client: Client::default(),
        user: Some("a".into()),
        password_command: Some("pass \"lab\"".into()),
        incoming: server("imap.test", 993, Tls::Implicit),
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

/// What changes in an account.
fn set(account: &str, draft: Draft) -> Change {
    Change::Set(Box::new(Draft { name: account.into(), ..draft }))
}

fn client(id: &str, secret_command: Option<&str>) -> Draft {
    let secret_command = secret_command.map(str::to_owned);
    Draft { client: Client { id: Some(id.into()), secret_command, ..Client::default() }, ..Draft::default() }
}

fn password(command: &str) -> Draft {
    Draft { password_command: Some(command.into()), ..Draft::default() }
}

#[test]
fn a_client_is_named_in_place() {
    let (_directory, path) = file(OLD);
    change(&path, set("b", client("y", Some("pass c")))).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let now = OLD.replace("client_id = \"x\"\n", "client_id = \"y\"\nclient_secret_command = \"pass c\"\n");
    assert_eq!(text, now);
    assert!(change(&path, set("c", client("y", None))).is_err());
    let (_directory, bare) =
        file("[accounts.b]\naddress = \"b@gmail.com\"\n[accounts.z]\naddress = \"z@gmail.com\"\n");
    change(&bare, set("b", client("y", None))).unwrap();
    for inline in [
        "[accounts]\nb = { address = \"b@gmail.com\" }\n",
        "[accounts.b]\naddress = \"b@gmail.com\"\noauth = {}\n",
    ] {
        let (_directory, path) = file(inline);
        let config =
            change(&path, set("b", client("y", None))).unwrap_or_else(|error| panic!("{inline}: {error}"));
        assert!(config.accounts[0].to_toml().contains("client_id = \"y\""), "{inline}");
    }
}

#[test]
fn what_is_said_twice_changes_nothing() {
    let (_directory, path) =
        file("[accounts.b]\naddress = 'b@gmail.com'\n[accounts.b.oauth]\nclient_id = 'x'\n");
    let edited = |draft| edit(&path, std::iter::empty(), Path::new("/home/a"), &set("b", draft)).unwrap();
    assert!(!edited(client("x", None)));
    assert!(edited(client("y", None)));
    assert!(!edited(client("y", None)));
}

#[test]
fn a_secret_in_the_file_gives_way_to_a_command() {
    let (_directory, path) = file(
        "[accounts.b]\naddress = \"b@gmail.com\"\noauth = { client_id = \"x\", client_secret = \"s\" } # mine\n",
    );
    let draft = Draft {
        client: Client { secret_command: Some("pass c".into()), ..Client::default() },
        ..Draft::default()
    };
    change(&path, set("b", draft)).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("client_id = \"x\"") && text.ends_with("# mine\n"), "{text}");
    assert!(
        !text.contains("client_secret =") && text.contains("client_secret_command = \"pass c\""),
        "{text}"
    );
}

#[test]
fn an_account_turns_to_a_password_where_the_provider_takes_one_and_back() {
    let bare = "[accounts.b]\naddress = \"b@gmail.com\"   # mine\n";
    let turned = format!("{bare}auth = \"password\"\npassword_command = \"pass b\"\n");
    for oauth in ["", "\n[accounts.b.oauth]\nclient_id = \"x\"\n", "oauth.client_id = \"x\"\n"] {
        let (_directory, path) = file(&format!("{bare}{oauth}"));
        change(&path, set("b", password("pass b"))).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), turned, "{oauth}");
        change(&path, set("b", client("x", None))).unwrap();
        let back = std::fs::read_to_string(&path).unwrap();
        assert_eq!(back, format!("{bare}\n[accounts.b.oauth]\nclient_id = \"x\"\n"));
    }
    let (_directory, work) = file("[accounts.b]\naddress = \"b@x.test\"\nprovider = \"microsoft\"\n");
    let refused = change(&work, set("b", password("pass b"))).unwrap_err();
    assert!(refused.to_string().contains("cannot be used with a password"));
    let written = "[accounts.b]\naddress = \"b@gmail.com\"\n[accounts.b.oauth]\nclient_id = \"x\"\nclient_secret = \"s\"\n";
    let (_directory, held) = file(written);
    let refused = change(&held, set("b", password("pass b"))).unwrap_err();
    assert!(refused.to_string().contains("would be lost"), "{refused}");
    assert_eq!(std::fs::read_to_string(&held).unwrap(), written);
}

#[test]
fn a_server_is_corrected_key_by_key() {
    let old = "[accounts.b]\naddress = \"b@own.test\"\nauth = \"password\"\npassword_command = \"true\"\n\
               imap = { host = \"wrong.test\", port = 993, ca = \"/ca.pem\" } # here\n";
    let (_directory, path) = file(old);
    let at = Endpoint { host: "right.test".into(), port: 143, tls: Tls::StartTls, ca: None };
    let draft = Draft { incoming: Some(at.into()), ..Draft::default() };
    let config = change(&path, set("b", draft)).unwrap();
    let server = config.accounts[0].incoming.server();
    assert_eq!((server.host.as_str(), server.port, server.tls), ("right.test", 143, Tls::StartTls));
    assert_eq!(server.ca.as_deref(), Some(Path::new("/ca.pem")));
    assert!(std::fs::read_to_string(&path).unwrap().contains("} # here\n"));
}

#[test]
fn a_secret_is_kept_for_its_owner_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("posthaste/b.password");
    for secret in ["first", "second"] {
        keep_secret(&path, &secret.into()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), secret);
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    }
}

#[test]
fn a_file_that_is_wrong_before_or_after_is_left_alone() {
    let (_directory, path) = file("[accounts.b]\naddres = \"b@gmail.com\"\n");
    assert!(add(&path, draft()).unwrap_err().to_string().contains("config.toml:2:1: unknown key"));
    let (_directory, path) = file(OLD);
    let wrong = Draft { provider: Some("gmial".into()), ..draft() };
    assert!(add(&path, wrong).unwrap_err().to_string().contains("unknown provider"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), OLD);
}
