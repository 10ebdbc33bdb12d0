//! `login --paste`: the browser is on another machine, and the person brings the address that it ends at.
//!
//! The listener waits as well: it keeps other programs off the port that the address names, and a port that is
//! forwarded needs no paste. A wrong line is explained and the next one read; the end of the input is the end.

use super::{Subject, browser};
use crate::cli::error::CommandError;
use crate::cli::output;
use crate::error::{Classified, chain};
use crate::oauth::flow::{self, Callback, Expected, PATIENCE, paste};
use std::io::{BufRead, Read};
use tokio::sync::mpsc;

/// More is no address.
const LONGEST_LINE: u64 = 32 * 1024;

pub(super) async fn log_in(subject: &Subject<'_>) -> Result<(), CommandError> {
    let (listener, attempt) = browser::begin(subject).await.map_err(|error| subject.failed(&error))?;
    output::complain(&format!(
        "Log in to account {} in a browser on any machine, at\n\n  {}\n\nThe browser ends at an address that begins with {} \
         and probably says that it cannot connect. Copy that whole address from its address bar and paste it here:",
        subject.account.name,
        attempt.url(),
        listener.redirect(),
    ));
    let redirect = listener.redirect().to_owned();
    let (expected, mut lines) = (attempt.expected().clone(), read_lines());
    tokio::select! {
        caught = listener.wait(&expected, PATIENCE) => {
            browser::finish(subject, attempt, caught.map_err(|error| subject.failed(&error))?).await
        }
        pasted = pasted(&mut lines, &redirect, &expected) => {
            browser::redeem(subject, attempt, pasted.map_err(|error| subject.failed(&error))?).await
        }
    }
}

/// The redirect from the first line that is one.
async fn pasted(
    lines: &mut mpsc::Receiver<String>,
    redirect: &str,
    expected: &Expected,
) -> Result<Callback, flow::Error> {
    let mut last = flow::Error::NoRedirect;
    while let Some(line) = lines.recv().await {
        if line.trim().is_empty() {
            continue;
        }
        match paste::read(&line, redirect, expected) {
            Ok(callback) => return Ok(callback),
            Err(error) => {
                output::complain(&format!("{}: {}", chain(&error), error.hint().unwrap_or_default()));
                last = error;
            }
        }
    }
    Err(last)
}

/// Lines of stdin, from a thread that ends with the program: a read from a terminal cannot be given up.
fn read_lines() -> mpsc::Receiver<String> {
    let (to, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        loop {
            let mut line = String::new();
            match std::io::stdin().lock().take(LONGEST_LINE).read_line(&mut line) {
                Ok(count) if count > 0 => {}
                _ => return,
            }
            if to.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    async fn of(text: &[&str]) -> Result<Callback, flow::Error> {
        let (to, mut lines) = mpsc::channel(text.len().max(1));
        for line in text {
            to.try_send((*line).to_owned()).unwrap();
        }
        drop(to);
        let authorize_url = "https://login.test/authorize".parse().unwrap();
        pasted(&mut lines, "http://localhost:4711", &Expected { state: "right".into(), authorize_url }).await
    }

    #[tokio::test]
    async fn the_first_line_that_is_the_redirect_counts() {
        let right = "http://localhost:4711/?code=c1&state=right\n";
        let Ok(Callback::Code(code)) = of(&["\n", "what?\n", right]).await else { panic!() };
        assert_eq!(code.expose_secret(), "c1");
    }

    #[tokio::test]
    async fn the_end_of_the_input_says_what_was_wrong_last() {
        assert!(matches!(of(&[]).await, Err(flow::Error::NoRedirect)));
        let other = "http://localhost:4711/?code=c1&state=wrong\n";
        assert!(matches!(of(&["what?", other]).await, Err(flow::Error::OtherLogin)));
    }
}
