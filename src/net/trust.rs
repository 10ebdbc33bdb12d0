//! Whom TLS trusts: the authorities of the system, and with `ca` those of one more file.
//!
//! To read and parse them takes tens of milliseconds and megabytes, so one connector for each `ca` is shared by the whole
//! process. Invariant: it is made anew after an hour, because a daemon runs for months and certificates are upgraded, and
//! after a handshake that failed, so that who mends a file need not wait. Watching the files was rejected: which ones the
//! system's are, only OpenSSL knows.

use super::{Error, plain};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_native_tls::TlsConnector;

/// How long an authority that was taken away is still trusted.
const LIFE: Duration = Duration::from_secs(3600);

/// Connectors by their `ca`, and when each was made.
#[derive(Default)]
struct Connectors(BTreeMap<Option<PathBuf>, (Instant, TlsConnector)>);

static SHARED: Mutex<Connectors> = Mutex::new(Connectors(BTreeMap::new()));

/// The connector that trusts the system's authorities and those of this file.
pub(super) async fn connector(ca: Option<&Path>) -> Result<TlsConnector, Error> {
    let ca = ca.map(Path::to_owned);
    // Whoever comes while it is made waits for it instead of making another.
    let made = tokio::task::spawn_blocking(move || shared().connector(ca, Instant::now()));
    made.await.unwrap_or_else(|_| Err(Error::Setup("the program is ending".to_owned())))
}

/// Has the next connection read the certificates anew.
pub(super) fn forget(ca: Option<&PathBuf>) {
    shared().0.remove(&ca.cloned());
}

/// Whether the file can be used as [`super::Endpoint::ca`]. Reads the disk: call it off the reactor.
pub fn check_anchor(path: &Path) -> Result<(), Error> {
    anchors(path).map(drop)
}

fn shared() -> MutexGuard<'static, Connectors> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connectors {
    fn connector(&mut self, ca: Option<PathBuf>, now: Instant) -> Result<TlsConnector, Error> {
        self.0.retain(|_, (made, _)| now.saturating_duration_since(*made) < LIFE);
        if let Some((_, connector)) = self.0.get(&ca) {
            return Ok(connector.clone());
        }
        let connector = build(ca.as_deref())?;
        self.0.insert(ca, (now, connector.clone()));
        Ok(connector)
    }
}

/// The one TLS configuration of the program.
fn build(ca: Option<&Path>) -> Result<TlsConnector, Error> {
    let mut builder = native_tls::TlsConnector::builder();
    builder.min_protocol_version(Some(native_tls::Protocol::Tlsv12));
    for certificate in ca.map(anchors).transpose()?.unwrap_or_default() {
        builder.add_root_certificate(certificate);
    }
    builder.build().map(TlsConnector::from).map_err(|error| Error::Setup(plain(&error.to_string())))
}

/// The certificates of a PEM file; a file without one is a mistake.
fn anchors(path: &Path) -> Result<Vec<native_tls::Certificate>, Error> {
    let unusable = |source| Error::Anchor { path: path.to_owned(), source };
    let pem = std::fs::read(path).map_err(|error| unusable(error.into()))?;
    match native_tls::Certificate::stack_from_pem(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(unusable("it holds no certificate in PEM form".into())),
        Err(error) => Err(unusable(plain(&error.to_string()).into())),
    }
}

#[cfg(test)]
mod tests;
