//! What is to stand in an account's table, and how it is written.

use super::{Change, applied};
use crate::net::{Endpoint, Tls};
use crate::provider::Issuer;
use std::path::{Path, PathBuf};
use toml_edit::{Array, InlineTable, Item, Table, Value, value};

/// An account to be written, or what is to change in one: what is `None` or empty is left out, or stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The account's name.
    pub name: String,
    /// The mail address.
    pub address: Option<String>,
    /// The login name, where it is not the address.
    pub user: Option<String>,
    /// Whose login opens it, where the mailbox is shared.
    pub login_as: Option<String>,
    /// The provider.
    pub provider: Option<String>,
    /// Whether mail comes by POP3.
    pub is_pop: bool,
    /// Which mailboxes are wanted.
    pub mailboxes: Vec<String>,
    /// The command that prints the password; without it the account logs in by OAuth2.
    pub password_command: Option<String>,
    /// Where mail comes from.
    pub incoming: Option<Server>,
    /// Where mail is submitted.
    pub smtp: Option<Server>,
    /// Where tokens come from, without a provider.
    pub issuer: Option<Issuer>,
    /// The registered client.
    pub client: Client,
}

/// A server's table, as far as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// Host, port and kind of TLS; their trust anchor is not looked at.
    pub at: Option<Endpoint>,
    /// An extra trust anchor.
    pub ca: Option<PathBuf>,
}

/// A registered client, and where it is registered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Its id.
    pub id: Option<String>,
    /// The command that prints its secret.
    pub secret_command: Option<String>,
    /// The tenant that it belongs to.
    pub tenant: Option<String>,
    /// The provider's installation.
    pub cloud: Option<String>,
}

impl Draft {
    /// As it stands in a file, for a person to read.
    pub fn to_toml(&self) -> String {
        applied(Path::new(""), "", &Change::Add(Box::new(self.clone()))).unwrap_or_default()
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.table().is_empty()
    }

    pub(super) fn table(&self) -> Table {
        let mut table = Table::new();
        let mut put = |key: &str, text: Option<&str>| {
            if let Some(text) = text {
                table.insert(key, value(text));
            }
        };
        put("address", self.address.as_deref());
        put("user", self.user.as_deref());
        put("provider", self.provider.as_deref());
        put("protocol", self.is_pop.then_some("pop3"));
        put("login_as", self.login_as.as_deref());
        put("auth", self.password_command.as_ref().map(|_| "password"));
        put("password_command", self.password_command.as_deref());
        if !self.mailboxes.is_empty() {
            table.insert("mailboxes", value(self.mailboxes.iter().collect::<Array>()));
        }
        let incoming = if self.is_pop { "pop" } else { "imap" };
        for (key, server) in [(incoming, &self.incoming), ("smtp", &self.smtp)] {
            if let Some(server) = server {
                table.insert(key, value(server.table()));
            }
        }
        let oauth = self.oauth();
        if !oauth.is_empty() {
            table.insert("oauth", Item::Table(oauth));
        }
        table
    }

    fn oauth(&self) -> Table {
        let Client { id, secret_command, tenant, cloud } = &self.client;
        let mut oauth = Table::new();
        let keys = [
            ("client_id", id),
            ("client_secret_command", secret_command),
            ("tenant", tenant),
            ("cloud", cloud),
        ];
        for (key, text) in keys {
            if let Some(text) = text {
                oauth.insert(key, value(text));
            }
        }
        if let Some(issuer) = &self.issuer {
            oauth.insert("authorize_url", value(issuer.authorize_url.as_str()));
            oauth.insert("token_url", value(issuer.token_url.as_str()));
            oauth.insert("scopes", value(issuer.scopes.iter().collect::<Array>()));
        }
        oauth
    }
}

impl From<Endpoint> for Server {
    fn from(at: Endpoint) -> Server {
        let ca = at.ca.clone();
        Server { at: Some(at), ca }
    }
}

impl Server {
    fn table(&self) -> InlineTable {
        let mut table = InlineTable::new();
        if let Some(Endpoint { host, port, tls, .. }) = &self.at {
            let tls = match tls {
                Tls::Implicit => "implicit",
                Tls::StartTls => "starttls",
                Tls::None => "none",
            };
            table.insert("host", Value::from(host.as_str()));
            table.insert("port", Value::from(i64::from(*port)));
            table.insert("tls", Value::from(tls));
        }
        if let Some(ca) = &self.ca {
            table.insert("ca", Value::from(ca.to_string_lossy().as_ref()));
        }
        table
    }
}
