//! Where the mail of an address is: at the provider that is named, at the servers that are named, at the provider that has
//! the domain or that receives mail for it; else where the person says.
//!
//! The order is from what the user said to what can be found out. A file that the user names is believed before the
//! domain's mail exchangers, which may be somebody's filter and not the mail provider.

use super::server::{self, Role};
use super::{Add, ask};
use crate::cli::error::{CommandError, Exit};
use crate::cli::{Context, output};
use crate::config::edit::{Client, Draft, Server};
use crate::config::{Account, Auth};
use crate::net::mail_exchangers;
use crate::provider::{Autoconfig, Passwords, Protocol, Provider, Registration, Table};
use std::path::Path;

/// What was found out.
pub(super) struct Place {
    /// The account, but for its secrets.
    pub(super) draft: Draft,
    /// Why a password is wanted, where it is the way to log in.
    pub(super) password: Option<String>,
}

/// A name for the account of this address: after the domain, else after the whole address.
pub(super) fn name(address: &str, known: &[Account]) -> String {
    let plain = |text: &str| -> String {
        let kept = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        text.chars().map(kept).collect::<String>().trim_matches('-').to_owned()
    };
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let label = plain(domain.split('.').next().unwrap_or_default());
    let own = plain(&format!("{local}-{domain}"));
    let numbered = (2_u32..).map(|number| format!("{own}-{number}"));
    let mut names = [label, own.clone()].into_iter().chain(numbered);
    let is_free = |name: &String| !name.is_empty() && known.iter().all(|account| account.name != *name);
    names.find(is_free).unwrap_or(own)
}

/// Finds it.
pub(super) async fn find(
    add: &Add,
    name: &str,
    context: &Context,
    known: &[Account],
    providers: &Table,
) -> Result<Place, CommandError> {
    let base = Draft {
        name: name.to_owned(),
        address: Some(add.address.clone()),
        login_as: add.login_as.clone(),
        user: add.user.clone(),
        is_pop: add.protocol() == Some(Protocol::Pop),
        client: Client { id: add.client_id.clone(), tenant: add.tenant.clone(), ..Client::default() },
        ..Draft::default()
    };
    let at = |provider: &Provider, cloud| match add.smtp {
        Some(_) => Err(CommandError::new(
            Exit::Usage,
            format!("{} has a submission server; --smtp goes with --imap or --pop", provider.title),
        )),
        None => Ok(at_provider(add, base.clone(), provider, cloud, known)),
    };
    if let Some(name) = &add.provider {
        let unknown = || {
            let known = providers.names().join(", ");
            CommandError::new(Exit::Usage, format!("no provider is called {name}; there are {known}"))
        };
        return at(providers.by_name(name).ok_or_else(unknown)?, None);
    }
    if add.names_server() {
        let draft = Draft { incoming: add.incoming(), smtp: add.submission(), ..base };
        return Ok(Place { draft, password: Some("the servers take a password".to_owned()) });
    }
    if let Some(file) = &add.autoconfig {
        return Ok(at_servers(add, base, read_autoconfig(add, file)?));
    }
    let domain = add.address.rsplit_once('@').map_or("", |(_, domain)| domain);
    if let Some(provider) = providers.by_domain(domain) {
        return at(provider, None);
    }
    match providers.by_mx(&exchangers(add, domain).await) {
        Some(hosted) => at(hosted.provider, hosted.cloud),
        None if ask::is_possible() => asked(add, base, domain).await,
        None => Err(unknown(base, domain, context)),
    }
}

fn read_autoconfig(add: &Add, file: &Path) -> Result<Autoconfig, CommandError> {
    let text = std::fs::read_to_string(file)
        .map_err(|cause| CommandError::io(&format!("cannot read {}", file.display()), &cause))?;
    Autoconfig::read(&text, &add.address, add.protocol())
        .map_err(|problem| CommandError::new(Exit::Configuration, format!("{}: {problem}", file.display())))
}

async fn exchangers(add: &Add, domain: &str) -> Vec<String> {
    mail_exchangers(domain, add.dns).await.unwrap_or_else(|problem| {
        let domain = output::harmless(domain);
        output::complain(&format!("cannot find out who receives mail for {domain}: {problem}"));
        Vec::new()
    })
}

fn at_provider(add: &Add, base: Draft, provider: &Provider, cloud: Option<&str>, known: &[Account]) -> Place {
    let made = |at: &Option<String>| at.as_deref().map(|at| format!(", made at {at}")).unwrap_or_default();
    let has_client = || {
        let is_client = |account: &Account| match &account.auth {
            Auth::OAuth2(oauth) => oauth.client_id.is_some(),
            Auth::Password { .. } => false,
        };
        add.client_id.is_some()
            || known.iter().any(|one| one.provider.as_ref() == Some(&provider.name) && is_client(one))
    };
    let is_closed = |oauth: &crate::provider::OAuth| oauth.registration == Registration::Closed;
    let title = &provider.title;
    let password = match &provider.passwords {
        Passwords::Only { at } => Some(format!("{title} wants an app password{}", made(at))),
        Passwords::Allowed { at } if provider.site.oauth.as_ref().is_some_and(is_closed) && !has_client() => {
            Some(format!(
                "{title} gives new clients no access to mail; log in with an app password{}",
                made(at)
            ))
        }
        Passwords::Allowed { .. } | Passwords::Refused { .. } => None,
    };
    let draft = Draft {
        provider: Some(provider.name.clone()),
        mailboxes: if base.is_pop { Vec::new() } else { provider.mailboxes.clone() },
        incoming: add.anchor(),
        smtp: add.anchor(),
        client: Client { cloud: cloud.map(str::to_owned), ..base.client },
        ..base
    };
    Place { draft, password }
}

fn at_servers(add: &Add, base: Draft, found: Autoconfig) -> Place {
    let Autoconfig { protocol, incoming, smtp, user, oauth } = found;
    let user = Some(user).filter(|user| Some(user) != base.address.as_ref());
    let ca = |server| Server { ca: add.ca(), ..Server::from(server) };
    let issuer = oauth.filter(|_| !add.names_password());
    let password = issuer.is_none().then(|| "the servers take a password".to_owned());
    let draft = Draft {
        is_pop: protocol == Protocol::Pop,
        incoming: Some(ca(incoming)),
        smtp: smtp.map(ca),
        user: base.user.or(user),
        issuer,
        ..base
    };
    Place { draft, password }
}

/// The servers, from the person.
async fn asked(add: &Add, base: Draft, domain: &str) -> Result<Place, CommandError> {
    output::complain(&format!("No provider is known for {}. Where is its mail?", output::harmless(domain)));
    let imap = match base.is_pop {
        true => None,
        false => server::ask("IMAP server (none: POP3 only)", &format!("imap.{domain}"), Role::Imap).await?,
    };
    let is_pop = imap.is_none();
    let incoming = match imap {
        Some(imap) => Some(imap),
        None => server::ask("POP3 server", &format!("pop.{domain}"), Role::Pop).await?,
    };
    let incoming =
        incoming.ok_or_else(|| CommandError::new(Exit::Usage, "an account needs an IMAP or POP3 server"))?;
    let smtp = match &add.smtp {
        Some(smtp) => Some(smtp.clone()),
        None => {
            let example = format!("smtp.{domain}");
            server::ask("Submission server (none: only receive)", &example, Role::Submission).await?
        }
    };
    let user = match base.user {
        Some(user) => Some(user),
        None => ask::for_line("Login name", Some(&add.address)).await?.filter(|user| *user != add.address),
    };
    let ca = |at| Server { ca: add.ca(), ..Server::from(at) };
    let draft = Draft { is_pop, incoming: Some(ca(incoming)), smtp: smtp.map(ca), user, ..base };
    Ok(Place { draft, password: Some("The servers take a password".to_owned()) })
}

/// Nobody can be asked: what to say, and the table to write.
fn unknown(base: Draft, domain: &str, context: &Context) -> CommandError {
    let (kind, role) = if base.is_pop { ("pop", Role::Pop) } else { ("imap", Role::Imap) };
    let at = |kind: &str, role| server::read(&format!("{kind}.{domain}"), role).map(Server::from);
    let example = Draft {
        password_command: Some("pass mail/name".to_owned()),
        incoming: at(kind, role),
        smtp: at("smtp", Role::Submission),
        client: Client::default(),
        // Somebody else's token opens a mailbox; a password opens its own.
        login_as: None,
        ..base
    };
    let hint = format!(
        "say where it is: --provider, or --{kind} HOST and --smtp HOST, or --autoconfig FILE; or write to {} what fits of \
         this:\n\n{}",
        context.config_file.display(),
        example.to_toml()
    );
    let message = format!("no provider is known for {}", output::harmless(domain));
    CommandError { hint: Some(hint), ..CommandError::new(Exit::Configuration, message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_domain_and_never_collide() {
        let accounts = |names: &[&str]| -> Vec<Account> {
            let text: String =
                names.iter().map(|name| format!("[accounts.{name}]\naddress = \"x@gmail.com\"\n")).collect();
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            let home = std::path::Path::new("/home/a");
            crate::config::Config::load(file.path(), std::iter::empty(), home).unwrap().accounts
        };
        assert_eq!(name("Alice@GMail.com", &[]), "gmail");
        assert_eq!(name("a.b@gmail.com", &accounts(&["gmail"])), "a-b-gmail-com");
        assert_eq!(name("a@gmail.com", &accounts(&["gmail", "a-gmail-com"])), "a-gmail-com-2");
        assert_eq!(name("ü@bücher.example", &[]), "b-cher");
        assert_eq!(name("ü@ü.example", &[]), "example");
    }
}
