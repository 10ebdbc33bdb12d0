//! `login` in the browser of this machine, or of one that `ssh -L` connects with it.
//!
//! The listener is bound before the address is shown. The address is always shown: a browser that is opened may be
//! another one than the person wants. Its page is answered after the login is saved, so that it tells the truth.

use super::Subject;
use crate::cli::error::CommandError;
use crate::cli::{Context, output};
use crate::oauth::flow::code::Attempt;
use crate::oauth::flow::listener::{Caught, Listener, with_random_path};
use crate::oauth::flow::{self, Callback, PATIENCE, Page};
use std::process::Stdio;

/// Some refusals never come back here.
const STAYS: &str = "If the page shows an error and stays there, end this with Ctrl-C; what helps is in docs/providers.md, \
                     \"When the browser shows an error\".";

pub(super) async fn log_in(context: &Context, subject: &Subject<'_>) -> Result<(), CommandError> {
    let (listener, attempt) = begin(subject).await.map_err(|error| subject.failed(&error))?;
    let name = &subject.account.name;
    output::complain(&format!("Log in to account {name} at\n\n  {}\n", attempt.url()));
    let environment = &context.environment;
    if environment.has_browser {
        open(attempt.url().as_str());
        output::complain("A browser should open by itself. Waiting for it; Ctrl-C ends the login.");
    } else if let Some(ssh) = &environment.ssh {
        output::complain(&over_ssh(name, listener.port(), ssh));
    } else {
        output::complain(&format!(
            "Open it in a browser of this machine; for another one: posthaste login {name} --paste"
        ));
    }
    output::complain(STAYS);
    let caught = listener.wait(attempt.expected(), PATIENCE).await;
    finish(subject, attempt, caught.map_err(|error| subject.failed(&error))?).await
}

/// The listener first, then the address that names its port.
pub(super) async fn begin(subject: &Subject<'_>) -> Result<(Listener, Attempt), flow::Error> {
    let authorize = subject.authorize()?;
    let redirect = match subject.oauth.any_path {
        true => with_random_path(&subject.oauth.redirect),
        false => subject.oauth.redirect.clone(),
    };
    let listener = Listener::bind(&redirect).await?;
    let attempt = Attempt::new(subject.keeper.config(), &authorize, listener.redirect())?;
    Ok((listener, attempt))
}

/// Redeems, saves, and only then answers the browser.
pub(super) async fn finish(
    subject: &Subject<'_>,
    attempt: Attempt,
    caught: Caught,
) -> Result<(), CommandError> {
    let Caught { callback, browser } = caught;
    let failure = if matches!(callback, Callback::Code(_)) { Page::Failed } else { Page::Denied };
    let outcome = redeem(subject, attempt, callback).await;
    browser.tell(if outcome.is_ok() { Page::Done } else { failure }).await;
    outcome
}

pub(super) async fn redeem(
    subject: &Subject<'_>,
    attempt: Attempt,
    callback: Callback,
) -> Result<(), CommandError> {
    let granted = attempt.redeem(subject.keeper.config(), callback).await;
    let granted = granted.map_err(|error| subject.failed(&error))?;
    subject.adopted(subject.keeper.adopt(granted).await)
}

/// Opens the address in the person's browser; where that does not work the person does it by hand.
fn open(url: &str) {
    let opened = tokio::process::Command::new("xdg-open")
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Err(error) = opened {
        tracing::debug!(%error, "no browser was opened");
    }
}

/// How a browser on the person's own machine reaches the listener; `ssh` is the value of SSH_CONNECTION (ssh(1)).
fn over_ssh(account: &str, port: u16, ssh: &str) -> String {
    let mut words = ssh.split_whitespace().skip(2);
    let server = output::harmless(words.next().unwrap_or("THIS-MACHINE"));
    let at = match words.next() {
        None | Some("22") => String::new(),
        Some(other) => format!(" -p {}", output::harmless(other)),
    };
    format!(
        "This is an ssh session. On the machine with the browser, run first\n\n  \
         ssh -N -L {port}:127.0.0.1:{port}{at} {server}\n\nand then open the address there. \
         Or end this with Ctrl-C and run: posthaste login {account} --paste"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_ssh_the_line_to_type_is_shown_ready() {
        let shown = over_ssh("work", 4711, "192.0.2.7 50000 198.51.100.2 22");
        assert!(shown.contains("\n  ssh -N -L 4711:127.0.0.1:4711 198.51.100.2\n"), "{shown}");
        assert!(shown.contains("posthaste login work --paste"), "{shown}");
        let shown = over_ssh("work", 4711, "192.0.2.7 50000 198.51.100.2 2222");
        assert!(shown.contains(":4711 -p 2222 198.51.100.2\n"), "{shown}");
        assert!(over_ssh("work", 4711, "").contains("4711 THIS-MACHINE\n"));
    }
}
