//! `posthaste status`: what every account is doing.
//!
//! Without a daemon the answer is an empty one and exit code 69, so that a script sees both.

use super::error::CommandError;
use super::{Context, direct, output, render, stranded};
use crate::control::client;
use crate::control::{Request, Response};
use crate::status;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

/// How often `--watch` asks.
const PACE: Duration = Duration::from_secs(1);
/// Clears the terminal and goes to its first line (ECMA-48 ED, CUP).
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Status {
    /// Accounts [default: all]
    #[arg(value_name = "ACCOUNT")]
    accounts: Vec<String>,
    /// Print the documented JSON
    #[arg(long)]
    json: bool,
    /// Show it anew each second until interrupted
    #[arg(long)]
    watch: bool,
}

impl Status {
    /// Asks the daemon and prints.
    pub async fn run(&self, context: &Context) -> Result<(), CommandError> {
        loop {
            let answer = ask(&context.socket()).await;
            let shown = match &answer {
                Ok(status) => self.show(&self.chosen(status)?, context)?,
                Err(_) if self.json => self.show(&status::Status::absent(), context)?,
                Err(error) if self.watch => output::print(&format!("{}{error}\n", self.clear()))?,
                Err(_) => ControlFlow::Break(()),
            };
            if !self.watch || shown.is_break() {
                return Ok(answer.map(|_| ())?);
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// The status of the accounts that are named alone.
    fn chosen(&self, status: &status::Status) -> Result<status::Status, CommandError> {
        let stranded = || status.stranded.iter().map(|one| one.account.as_str());
        let known = || status.accounts.iter().map(|account| account.name.as_str()).chain(stranded());
        if let Some(unknown) = self.accounts.iter().find(|name| known().all(|known| known != *name)) {
            return Err(direct::unknown(unknown, known()));
        }
        let mut chosen = status.clone();
        let is_meant = |name: &String| self.accounts.is_empty() || self.accounts.contains(name);
        chosen.accounts.retain(|one| is_meant(&one.name));
        chosen.stranded.retain(|one| is_meant(&one.account));
        Ok(chosen)
    }

    fn show(&self, status: &status::Status, context: &Context) -> Result<ControlFlow<()>, CommandError> {
        if self.json {
            let json = serde_json::to_string(status)
                .map_err(|cause| CommandError::io("cannot write the status", &cause.into()))?;
            return output::print(&format!("{json}\n"));
        }
        let in_colour = context.environment.allows_colour && output::is_read_by_a_person();
        let width = output::width();
        let text = render::status(status, jiff::Timestamp::now(), in_colour, width);
        output::print(&format!("{}{text}{}", self.clear(), stranded::lines(&status.stranded, width)))
    }

    /// What goes before a picture that replaces the last one.
    fn clear(&self) -> &'static str {
        if self.watch && output::is_read_by_a_person() { CLEAR } else { "" }
    }
}

/// The status of the running daemon.
pub(super) async fn ask(socket: &Path) -> Result<status::Status, client::Error> {
    let mut responses = client::request(socket, &Request::Status).await?;
    while let Some(response) = responses.next().await? {
        if let Response::Status(status) = response {
            return Ok(status);
        }
    }
    Err(client::Error::Lost("it told no status"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_known_as_long_as_its_mail_waits() {
        let queue = |account: &str| status::Stranded { account: account.into(), ..Default::default() };
        let all = status::Status { stranded: vec![queue("old"), queue("older")], ..status::Status::absent() };
        let of = |name: &str| Status { accounts: vec![name.into()], json: false, watch: false }.chosen(&all);
        assert_eq!(of("old").unwrap().stranded, [queue("old")]);
        assert!(of("new").is_err());
    }
}
