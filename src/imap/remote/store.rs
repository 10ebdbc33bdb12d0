//! Changing flags: bits set and bits cleared, so that flags of others stay as they are.

use super::{Session, commands};
use crate::imap::Error;
use crate::mail::{Flags, UidSet};
use crate::sync::{At, FlagChange};
use std::collections::BTreeMap;

pub(super) async fn store(session: &mut Session, at: &At, changes: &[FlagChange]) -> Result<(), Error> {
    let mut groups: BTreeMap<(char, Flags), UidSet> = BTreeMap::new();
    for change in changes {
        for (sign, flags) in [('+', change.add), ('-', change.remove)] {
            if !flags.is_empty() {
                groups.entry((sign, flags)).or_default().insert(change.uid);
            }
        }
    }
    if groups.is_empty() {
        return Ok(());
    }
    session.ensure(at).await?;
    let lines = groups.iter().flat_map(|(&(sign, flags), uids)| {
        commands(uids, move |set| format!("UID STORE {set} {sign}FLAGS.SILENT ({flags})"))
    });
    let result = session.run_all("UID STORE", lines.collect::<Vec<_>>(), |_| {}).await;
    match result {
        // Some of the messages are gone (RFC 5530); the others were changed.
        Err(error) if error.code() == Some("EXPUNGEISSUED") => Ok(()),
        other => other.map(|_| ()),
    }
}
