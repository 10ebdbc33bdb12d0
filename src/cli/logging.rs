//! Logs go to stderr, in the form that the journal understands where systemd connected stderr to it.
//!
//! Only our own modules are heard by default; `POSTHASTE_LOG` takes directives like `posthaste::imap=trace`. There is no
//! bridge from the `log` crate on purpose: libraries that log through it would write credentials on `trace`.

use super::Shared;
use super::environment::Environment;
use super::error::{CommandError, Exit};
use std::fmt;
use std::io;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
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
    let line = match is_journal(environment.journal_stream.as_deref()) {
        true => Line::Journal,
        false => Line::Terminal,
    };
    let stderr = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false).event_format(line);
    let started = tracing_subscriber::registry().with(filter).with(stderr).try_init();
    started.map_err(|cause| CommandError::new(Exit::Failed, format!("cannot start logging: {cause}")))
}

/// Whether stderr is the stream that systemd connected to the journal: the variable is inherited by children whose
/// stderr goes elsewhere (systemd.exec(5), `$JOURNAL_STREAM`).
fn is_journal(stream: Option<&str>) -> bool {
    let Ok(stat) = rustix::fs::fstat(io::stderr()) else { return false };
    stream.is_some_and(|stream| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// How a line begins; then come the message and its fields. The journal's own protocol was rejected: it keeps the fields
/// apart from the message, and `journalctl` would show "synced" without saying which account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// With the time and the level. The time is without the date: who reads stderr knows the day.
    Terminal,
    /// With the priority, which the journal takes off (sd-daemon(3)); it knows the time itself.
    Journal,
}

impl<S, F> FormatEvent<S, F> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    F: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, F>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        match self {
            Line::Terminal => write!(out, "{} {level:>5} ", jiff::Zoned::now().strftime("%H:%M:%S"))?,
            Line::Journal => write!(out, "<{}>", priority(level))?,
        }
        context.field_format().format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}

/// The level as syslog counts (RFC 5424 §6.2.1): what is normal but worth knowing is a notice.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 5,
        Level::DEBUG => 6,
        Level::TRACE => 7,
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

    #[test]
    fn a_line_of_the_journal_has_a_priority_and_all_that_is_known() {
        let file = std::sync::Arc::new(tempfile::tempfile().unwrap());
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(file.clone());
        let subscriber = tracing_subscriber::registry().with(layer.event_format(Line::Journal));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(account = "lab", arrived = 2, "synced");
            tracing::error!("no");
        });
        let mut told = [0; 64];
        let length = std::os::unix::fs::FileExt::read_at(&*file, &mut told, 0).unwrap();
        assert_eq!(str::from_utf8(&told[..length]).unwrap(), "<5>synced account=\"lab\" arrived=2\n<3>no\n");
    }
}
