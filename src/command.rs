//! Runs a command line of the user's: a password command, a hook.
//!
//! It goes to `sh -c`, without standard input. Invariants: time and output have limits; the whole process group is
//! killed when it takes longer or nobody waits any more; neither the line nor its output stands in an error, because
//! either may hold a secret. What the output means is not known here.

use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// How much of each output is read. Who writes more finds the pipe closed.
pub const LONGEST: u64 = 64 * 1024;

/// A command that came to its end.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// What it wrote to standard output; one byte more than [`LONGEST`] where it wrote too much.
    pub output: Vec<u8>,
    /// The same of standard error.
    pub complaint: Vec<u8>,
}

/// Why a command did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no shell, or no room for a process.
    #[error("cannot be started: {0}")]
    Start(io::Error),
    /// Its output is lost.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// It was killed.
    #[error("did not end within {} s", .0.as_secs_f32())]
    Late(Duration),
}

/// Runs the line with these variables beside our own until it and all that holds its outputs open have ended.
///
/// # Errors
/// What kept it from ending by itself; an exit code other than zero is no error here.
pub async fn run(line: &str, variables: &[(&str, &str)], limit: Duration) -> Result<Ended, Error> {
    let mut child = spawn(line, variables).map_err(Error::Start)?;
    let _group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    match tokio::time::timeout(limit, finish(&mut child)).await {
        Ok(ended) => ended.map_err(Error::Read),
        Err(_) => Err(Error::Late(limit)),
    }
}

fn spawn(line: &str, variables: &[(&str, &str)]) -> io::Result<Child> {
    Command::new("sh")
        .arg("-c")
        .arg(line)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Reads both outputs to their ends, side by side, and then reaps the process.
async fn finish(child: &mut Child) -> io::Result<Ended> {
    let (output, complaint) = (child.stdout.take(), child.stderr.take());
    let (output, complaint) = tokio::try_join!(read(output), read(complaint))?;
    Ok(Ended { status: child.wait().await?, output, complaint })
}

/// At most one byte more than is allowed, by which the excess shows; what follows is left unread.
async fn read(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(LONGEST + 1).read_to_end(&mut text).await?;
    }
    Ok(text)
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

    #[tokio::test]
    async fn a_command_that_hangs_meets_the_limit() {
        let error = run("sleep 20", &[], Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.to_string(), "did not end within 0.05 s");
    }

    #[tokio::test]
    async fn a_command_sees_its_variables_and_both_outputs_are_kept_apart() {
        let line = "echo \"$POSTHASTE_ACCOUNT\"; echo no >&2; exit 3";
        let ended = run(line, &[("POSTHASTE_ACCOUNT", "lab")], Duration::from_secs(15)).await.unwrap();
        assert_eq!(
            (ended.status.code(), &*ended.output, &*ended.complaint),
            (Some(3), &b"lab\n"[..], &b"no\n"[..])
        );
    }

    #[tokio::test]
    async fn when_nobody_waits_any_more_the_children_of_the_shell_are_killed_too() {
        let home = tempfile::tempdir().unwrap();
        let fifo = home.path().join("alive");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        // The grandchild holds the fifo open; the reader sees its end when the grandchild is gone.
        let line = format!("(echo up; exec sleep 20) >'{}' & wait", fifo.display());
        let (up, is_up) = tokio::sync::oneshot::channel();
        let reader = tokio::task::spawn_blocking(move || {
            let mut fifo = std::fs::File::open(fifo).unwrap();
            let mut word = [0; 3];
            std::io::Read::read_exact(&mut fifo, &mut word).unwrap();
            up.send(()).unwrap();
            std::io::Read::read_to_end(&mut fifo, &mut Vec::new()).unwrap();
        });
        tokio::select! {
            ended = run(&line, &[], Duration::from_secs(15)) => panic!("{ended:?}"),
            up = is_up => up.unwrap(),
        }
        tokio::time::timeout(Duration::from_secs(10), reader).await.expect("the child lives on").unwrap();
    }
}
