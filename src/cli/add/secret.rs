//! Passwords and client secrets: where they come from, and how they are kept.
//!
//! Invariant: none stands in the configuration or in an argument. The configuration names a command that prints it: that
//! of a password manager, or `cat` of a file beside the configuration that only its owner can read.

use super::{Add, ask, say};
use crate::cli::Context;
use crate::cli::error::{CommandError, Exit};
use crate::cli::output;
use crate::config::edit;
use crate::task::off_reactor;
use secrecy::SecretString;
use std::path::{Path, PathBuf};

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Password,
    ClientSecret,
}

/// A secret as the configuration names it.
pub(super) struct Secret {
    /// What prints it.
    pub(super) command: String,
    /// What is still to be written, and where.
    typed: Option<(PathBuf, SecretString)>,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Kind::Password => "password",
            Kind::ClientSecret => "client secret",
        }
    }

    /// The file beside the configuration.
    fn file(self, context: &Context, account: &str) -> PathBuf {
        context.config_file.with_file_name(format!("{account}.{}", self.words().replace(' ', "-")))
    }

    /// The secret that an option names: by a command, or itself, typed or on stdin.
    pub(super) async fn of_options(
        self,
        add: &Add,
        context: &Context,
        account: &str,
    ) -> Result<Option<Secret>, CommandError> {
        let (command, is_itself) = match self {
            Kind::Password => (&add.password_command, add.password),
            Kind::ClientSecret => (&add.client_secret_command, add.client_secret),
        };
        let value = match (command, is_itself) {
            (Some(command), _) => return Ok(Some(Secret { command: command.clone(), typed: None })),
            (None, false) => return Ok(None),
            (None, true) if ask::is_possible() => ask::for_secret(&self.question()).await?,
            (None, true) => Some(ask::read_secret().await?),
        };
        let value = value.ok_or_else(|| CommandError::new(Exit::Usage, "no answer was given"))?;
        Ok(Some(self.typed(value, context, account)))
    }

    /// The secret, from the person at the terminal; `None` where nothing is said.
    pub(super) async fn asked(
        self,
        context: &Context,
        account: &str,
    ) -> Result<Option<Secret>, CommandError> {
        output::complain(&format!(
            "What you type is kept in {}, for you alone; Enter: name a command that prints it instead.",
            self.file(context, account).display()
        ));
        if let Some(value) = ask::for_secret(&self.question()).await? {
            return Ok(Some(self.typed(value, context, account)));
        }
        let question = format!("Command that prints the {}, like `pass mail/{account}`", self.words());
        Ok(ask::for_line(&question, None).await?.map(|command| Secret { command, typed: None }))
    }

    fn question(self) -> String {
        let words = self.words();
        format!(
            "{}{} (not shown)",
            words.get(..1).unwrap_or_default().to_uppercase(),
            words.get(1..).unwrap_or_default()
        )
    }

    fn typed(self, value: SecretString, context: &Context, account: &str) -> Secret {
        let path = self.file(context, account);
        Secret { command: format!("cat {}", quoted(&path)), typed: Some((path, value)) }
    }
}

impl Secret {
    /// Writes what is to be written, if anything is; the configuration names it already.
    pub(super) async fn keep(self, context: &Context) -> Result<bool, CommandError> {
        let Some((path, value)) = self.typed else { return Ok(false) };
        let shown = path.display().to_string();
        let kept = off_reactor(move || edit::keep_secret(&path, &value)).await;
        kept.map_err(|cause| CommandError::io(&format!("cannot write {shown}"), &cause))?;
        say(context, &format!("kept in {shown}"));
        Ok(true)
    }
}

/// A path as one word of `sh`.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_whatever_it_holds() {
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
