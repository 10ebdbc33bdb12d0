//! Dovecot's configuration in the words of the installed version; each setting was needed.
//!
//! 2.4 renamed half of the settings and refuses the old names: what differs is side by side in the matches over
//! [`Version`]. Both are made to behave the same.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use super::{Options, Owner, PASSWORD, Ports, program};

/// The syntax that the installed Dovecot reads.
#[derive(Clone, Copy)]
enum Version {
    V23,
    V24,
}

impl Version {
    fn installed() -> Version {
        static VERSION: OnceLock<Version> = OnceLock::new();
        *VERSION.get_or_init(|| {
            let output = Command::new(program()).arg("--version").output().expect("dovecot can be run");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            match said.split('.').take(2).collect::<Vec<_>>()[..] {
                ["2", "3"] => Version::V23,
                ["2", "4"] => Version::V24,
                _ => panic!("the tests can configure Dovecot 2.3 and 2.4; this one is {}", said.trim()),
            }
        })
    }
}

/// What the configuration depends on.
pub(super) struct Conf<'a> {
    pub(super) dir: &'a Path,
    pub(super) ports: &'a Ports,
    pub(super) options: &'a Options,
    pub(super) owner: &'a Owner,
    pub(super) relay: u16,
    pub(super) introspection: &'a str,
}

impl Conf<'_> {
    /// Writes `dovecot.conf`, and `oauth2.conf` for 2.3, which wants it in a file of its own.
    pub(super) fn write(&self) {
        let version = Version::installed();
        if matches!(version, Version::V23) {
            fs::write(self.dir.join("oauth2.conf"), self.oauth2("username_format = %u")).unwrap();
        }
        fs::write(self.dir.join("dovecot.conf"), self.main(version)).unwrap();
    }

    fn main(&self, version: Version) -> String {
        let dialect = match version {
            Version::V23 => self.dialect_23(),
            Version::V24 => self.dialect_24(),
        };
        [
            dialect,
            self.basics(),
            services(self.ports, version),
            namespace(self.options.separator),
            self.imap(version),
            self.submission(),
            self.options.extra.clone(),
        ]
        .join("\n")
    }

    fn basics(&self) -> String {
        format!(
            "protocols = imap pop3 submission lmtp\nbase_dir = {dir}/run\nstate_dir = {dir}/state\n\
             log_path = {dir}/dovecot.log\nlisten = 127.0.0.1\nhostname = localhost\n{settings}\
             first_valid_uid = 0\nssl = yes\nauth_mechanisms = plain login xoauth2 oauthbearer\n\
             auth_failure_delay = 0\nauth_cache_size = 0\nmail_max_userip_connections = 500\nmail_fsync = never\n",
            dir = self.dir.display(),
            settings = self.owner.settings,
        )
    }

    /// TLS, users and the place of mail as 2.3 calls them.
    fn dialect_23(&self) -> String {
        let (uid, gid) = self.owner.mail.split_once(':').unwrap();
        format!(
            "ssl_cert = <{dir}/cert.pem\nssl_key = <{dir}/key.pem\ndisable_plaintext_auth = no\n\
             auth_username_format = %Ln\nmail_location = mdbox:~/mail\n\
             passdb {{\n driver = oauth2\n mechanisms = xoauth2 oauthbearer\n args = {dir}/oauth2.conf\n}}\n\
             passdb {{\n driver = static\n mechanisms = plain login\n args = password={PASSWORD}\n}}\n\
             userdb {{\n driver = static\n args = uid={uid} gid={gid} home={dir}/mail/%u allow_all_users=yes\n}}\n",
            dir = self.dir.display(),
        )
    }

    /// The same for 2.4, which wants its versions first. A token asks no passdb there.
    fn dialect_24(&self) -> String {
        let (uid, gid) = self.owner.mail.split_once(':').unwrap();
        format!(
            "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n\
             ssl_server_cert_file = {dir}/cert.pem\nssl_server_key_file = {dir}/key.pem\n\
             auth_allow_cleartext = yes\nauth_username_format = %{{user | username | lower}}\n\
             mail_driver = mdbox\nmail_path = ~/mail\n\
             oauth2 {{\n{oauth2}}}\n\
             passdb static {{\n password = {PASSWORD}\n}}\n\
             userdb static {{\n allow_all_users = yes\n\
             \x20fields {{\n  uid = {uid}\n  gid = {gid}\n  home = {dir}/mail/%{{user}}\n }}\n}}\n",
            dir = self.dir.display(),
            oauth2 = self.oauth2("username_validation_format = %{user}"),
        )
    }

    fn oauth2(&self, username_format: &str) -> String {
        format!(
            "introspection_mode = post\nintrospection_url = {}\nforce_introspection = yes\n\
             active_attribute = active\nactive_value = true\nusername_attribute = user\n{username_format}\n",
            self.introspection
        )
    }

    /// Compression is a plugin in 2.3 and always there in 2.4.
    fn imap(&self, version: Version) -> String {
        let capability = match (&self.options.imap_capability, self.options.compress, version) {
            (Some(line), ..) => format!(" imap_capability = {line}\n"),
            (None, true, Version::V23) => " mail_plugins = imap_zlib\n".to_owned(),
            (None, false, Version::V24) => " imap_capability {\n  \"COMPRESS=DEFLATE\" = no\n }\n".to_owned(),
            (None, false, Version::V23) | (None, true, Version::V24) => String::new(),
        };
        format!("protocol imap {{\n{capability}}}\n")
    }

    fn submission(&self) -> String {
        let mut lines =
            format!("submission_relay_host = 127.0.0.1\nsubmission_relay_port = {}\n", self.relay);
        if self.options.submission_limit > 0 {
            lines.push_str(&format!("submission_max_mail_size = {}\n", self.options.submission_limit));
        }
        lines
    }
}

/// The listeners. No chroot: only root could, and nothing hostile logs in here. Without anvil's penalty listener
/// repeated refusals are not slowed down by seconds.
fn services(ports: &Ports, version: Version) -> String {
    let endless = match version {
        Version::V23 => "service_count = 0",
        Version::V24 => "restart_request_count = unlimited",
    };
    let login = |name: &str, waiting: u8, plain: (&str, u16), tls: (&str, u16)| {
        format!(
            "service {name} {{\n chroot =\n {endless}\n process_min_avail = {waiting}\n\
             \x20inet_listener {} {{\n  port = {}\n }}\n inet_listener {} {{\n  port = {}\n  ssl = yes\n }}\n}}\n",
            plain.0, plain.1, tls.0, tls.1
        )
    };
    [
        login("imap-login", 1, ("imap", ports.imap), ("imaps", ports.imaps)),
        // Most tests need no POP3: it starts with the first who does.
        login("pop3-login", 0, ("pop3", ports.pop), ("pop3s", ports.pops)),
        login("submission-login", 1, ("submission", ports.submission), ("submissions", ports.submissions)),
        format!("service lmtp {{\n chroot =\n inet_listener lmtp {{\n  port = {}\n }}\n}}\n", ports.lmtp),
        "service imap {\n process_limit = 1500\n}\nservice anvil {\n chroot =\n unix_listener anvil-auth-penalty {\n  mode = 0\n }\n}\nservice stats {\n chroot =\n}\n"
            .to_owned(),
    ]
    .concat()
}

fn namespace(separator: char) -> String {
    let uses = [("Sent", "Sent"), ("Trash", "Trash"), ("Drafts", "Drafts"), ("Junk", "Junk")];
    let mailboxes: String = uses
        .iter()
        .map(|(name, special)| {
            format!(" mailbox {name} {{\n  special_use = \\{special}\n  auto = subscribe\n }}\n")
        })
        .collect();
    format!("namespace inbox {{\n inbox = yes\n separator = {separator}\n{mailboxes}}}\n")
}
