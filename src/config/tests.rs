//! The configuration from text to meaning.

mod logins;
mod show;

use super::*;
use crate::application::App;
use crate::keeping::{DeletionLimit, OnDelete};
use crate::mail::MailboxName;
use crate::net::Tls;
use crate::provider::Flow;
use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

/// Read once: most of the tests here load many times.
static PROVIDERS: LazyLock<Table> = LazyLock::new(|| Table::built_in().unwrap());

/// The smallest account with servers of its own.
const LAB: &str = "[accounts.lab]\naddress = \"alice@mail.test\"\nauth = \"password\"\npassword_command = \"pass lab\"\n\
                   imap = { host = \"mail.test\" }\n";

fn load_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, Error> {
    let environment = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
    Config::from_text(Path::new("c.toml"), text, environment, Path::new("/home/a"), &PROVIDERS, |_| Ok(()))
}

fn load(text: &str) -> Config {
    load_with(text, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(text: &str) -> String {
    load_with(text, &[]).unwrap_err().to_string()
}

/// The refusal of [`LAB`] with lines added to its table.
fn lab_refusal(lines: &str) -> String {
    refusal(&format!("{LAB}{lines}"))
}

#[test]
fn two_lines_are_an_account() {
    let config = load("[accounts.work]\naddress = \"alice@contoso.com\"\nprovider = \"microsoft\"\n");
    let work = config.account("work").unwrap();
    assert_eq!(work.user, "alice@contoso.com");
    assert_eq!(work.incoming.server().to_string(), "outlook.office365.com:993");
    let smtp = work.smtp.as_ref().unwrap();
    assert_eq!((smtp.to_string().as_str(), smtp.tls), ("smtp.office365.com:587", Tls::StartTls));
    assert_eq!(work.maildir, PathBuf::from("/home/a/Mail/work"));
    assert_eq!(work.outbox, PathBuf::from("/home/a/Outbox/work"));
    assert_eq!(work.idle, [MailboxName::inbox()]);
    assert_eq!(work.sweep, Duration::from_secs(60));
    assert_eq!(work.sent, Sent::Server);
    assert_eq!(work.deletion_limit, DeletionLimit { messages: 20, percent: 25 });
    let Auth::OAuth2(oauth) = &work.auth else { panic!("{:?}", work.auth) };
    assert_eq!(oauth.token_url.as_str(), "https://login.microsoftonline.com/common/oauth2/v2.0/token");
    assert_eq!(oauth.redirect, "http://localhost");
    assert_eq!(oauth.client_id, None);
}

#[test]
fn the_provider_is_found_from_the_domain() {
    let config = load("[accounts.g]\naddress = \"a@gmail.com\"\noauth = { client_id = \"x\" }\n");
    assert_eq!(config.accounts[0].provider.as_deref(), Some("gmail"));
    assert_eq!(config.accounts[0].incoming.server().host, "imap.gmail.com");
}

#[test]
fn tenant_and_cloud_choose_the_endpoints() {
    let config = load(
        "[accounts.w]\naddress = \"a@contoso.us\"\nprovider = \"microsoft\"\noauth = { tenant = \"contoso.us\", cloud = \"us-gov\" }\n",
    );
    let account = &config.accounts[0];
    assert_eq!(account.incoming.server().host, "outlook.office365.us");
    let Auth::OAuth2(oauth) = &account.auth else { panic!("{:?}", account.auth) };
    assert_eq!(oauth.token_url.as_str(), "https://login.microsoftonline.us/contoso.us/oauth2/v2.0/token");
    assert!(oauth.scopes.iter().any(|scope| scope.starts_with("https://outlook.office365.us/IMAP")));
}

#[test]
fn the_example_is_understood_and_shows_every_key() {
    let config = load(EXAMPLE);
    let names: Vec<&str> = config.accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["home", "lab", "old", "team", "work"]);
    for key in keys() {
        let mut words = EXAMPLE.split(|character: char| !character.is_alphanumeric() && character != '_');
        let shown = words.any(|word| word == key);
        assert!(shown, "{key} is missing in the example");
    }
}

#[test]
fn the_example_names_no_file_that_a_new_user_lacks() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), EXAMPLE).unwrap();
    Config::check(file.path(), std::iter::empty(), Path::new("/home/a")).unwrap();
}

/// Every key, as the typed structures themselves tell when they refuse an unknown one.
fn keys() -> Vec<String> {
    let probes = [
        "x = 1",
        "[accounts.a]\nx = 1",
        "[accounts.a.imap]\nx = 1",
        "[accounts.a.pop]\nx = 1",
        "[accounts.a.oauth]\nx = 1",
        "[accounts.a.deletion_limit]\nx = 1",
    ];
    let keys: Vec<String> = probes
        .iter()
        .flat_map(|probe| {
            let message = refusal(probe);
            let expected = message.split_once("expected ").map(|(_, expected)| expected.to_owned());
            let named = expected.unwrap_or_default();
            named.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert!(keys.len() > 35, "{keys:?}");
    keys
}

#[test]
fn contradictions_point_at_their_line() {
    assert_eq!(
        refusal("[accounts.lab]\naddress = \"a@mail.test\"\n"),
        "c.toml:2:11: no provider is known for mail.test; set `provider`, or `host` in [accounts.lab.imap]"
    );
    let text = format!("{LAB}smtp = {{ host = \"mail.test\", tls = \"none\" }}\n");
    let error = load_with(&text, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "c.toml:6:36: `none` is possible only to a loopback address, not to mail.test; expected `implicit` or `starttls`"
    );
    assert_eq!(
        error.excerpt(),
        Some("smtp = { host = \"mail.test\", tls = \"none\" }\n                                   ^^^^^^")
    );
}

#[test]
fn what_contradicts_itself_is_refused() {
    let cases = [
        ("protocol = \"pop3\"", "`imap` has no meaning with protocol = \"pop3\": write the server in `pop`"),
        ("pop = { host = \"mail.test\" }", "`pop` has no meaning without protocol = \"pop3\""),
        ("provider = \"gmail\"", "the imap server is known from provider `gmail`"),
        ("mailboxes = [\"!Junk\"]", "no mailbox would be wanted"),
        ("mailboxes = [\"Work\"]\nidle = [\"INBOX\"]", "`INBOX` is not among the wanted `mailboxes`"),
        ("sweep = \"60\"", "`60` is no duration"),
        ("sweep = \"0s\"", "`0s` is out of range"),
        ("deletion_limit = { percent = 101 }", "at most 100 percent"),
        ("user = \"a\\u0001b\"", "no control characters"),
        ("maildir = \"Mail\"", "`Mail` is no absolute path"),
        ("smtp = { port = 25 }", "the smtp server has no `host`"),
        ("smtp = { host = \"mail.test:25\" }", "without a port"),
        ("oauth = { client_id = \"x\" }", "has no meaning with auth = \"password\""),
        ("outbox = \"/home/a/Mail/lab/Outbox\"", "overlap"),
    ];
    for (lines, expected) in cases {
        let message = lab_refusal(lines);
        assert!(message.contains(expected) && message.starts_with("c.toml:"), "{lines}: {message}");
    }
}

#[test]
fn login_needs_what_it_needs() {
    let oauth = |table: &str| {
        refusal(&format!(
            "[accounts.lab]\naddress = \"a@mail.test\"\nimap = {{ host = \"mail.test\" }}\noauth = {{ {table} }}\n"
        ))
    };
    assert!(oauth("client_id = \"x\"").contains("needs `token_url`"));
    assert!(oauth("token_url = \"http://mail.test/token\"").contains("only to a loopback address"));
    assert!(oauth("token_url = \"mail.test\"").contains("is no URL"));
    assert!(oauth("token_url = \"https://x\", tenant = \"y\"").contains("no meaning without a provider"));
    assert!(oauth("token_url = \"https://x\", redirect = \"http://evil.test\"").contains("loopback address"));
    assert!(
        oauth("token_url = \"https://x\", client_secret = \"s\", client_secret_command = \"c\"")
            .contains("leave one of both out")
    );
    let provider = |name: &str, lines: &str| {
        refusal(&format!("[accounts.lab]\naddress = \"a@b.test\"\nprovider = \"{name}\"\n{lines}\n"))
    };
    assert!(provider("icloud", "").contains("no OAuth2"));
    assert!(provider("gmail", "auth = \"password\"").contains("needs `password_command`"));
    assert!(provider("gmail", "password_command = \"x\"").contains("no meaning without auth"));
    assert!(provider("gmail", "oauth = { scopes = [] }").contains("known from provider `gmail`"));
    assert!(provider("gmail", "oauth = { tenant = \"x\" }").contains("has no tenants"));
    assert!(provider("gmail", "oauth = { cloud = \"dod\" }").contains("unknown cloud `dod`"));
    assert!(provider("microsoft", "oauth = { tenant = \"../x\" }").contains("a tenant id"));
    assert!(
        provider("gmial", "")
            .contains("unknown provider `gmial`, expected one of `aol`, `fastmail`, `gmail`")
    );
}

#[test]
fn a_program_logs_in_by_itself_with_exactly_one_proof() {
    let of = |provider: &str, table: &str| {
        format!("[accounts.a]\naddress = \"a@b.test\"\nprovider = \"{provider}\"\noauth = {{ {table} }}\n")
    };
    let meant = |provider: &str, table: &str| match &load(&of(provider, table)).accounts[0].auth {
        Auth::OAuth2(oauth) => (oauth.app.clone(), oauth.scopes.clone()),
        other => panic!("{other:?}"),
    };
    let refused = |provider: &str, table: &str| refusal(&of(provider, table));
    let tenant = "flow = \"client\", tenant = \"b.test\"";
    let (app, scopes) = meant("microsoft", &format!("{tenant}, client_secret = \"s\""));
    assert_eq!((app, scopes[0].as_str()), (Some(App::Secret), "https://outlook.office365.com/.default"));
    let (app, _) = meant("microsoft", &format!("{tenant}, certificate = \"~/c\", key = \"/k\""));
    let certificate = App::Certificate { certificate: "/home/a/c".into(), key: "/k".into() };
    assert_eq!(app, Some(certificate));
    let (app, _) = meant("gmail", "flow = \"client\", service_account = \"/s.json\"");
    assert_eq!(app, Some(App::ServiceAccount { key: "/s.json".into(), subject: "a@b.test".into() }));
    assert_eq!(meant("microsoft", "flow = \"login\"").0, None);

    assert!(refused("microsoft", tenant).contains("exactly one of"));
    let both = format!("{tenant}, client_secret = \"s\", service_account = \"/s\"");
    assert!(refused("microsoft", &both).contains("exactly one of"));
    assert!(refused("microsoft", &format!("{tenant}, certificate = \"/c\"")).contains("exactly one of"));
    assert!(refused("microsoft", "flow = \"client\", client_secret = \"s\"").contains("needs `tenant`"));
    assert!(refused("microsoft", &format!("{tenant}, service_account = \"/s\"")).contains("not possible"));
    assert!(refused("gmail", "flow = \"client\", client_secret = \"s\"").contains("not possible"));
    assert!(refused("microsoft", "key = \"/k\"").contains("no meaning without flow = \"client\""));
}

#[test]
fn loopback_may_be_in_the_clear() {
    let config = load(
        "[accounts.lab]\naddress = \"a@mail.test\"\nimap = { host = \"127.0.0.1\", port = 1143, tls = \"none\" }\n\
         oauth = { client_id = \"x\", token_url = \"http://127.0.0.1:9000/token\" }\n",
    );
    let server = config.accounts[0].incoming.server();
    assert_eq!((server.tls, server.port), (Tls::None, 1143));
    assert_eq!(config.accounts[0].smtp, None);
    let Auth::OAuth2(oauth) = &config.accounts[0].auth else { panic!("{config:?}") };
    assert_eq!(oauth.token_hosts, ["127.0.0.1"]);
}

#[test]
fn accounts_keep_out_of_each_others_directories() {
    let two = |one: &str, other: &str| {
        let second = LAB.replace("accounts.lab", "accounts.two");
        load_with(&format!("{LAB}{one}\n{second}{other}\n"), &[]).map_err(|error| error.to_string())
    };
    assert!(two("", "").is_ok());
    assert!(
        two("", "maildir = \"~/Mail/lab\"")
            .unwrap_err()
            .starts_with("c.toml:12:11: the maildir /home/a/Mail/lab of `two`")
    );
    assert!(two("maildir = \"~/Mail\"", "").unwrap_err().contains("overlap"));
    assert!(two("", "outbox = \"~/Mail/lab/x\"").unwrap_err().contains("overlap"));
    assert!(two("", "maildir = \"~/Mail/labs\"").is_ok());
}

#[test]
fn account_names_are_fit_for_directories() {
    for name in [".hidden", "a/b", "..", "", "a b", "é", "-v"] {
        let message = refusal(&LAB.replace("accounts.lab", &format!("accounts.\"{name}\"")));
        assert!(message.contains("is no account name"), "{message}");
    }
    assert!(load_with(&LAB.replace("accounts.lab", "accounts.\"a.b_c-1\""), &[]).is_ok());
}

#[test]
fn the_environment_overrides_and_is_blamed() {
    let config = load_with(LAB, &[("POSTHASTE_ACCOUNTS__LAB__SWEEP", "5s")]).unwrap();
    assert_eq!(config.accounts[0].sweep, Duration::from_secs(5));
    let wrong = load_with(LAB, &[("POSTHASTE_ACCOUNTS__LAB__SWEEP", "5")]).unwrap_err();
    assert!(wrong.to_string().starts_with("POSTHASTE_ACCOUNTS__LAB__SWEEP: `5` is no duration"));
    let typo = load_with(LAB, &[("POSTHASTE_ACCOUNTS__LBA__SWEEP", "5s")]).unwrap_err();
    assert!(typo.to_string().starts_with("POSTHASTE_ACCOUNTS__LBA__SWEEP: account `lba` has no `address`"));
}

#[test]
fn a_missing_file_says_how_to_begin() {
    use crate::error::Classified;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    let error = Config::load(&path, std::iter::empty(), Path::new("/home/a")).unwrap_err();
    assert!(error.to_string().contains("config.toml"));
    assert!(error.hint().unwrap().contains("posthaste config example"));
}

#[test]
fn a_slip_in_a_key_a_word_or_a_variable_is_recognised() {
    use crate::error::Classified;
    let hint = |text: &str, variables: &[(&str, &str)]| load_with(text, variables).unwrap_err().hint();
    let meant = |word: &str| Some(format!("did you mean `{word}`?"));
    assert_eq!(hint(&format!("{LAB}swep = \"5s\""), &[]), meant("sweep"));
    assert_eq!(hint(&format!("{LAB}on_delete = \"trsh\""), &[]), meant("trash"));
    assert_eq!(hint("[accounts.w]\naddress = \"a@b.test\"\nprovider = \"gmial\"", &[]), meant("gmail"));
    assert_eq!(hint(LAB, &[("POSTHASTE_ACCOUNTS__LAB__SWEPE", "5s")]), meant("sweep"));
    assert_eq!(hint(&format!("{LAB}sweep = \"5\""), &[]), None);
}

#[test]
fn a_check_looks_at_every_trust_anchor() {
    let directory = tempfile::tempdir().unwrap();
    let (file, ca) = (directory.path().join("c.toml"), directory.path().join("ca.pem"));
    let with_ca = LAB.replace("host = \"mail.test\"", &format!("host = \"mail.test\", ca = {ca:?}"));
    std::fs::write(&file, with_ca).unwrap();
    let check = || Config::check(&file, std::iter::empty(), Path::new("/home/a"));
    let refused = || {
        let error = check().unwrap_err();
        assert!(error.excerpt().unwrap().contains("ca = "), "the key is shown: {error:?}");
        error.to_string()
    };
    assert!(refused().contains("c.toml:5:") && refused().contains("No such file"), "{}", refused());
    assert!(Config::load(&file, std::iter::empty(), Path::new("/home/a")).is_ok(), "a start goes on");
    for content in ["", "no certificate\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    {
        std::fs::write(&ca, content).unwrap();
        assert!(refused().contains("ca.pem"), "{content:?}: {}", refused());
    }
}

proptest! {
    #[test]
    fn no_text_and_no_variable_makes_it_panic(text in "(\\[accounts\\.|lab|\\]|\\.|=|\"|client_secret|imap|\\{|\\n|\\t|ü|.){0,40}", value in ".{0,20}") {
        let variables = [("POSTHASTE_ACCOUNTS__LAB__SWEEP", value.as_str()), ("POSTHASTE_ACCOUNTS__LAB__IDLE", &value)];
        if let Err(error) = load_with(&text, &variables) {
            prop_assert!(!error.to_string().is_empty());
        }
        let broken_lab = format!("{LAB}{text}");
        if let Err(error) = load_with(&broken_lab, &[]) {
            prop_assert!(error.to_string().starts_with("c.toml:"));
        }
    }
}

/// The smallest account that fetches by POP3.
const DROP: &str = "[accounts.drop]\naddress = \"alice@mail.test\"\nauth = \"password\"\n\
                    password_command = \"pass drop\"\nprotocol = \"pop3\"\n";

#[test]
fn a_maildrop_is_polled_into_inbox_and_keeps_what_is_on_the_server() {
    let config = load(&format!("{DROP}pop = {{ host = \"mail.test\" }}\n"));
    let account = &config.accounts[0];
    let Incoming::Pop(pop) = &account.incoming else { panic!("{account:?}") };
    assert_eq!((pop.server.to_string().as_str(), pop.delete_after), ("mail.test:995", None));
    assert!(account.poll_only && account.idle.is_empty() && account.on_delete == OnDelete::Keep);
    assert!(account.mailboxes.wants(&MailboxName::inbox()));
    assert!(!account.mailboxes.wants(&MailboxName::new("Archive")));
    assert_eq!(load(&account.to_toml()), config);
    let limit = "deletion_limit = { messages = 1 }";
    let config = load(&format!("{DROP}{limit}\npop = {{ host = \"mail.test\" }}\n"));
    assert_eq!(config.accounts[0].deletion_limit.messages, 1);
    assert_eq!(load(&config.accounts[0].to_toml()), config);
    let table = "[accounts.drop.pop]\nhost = \"mail.test\"\ntls = \"starttls\"\ndelete_after = \"14d\"\n";
    let config = load(&format!("{DROP}{limit}\n{table}"));
    assert_eq!(config.accounts[0].deletion_limit.messages, 1);
    let Incoming::Pop(pop) = &config.accounts[0].incoming else { panic!("{config:?}") };
    assert_eq!((pop.server.port, pop.delete_after), (110, Some(Duration::from_secs(14 * 24 * 3600))));
    assert_eq!(load(&config.accounts[0].to_toml()), config);
}

#[test]
fn what_has_no_meaning_for_a_maildrop_is_refused_with_what_to_write_instead() {
    for (lines, expected) in [
        ("mailboxes = [\"*\"]", "`mailboxes` has no meaning with protocol = \"pop3\""),
        ("idle = [\"INBOX\"]", "`sweep` says how often"),
        ("poll_only = true", "`sweep` says how often"),
        ("on_delete = \"keep\"", "see `delete_after` in `pop`"),
        ("imap = { host = \"mail.test\" }", "write the server in `pop`"),
        ("pop = { host = \"mail.test\", delete_after = \"0s\" }", "expected at least 1s"),
        ("pop = { host = \"mail.test\", delete_after = \"14\" }", "`14` is no duration"),
        ("pop = { delete_after = \"14d\" }", "no provider is known for mail.test"),
        (
            "provider = \"gmail\"\npop = { host = \"mail.test\" }",
            "the pop server is known from provider `gmail`",
        ),
    ] {
        let message = refusal(&format!("{DROP}{lines}\n"));
        assert!(message.contains(expected) && message.starts_with("c.toml:"), "{lines}: {message}");
    }
}

#[test]
fn a_provider_brings_the_server_and_the_scopes_of_its_maildrop() {
    let text =
        "[accounts.work]\naddress = \"alice@contoso.com\"\nprovider = \"microsoft\"\nprotocol = \"pop3\"\n";
    let config = load(&format!("{text}pop = {{ delete_after = \"14d\" }}\n"));
    let work = &config.accounts[0];
    assert_eq!(work.incoming.server().to_string(), "outlook.office365.com:995");
    let Auth::OAuth2(oauth) = &work.auth else { panic!("{work:?}") };
    assert!(oauth.scopes.iter().any(|scope| scope.ends_with("/POP.AccessAsUser.All")), "{:?}", oauth.scopes);
    assert!(!oauth.scopes.iter().any(|scope| scope.contains("IMAP")), "{:?}", oauth.scopes);
    assert_eq!(load(&work.to_toml()), config);
    let icloud = "[accounts.a]\naddress = \"a@icloud.com\"\nprotocol = \"pop3\"\n";
    assert!(refusal(icloud).contains("provider `icloud` has no POP3 server, expected `imap`"));
}
