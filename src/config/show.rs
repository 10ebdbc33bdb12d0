//! An account as meant, written as TOML again: what `config show` prints.
//!
//! Reading it back gives the same account, so what is shown is what is done; a test keeps that. A client's secret is
//! never written, and what a provider's row supplies stands in comments, because the file may not repeat it.

use super::account::{Account, Auth, Credential, Incoming, OAuth2, Pop, Secret, Sent};
use super::duration;
use crate::application::App;
use crate::keeping::{Layout, LineEndings, OnDelete};
use crate::net::{Endpoint, Tls};
use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};
use std::path::Path;

impl Account {
    /// The account as a TOML table with every key that has an effect.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let name = key(&self.name);
        writeln!(out, "[accounts.{name}]")?;
        line(out, "address", quoted(&self.address))?;
        line(out, "user", quoted(&self.user))?;
        if self.login != self.user {
            line(out, "login_as", quoted(&self.login))?;
        }
        if let Some(provider) = &self.provider {
            line(out, "provider", quoted(provider))?;
        }
        if matches!(self.incoming, Incoming::Pop(_)) {
            line(out, "protocol", quoted("pop3"))?;
        }
        match &self.auth {
            Auth::OAuth2(_) => line(out, "auth", quoted("oauth2"))?,
            Auth::Password { secret } => {
                line(out, "auth", quoted("password"))?;
                write_secret(out, "password", secret)?;
            }
        }
        self.write_keeping(out)?;
        let comment = if self.provider.is_some() { "# " } else { "" };
        self.write_incoming(out, &name, comment)?;
        if let Some(server) = &self.smtp {
            write_server(out, &format!("{name}.smtp"), server, comment)?;
        }
        match &self.auth {
            Auth::OAuth2(oauth) => write_oauth(out, &name, oauth, comment),
            Auth::Password { .. } => Ok(()),
        }
    }

    fn write_incoming(&self, out: &mut String, name: &str, comment: &str) -> fmt::Result {
        let table = self.incoming.table();
        write_server(out, &format!("{name}.{table}"), self.incoming.server(), comment)?;
        let Incoming::Pop(Pop { delete_after: Some(after), .. }) = &self.incoming else { return Ok(()) };
        if !comment.is_empty() && self.incoming.server().ca.is_none() {
            writeln!(out, "\n[accounts.{name}.{table}]")?;
        }
        line(out, "delete_after", quoted(&duration::write(*after)))
    }

    fn write_keeping(&self, out: &mut String) -> fmt::Result {
        line(out, "maildir", quoted(&self.maildir.to_string_lossy()))?;
        line(out, "outbox", quoted(&self.outbox.to_string_lossy()))?;
        line(
            out,
            "layout",
            quoted(match self.layout {
                Layout::Nested => "nested",
                Layout::MaildirPlusPlus => "maildir++",
            }),
        )?;
        line(out, "sweep", quoted(&duration::write(self.sweep)))?;
        if matches!(self.incoming, Incoming::Imap(_)) {
            self.write_two_way(out)?;
        }
        self.write_limit(out)?;
        line(
            out,
            "sent",
            quoted(match self.sent {
                Sent::Append => "append",
                Sent::Server => "server",
                Sent::None => "none",
            }),
        )?;
        line(
            out,
            "line_endings",
            quoted(match self.line_endings {
                LineEndings::Lf => "lf",
                LineEndings::Crlf => "crlf",
            }),
        )
    }

    /// What has a meaning only where mail goes both ways.
    fn write_two_way(&self, out: &mut String) -> fmt::Result {
        line(out, "mailboxes", list(self.mailboxes.globs()))?;
        line(out, "idle", list(self.idle.iter().map(ToString::to_string)))?;
        line(
            out,
            "on_delete",
            quoted(match self.on_delete {
                OnDelete::Trash => "trash",
                OnDelete::Expunge => "expunge",
                OnDelete::Keep => "keep",
            }),
        )?;
        line(out, "poll_only", self.poll_only)
    }

    /// When deletions wait for an approval.
    fn write_limit(&self, out: &mut String) -> fmt::Result {
        let limit = self.deletion_limit;
        line(
            out,
            "deletion_limit",
            format!("{{ messages = {}, percent = {} }}", limit.messages, limit.percent),
        )
    }
}

fn write_server(out: &mut String, table: &str, server: &Endpoint, comment: &str) -> fmt::Result {
    let tls = match server.tls {
        Tls::Implicit => "implicit",
        Tls::StartTls => "starttls",
        Tls::None => "none",
    };
    let own = if server.ca.is_some() { "" } else { comment };
    writeln!(out, "\n{own}[accounts.{table}]")?;
    writeln!(out, "{comment}host = {}", quoted(&server.host))?;
    writeln!(out, "{comment}port = {}", server.port)?;
    writeln!(out, "{comment}tls = {}", quoted(tls))?;
    match &server.ca {
        Some(ca) => line(out, "ca", quoted(&ca.to_string_lossy())),
        None => Ok(()),
    }
}

fn write_oauth(out: &mut String, name: &str, oauth: &OAuth2, comment: &str) -> fmt::Result {
    writeln!(out, "\n[accounts.{name}.oauth]")?;
    if let Some(client_id) = &oauth.client_id {
        line(out, "client_id", quoted(client_id))?;
    }
    if let Some(secret) = &oauth.client_secret {
        write_secret(out, "client_secret", secret)?;
    }
    write_app(out, oauth.app.as_ref())?;
    for (key, choice) in [("tenant", &oauth.tenant), ("cloud", &oauth.cloud)] {
        if let Some(choice) = choice {
            line(out, key, quoted(choice))?;
        }
    }
    let urls = [
        ("authorize_url", oauth.authorize_url.as_ref()),
        ("token_url", Some(&oauth.token_url)),
        ("device_url", oauth.device_url.as_ref()),
        ("revoke_url", oauth.revoke_url.as_ref()),
    ];
    for (key, url) in urls {
        if let Some(url) = url {
            writeln!(out, "{comment}{key} = {}", quoted(url.as_str()))?;
        }
    }
    writeln!(out, "{comment}redirect = {}", quoted(&oauth.redirect))?;
    writeln!(out, "{comment}scopes = {}", list(oauth.scopes.iter().cloned()))?;
    match oauth.parameters.is_empty() {
        true => Ok(()),
        false => writeln!(out, "{comment}parameters = {}", map(&oauth.parameters)),
    }
}

/// Where a secret comes from; never the secret.
fn write_secret(out: &mut String, key: &str, secret: &Secret) -> fmt::Result {
    match secret {
        Secret::Value(_) => writeln!(out, "# {key} is set and not shown"),
        Secret::Command(command) => line(out, &format!("{key}_command"), quoted(command)),
        Secret::Credential(Credential { name, .. }) => line(out, &format!("{key}_credential"), quoted(name)),
    }
}

fn write_app(out: &mut String, app: Option<&App>) -> fmt::Result {
    let Some(app) = app else { return Ok(()) };
    line(out, "flow", quoted("client"))?;
    let path = |path: &Path| quoted(&path.to_string_lossy());
    match app {
        App::Secret => Ok(()),
        App::Certificate { certificate, key } => {
            line(out, "certificate", path(certificate))?;
            line(out, "key", path(key))
        }
        App::ServiceAccount { key, .. } => line(out, "service_account", path(key)),
    }
}

/// An account name as a key: a dot would begin a new table.
fn key(name: &str) -> String {
    if name.contains('.') { quoted(name) } else { name.to_owned() }
}

fn line(out: &mut String, key: &str, value: impl Display) -> fmt::Result {
    writeln!(out, "{key} = {value}")
}

fn list(elements: impl Iterator<Item = String>) -> String {
    format!("[{}]", elements.map(|element| quoted(&element)).collect::<Vec<_>>().join(", "))
}

fn map(entries: &BTreeMap<String, String>) -> String {
    let entries = entries.iter().map(|(key, value)| format!("{} = {}", quoted(key), quoted(value)));
    format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
}

/// A JSON string is a TOML basic string: the escapes of the one are a subset of the other's.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
