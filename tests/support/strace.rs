//! What posthaste asks of the kernel, and in which order: its system calls as strace writes them down.
//!
//! The program is started through a script that becomes it, with strace beside it and not above it (`-D`): process
//! id, signals and exit code stay those of posthaste. Each subcommand has a trace of its own.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::skip::skip;
use super::wait;

/// Files, what makes them durable, what publishes them, and what leaves for the network.
const CALLS: &str = "write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync,syncfs,rename,renameat,renameat2,\
                     unlink,unlinkat,mkdir,mkdirat";
/// Octets shown of what is written: a whole small letter, a whole page of the ledger.
const SHOWN: &str = "4200";

/// A place for traces.
pub struct Strace {
    directory: TempDir,
}

/// One system call; when it began and was done is counted in lines of the trace.
pub struct Call {
    name: String,
    arguments: String,
    begun: usize,
    done: usize,
}

/// The successful calls of one run, in the order of their beginnings.
pub struct Trace(Vec<Call>);

impl Strace {
    /// None where processes may not be traced, and the reason is printed.
    pub fn of(binary: &str) -> Option<Strace> {
        let tried = Command::new("strace").args(["-D", "-f", "-o", "/dev/null", "true"]).output();
        let tried = tried.expect("strace is installed (tests/install-deps does it)");
        if !tried.status.success() {
            let why = String::from_utf8_lossy(&tried.stderr);
            skip(&format!("this machine does not let strace trace: {why}"));
            return None;
        }
        let directory = tempfile::Builder::new().prefix("posthaste-strace-").tempdir().unwrap();
        let traces = directory.path().display();
        let script = format!(
            "#!/bin/sh\necho $$ >'{traces}'/\"$1\".process\nexec strace -D -f --seccomp-bpf -yy -s {SHOWN} -e trace={CALLS} -e signal=none \
             -o '{traces}'/\"$1\".trace '{binary}' \"$@\"\n"
        );
        let strace = Strace { directory };
        fs::write(strace.program(), script).unwrap();
        fs::set_permissions(strace.program(), fs::Permissions::from_mode(0o700)).unwrap();
        Some(strace)
    }

    /// What to run instead of the program.
    pub fn program(&self) -> PathBuf {
        self.directory.path().join("posthaste")
    }

    /// The trace of the last `posthaste SUBCOMMAND`, which has ended.
    pub fn trace(&self, subcommand: &str) -> Trace {
        let read =
            |what: &str| fs::read_to_string(self.directory.path().join(format!("{subcommand}.{what}")));
        let process = read("process").unwrap();
        let is_end = |line: &str| line.split_whitespace().take(2).eq([process.trim_end(), "+++"]);
        wait::until_some(wait::PATIENCE, "strace to have written all", || {
            let text = read("trace").ok()?;
            // The end of a process is told after that of its threads.
            is_end(text.lines().last()?).then(|| Trace::read(&text))
        })
    }
}

impl Trace {
    fn read(text: &str) -> Trace {
        let mut calls: Vec<Call> = Vec::new();
        let mut open: HashMap<&str, (usize, String)> = HashMap::new();
        for (at, line) in text.lines().enumerate() {
            let (thread, rest) = line.split_once(' ').unwrap();
            let rest = rest.trim_start();
            if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
                open.insert(thread, (at, begun.to_owned()));
                continue;
            }
            let (begun, whole) =
                match rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
                    Some((_, end)) => {
                        let (begun, start) = open.remove(thread).expect("a call that was begun");
                        (begun, start + end)
                    }
                    None => (at, rest.to_owned()),
                };
            calls.extend(Call::read(&whole, begun, at));
        }
        calls.sort_by_key(|call| call.begun);
        Trace(calls)
    }

    /// The calls that are `wanted`.
    pub fn all(&self, wanted: impl Fn(&Call) -> bool) -> Vec<&Call> {
        self.0.iter().filter(|call| wanted(call)).collect()
    }

    /// The first call that is `wanted` and began after `earlier` was done; panics with `what`.
    pub fn after(&self, earlier: &Call, what: &str, wanted: impl Fn(&Call) -> bool) -> &Call {
        let found = self.0.iter().find(|call| earlier.precedes(call) && wanted(call));
        found.unwrap_or_else(|| panic!("no {what}\nafter {earlier}"))
    }

    /// The last call that is `wanted` and was done before `later` began; panics with `what`.
    pub fn before(&self, later: &Call, what: &str, wanted: impl Fn(&Call) -> bool) -> &Call {
        let found = self.0.iter().rev().find(|call| call.precedes(later) && wanted(call));
        found.unwrap_or_else(|| panic!("no {what}\nbefore {later}"))
    }

    /// A call that is `wanted` and was wholly between the two; panics with `what`.
    pub fn between(&self, earlier: &Call, later: &Call, what: &str, wanted: impl Fn(&Call) -> bool) -> &Call {
        let found = self.0.iter().find(|call| earlier.precedes(call) && call.precedes(later) && wanted(call));
        found.unwrap_or_else(|| panic!("no {what}\nafter  {earlier}\nbefore {later}"))
    }
}

impl Call {
    /// None for one that failed, and for what is no call.
    fn read(text: &str, begun: usize, done: usize) -> Option<Call> {
        let (call, result) = text.rsplit_once(" = ")?;
        let (name, arguments) = call.trim_end().strip_suffix(')')?.split_once('(')?;
        let (name, arguments) = (name.to_owned(), arguments.to_owned());
        (!result.starts_with('-')).then_some(Call { name, arguments, begun, done })
    }

    /// Whether `text`, escaped as in C, is among its arguments.
    pub fn contains(&self, text: &str) -> bool {
        self.arguments.contains(text)
    }

    /// Whether octets go to the file at `path`.
    pub fn writes(&self, path: &Path) -> bool {
        ["write", "writev", "pwrite64"].contains(&self.name.as_str()) && self.is_on(path)
    }

    /// Whether the file or directory at `path` is pushed to disk.
    pub fn syncs(&self, path: &Path) -> bool {
        ["fsync", "fdatasync"].contains(&self.name.as_str()) && self.is_on(path)
    }

    /// Whether octets go to a port.
    pub fn sends_to(&self, port: u16) -> bool {
        ["write", "writev", "sendto", "sendmsg"].contains(&self.name.as_str())
            && self.descriptor().is_some_and(|to| to.starts_with("TCP") && to.ends_with(&format!(":{port}]")))
    }

    /// Whether the whole file system that the directory at `path` is on is pushed to disk.
    pub fn syncs_all_of(&self, path: &Path) -> bool {
        self.name == "syncfs" && self.is_on(path)
    }

    /// Whether a file stands at `path` under its final name from now on.
    pub fn publishes(&self, path: &Path) -> bool {
        self.renames() && self.paths().last().is_some_and(|to| to == path)
    }

    /// Whether a name ends.
    pub fn removes_name(&self) -> bool {
        self.name.starts_with("unlink")
    }

    /// Whether the name at `path` ends.
    pub fn removes(&self, path: &Path) -> bool {
        self.removes_name() && self.paths().first().is_some_and(|gone| gone == path)
    }

    /// Whether a file or directory gets another name.
    pub fn renames(&self) -> bool {
        self.name.starts_with("rename")
    }

    /// Whether a directory is made.
    pub fn makes_directory(&self) -> bool {
        self.name.starts_with("mkdir")
    }

    /// Whether it was done before the other began.
    pub fn precedes(&self, other: &Call) -> bool {
        self.done < other.begun
    }

    /// The names among its arguments, each in the directory whose descriptor stands before it.
    pub fn paths(&self) -> Vec<PathBuf> {
        let (mut paths, mut directory) = (Vec::new(), Path::new(""));
        for argument in self.arguments.split(", ") {
            if let Some(name) = argument.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                paths.push(directory.join(name));
            } else if let Some((_, at)) = argument.split_once('<') {
                directory = Path::new(at.trim_end_matches('>'));
            }
        }
        paths
    }

    /// What stands behind the descriptor that it works on.
    fn descriptor(&self) -> Option<&str> {
        let first = self.arguments.split(", ").next()?;
        first.split_once('<')?.1.strip_suffix('>')
    }

    fn is_on(&self, path: &Path) -> bool {
        self.descriptor().is_some_and(|on| Path::new(on) == path)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call { name, arguments, begun, done } = self;
        write!(out, "{begun}-{done} {name}({})", arguments.chars().take(300).collect::<String>())
    }
}
