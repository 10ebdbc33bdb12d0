//! `login --import`: a refresh token from stdin, or typed unseen, proved by a refresh before it is saved. One that gives less than was asked
//! for is refused, like every other login.

use super::Subject;
use crate::cli::ask;
use crate::cli::error::{CommandError, Exit};
use crate::task::off_reactor;
use secrecy::{ExposeSecret, SecretString};
use std::io::Read;

/// More is no token.
const MAX_TOKEN: u64 = 64 * 1024;

pub(super) async fn log_in(subject: &Subject<'_>) -> Result<(), CommandError> {
    let token = match ask::is_possible() {
        true => ask::for_secret("Refresh token (not shown)").await?.ok_or_else(no_token)?,
        false => off_reactor(read_token).await?,
    };
    let is_token = !token.expose_secret().contains(char::is_whitespace);
    let token = is_token.then_some(token).ok_or_else(no_token)?;
    subject.keeper.import(token).await.map(drop).map_err(|error| subject.failed(&error))
}

fn read_token() -> Result<SecretString, CommandError> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_TOKEN).read_to_string(&mut text);
    read.map_err(|cause| CommandError::io("cannot read the token from stdin", &cause))?;
    let token = Some(text.trim()).filter(|token| !token.is_empty());
    token.map(SecretString::from).ok_or_else(no_token)
}

fn no_token() -> CommandError {
    CommandError {
        hint: Some("give the refresh token alone, on one line".to_owned()),
        ..CommandError::new(Exit::Usage, "no refresh token was given")
    }
}
