//! Ends what a test started when the test runner is killed: Ctrl-C in the demo or a SIGKILL must leave nothing running.
//!
//! A shell waits for the end of its input, whose other end only this program holds. Rejected: the parent-death signal,
//! which follows the thread that started the child and not the process.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use std::os::unix::process::CommandExt;

/// A shell that waits for the death of this program; called off with its value.
pub struct Guard(Child);

impl Guard {
    /// Kills `target`, a process id or a negative process group, and removes `directory`.
    pub fn of(target: i64, directory: &Path) -> Guard {
        let script = "read -r _; kill -s KILL -- \"$1\"; rm -rf \"$2\"";
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh", &target.to_string()]).arg(directory);
        Guard(shell.stdin(Stdio::piped()).process_group(0).spawn().expect("sh runs"))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Its input stays open until it is dead.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
