//! Giving messages back to the user: `failed/NAME` in the outbox, and `failed/NAME.txt` with the reason.
//!
//! Nothing there is ever overwritten: a taken name becomes NAME.1, NAME.2 … The reason is written first, so that no
//! message stands there unexplained. Both steps may be repeated after a crash: the same words under a free name, and the same
//! message under a taken one, are found and not written again.

use super::disk;
use super::outbox::OutboxFile;
use crate::disk::make_directory;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Where refused messages go, inside the outbox.
const DIRECTORY: &str = "failed";
/// How a reason begins.
const HEADING: &str = "This message was not sent:\n";
/// Names tried before giving up.
const MAX_NAMES: u32 = 10_000;
/// Bytes of a name that are kept.
const LONGEST_NAME: usize = 200;

/// What turns a prepared message back into the user's.
pub(super) struct Message<'a> {
    pub(super) name: &'a str,
    pub(super) words: &'a str,
    pub(super) bcc: &'a str,
    pub(super) crlf: bool,
}

/// Moves a file that was never accepted to `failed/` in the outbox `root`; gives its new place.
pub fn refuse(root: &Path, file: &OutboxFile, words: &str) -> io::Result<PathBuf> {
    let name = file.path.file_name().unwrap_or_default().to_string_lossy();
    forget_reason(root, &name);
    let directory = root.join(DIRECTORY);
    make_directory(&directory)?;
    move_in(&directory, &file.path, &name, words)
}

/// Removes the reason that a message left behind when it was moved back into the outbox under its name. Nothing depends on
/// it, so that it may fail.
pub(super) fn forget_reason(root: &Path, name: &str) {
    let place = root.join(DIRECTORY).join(shortened(name));
    let reason = root.join(DIRECTORY).join(format!("{}.txt", shortened(name)));
    let mut heading = [0; HEADING.len()];
    let is_reason = disk::open(&reason).and_then(|mut file| file.read_exact(&mut heading)).is_ok();
    if is_reason && heading == *HEADING.as_bytes() && fs::symlink_metadata(place).is_err() {
        let _ = disk::remove(&reason);
    }
}

/// Writes an accepted message as the user had it, with its Bcc and its line ends; gives its place.
pub(super) fn give_back(root: &Path, message: &Message<'_>, prepared: File) -> io::Result<PathBuf> {
    let directory = root.join(DIRECTORY);
    make_directory(&directory)?;
    let temporary = directory.join(format!(".{}.tmp", shortened(message.name)));
    disk::remove(&temporary)?;
    restore(message, prepared, disk::create(&temporary)?)?;
    move_in(&directory, &temporary, message.name, message.words)
}

/// Renames `from` to the first free NAME of `directory`, its reason written before.
fn move_in(directory: &Path, from: &Path, name: &str, words: &str) -> io::Result<PathBuf> {
    let text =
        format!("{HEADING}\n{words}\n\nTo try again, mend what is wrong and move it back into the outbox.\n");
    let name = shortened(name);
    for number in 0..MAX_NAMES {
        let name = if number == 0 { name.to_owned() } else { format!("{name}.{number}") };
        let (place, reason) = (directory.join(&name), directory.join(format!("{name}.txt")));
        match disk::open(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(standing) if is_same(&standing, &File::open(from)?)? => {
                disk::remove(from)?;
                return Ok(place);
            }
            _ => continue,
        }
        match fs::read(&reason) {
            Ok(old) if old == text.as_bytes() => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                disk::replace(&reason, &directory.join(format!(".{name}.txt.tmp")), text.as_bytes())?;
            }
            _ => continue,
        }
        disk::rename_new(from, &place)?;
        return Ok(place);
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many failed messages of one name"))
}

/// A name that has room for a number and an ending in the 255 bytes of a file name.
fn shortened(name: &str) -> &str {
    name.get(..name.floor_char_boundary(LONGEST_NAME)).unwrap_or(name)
}

fn restore(message: &Message<'_>, prepared: File, out: File) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    let mut source = BufReader::new(message.bcc.as_bytes().chain(prepared));
    loop {
        let block = source.fill_buf()?;
        let count = block.len();
        if count == 0 {
            break;
        }
        if message.crlf {
            out.write_all(block)?;
        } else {
            // A prepared message has no CR that is not part of a line end.
            out.write_all(&block.iter().copied().filter(|&byte| byte != b'\r').collect::<Vec<u8>>())?;
        }
        source.consume(count);
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Whether two files have the same bytes.
fn is_same(one: &File, other: &File) -> io::Result<bool> {
    let (standing, new) = (one.metadata()?, other.metadata()?);
    if !standing.is_file() || standing.len() != new.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let count = left.len().min(right.len());
        if count == 0 {
            return Ok(left.len() == right.len());
        }
        if left.get(..count) != right.get(..count) {
            return Ok(false);
        }
        one.consume(count);
        other.consume(count);
    }
}

/// How many messages stand in `failed/`.
pub(super) fn count(root: &Path) -> u32 {
    let Ok(entries) = fs::read_dir(root.join(DIRECTORY)) else { return 0 };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_message = |name: &String| !name.starts_with('.') && !name.ends_with(".txt");
    u32::try_from(names.filter(is_message).count()).unwrap_or(u32::MAX)
}
