//! Where mail, outgoing files and state are kept: ours, private enough, writable, with room.
//!
//! A directory that is not there yet is made by the daemon; then the nearest one above it counts. The only thing written
//! is a nameless file that goes away with its descriptor (O_TMPFILE). Judging is apart from looking.

use super::Surroundings;
use super::chart::{Chart, Failed, Finding, Passed};
use crate::config::{Account, Auth};
use crate::task::off_reactor;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Below this a person should know; a mailbox of a few years is larger.
const LOW: u64 = 500 * 1024 * 1024;
/// Below this a pass fails soon.
const EXHAUSTED: u64 = 10 * 1024 * 1024;

/// What is demanded of a directory.
#[derive(Clone, Copy)]
struct Demand {
    /// What it is, in the user's words.
    what: &'static str,
    /// Permissions that nobody else may have.
    forbidden: u32,
    /// The permissions to give it.
    wanted: u32,
}

const MAILDIR: Demand = Demand { what: "the Maildir", forbidden: 0o022, wanted: 0o700 };
const OUTBOX: Demand = Demand { what: "the outbox", forbidden: 0o022, wanted: 0o700 };
const STATE: Demand = Demand { what: "the state directory", forbidden: 0o022, wanted: 0o700 };

/// What a look at a directory tells.
#[derive(Clone, Copy, Debug)]
struct Facts {
    owner: u32,
    mode: u32,
    is_directory: bool,
    /// Octets left for this user.
    free: u64,
    /// Why no file can be made in it.
    refuses: Option<Errno>,
}

pub(super) async fn examine(account: &Account, surroundings: &Surroundings, chart: &Chart) {
    let state = surroundings.state_dir.join(&account.name);
    let (maildir, outbox) = (account.maildir.clone(), account.outbox.clone());
    chart.run("maildir", off_reactor(move || inspect_maildir(&maildir))).await;
    if account.smtp.is_some() {
        chart.run("outbox", off_reactor(move || inspect(OUTBOX, &outbox))).await;
    }
    let has_token = matches!(account.auth, Auth::OAuth2(_));
    chart.run("state", off_reactor(move || inspect_state(&state, has_token))).await;
}

fn inspect_maildir(root: &Path) -> Finding {
    let found = inspect(MAILDIR, root)?;
    // A message moves from tmp to new by a rename, which works within one file system only.
    for mailbox in [root.to_owned(), root.join("INBOX")] {
        let device = |name: &str| mailbox.join(name).metadata().map(|directory| directory.dev()).ok();
        let tmp = device("tmp");
        if let Some(other) = ["new", "cur"].into_iter().find(|name| device(name) != tmp && tmp.is_some()) {
            let detail = format!("{}/tmp and {other} are not on one file system", mailbox.display());
            return Err(Failed::new(
                detail,
                "no mount may begin inside a mailbox: move it to the whole Maildir",
            ));
        }
    }
    Ok(found)
}

fn inspect_state(directory: &Path, has_token: bool) -> Finding {
    let found = inspect(STATE, directory)?;
    let token = directory.join("token.json");
    if let Ok(file) = token.symlink_metadata().and_then(|_| token.metadata()).as_ref()
        && has_token
    {
        judge_owner(&token, file.uid())?;
        if file.mode() & 0o077 != 0 {
            return Err(exposed(&token, "the saved login", file.mode(), 0o600));
        }
    }
    Ok(found)
}

/// A directory as it is, or the place where it will be made.
fn inspect(demand: Demand, path: &Path) -> Finding {
    match look(path) {
        Ok(facts) => judge(demand, path, facts),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) else {
                return Err(unreadable(demand, path, &error));
            };
            let above = existing(above);
            let facts = look(&above).map_err(|error| unreadable(demand, &above, &error))?;
            if !facts.is_directory || facts.refuses.is_some() {
                return Err(cannot_be_made(demand, path, &above));
            }
            Ok(Passed::new((), format!("{} is not there yet; the daemon makes it", path.display())))
        }
        Err(error) => Err(unreadable(demand, path, &error)),
    }
}

/// The nearest directory above that is there.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/")).to_owned()
}

fn look(path: &Path) -> io::Result<Facts> {
    let found: Metadata = path.metadata()?;
    let room = rustix::fs::statvfs(path)?;
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let refuses = match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        // Some file systems cannot make nameless files: nothing is known then.
        Ok(_) | Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOTDIR) => None,
        Err(errno) => Some(errno),
    };
    Ok(Facts {
        owner: found.uid(),
        mode: found.mode() & 0o7777,
        is_directory: found.is_dir(),
        free: room.f_bavail.saturating_mul(room.f_frsize),
        refuses,
    })
}

/// Whether a directory that is there will do.
fn judge(demand: Demand, path: &Path, facts: Facts) -> Finding {
    let Facts { owner, mode, is_directory, free, refuses } = facts;
    let shown = path.display();
    if !is_directory {
        return Err(Failed::new(format!("{shown} is not a directory"), "move it away"));
    }
    judge_owner(path, owner)?;
    if mode & demand.forbidden != 0 {
        return Err(exposed(path, demand.what, mode, demand.wanted));
    }
    if mode & 0o700 != 0o700 {
        return Err(Failed::new(
            format!("{} {shown} is closed to yourself (mode {mode:04o})", demand.what),
            format!("run: chmod u+rwx '{shown}'"),
        ));
    }
    if let Some(errno) = refuses {
        return Err(Failed::new(
            format!("no file can be made in {} {shown}: {errno}", demand.what),
            "look whether its disk is full or mounted read-only",
        ));
    }
    let megabytes = free / (1024 * 1024);
    if free < EXHAUSTED {
        let detail = format!("{shown} has only {megabytes} MiB left");
        return Err(Failed::new(detail, "make room on this disk; mail waits on the server until then"));
    }
    let warning = (free < LOW).then(|| "make room on this disk before it is full".to_owned());
    Ok(Passed::new((), format!("{shown}, {} free", size(free))).with_warning(warning))
}

fn judge_owner(path: &Path, owner: u32) -> Result<(), Failed> {
    if owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let path = path.display();
    Err(Failed::new(
        format!("{path} belongs to user {owner}, not to you"),
        format!("run as root: chown -R \"$USER\" '{path}'; and never run posthaste with sudo"),
    ))
}

fn exposed(path: &Path, what: &str, mode: u32, wanted: u32) -> Failed {
    let path = path.display();
    let mode = mode & 0o7777;
    Failed::new(
        format!("{what} {path} is open to other users (mode {mode:04o})"),
        format!("run: chmod {wanted:o} '{path}'"),
    )
}

fn cannot_be_made(demand: Demand, path: &Path, above: &Path) -> Failed {
    Failed::new(
        format!("{} {} is not there and cannot be made in {}", demand.what, path.display(), above.display()),
        "make it yourself, or name another place in the configuration",
    )
}

fn unreadable(demand: Demand, path: &Path, error: &io::Error) -> Failed {
    Failed::new(
        format!("cannot look at {} {}: {error}", demand.what, path.display()),
        "look at the permissions of the directories above it",
    )
}

fn size(octets: u64) -> String {
    const GIB: u64 = 1024 * 1024 * 1024;
    if octets >= GIB { format!("{} GiB", octets / GIB) } else { format!("{} MiB", octets / (1024 * 1024)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    fn facts() -> Facts {
        let owner = rustix::process::geteuid().as_raw();
        Facts { owner, mode: 0o700, is_directory: true, free: 2 * LOW, refuses: None }
    }

    fn told(facts: Facts) -> String {
        match judge(OUTBOX, Path::new("/o"), facts) {
            Ok(passed) => format!("{}: {}", passed.warning.map_or("ok", |_| "warn"), passed.detail),
            Err(failed) => format!("fail: {} ({})", failed.detail, failed.advice.unwrap_or_default()),
        }
    }

    #[test]
    fn each_fault_of_a_directory_has_its_words_and_remedy() {
        assert_eq!(told(facts()), "ok: /o, 1000 MiB free");
        assert_eq!(told(Facts { free: LOW - 1, ..facts() }), "warn: /o, 499 MiB free");
        for (fault, words) in [
            (Facts { owner: facts().owner + 1, ..facts() }, "not to you"),
            (Facts { mode: 0o777, ..facts() }, "chmod 700 '/o'"),
            (Facts { mode: 0o500, ..facts() }, "chmod u+rwx '/o'"),
            (Facts { is_directory: false, ..facts() }, "is not a directory"),
            (Facts { refuses: Some(Errno::ROFS), ..facts() }, "mounted read-only"),
            (Facts { free: EXHAUSTED - 1, ..facts() }, "only 9 MiB left"),
        ] {
            let told = told(fault);
            assert!(told.starts_with("fail: ") && told.contains(words), "{told}");
        }
    }

    #[test]
    fn what_is_not_there_yet_is_no_fault_where_it_can_be_made() {
        let home = tempfile::tempdir().unwrap();
        assert!(inspect(MAILDIR, &home.path().join("a/b/c")).is_ok());
        fs::write(home.path().join("file"), "").unwrap();
        let failed = inspect(MAILDIR, &home.path().join("file/below")).unwrap_err();
        assert!(failed.detail.contains("file"), "{failed:?}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing is made");
    }

    #[test]
    fn a_saved_login_that_others_can_read_is_found() {
        let state = tempfile::tempdir().unwrap();
        let token = state.path().join("token.json");
        fs::write(&token, "{}").unwrap();
        fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
        assert!(inspect_state(state.path(), true).is_ok());
        fs::set_permissions(&token, Permissions::from_mode(0o640)).unwrap();
        let failed = inspect_state(state.path(), true).unwrap_err();
        assert!(failed.advice.unwrap().contains("chmod 600"));
    }
}
