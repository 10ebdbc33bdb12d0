//! How long the days in quarantine have been there: counted from look to look, not read off the clock.
//!
//! A clock that stands a year ahead for one look must not empty the quarantine. So each look adds the time since the one
//! before, a day at most, to the age of every day that it finds, and keeps the ages in `ROOT/.posthaste/quarantine/.ages`:
//! the moment of the look in seconds since 1970, then a day and its age in seconds on each line. Where that is lost or
//! cannot be written, copies are only kept for longer.

use super::dir;
use jiff::civil::Date;
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest time that counts between two looks: a longer one is a machine that was off, or a clock that was set.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Ages are not written more often: a pass that changes nothing writes nothing.
const OFTEN_ENOUGH: Duration = Duration::from_secs(3600);
const FILE: &str = ".ages";
const DRAFT: &str = ".ages.tmp";
/// More than a file of a few days ever has.
const LIMIT: u64 = 64 * 1024;

/// The ages as of now.
#[derive(Debug)]
pub(super) struct Ages {
    pub(super) days: BTreeMap<Date, Duration>,
    /// Whether the clock says that the last look was less than [`LONGEST`] ago.
    pub(super) is_steady: bool,
}

/// Counts the time since the last look, for these days. The ages are good also where they cannot be kept.
pub(super) fn count(home: BorrowedFd<'_>, days: &[Date], now: SystemTime) -> (Ages, io::Result<()>) {
    let now = Duration::from_secs(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    let (last, before) = read(home).unwrap_or_default();
    let since = last.map(|last| now.saturating_sub(last)).unwrap_or_default().min(LONGEST);
    let is_steady = last.is_some_and(|last| last <= now && now.saturating_sub(last) <= LONGEST);
    let age = |day: &Date| before.get(day).map_or(Duration::ZERO, |age| age.saturating_add(since));
    let ages = Ages { days: days.iter().map(|day| (*day, age(day))).collect(), is_steady };
    let is_recent = is_steady && since < OFTEN_ENOUGH;
    let kept = if is_recent { Ok(()) } else { write(home, now, &ages) };
    (ages, kept)
}

type Told = (Option<Duration>, BTreeMap<Date, Duration>);

fn read(home: BorrowedFd<'_>) -> io::Result<Told> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mut text = String::new();
    File::from(rustix::fs::openat(home, FILE, flags, Mode::empty())?)
        .take(LIMIT)
        .read_to_string(&mut text)?;
    let seconds = |text: &str| text.parse().map(Duration::from_secs).ok();
    let mut lines = text.lines();
    let last = lines.next().and_then(seconds);
    let days = lines
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(day, age)| Some((day.parse().ok()?, seconds(age)?)));
    Ok((last, days.collect()))
}

/// Not pushed to disk: what a crash loses is counted again.
fn write(home: BorrowedFd<'_>, now: Duration, ages: &Ages) -> io::Result<()> {
    let days = ages.days.iter().map(|(day, age)| format!("{day} {}\n", age.as_secs()));
    let text: String = [format!("{}\n", now.as_secs())].into_iter().chain(days).collect();
    // Left by a crash, or not there.
    let _ = rustix::fs::unlinkat(home, DRAFT, rustix::fs::AtFlags::empty());
    dir::create_file(home, DRAFT)?.write_all(text.as_bytes())?;
    Ok(rustix::fs::renameat(home, DRAFT, home, FILE)?)
}
