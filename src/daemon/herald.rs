//! What the service manager is told: sd_notify(3).
//!
//! RELOADING always goes with MONOTONIC_USEC in one datagram: systemd 253 and newer kill a unit of `Type=notify-reload`
//! otherwise. Without a service manager nothing is sent. The channel is passed in, so that tests can listen.
//!
//! The socket's send waits while the other end does not read, and its queue is short: one that is not read must hold up
//! neither mail nor a stop, so a thread of its own sends.

use sd_notify::NotifyState;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use tracing::debug;

/// Datagrams that wait for a reader. More than a start, a reload and a stop have together; what is too much is dropped.
const WAITING: usize = 64;
/// How long a farewell may take: it is the last word before the process ends.
const FAREWELL: Duration = Duration::from_millis(100);

/// Sends one datagram.
type Channel = dyn Fn(&[NotifyState<'_>]) + Send + Sync;

/// Tells the service manager what the daemon does.
#[derive(Clone)]
pub(super) struct Herald(Arc<Channel>);

impl Herald {
    /// To whatever listens on `NOTIFY_SOCKET`.
    pub(super) fn systemd() -> Herald {
        let (sender, receiver) = mpsc::sync_channel::<Datagram>(WAITING);
        let begun = thread::Builder::new().name("herald".to_owned()).spawn(move || speak(&receiver));
        if let Err(error) = begun {
            debug!("cannot notify the service manager: {error}");
        }
        Herald::new(move |states| {
            let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
            let (sent, farewell) = mpsc::sync_channel(1);
            let is_queued = sender.try_send(Datagram { text: lines.join("\n"), sent }).is_ok();
            if is_queued && matches!(states, [NotifyState::Stopping]) {
                // In vain where nobody reads.
                let _ = farewell.recv_timeout(FAREWELL);
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

/// One datagram, and whom to tell that it is sent.
struct Datagram {
    text: String,
    sent: mpsc::SyncSender<()>,
}

fn speak(waiting: &mpsc::Receiver<Datagram>) {
    while let Ok(Datagram { text, sent }) = waiting.recv() {
        if let Err(error) = sd_notify::notify(&[NotifyState::Custom(&text)]) {
            debug!("cannot notify the service manager: {error}");
        }
        // Only a farewell is waited for.
        let _ = sent.try_send(());
    }
}
