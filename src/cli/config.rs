//! `posthaste config`: is the configuration understood, and what does it come to.

use super::error::CommandError;
use super::{Context, output};
use crate::config::{Account, Auth, EXAMPLE, MissingKey};

/// Arguments of `config`.
#[derive(Debug, clap::Args)]
pub struct Config {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
enum Action {
    /// Say whether the configuration is understood
    Check,
    /// Print what it comes to, with every default and without secrets
    Show,
    /// Print a commented example
    Example,
}

impl Config {
    /// Prints the answer.
    pub fn run(&self, context: &Context) -> Result<(), CommandError> {
        let text = match self.action.unwrap_or(Action::Check) {
            Action::Check => {
                check(&context.config_file.to_string_lossy(), &context.checked_configuration()?.accounts)
            }
            Action::Show => context.configuration()?.to_toml(),
            Action::Example => EXAMPLE.to_owned(),
        };
        output::print(&text).map(|_| ())
    }
}

/// What was understood, and what is still missing before an account can log in.
fn check(file: &str, accounts: &[Account]) -> String {
    let count = match accounts.len() {
        1 => "1 account".to_owned(),
        many => format!("{many} accounts"),
    };
    let notes = accounts.iter().filter_map(missing);
    let receivers = accounts.iter().filter(|account| account.smtp.is_none());
    let receivers = receivers.map(|account| {
        let name = &account.name;
        format!("{name}: only receives; nothing in its outbox is sent without [accounts.{name}.smtp]\n")
    });
    format!("{file}: {count}, no mistakes\n{}", notes.chain(receivers).collect::<String>())
}

/// What an account lacks before it can log in, and where it is to be had.
fn missing(account: &Account) -> Option<String> {
    let Auth::OAuth2(oauth) = &account.auth else { return None };
    let MissingKey { key, remedy } = oauth.missing()?;
    Some(format!("{}: cannot log in: no {key} is set; {remedy}\n", account.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_check_tells_what_is_missing_for_a_login() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        let text = "[accounts.work]\naddress = \"a@gmail.com\"\n[accounts.play]\naddress = \"b@gmail.com\"\n\
                    oauth = { client_id = \"x\" }\n[accounts.home]\naddress = \"a@me.com\"\n\
                    auth = \"password\"\npassword_command = \"true\"\n";
        std::fs::write(&file, text).unwrap();
        let config = crate::config::Config::load(&file, std::iter::empty(), Path::new("/home/a")).unwrap();
        assert_eq!(
            check("c.toml", &config.accounts),
            "c.toml: 3 accounts, no mistakes\n\
             play: cannot log in: no client_secret is set; clients of its provider have a secret: set \
             `client_secret_command` or `client_secret` in [accounts.play.oauth]; \
             a client is registered at \
             https://console.cloud.google.com/auth/clients\n\
             work: cannot log in: no client_id is set; set `client_id` in [accounts.work.oauth]; \
             a client is registered at \
             https://console.cloud.google.com/auth/clients\n"
        );
    }
}
