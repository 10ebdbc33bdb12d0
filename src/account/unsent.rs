//! The outbox of an account that only receives: what lies there is named in the status, because nobody will ever take it.
//!
//! Only looks: such an outbox is not made, watched or changed.

use super::Shared;
use crate::queue::Outbox;
use crate::task::off_reactor;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tokio::time::sleep;

/// Somebody who waits for a message to go looks at the status a little later.
const PACE: Duration = Duration::from_secs(20);
/// So many files say what all of them would.
const MOST: usize = 5;

/// Runs until the account stops.
pub(super) async fn run(shared: Shared) {
    let mut outbox = Outbox::new(shared.account.outbox.clone());
    while !shared.stop.is_cancelled() {
        let account = shared.account.clone();
        let looked = off_reactor(move || {
            let lines = look(&mut outbox, &account.outbox, &account.name);
            (outbox, lines)
        });
        let lines;
        (outbox, lines) = looked.await;
        shared.board.passed_over(lines);
        tokio::select! {
            () = sleep(PACE) => {}
            () = shared.stop.cancelled() => {}
        }
    }
}

/// What lies in the outbox; nothing where there is none.
fn look(outbox: &mut Outbox, root: &Path, account: &str) -> Vec<String> {
    let Ok(scan) = outbox.scan(Timestamp::now(), &BTreeSet::new()) else { return Vec::new() };
    let names = scan.ready.iter().map(|file| file.path.strip_prefix(root).unwrap_or(&file.path).display());
    names
        .take(MOST)
        .map(|name| format!("{name} has no way out ([accounts.{account}.smtp] is missing)"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_complete_file_is_named_with_what_is_missing() {
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut outbox = Outbox::new(home.path());
        assert!(look(&mut outbox, home.path(), "lab").is_empty());
        std::fs::create_dir(home.path().join("new")).unwrap();
        std::fs::set_permissions(home.path().join("new"), std::fs::Permissions::from_mode(0o700)).unwrap();
        let letter = std::fs::File::create(home.path().join("new/letter.eml")).unwrap();
        std::io::Write::write_all(&mut &letter, b"Subject: x\n\ny\n").unwrap();
        letter.set_modified(std::time::UNIX_EPOCH).unwrap();
        let lines = look(&mut outbox, home.path(), "lab");
        assert_eq!(lines, ["new/letter.eml has no way out ([accounts.lab.smtp] is missing)"]);
        assert!(look(&mut Outbox::new("/nonexistent"), Path::new("/nonexistent"), "lab").is_empty());
    }
}
