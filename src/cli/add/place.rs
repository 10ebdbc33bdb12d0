//! Where the mail of an address is: at the provider that is named, that has the domain, or that receives mail for it;
//! else at the servers that an autoconfig file names, or the person.
//!
//! The order is from what the user said to what can be found out. A file that the user names is believed before the
//! domain's mail exchangers, which may be somebody's filter and not the mail provider.

use super::{Add, ask};
use crate::cli::error::{CommandError, Exit};
use crate::cli::{Context, output};
use crate::config::Account;
use crate::config::edit::{Client, Draft};
use crate::net::{Endpoint, Tls, mail_exchangers};
use crate::provider::{Autoconfig, Passwords, Provider, Table, is_host};

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

/// The account as it can be written.
pub(super) async fn draft(
    add: &Add,
    name: &str,
    context: &Context,
    providers: &Table,
) -> Result<Draft, CommandError> {
    let base = Draft {
        name: name.to_owned(),
        address: add.address.clone(),
        login_as: add.login_as.clone(),
        password_command: add.password_command.clone(),
        client: Client { id: add.client_id.clone(), secret_command: add.client_secret_command.clone() },
        ..Draft::default()
    };
    if let Some(name) = &add.provider {
        let unknown = || {
            let known = providers.names().join(", ");
            CommandError::new(Exit::Usage, format!("no provider is called {name}; there are {known}"))
        };
        return at_provider(base, providers.by_name(name).ok_or_else(unknown)?, None);
    }
    if let Some(file) = &add.autoconfig {
        let text = std::fs::read_to_string(file)
            .map_err(|cause| CommandError::io(&format!("cannot read {}", file.display()), &cause))?;
        let found = Autoconfig::read(&text, &add.address).map_err(|problem| {
            CommandError::new(Exit::Configuration, format!("{}: {problem}", file.display()))
        })?;
        return at_servers(base, found);
    }
    let domain = add.address.rsplit_once('@').map_or("", |(_, domain)| domain);
    if let Some(provider) = providers.by_domain(domain) {
        return at_provider(base, provider, None);
    }
    let exchangers = match mail_exchangers(domain, add.dns).await {
        Ok(exchangers) => exchangers,
        Err(problem) => {
            output::complain(&format!(
                "cannot find out who receives mail for {}: {problem}",
                output::harmless(domain)
            ));
            Vec::new()
        }
    };
    match providers.by_mx(&exchangers) {
        Some(hosted) => at_provider(base, hosted.provider, hosted.cloud),
        None if ask::is_possible() => asked(base, domain),
        None => Err(unknown(base, domain, context)),
    }
}

fn at_provider(base: Draft, provider: &Provider, cloud: Option<&str>) -> Result<Draft, CommandError> {
    let draft = Draft { provider: Some(provider.name.clone()), cloud: cloud.map(str::to_owned), ..base };
    match &provider.passwords {
        Passwords::Only { at } if draft.password_command.is_none() => {
            let made = at.as_deref().map(|at| format!(" (made at {at})")).unwrap_or_default();
            let password_command =
                password_command(&format!("{} wants an app password{made}", provider.title))?;
            Ok(Draft { password_command: Some(password_command), ..draft })
        }
        _ => Ok(draft),
    }
}

fn at_servers(base: Draft, found: Autoconfig) -> Result<Draft, CommandError> {
    let Autoconfig { imap, smtp, user, oauth } = found;
    let user = Some(user).filter(|user| *user != base.address);
    let draft = Draft { imap: Some(imap), smtp, user, ..base };
    match (oauth, draft.password_command.is_some()) {
        (Some(issuer), false) => Ok(Draft { issuer: Some(issuer), ..draft }),
        (_, true) => Ok(draft),
        (None, false) => {
            let password_command = password_command("the servers take a password")?;
            Ok(Draft { password_command: Some(password_command), ..draft })
        }
    }
}

/// The command that prints the password, from the person.
fn password_command(why: &str) -> Result<String, CommandError> {
    let missing = || {
        CommandError {
        hint: Some("keep it in a password manager and give the command that prints it: --password-command 'pass mail/name'".to_owned()),
        ..CommandError::new(Exit::Configuration, why.to_owned())
    }
    };
    if !ask::is_possible() {
        return Err(missing());
    }
    output::complain(&format!("{why}."));
    ask::for_line("Command that prints the password, like `pass mail/name`", None)?.ok_or_else(missing)
}

/// The servers, from the person.
fn asked(base: Draft, domain: &str) -> Result<Draft, CommandError> {
    output::complain(&format!("No provider is known for {}. Where is its mail?", output::harmless(domain)));
    let ask_server = |question: &str, usual: &str, ports: (u16, u16)| loop {
        let answer = ask::for_line(question, Some(usual))?.unwrap_or_default();
        if answer == "none" {
            return Ok::<_, CommandError>(None);
        }
        match server(&answer, ports) {
            Some(server) => return Ok(Some(server)),
            None => output::complain("this is no server; expected HOST or HOST:PORT"),
        }
    };
    let imap = ask_server("IMAP server", &format!("imap.{domain}"), (993, 143))?;
    let imap = imap.ok_or_else(|| CommandError::new(Exit::Usage, "an account needs an IMAP server"))?;
    let smtp = ask_server("Submission server (none: only receive)", &format!("smtp.{domain}"), (465, 587))?;
    let user = ask::for_line("Login name", Some(&base.address))?.filter(|user| *user != base.address);
    let draft = Draft { imap: Some(imap), smtp, user, ..base };
    match draft.password_command {
        Some(_) => Ok(draft),
        None => {
            let password_command = password_command("The servers take a password")?;
            Ok(Draft { password_command: Some(password_command), ..draft })
        }
    }
}

/// `HOST` or `HOST:PORT`: TLS from the first byte, unless the port is the one for STARTTLS.
fn server(answer: &str, (implicit, starttls): (u16, u16)) -> Option<Endpoint> {
    let (host, port) = match answer.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port.parse().ok().filter(|&port| port > 0)?),
        _ => (answer, implicit),
    };
    let tls = if port == starttls { Tls::StartTls } else { Tls::Implicit };
    is_host(host).then(|| Endpoint { host: host.to_owned(), port, tls, ca: None })
}

/// Nobody can be asked: the table to write.
fn unknown(base: Draft, domain: &str, context: &Context) -> CommandError {
    let example = Draft {
        password_command: Some("pass mail/name".to_owned()),
        imap: server(&format!("imap.{domain}"), (993, 143)),
        smtp: server(&format!("smtp.{domain}"), (465, 587)),
        client: Client::default(),
        ..base
    };
    let hint = format!(
        "name it by --provider, give an autoconfig file by --autoconfig, or write to {} what fits of this:\n\n{}",
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

    #[test]
    fn a_server_is_a_host_and_perhaps_a_port() {
        let read = |answer: &str| server(answer, (993, 143)).map(|it| (it.host, it.port, it.tls));
        assert_eq!(read("imap.x.test"), Some(("imap.x.test".into(), 993, Tls::Implicit)));
        assert_eq!(read("imap.x.test:143"), Some(("imap.x.test".into(), 143, Tls::StartTls)));
        assert_eq!(read("imap.x.test:0"), None);
        assert_eq!(read("https://x"), None);
        assert_eq!(read("a b"), None);
    }
}
