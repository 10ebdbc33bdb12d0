//! What the options of `add` say, of a new account and of one that is there already.

use super::server::{Role, option};
use crate::cli::error::{CommandError, Exit};
use crate::cli::login::Way;
use crate::config::edit::{Client, Draft, Server};
use crate::config::{self, Account, Auth};
use crate::net::Endpoint;
use crate::provider::Protocol;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Arguments of `add`.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// The mail address
    #[arg(value_parser = config::read_address)]
    pub address: String,
    /// The provider [default: found from the address, or from who receives mail for its domain]
    #[arg(long)]
    pub provider: Option<String>,
    /// What to call the account [default: after the domain]
    #[arg(long)]
    pub name: Option<String>,
    /// The address is a shared mailbox: who logs in for it
    #[arg(long, value_name = "ADDRESS")]
    pub login_as: Option<String>,
    /// By which protocol mail is fetched [default: imap]
    #[arg(long)]
    pub protocol: Option<Fetch>,
    /// The IMAP server, where no provider is known
    #[arg(long, value_name = "HOST[:PORT]", value_parser = option(Role::Imap), conflicts_with = "provider")]
    pub imap: Option<Endpoint>,
    /// The POP3 server, for an account that has only that
    #[arg(long, value_name = "HOST[:PORT]", value_parser = option(Role::Pop), conflicts_with_all = ["provider", "imap"])]
    pub pop: Option<Endpoint>,
    /// The submission server; without one the account only receives
    #[arg(long, value_name = "HOST[:PORT]", value_parser = option(Role::Submission), conflicts_with = "provider")]
    pub smtp: Option<Endpoint>,
    /// The login name [default: the address]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The certificate of the authority that the servers trust, where it is a private one
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// A file in Mozilla's autoconfig format that names the servers
    #[arg(long, value_name = "FILE", conflicts_with_all = ["provider", "imap", "pop", "smtp"])]
    pub autoconfig: Option<PathBuf>,
    /// The client that you registered with the provider
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// A command that prints the secret of that client
    #[arg(long, value_name = "COMMAND")]
    pub client_secret_command: Option<String>,
    /// Ask for that secret itself, or read it from stdin, and keep it in a file of its own
    #[arg(long, conflicts_with_all = ["client_secret_command", "import"])]
    pub client_secret: bool,
    /// The tenant of that client (Microsoft), where it is registered for one organisation
    #[arg(long)]
    pub tenant: Option<String>,
    /// A command that prints an app password: log in with that instead of OAuth2
    #[arg(long, value_name = "COMMAND", conflicts_with_all = OF_TOKENS)]
    pub password_command: Option<String>,
    /// Ask for that password itself, or read it from stdin, and keep it in a file of its own
    #[arg(long, conflicts_with = "password_command", conflicts_with_all = OF_TOKENS)]
    pub password: bool,
    /// How to log in.
    #[command(flatten)]
    pub way: Way,
    /// Ask this resolver in place of the system's
    #[arg(long, value_name = "ADDRESS:PORT", hide = true)]
    pub dns: Option<SocketAddr>,
}

/// Options that have no meaning with a password.
const OF_TOKENS: [&str; 9] = [
    "login_as",
    "client_id",
    "client_secret_command",
    "client_secret",
    "tenant",
    "browser",
    "device",
    "paste",
    "import",
];

/// A protocol by which mail is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fetch {
    /// Every mailbox, in both directions
    Imap,
    /// Into INBOX
    Pop3,
}

impl Add {
    /// The protocol that is named, perhaps by a server.
    pub(super) fn protocol(&self) -> Option<Protocol> {
        match (self.protocol, &self.imap, &self.pop) {
            (_, _, Some(_)) | (Some(Fetch::Pop3), _, _) => Some(Protocol::Pop),
            (_, Some(_), _) | (Some(Fetch::Imap), _, _) => Some(Protocol::Imap),
            (None, None, None) => None,
        }
    }

    /// Refuses a server of another protocol than the one that is named.
    pub(super) fn check_protocol(&self) -> Result<(), CommandError> {
        let (protocol, option) = match (self.protocol, &self.imap, &self.pop) {
            (Some(Fetch::Imap), _, Some(_)) => ("imap", "--pop"),
            (Some(Fetch::Pop3), Some(_), _) => ("pop3", "--imap"),
            _ => return Ok(()),
        };
        Err(CommandError::new(Exit::Usage, format!("{option} names no server for --protocol {protocol}")))
    }

    /// Whether a server to fetch from is named.
    pub(super) fn names_server(&self) -> bool {
        self.imap.is_some() || self.pop.is_some()
    }

    /// What is said of the server to fetch from.
    pub(super) fn incoming(&self) -> Option<Server> {
        self.server(self.imap.as_ref().or(self.pop.as_ref()))
    }

    /// What is said of the submission server.
    pub(super) fn submission(&self) -> Option<Server> {
        self.smtp.as_ref().and_then(|smtp| self.server(Some(smtp)))
    }

    /// What is said of a server that is known otherwise.
    pub(super) fn anchor(&self) -> Option<Server> {
        self.server(None)
    }

    /// The trust anchor.
    pub(super) fn ca(&self) -> Option<PathBuf> {
        // Fails for an empty path only, and that is no file either.
        self.ca.as_ref().and_then(|ca| std::path::absolute(ca).ok())
    }

    fn server(&self, at: Option<&Endpoint>) -> Option<Server> {
        let server = Server { at: at.cloned(), ca: self.ca() };
        (server != Server::default()).then_some(server)
    }

    /// The first option that has no meaning with a password.
    pub(super) fn option_of_tokens(&self) -> Option<&'static str> {
        let Way { browser, device, paste, import } = self.way;
        let named = [
            ("--login-as", self.login_as.is_some()),
            ("--client-id", self.client_id.is_some()),
            ("--client-secret-command", self.client_secret_command.is_some()),
            ("--client-secret", self.client_secret),
            ("--tenant", self.tenant.is_some()),
            ("--browser", browser),
            ("--device", device),
            ("--paste", paste),
            ("--import", import),
        ];
        named.iter().find(|(_, is_named)| *is_named).map(|(option, _)| *option)
    }

    /// Whether a password is named.
    pub(super) fn names_password(&self) -> bool {
        self.password || self.password_command.is_some()
    }

    /// What changes in an account that is there.
    ///
    /// # Errors
    /// An option that counts for a new account only, and says something else than what the account is.
    pub(super) fn amendment(&self, account: &Account) -> Result<Draft, CommandError> {
        let protocol = account.incoming.protocol();
        let others = [
            ("--name", self.name.as_ref().is_some_and(|name| *name != account.name)),
            ("--provider", self.provider.is_some() && self.provider != account.provider),
            ("--login-as", self.login_as.as_ref().is_some_and(|login| *login != account.login)),
            ("--protocol", self.protocol().is_some_and(|named| named != protocol)),
        ];
        if let Some((option, _)) = others.iter().find(|(_, is_other)| *is_other) {
            let message = format!(
                "account {} has the address {} and is another one in this: {option} counts for a new account only",
                account.name, self.address
            );
            let hint = format!("change [accounts.{}] in the file by hand", account.name);
            return Err(CommandError { hint: Some(hint), ..CommandError::new(Exit::Usage, message) });
        }
        let stays_password = matches!(account.auth, Auth::Password { .. }) && self.client_id.is_none();
        if let Some(option) = self.option_of_tokens().filter(|_| stays_password) {
            let message =
                format!("{option} has no use here: account {} logs in with a password", account.name);
            let hint = "--client-id turns it to OAuth2".to_owned();
            return Err(CommandError { hint: Some(hint), ..CommandError::new(Exit::Usage, message) });
        }
        Ok(Draft {
            name: account.name.clone(),
            user: self.user.clone(),
            is_pop: protocol == Protocol::Pop,
            incoming: self.incoming(),
            smtp: self.submission().or_else(|| account.smtp.as_ref().and_then(|_| self.anchor())),
            client: Client { id: self.client_id.clone(), tenant: self.tenant.clone(), ..Client::default() },
            ..Draft::default()
        })
    }
}
