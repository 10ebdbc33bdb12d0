//! Delivery of a message of our own under a name that the caller chose: doing it twice leaves one file.

use super::content::ToDisk;
use super::dir::{self, Place};
use super::error::Error;
use super::scan;
use super::store::{Store, move_in, target};
use crate::mail::{Flags, MailboxName, UniqueName};
use rustix::fs::AtFlags;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::time::SystemTime;

/// Octets copied at a time.
const PIECE: usize = 64 * 1024;

/// Puts `message` (CRLF) into a mailbox, durably; nothing happens where a file of that name is in it already.
pub(super) fn deliver(
    store: &Store,
    mailbox: &MailboxName,
    name: &UniqueName,
    message: File,
    flags: Flags,
    date: SystemTime,
) -> Result<(), Error> {
    let dir = store.root.existing(mailbox)?;
    if scan::messages(&dir)?.contains_key(name) {
        return Ok(());
    }
    let describe = || dir.describe(name.as_str());
    // What a crash left of an earlier attempt.
    let _ = rustix::fs::unlinkat(dir.place(Place::Tmp), name.as_str(), AtFlags::empty());
    let file =
        dir::create_file(dir.place(Place::Tmp), name.as_str()).map_err(Error::io("create", describe()))?;
    let written = write(message, file, store).and_then(|file| {
        file.set_modified(date)?;
        file.sync_all()
    });
    written.map_err(Error::io("write", describe()))?;
    let target = target(flags);
    if !move_in(&dir, name, &target)? {
        return Err(Error::Interrupted);
    }
    dir.sync(target.place)
}

fn write(mut message: File, file: File, store: &Store) -> std::io::Result<File> {
    let (mut out, mut to_disk) = (BufWriter::new(file), ToDisk::new(store.endings));
    let mut piece = vec![0; PIECE];
    loop {
        match message.read(&mut piece)? {
            0 => break,
            read => to_disk.add(piece.get(..read).unwrap_or_default(), &mut out)?,
        }
    }
    to_disk.finish(&mut out)?;
    out.flush()?;
    out.into_inner().map_err(|error| error.into_error())
}
