//! Asks a user's command for a password or client secret: `password_command`, `client_secret_command`.
//!
//! Its output without one closing newline is the secret. Invariants: at most 10 s and 64 KiB; neither the command nor its
//! output is ever shown, only the first line of its complaint, and that only if the command could be run.
//! Rejected: keeping the secret between calls, because the command is where the user decides how long it is open.

use super::answer::words;
use super::error::Error;
use crate::command::{self, Ended, LONGEST};
use secrecy::SecretString;
use std::time::Duration;

/// A key agent answers at once; one that asks a person does not belong in a daemon.
const DEADLINE: Duration = Duration::from_secs(10);
/// What a shell says of a command that it may not run (POSIX sh, 2.8.2).
const NOT_EXECUTABLE: i32 = 126;
/// And of one that is not there. Other failures may pass, because an agent can be locked; these do not.
const NOT_FOUND: i32 = 127;

/// Runs the command and takes its output as the secret.
pub async fn run(command: &str) -> Result<SecretString, Error> {
    let ended = command::run(command, &[], DEADLINE).await;
    secret(ended.map_err(|error| failed(error.to_string()))?)
}

fn secret(ended: Ended) -> Result<SecretString, Error> {
    let Ended { status, mut output, complaint } = ended;
    if u64::try_from(output.len()).unwrap_or(u64::MAX) > LONGEST {
        return Err(failed("gave too much output for a secret".into()));
    }
    match status.code() {
        Some(0) => {}
        Some(NOT_FOUND) => return Err(Error::NoCommand { complaint: "was not found".into() }),
        Some(NOT_EXECUTABLE) => return Err(Error::NoCommand { complaint: "may not be run".into() }),
        _ => {
            let complaint = String::from_utf8_lossy(&complaint);
            let first = words(complaint.lines().next().unwrap_or_default());
            // The shell's own words repeat what it stumbles over, which is the secret itself where somebody mistook the key.
            if first.starts_with("sh:") {
                return Err(Error::NoCommand { complaint: format!("cannot be run by the shell ({status})") });
            }
            let words = if first.is_empty() { String::new() } else { format!(": {first}") };
            return Err(failed(format!("failed ({status}){words}")));
        }
    }
    if output.last() == Some(&b'\n') {
        output.pop();
    }
    match String::from_utf8(output) {
        Ok(text) if !text.is_empty() => Ok(text.into()),
        Ok(_) => Err(failed("gave no output".into())),
        Err(_) => Err(failed("gave output that is not UTF-8".into())),
    }
}

fn failed(complaint: String) -> Error {
    Error::Command { complaint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Class, Classified};
    use secrecy::ExposeSecret;

    async fn complaint(command: &str) -> String {
        let error = run(command).await.unwrap_err();
        assert_eq!(error.class(), Class::RETRY);
        format!("{error} {error:?}")
    }

    #[tokio::test]
    async fn one_closing_newline_is_dropped_and_no_more() {
        assert_eq!(run("echo hunter2").await.unwrap().expose_secret(), "hunter2");
        assert_eq!(run("printf 'a b \\n\\n'").await.unwrap().expose_secret(), "a b \n");
    }

    #[tokio::test]
    async fn a_failure_shows_the_first_complaint_but_neither_command_nor_output() {
        let text =
            complaint("echo CANARY1; : CANARY2; echo 'gpg: agent is locked' >&2; echo more >&2; exit 3")
                .await;
        assert!(text.contains("gpg: agent is locked") && text.contains('3'), "{text}");
        assert!(!text.contains("CANARY") && !text.contains("more"), "{text}");
    }

    #[tokio::test]
    async fn a_command_that_cannot_be_run_is_a_fault_of_the_configuration() {
        for command in [
            "GOCSPX-canary get mail",
            "GOCSPX-canary",
            "/",
            "exit 126",
            "pa<canary",
            "ab(cd(canary",
            "a|canary",
        ] {
            let error = run(command).await.unwrap_err();
            assert_eq!(error.class(), Class::Configuration, "{command}: {error}");
            assert!(error.hint().is_some());
            assert!(!format!("{error} {error:?}").contains("canary"), "it may be the secret itself: {error}");
        }
    }

    #[tokio::test]
    async fn nothing_too_much_and_noise_are_refused() {
        assert!(complaint("true").await.contains("no output"));
        assert!(complaint("head -c 65537 /dev/zero").await.contains("too much"));
        assert!(complaint("yes CANARY").await.contains("too much"));
        assert!(complaint("printf '\\377'").await.contains("UTF-8"));
        assert!(complaint("exit 1; CANARY").await.contains("failed"));
    }
}
