//! Where logs go: to the journal under systemd, else to stderr.
//!
//! Only our own modules are heard by default; `POSTHASTE_LOG` takes directives like `posthaste::imap=trace`. There is no
//! bridge from the `log` crate on purpose: libraries that log through it would write credentials on `trace`.

use super::Shared;
use super::environment::Environment;
use super::error::{CommandError, Exit};
use std::fmt;
use std::io;
use tracing::Level;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// From least to most.
const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

/// The level that `-v` and `-q` ask for; `usual` without them.
pub fn level(usual: Level, shared: &Shared) -> Level {
    let usual = LEVELS.iter().position(|&level| level == usual).unwrap_or_default();
    let wanted = usual.saturating_add(shared.verbose.into()).saturating_sub(shared.quiet.into());
    LEVELS.get(wanted).copied().unwrap_or(Level::TRACE)
}

/// Begins to log.
pub fn start(environment: &Environment, level: Level) -> Result<(), CommandError> {
    let directives = environment.log.clone().unwrap_or_else(|| format!("warn,posthaste={level}"));
    let filter = EnvFilter::try_new(&directives).map_err(|cause| {
        CommandError::new(
            Exit::Configuration,
            format!("POSTHASTE_LOG: `{directives}` is no log filter: {cause}"),
        )
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let journal = match is_journal(environment.journal_stream.as_deref()) {
        true => tracing_journald::layer().ok(),
        false => None,
    };
    let started = match journal {
        Some(journal) => registry.with(journal).try_init(),
        None => {
            let stderr = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_timer(TimeOfDay);
            registry.with(stderr.with_ansi(false).with_target(false)).try_init()
        }
    };
    started.map_err(|cause| CommandError::new(Exit::Failed, format!("cannot start logging: {cause}")))
}

/// Whether stderr is the stream that systemd connected to the journal: the variable is inherited by children whose
/// stderr goes elsewhere (systemd.exec(5), `$JOURNAL_STREAM`).
fn is_journal(stream: Option<&str>) -> bool {
    let Ok(stat) = rustix::fs::fstat(io::stderr()) else { return false };
    stream.is_some_and(|stream| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// The time without the date: who reads stderr knows the day.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        write!(out, "{}", jiff::Zoned::now().strftime("%H:%M:%S"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_and_less_move_the_level_within_bounds() {
        let level = |verbose, quiet| level(Level::WARN, &Shared { verbose, quiet, config: None });
        assert_eq!(level(0, 0), Level::WARN);
        assert_eq!(level(2, 0), Level::DEBUG);
        assert_eq!(level(200, 0), Level::TRACE);
        assert_eq!(level(0, 1), Level::ERROR);
        assert_eq!(level(0, 200), Level::ERROR);
    }

    #[test]
    fn a_journal_stream_that_is_not_stderr_is_ignored() {
        assert!(!is_journal(None));
        assert!(!is_journal(Some("0:0")));
        let stat = rustix::fs::fstat(io::stderr()).unwrap();
        assert!(is_journal(Some(&format!("{}:{}", stat.st_dev, stat.st_ino))));
    }
}
