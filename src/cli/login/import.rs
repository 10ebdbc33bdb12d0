//! `login --import`: a refresh token from stdin, proved by a refresh before it is saved. One that gives less than was asked
//! for is refused, like every other login.

use super::Subject;
use crate::cli::error::{CommandError, Exit};
use crate::task::off_reactor;
use secrecy::SecretString;
use std::io::Read;

/// More is no token.
const MAX_TOKEN: u64 = 64 * 1024;

pub(super) async fn log_in(subject: &Subject<'_>) -> Result<(), CommandError> {
    let token = off_reactor(read_token).await?;
    subject.keeper.import(token).await.map(drop).map_err(|error| subject.failed(&error))
}

fn read_token() -> Result<SecretString, CommandError> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_TOKEN).read_to_string(&mut text);
    read.map_err(|cause| CommandError::io("cannot read the token from stdin", &cause))?;
    let token = text.trim();
    let is_token = !token.is_empty() && !token.contains(char::is_whitespace);
    is_token.then(|| SecretString::from(token)).ok_or_else(|| CommandError {
        hint: Some("give the refresh token alone, on one line".to_owned()),
        ..CommandError::new(Exit::Usage, "stdin holds no refresh token")
    })
}
