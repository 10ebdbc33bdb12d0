//! What the service manager is told: sd_notify(3).
//!
//! RELOADING always goes with MONOTONIC_USEC in one datagram: systemd 253 and newer kill a unit of `Type=notify-reload`
//! otherwise. Without a service manager nothing is sent. The channel is passed in, so that tests can listen.

use sd_notify::NotifyState;
use std::sync::Arc;
use tracing::debug;

/// Sends one datagram.
type Channel = dyn Fn(&[NotifyState<'_>]) + Send + Sync;

/// Tells the service manager what the daemon does.
#[derive(Clone)]
pub(super) struct Herald(Arc<Channel>);

impl Herald {
    /// To whatever listens on `NOTIFY_SOCKET`.
    pub(super) fn systemd() -> Herald {
        Herald::new(|states| {
            if let Err(error) = sd_notify::notify(states) {
                debug!("cannot notify the service manager: {error}");
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
