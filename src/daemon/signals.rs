//! Signals as a stream of what they mean. The only module that handles signals.
//!
//! The first SIGTERM or SIGINT asks for a stop and arms the second, which ends the process inside the handler: that
//! works even where no task runs any more. SIGHUP does neither: a shell whose terminal is closed hands it on, and the
//! kernel sends another one.

use futures_util::{Stream, StreamExt};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::emulate_default_handler;
use signal_hook_tokio::Signals;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// Starts listening, for the daemon.
pub(super) fn listen() -> io::Result<impl Stream<Item = Signal> + Unpin> {
    let signals = armed(&[SIGTERM, SIGINT, SIGHUP])?;
    Ok(signals.map(|signal| if signal == SIGHUP { Signal::Reload } else { Signal::Stop }))
}

/// SIGTERM, SIGINT or SIGHUP, for a command.
#[derive(Debug)]
pub struct Interruption(i32);

impl Interruption {
    /// Ends the process as the signal does where nobody handles it, so that a shell sees what ended it.
    pub fn end(self) {
        if let Err(error) = emulate_default_handler(self.0) {
            tracing::debug!(%error, "the signal has no action of its own");
        }
    }
}

/// Starts listening, for a command. One that outlives its terminal (nohup) was started deaf to SIGHUP, and stays so.
pub fn interruptions() -> io::Result<impl Stream<Item = Interruption> + Unpin> {
    let wanted: &[i32] = if is_deaf_to_hangup() { &[SIGTERM, SIGINT] } else { &[SIGTERM, SIGINT, SIGHUP] };
    Ok(armed(wanted)?.map(Interruption))
}

/// Whether SIGHUP is ignored: the lowest bit of `SigIgn`, proc_pid_status(5). Not where there is no /proc: no command
/// depends on it.
fn is_deaf_to_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

/// The order of the handlers matters: the first signal must not find itself armed.
fn armed(wanted: &[i32]) -> io::Result<Signals> {
    let armed = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // The exit status that a shell shows for a process that the signal killed.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&armed))?;
        flag::register(signal, Arc::clone(&armed))?;
    }
    Signals::new(wanted)
}
