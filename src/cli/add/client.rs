//! The client that an account logs in with by OAuth2: another account's at the same provider, or one that the person
//! registers. At a terminal an app password is offered in its place where the provider takes one.

use super::secret::{Kind, Secret};
use super::{Add, account, ask, checklist, set};
use crate::cli::error::{CommandError, Exit};
use crate::cli::{Context, output};
use crate::config::edit::{Client, Draft};
use crate::config::{Account, Auth, OAuth2, Secret as Kept};
use crate::provider::{Passwords, Provider, Table};
use url::Url;

/// What the account is completed with.
#[derive(Default)]
struct Found {
    client: Client,
    client_secret: Option<Secret>,
    password: Option<Secret>,
}

/// Gives the account the client that it lacks, or the secret of the one it has.
///
/// # Errors
/// There is none, and nobody to ask: then the way to one is shown.
pub(super) async fn complete(
    add: &Add,
    context: &Context,
    name: &str,
    providers: &Table,
) -> Result<(), CommandError> {
    let account = account(context, name)?;
    let Auth::OAuth2(oauth) = &account.auth else { return Ok(()) };
    let lacks_secret = oauth.needs_secret && oauth.client_secret.is_none();
    let found = match (&oauth.client_id, lacks_secret) {
        _ if oauth.app.is_some() => return Ok(()),
        (Some(_), false) => return Ok(()),
        (Some(_), true) => secret(add, context, name).await?,
        (None, _) => match of_another(context, &account, oauth, providers)? {
            Some(client) => Found { client, ..Found::default() },
            None => registered(add, context, &account, oauth, providers).await?,
        },
    };
    let Found { client, client_secret, password } = found;
    let draft = Draft { name: name.to_owned(), client, ..Draft::default() };
    set(context, draft, password, client_secret).await.map(drop)
}

/// The secret of a client that is named.
async fn secret(add: &Add, context: &Context, name: &str) -> Result<Found, CommandError> {
    let asked = match ask::is_possible() {
        true => {
            output::complain("Clients of this provider have a secret.");
            Kind::ClientSecret.asked(context, name).await?
        }
        false => None,
    };
    let missing = || {
        let hint = format!(
            "posthaste add {} --client-secret-command 'pass mail/client', or --client-secret with the secret itself on \
             stdin or typed",
            add.address
        );
        let message = format!("account {name} is written and needs the secret of its client");
        CommandError { hint: Some(hint), ..CommandError::new(Exit::NeedsLogin, message) }
    };
    Ok(Found { client_secret: Some(asked.ok_or_else(missing)?), ..Found::default() })
}

/// A client, or a password in its place, from the person who has read how one is registered.
async fn registered(
    add: &Add,
    context: &Context,
    account: &Account,
    oauth: &OAuth2,
    providers: &Table,
) -> Result<Found, CommandError> {
    // The file is for whom nobody asks.
    let file = (!ask::is_possible()).then_some(context.config_file.as_path());
    let _ = output::print(&checklist::text(account, oauth, providers, file))?;
    let missing = || {
        let message = format!(
            "account {} is written and needs a client of your own before it can log in",
            account.name
        );
        let secret = if oauth.needs_secret { " --client-secret" } else { "" };
        let hint = format!("when you have one: posthaste add {} --client-id ID{secret}", add.address);
        CommandError { hint: Some(hint), ..CommandError::new(Exit::NeedsLogin, message) }
    };
    if !ask::is_possible() {
        return Err(missing());
    }
    let provider = account.provider.as_ref().and_then(|name| providers.by_name(name));
    let passwords = match provider.map(|provider| &provider.passwords) {
        Some(Passwords::Allowed { at }) if account.login == account.user => Some(at.as_deref()),
        _ => None,
    };
    let instead = if passwords.is_some() { "an app password instead, or later" } else { "later" };
    if let Some(id) = ask::for_line(&format!("Client id (Enter: {instead})"), None).await? {
        let client_secret = match oauth.needs_secret {
            true => Kind::ClientSecret.asked(context, &account.name).await?,
            false => None,
        };
        let tenant = tenant_for(add, provider).await?;
        let client = Client { id: Some(id), tenant, ..Client::default() };
        return Ok(Found { client, client_secret, password: None });
    }
    let at = passwords.ok_or_else(missing)?;
    let made = at.map(|at| format!(" is made at {at}")).unwrap_or_default();
    output::complain(&format!("An app password{made}."));
    let password = Kind::Password.asked(context, &account.name).await?.ok_or_else(missing)?;
    Ok(Found { password: Some(password), ..Found::default() })
}

/// The tenant that is named, or asked for where a client can have one.
async fn tenant_for(add: &Add, provider: Option<&Provider>) -> Result<Option<String>, CommandError> {
    match &add.tenant {
        None if provider.is_some_and(has_tenants) => {
            let question = "Tenant, if it is registered for one organisation only (Enter: it is not)";
            ask::for_line(question, None).await
        }
        named => Ok(named.clone()),
    }
}

/// Whether a client may be registered for one organisation or for many.
fn has_tenants(provider: &Provider) -> bool {
    let oauth = provider.site.oauth.as_ref();
    oauth.is_some_and(|oauth| oauth.tenant.as_deref() == Some("common"))
}

/// The client of another account at the same issuer: one registration serves all accounts of a person; one that is for a
/// single organisation those of its domain. A secret that stands in the file is not copied.
fn of_another(
    context: &Context,
    wanting: &Account,
    wanted: &OAuth2,
    providers: &Table,
) -> Result<Option<Client>, CommandError> {
    let provider = wanting.provider.as_ref().and_then(|name| providers.by_name(name));
    let accounts = context.configuration()?.accounts;
    Ok(accounts.into_iter().find_map(|account| {
        let Auth::OAuth2(oauth) = &account.auth else { return None };
        let secret_command = match &oauth.client_secret {
            None => None,
            Some(Kept::Command(command)) => Some(command.clone()),
            Some(_) => return None,
        };
        let id = oauth.client_id.clone().filter(|_| oauth.app.is_none())?;
        let tenant = match oauth.token_url == wanted.token_url {
            true => None,
            false if domain(&account) == domain(wanting) && account.provider == wanting.provider => {
                Some(tenant(provider?, &oauth.token_url, &wanted.token_url)?)
            }
            false => return None,
        };
        Some(Client { id: Some(id), secret_command, tenant, cloud: None })
    }))
}

fn domain(account: &Account) -> Option<String> {
    account.address.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase())
}

/// The tenant in one token endpoint, where it and the other one are of the same installation.
fn tenant(provider: &Provider, url: &Url, other: &Url) -> Option<String> {
    provider.sites().filter_map(|site| site.oauth.as_ref()).find_map(|oauth| {
        let (before, after) = oauth.token_url.split_once("{tenant}")?;
        let within = |url: &Url| Some(url.as_str().strip_prefix(before)?.strip_suffix(after)?.to_owned());
        within(other).and_then(|_| within(url))
    })
}
