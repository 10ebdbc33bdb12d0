//! A person's home, and what the world knows of the mail of some domains.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::Host;
use crate::support::process::Home;
use crate::support::resolver::Resolver;

/// What stands in the file of every new account at Google.
pub(crate) const MAILBOXES: &str =
    "mailboxes = [\"*\", \"![Gmail]/All Mail\", \"![Gmail]/Important\", \"![Gmail]/Starred\"]\n";

pub(crate) const OLD: &str = "# my mail\nmaildir_root = \"~/M\"   # short\n\n# the first one\n[accounts.home]\naddress = \"me@icloud.com\"\n\
                   auth = \"password\"   # made for this machine\npassword_command = \"pass icloud\"\n\n# the end\n";

pub(crate) fn home() -> Home {
    Home::new(env!("CARGO_BIN_EXE_posthaste"))
}

pub(crate) fn config(home: &Home) -> String {
    fs::read_to_string(home.config()).unwrap_or_default()
}

pub(crate) fn told(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

pub(crate) fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

/// A resolver by which Microsoft receives the mail of `contoso.test` and Google that of `school.test`.
pub(crate) fn resolver() -> Resolver {
    Resolver::start(&[
        ("contoso.test", &["contoso-test.mail.protection.outlook.com"]),
        ("school.test", &["aspmx.l.google.com", "alt1.aspmx.l.google.com"]),
        ("own.test", &["mx.own.test"]),
    ])
}

/// What a provider publishes about a host, with tokens or passwords.
pub(crate) fn autoconfig(host: &Host, home: &Home, authentication: &str) -> PathBuf {
    let file = home.dir().join("config.xml");
    let server = |tag: &str, kind: &str, port: u16| {
        format!(
            "<{tag} type=\"{kind}\"><hostname>localhost</hostname><port>{port}</port><socketType>SSL</socketType>\
             <username>%EMAILLOCALPART%</username><authentication>{authentication}</authentication></{tag}>"
        )
    };
    let ports = host.dovecot.ports;
    let text = format!(
        "<clientConfig version=\"1.1\"><emailProvider id=\"mail.test\">{}{}</emailProvider>\
         <oAuth2><scope>mail</scope><authURL>{}</authURL><tokenURL>{}</tokenURL></oAuth2></clientConfig>",
        server("incomingServer", "imap", ports.imaps),
        server("outgoingServer", "smtp", ports.submissions),
        host.tokens.token_url(),
        host.tokens.token_url(),
    );
    fs::write(&file, text).unwrap();
    file
}

pub(crate) fn run(host: &Host, home: &Home, arguments: &[&str], input: &str) -> Output {
    use std::io::Write;
    let mut command = home.command(arguments);
    command.env("SSL_CERT_FILE", host.ca()).stdin(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}
