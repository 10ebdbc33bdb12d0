//! How to get a client of one's own, as a numbered checklist with links.
//!
//! No client id is built in: one belongs to whoever registered it. The steps are those of the providers' consoles as of
//! 2026; names of pages and buttons there change, so they are not verified beyond that.

use crate::config::{Account, OAuth2};
use crate::provider::{Passwords, Table};
use std::fmt::Write;
use std::path::Path;

const GOOGLE: &[&str] = &[
    "Create a project: https://console.cloud.google.com/projectcreate",
    "Enable the Gmail API in it: https://console.cloud.google.com/apis/library/gmail.googleapis.com",
    "Fill in the consent screen: https://console.cloud.google.com/auth/branding",
    "Audience: \"Internal\" in a Workspace organisation; else \"External\", and publish it: while it is in testing every login \
     ends after 7 days: https://console.cloud.google.com/auth/audience",
    "Add the scope https://mail.google.com/: https://console.cloud.google.com/auth/scopes",
    "Create a client of the type \"Desktop app\", and keep its id and its secret: {register}",
];

const MICROSOFT: &[&str] = &[
    "Open the app registrations, \"New registration\": {register}",
    "Supported account types: your organisation's; any organisation's; for Outlook.com personal accounts, too",
    "Authentication, \"Add a platform\", \"Mobile and desktop applications\": the redirect URI is {redirect}",
    "Authentication, \"Allow public client flows\": Yes (for logins with --device)",
    "API permissions, Microsoft Graph, delegated: {permissions}",
    "Overview: keep the \"Application (client) ID\", and the \"Directory (tenant) ID\" too if the registration is for one \
     organisation only (--tenant). There is no secret",
];

/// What comes in the browser afterwards, and has stopped people.
const AT_GOOGLE: &str = "The browser will say that Google has not verified the application: Advanced, Go to it. Tick the box \
                         for mail before you go on.";
const AT_OUTLOOK: &str = "IMAP must be on as well: outlook.com, Settings, Mail, Forwarding and IMAP.";
const AT_MICROSOFT: &str =
    "Where the browser says that an administrator must approve, docs/providers.md says how one does.";

const OTHERS: &[&str] = &["Register a client for mail with the provider; its redirect URI is {redirect}"];

/// The steps for the account's provider, and what to do in the end: run the command again or write to `file`; without one
/// the questions follow.
pub(super) fn text(account: &Account, oauth: &OAuth2, providers: &Table, file: Option<&Path>) -> String {
    let provider = account.provider.as_deref().and_then(|name| providers.by_name(name));
    let (steps, after) = match account.provider.as_deref() {
        Some("gmail") => (GOOGLE, Some(AT_GOOGLE)),
        Some("microsoft") => (MICROSOFT, Some(AT_MICROSOFT)),
        Some("outlook") => (MICROSOFT, Some(AT_OUTLOOK)),
        _ => (OTHERS, None),
    };
    let title = provider.map_or("The provider", |provider| provider.title.as_str());
    let mut text = format!("{title} lets in only clients that are registered. To register your own:\n\n");
    let register = oauth.register_url.as_deref().unwrap_or("the provider's pages for developers");
    let last = match file {
        Some(file) => last(account, oauth, file),
        None => {
            format!("Answer below; or end this with Ctrl-C, and later: posthaste add {}", account.address)
        }
    };
    let permissions = permissions(oauth);
    let filled = |step: &&str| {
        let step = step.replace("{register}", register).replace("{redirect}", &oauth.redirect);
        step.replace("{permissions}", &permissions)
    };
    let steps = steps.iter().map(filled);
    for (number, step) in (1..).zip(steps.chain([last])) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{number:3}. {step}");
    }
    if let Some(after) = after {
        let _ = writeln!(text, "\n{after}");
    }
    let passwords = provider.filter(|_| file.is_some()).map(|provider| &provider.passwords);
    if let Some(Passwords::Allowed { at: Some(at) }) = passwords {
        let address = &account.address;
        let _ = writeln!(
            text,
            "\nOr use an app password, made at {at}:\n     posthaste add {address} --password"
        );
    }
    text.push('\n');
    text
}

/// The scopes by the names that a list of permissions has for them.
fn permissions(oauth: &OAuth2) -> String {
    let names = oauth.scopes.iter().map(|scope| scope.rsplit('/').next().unwrap_or(scope));
    names.collect::<Vec<_>>().join(", ")
}

fn last(account: &Account, oauth: &OAuth2, file: &Path) -> String {
    let (name, address) = (&account.name, &account.address);
    let (key, option) = match oauth.needs_secret {
        true => ("\n     client_secret_command = \"pass mail/client\"", " --client-secret"),
        false => ("", ""),
    };
    format!(
        "Run: posthaste add {address} --client-id ID{option}\n     or write to {}:\n\n     [accounts.{name}.oauth]\n     \
         client_id = \"ID\"{key}",
        file.display()
    )
}
