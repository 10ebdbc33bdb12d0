//! What the service manager is told: sd_notify(3).
//!
//! RELOADING always goes with MONOTONIC_USEC in one datagram: systemd 253 and newer kill a unit of `Type=notify-reload`
//! otherwise. Without a service manager nothing is sent. The channel is passed in, so that tests can listen.
//!
//! Words go out from a thread of their own: sending blocks while the manager reads nothing (the kernel keeps some ten
//! datagrams), and a worker of the runtime that waits for it takes accounts with it.

use sd_notify::NotifyState;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tracing::debug;

/// Words that may wait for a manager that reads nothing; more are dropped.
const WAITING: usize = 256;
/// How long the last word may take: the process ends after it, and with it what still waits.
const FAREWELL: Duration = Duration::from_millis(250);

/// One datagram; the sender is dropped when it has gone out.
type Letter = (String, SyncSender<()>);

/// Sends one datagram.
type Channel = dyn Fn(&[NotifyState<'_>]) + Send + Sync;

/// Tells the service manager what the daemon does.
#[derive(Clone)]
pub(super) struct Herald(Arc<Channel>);

impl Herald {
    /// To whatever listens on `NOTIFY_SOCKET`.
    pub(super) fn systemd() -> Herald {
        let (letters, waiting) = sync_channel::<Letter>(WAITING);
        std::thread::spawn(move || carry(&waiting));
        Herald::new(move |states| {
            let (carried, is_carried) = sync_channel(1);
            let text: Vec<String> = states.iter().map(ToString::to_string).collect();
            if let Err(TrySendError::Full(_)) = letters.try_send((text.join("\n"), carried)) {
                debug!("the service manager reads nothing");
            }
            if states.iter().any(|state| matches!(state, NotifyState::Stopping)) {
                // Ends when the letter has gone out, because nothing is ever sent there.
                let _ = is_carried.recv_timeout(FAREWELL);
            }
        })
    }

    pub(super) fn new(channel: impl Fn(&[NotifyState<'_>]) + Send + Sync + 'static) -> Herald {
        Herald(Arc::new(channel))
    }

    /// Units run and the control socket is bound; also the end of a reload.
    pub(super) fn ready(&self) {
        (self.0)(&[NotifyState::Ready]);
    }

    /// A reload begins; [`Herald::ready`] must follow.
    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => (self.0)(&[NotifyState::Reloading, now]),
            Err(error) => debug!("cannot read the clock: {error}"),
        }
    }

    /// One line for people.
    pub(super) fn status(&self, line: &str) {
        (self.0)(&[NotifyState::Status(line)]);
    }

    /// A stop begins.
    pub(super) fn stopping(&self) {
        (self.0)(&[NotifyState::Stopping]);
    }

    /// All is alive.
    pub(super) fn watchdog(&self) {
        (self.0)(&[NotifyState::Watchdog]);
    }
}

fn carry(letters: &Receiver<Letter>) {
    while let Ok((text, _carried)) = letters.recv() {
        if let Err(error) = sd_notify::notify(&[NotifyState::Custom(&text)]) {
            debug!("cannot notify the service manager: {error}");
        }
    }
}
