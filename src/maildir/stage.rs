//! Writing arriving messages into `tmp`, a batch at a time, and pushing a batch to disk as one.
//!
//! The async half forwards arrivals and decides when the batch ends; the blocking half runs on a thread of its own
//! and writes. A message is streamed, never held as a whole. Nothing incomplete survives: whatever is dropped without
//! being returned is unlinked. Durability law: a returned batch is on disk, and a file whose fsync failed is never
//! synced again but unlinked, because the kernel may have marked its lost pages clean.
//!
//! A large batch is pushed by one `syncfs` where that is as safe ([`whole_file_system`]), else file by file. In the whole
//! program, 20,000 messages of 9 KiB on ext4, three runs each in turns on a busy machine, the syncs took 1.0, 1.2 and
//! 1.4 s file by file (four threads, write-out started early) and 0.4, 0.5 and 0.6 s with `syncfs`; without the early
//! write-out 0.5, 0.6 and 1.4 s. The disk is flushed once for a batch instead of once for each file. The price: it waits
//! for what other programs wrote to the same disk, so small batches, which somebody may wait for, never use it.

use super::content::{Recogniser, ToDisk};
use super::dir::{self, MailboxDir, Place};
use super::error::Error;
use super::name::UniqueNames;
use crate::keeping::LineEndings;
use crate::mail::UniqueName;
use crate::sync::{Arrival, Fetched, Staged};
use rustix::fs::{Advice, AtFlags, Mode, OFlags};
use std::fs::File;
use std::io::BufWriter;
use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// A batch ends at this many messages: bounds what a crash makes arrive again.
const MESSAGES: usize = 1000;
/// A batch ends past this many octets: bounds dirty pages, and how long the first message stays invisible.
const OCTETS: u64 = 32 * 1024 * 1024;
/// A batch ends when nothing came for this long: a single new message must appear at once.
const PAUSE: Duration = Duration::from_millis(20);
/// Arrivals between the two halves.
const BETWEEN: usize = 32;
/// Threads that sync; the journal commits what they wait for together.
const SYNCERS: usize = 4;
/// From this many messages on a batch is pushed to disk as a whole.
const WHOLE: usize = 32;
/// One write to a file.
const BUFFER: usize = 64 * 1024;

/// What the blocking half made of a batch.
#[derive(Debug)]
pub(super) struct Batch {
    /// Messages that are on disk.
    pub(super) staged: Vec<Staged>,
    /// Why others are not.
    pub(super) failure: Option<Error>,
}

/// The way into the blocking half.
pub(super) fn conveyor() -> (mpsc::Sender<Arrival>, mpsc::Receiver<Arrival>) {
    mpsc::channel(BETWEEN)
}

/// Forwards arrivals until a batch is full, a pause comes, the stream ends or the writer gave up. Never ends inside a
/// message unless the stream does.
pub(super) async fn forward(from: &mut mpsc::Receiver<Arrival>, to: mpsc::Sender<Arrival>) {
    let (mut messages, mut octets, mut is_inside) = (0, 0, false);
    while messages < MESSAGES && octets < OCTETS || is_inside {
        let is_pause_an_end = messages > 0 && !is_inside;
        let next = tokio::select! {
            next = from.recv() => next,
            () = tokio::time::sleep(PAUSE), if is_pause_an_end => None,
            // The writer gave up; the stream may stay silent for long.
            () = to.closed() => None,
        };
        let Some(arrival) = next else { return };
        match &arrival {
            Arrival::Start { .. } => is_inside = true,
            Arrival::Chunk(chunk) => octets += chunk.len() as u64,
            Arrival::End(_) => {
                is_inside = false;
                messages += 1;
            }
        }
        if to.send(arrival).await.is_err() {
            return;
        }
    }
}

/// The blocking half: writes until the conveyor closes, then makes the batch durable.
pub(super) fn write(
    mailbox: &MailboxDir,
    names: &UniqueNames,
    endings: LineEndings,
    mut arrivals: mpsc::Receiver<Arrival>,
) -> Batch {
    let mut writer = Writer { mailbox, names, endings, open: None, complete: Vec::new() };
    let mut failure = None;
    while let Some(arrival) = arrivals.blocking_recv() {
        if let Err(error) = writer.take(arrival) {
            failure = Some(error);
            break;
        }
    }
    // Closing here tells the async half not to go on.
    drop(arrivals);
    writer.open = None;
    let (staged, sync_failure) = sync(mailbox, writer.complete);
    Batch { staged, failure: failure.or(sync_failure) }
}

struct Writer<'a> {
    mailbox: &'a MailboxDir,
    names: &'a UniqueNames,
    endings: LineEndings,
    open: Option<Incoming<'a>>,
    complete: Vec<(Staged, TmpFile<'a>)>,
}

/// A message on its way in.
struct Incoming<'a> {
    out: BufWriter<File>,
    file: TmpFile<'a>,
    to_disk: ToDisk,
    recogniser: Recogniser,
    expected: Option<u64>,
    received: u64,
}

/// A file in `tmp` that is unlinked unless it is kept.
struct TmpFile<'a> {
    mailbox: &'a MailboxDir,
    name: UniqueName,
    is_kept: bool,
}

impl<'a> Writer<'a> {
    fn take(&mut self, arrival: Arrival) -> Result<(), Error> {
        match arrival {
            Arrival::Start { size } => {
                self.open = None;
                self.open = Some(self.begin(size)?);
            }
            Arrival::Chunk(chunk) => {
                if let Some(incoming) = &mut self.open {
                    incoming.add(&chunk)?;
                }
            }
            Arrival::End(fetched) => {
                if let Some(incoming) = self.open.take() {
                    self.complete.extend(incoming.end(fetched)?);
                }
            }
        }
        Ok(())
    }

    fn begin(&self, expected: Option<u64>) -> Result<Incoming<'a>, Error> {
        let name = self.names.next(SystemTime::now(), fastrand::u64(..));
        let created = dir::create_file(self.mailbox.place(Place::Tmp), name.as_str());
        let file = created.map_err(Error::io("create", self.mailbox.describe(name.as_str())))?;
        Ok(Incoming {
            out: BufWriter::with_capacity(BUFFER, file),
            file: TmpFile { mailbox: self.mailbox, name, is_kept: false },
            to_disk: ToDisk::new(self.endings),
            recogniser: Recogniser::default(),
            expected,
            received: 0,
        })
    }
}

impl<'a> Incoming<'a> {
    fn add(&mut self, chunk: &[u8]) -> Result<(), Error> {
        self.received += chunk.len() as u64;
        self.recogniser.add(chunk);
        self.to_disk.add(chunk, &mut self.out).map_err(Error::io("write", self.file.describe()))
    }

    /// The complete message, written but not yet durable; `None` where octets are missing.
    fn end(mut self, fetched: Fetched) -> Result<Option<(Staged, TmpFile<'a>)>, Error> {
        let Incoming { expected, received, .. } = self;
        if expected.is_some_and(|expected| received != expected) {
            tracing::warn!(mailbox = %self.file.mailbox.mailbox, uid = %fetched.uid, expected, received,
                "dropping a message of the wrong length");
            return Ok(None);
        }
        self.to_disk.finish(&mut self.out).map_err(Error::io("write", self.file.describe()))?;
        let written = self.out.into_inner().map_err(|error| error.into_error());
        let written = written.map_err(Error::io("write", self.file.describe()))?;
        if let Some(date) = fetched.internal_date {
            written.set_modified(date).map_err(Error::io("date", self.file.describe()))?;
        }
        // Starts the write-out now, so that the sync of the batch finds most of it done. Only advice.
        if let Err(errno) = rustix::fs::fadvise(&written, 0, None, Advice::DontNeed) {
            tracing::debug!(%errno, "no early write-out");
        }
        let (name, likeness) = (self.file.name.clone(), self.recogniser.likeness());
        Ok(Some((Staged { uid: fetched.uid, name, flags: fetched.flags, likeness }, self.file)))
    }
}

impl TmpFile<'_> {
    fn describe(&self) -> String {
        self.mailbox.describe(self.name.as_str())
    }

    /// Makes the file durable. Opened anew: a batch must not hold a descriptor per message (limit 1024), and the
    /// kernel tells a write-out error to the first who asks, also through a later descriptor (errseq, Linux 4.16).
    fn sync(&self) -> Result<(), Error> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(self.mailbox.place(Place::Tmp), self.name.as_str(), flags, Mode::empty())
            .and_then(rustix::fs::fsync)
            .map_err(Error::io("sync", self.describe()))
    }
}

impl Drop for TmpFile<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            // Best effort: what stays is swept after 36 hours.
            let _ =
                rustix::fs::unlinkat(self.mailbox.place(Place::Tmp), self.name.as_str(), AtFlags::empty());
        }
    }
}

/// Makes a batch durable; messages that failed are unlinked and left out.
fn sync(mailbox: &MailboxDir, batch: Vec<(Staged, TmpFile<'_>)>) -> (Vec<Staged>, Option<Error>) {
    if batch.len() >= WHOLE && whole_file_system(mailbox) {
        together(mailbox, batch)
    } else {
        one_by_one(mailbox, batch)
    }
}

/// Whether `syncfs` does here what an fsync of every file would: it has to tell write-out errors (since Linux 5.8) and
/// the file system has to flush its disk. Local ones that are known to; not FUSE, which never hears of it.
fn whole_file_system(mailbox: &MailboxDir) -> bool {
    /// ext2 to ext4, XFS, Btrfs, F2FS, tmpfs.
    const SAFE: [u32; 5] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x0102_1994];
    static TELLS_ERRORS: OnceLock<bool> = OnceLock::new();
    *TELLS_ERRORS.get_or_init(|| tells_errors(&rustix::system::uname().release().to_string_lossy()))
        && rustix::fs::fstatfs(&mailbox.dir).is_ok_and(|stat| SAFE.contains(&(stat.f_type as u32)))
}

/// Whether a kernel of this release tells errors through `syncfs`.
fn tells_errors(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 8)
}

/// One `syncfs`, directory entries included. It tells errors since the descriptor was opened, which was before the first
/// file was made; whose they are it does not tell, so an error is final for all of the batch.
fn together(mailbox: &MailboxDir, mut batch: Vec<(Staged, TmpFile<'_>)>) -> (Vec<Staged>, Option<Error>) {
    if let Err(errno) = rustix::fs::syncfs(&mailbox.dir) {
        return (Vec::new(), Some(Error::io("sync", &mailbox.mailbox)(errno)));
    }
    batch.iter_mut().for_each(|(_, file)| file.is_kept = true);
    (batch.iter().map(|(message, _)| message.clone()).collect(), None)
}

/// An fsync of every file, a few at a time: fdatasync would not keep the date.
fn one_by_one(mailbox: &MailboxDir, mut batch: Vec<(Staged, TmpFile<'_>)>) -> (Vec<Staged>, Option<Error>) {
    let is_synced: Vec<AtomicBool> = batch.iter().map(|_| AtomicBool::new(false)).collect();
    let next = AtomicUsize::new(0);
    let sync_some = || -> Result<(), Error> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let (Some((_, file)), Some(synced)) = (batch.get(at), is_synced.get(at)) else { return Ok(()) };
            file.sync()?;
            synced.store(true, Ordering::Relaxed);
        }
    };
    let failure = std::thread::scope(|scope| {
        let others: Vec<_> = (1..SYNCERS.min(batch.len())).map(|_| scope.spawn(sync_some)).collect();
        let own = sync_some().err();
        others.into_iter().fold(own, |failure, thread| {
            failure.or(thread.join().unwrap_or_else(|panic| resume_unwind(panic)).err())
        })
    });
    if let Err(error) = mailbox.sync(Place::Tmp) {
        // Without its directory entry no file is durable.
        return (Vec::new(), Some(error));
    }
    let mut staged = Vec::with_capacity(batch.len());
    for ((message, file), synced) in batch.iter_mut().zip(&is_synced) {
        if synced.load(Ordering::Relaxed) {
            file.is_kept = true;
            staged.push(message.clone());
        }
    }
    (staged, failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Flags, Uid};
    use tokio::time::timeout;

    fn end() -> Arrival {
        Arrival::End(Fetched { uid: Uid::MAX, flags: Flags::NONE, internal_date: None })
    }

    #[tokio::test]
    async fn a_batch_ends_at_its_count_and_not_inside_a_message() {
        let (source, mut from) = mpsc::channel(3000);
        for _ in 0..MESSAGES + 1 {
            source.try_send(Arrival::Start { size: Some(0) }).unwrap();
            source.try_send(end()).unwrap();
        }
        let (to, mut batch) = mpsc::channel(3000);
        forward(&mut from, to).await;
        assert_eq!(batch.len(), 2 * MESSAGES);
        batch.close();
        assert_eq!(from.len(), 2);
    }

    #[test]
    fn only_kernels_that_tell_errors_are_trusted_with_a_whole_batch() {
        for trusted in ["5.8.0", "5.10.0-30-amd64", "6.1", "10.0.0"] {
            assert!(tells_errors(trusted), "{trusted}");
        }
        for old in ["5.7.19-arch", "4.19.0", "5", "", "strange"] {
            assert!(!tells_errors(old), "{old}");
        }
    }

    #[tokio::test]
    async fn a_pause_ends_a_batch_only_between_messages() {
        let (source, mut from) = mpsc::channel(10);
        let (to, mut batch) = mpsc::channel(10);
        source.try_send(Arrival::Start { size: Some(0) }).unwrap();
        let mut forwarding = std::pin::pin!(forward(&mut from, to));
        assert!(timeout(5 * PAUSE, &mut forwarding).await.is_err(), "inside a message it waits");
        source.try_send(end()).unwrap();
        timeout(Duration::from_secs(10), forwarding).await.expect("the pause ends the batch of one message");
        assert_eq!(batch.len(), 2);
        batch.close();
        assert!(!source.is_closed());
    }
}
