//! Asks a user's command for a password or client secret: `password_command`, `client_secret_command`.
//!
//! The command line goes to `sh -c` with no standard input; its output without one closing newline is the secret.
//! Invariants: at most 10 s and 64 KiB; the whole process group is killed when it takes longer or nobody waits any
//! more; neither the command nor its output is ever shown, only the first line of its complaint, and that only if the
//! command could be run.
//! Rejected: keeping the secret between calls, because the command is where the user decides how long it is open.

use super::answer::words;
use super::error::Error;
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::SecretString;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// A key agent answers at once; one that asks a person does not belong in a daemon.
const DEADLINE: Duration = Duration::from_secs(10);
/// What a shell says of a command that it may not run (POSIX sh, 2.8.2).
const NOT_EXECUTABLE: i32 = 126;
/// And of one that is not there. Other failures may pass, because an agent can be locked; these do not.
const NOT_FOUND: i32 = 127;
/// More output than this is not a secret.
const LONGEST: u64 = 64 * 1024;

/// Runs the command and takes its output as the secret.
pub async fn run(command: &str) -> Result<SecretString, Error> {
    run_within(command, DEADLINE).await
}

async fn run_within(command: &str, deadline: Duration) -> Result<SecretString, Error> {
    let mut child = spawn(command).map_err(|error| failed(format!("cannot be started: {error}")))?;
    let _group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    match tokio::time::timeout(deadline, finish(&mut child)).await {
        Ok(Ok((status, output, complaint))) => secret(status, output, &complaint),
        Ok(Err(error)) => Err(failed(format!("cannot be read: {error}"))),
        Err(_) => Err(failed(format!("gave no answer within {} s", deadline.as_secs_f32()))),
    }
}

fn spawn(command: &str) -> std::io::Result<Child> {
    Command::new("sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Reads both outputs to their ends, side by side, and then reaps the process.
async fn finish(child: &mut Child) -> std::io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let (output, complaint) = (child.stdout.take(), child.stderr.take());
    let (output, complaint) = tokio::try_join!(read(output), read(complaint))?;
    Ok((child.wait().await?, output, complaint))
}

/// At most one byte more than is allowed, by which the excess shows; what follows is left unread.
async fn read(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(LONGEST + 1).read_to_end(&mut text).await?;
    }
    Ok(text)
}

fn secret(status: ExitStatus, mut output: Vec<u8>, complaint: &[u8]) -> Result<SecretString, Error> {
    if u64::try_from(output.len()).unwrap_or(u64::MAX) > LONGEST {
        return Err(failed("gave too much output for a secret".into()));
    }
    match status.code() {
        Some(0) => {}
        // The shell's complaint would repeat the command, which is the secret itself where somebody mistook the key.
        Some(NOT_EXECUTABLE | NOT_FOUND) => {
            return Err(Error::NoCommand { complaint: format!("cannot be run ({status})") });
        }
        _ => {
            let complaint = String::from_utf8_lossy(complaint);
            let first = words(complaint.lines().next().unwrap_or_default());
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

/// The process group of a command; whatever is left of it is killed on drop, children of the shell included.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Fails when all of them have ended, which is the usual case.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
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
        for command in ["GOCSPX-canary get mail", "GOCSPX-canary", "/", "exit 126"] {
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

    #[tokio::test]
    async fn a_command_that_hangs_meets_the_deadline() {
        let error = run_within("sleep 20", Duration::from_millis(50)).await.unwrap_err();
        assert!(error.to_string().contains("no answer within 0.05 s"), "{error}");
    }

    #[tokio::test]
    async fn when_nobody_waits_any_more_the_children_of_the_shell_are_killed_too() {
        let home = tempfile::tempdir().unwrap();
        let fifo = home.path().join("alive");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        // The grandchild holds the fifo open; the reader sees its end when the grandchild is gone.
        let command = format!("(echo up; exec sleep 20) >'{}' & wait", fifo.display());
        let (up, is_up) = tokio::sync::oneshot::channel();
        let reader = tokio::task::spawn_blocking(move || {
            let mut fifo = std::fs::File::open(fifo).unwrap();
            let mut word = [0; 3];
            std::io::Read::read_exact(&mut fifo, &mut word).unwrap();
            up.send(()).unwrap();
            std::io::Read::read_to_end(&mut fifo, &mut Vec::new()).unwrap();
        });
        tokio::select! {
            outcome = run_within(&command, Duration::from_secs(15)) => panic!("{outcome:?}"),
            up = is_up => up.unwrap(),
        }
        tokio::time::timeout(Duration::from_secs(10), reader).await.expect("the child lives on").unwrap();
    }
}
