//! The steps before a login, the same for every server: its name, TCP, TLS before or after the greeting.

use super::chart::{Chart, Finding, Passed};
use super::{chart::Failed, tls};
use crate::net::{self, Endpoint, Stream, Tls};

/// The names of the first steps of a chain.
pub(super) struct Names {
    pub(super) dns: &'static str,
    pub(super) tcp: &'static str,
}

/// A TCP connection; with [`Tls::Implicit`] not yet in TLS.
pub(super) async fn reach(chart: &Chart, names: &Names, endpoint: &Endpoint) -> Option<Stream> {
    chart.run(names.dns, resolve(endpoint)).await?;
    let tcp = async {
        let stream = net::reach(endpoint).await.map_err(|error| unreachable(endpoint, &error))?;
        Ok(Passed::new(stream, format!("{endpoint} answers")))
    };
    chart.run(names.tcp, tcp).await
}

/// A connection under TLS: before the greeting, or after it where STARTTLS comes in between.
pub(super) enum Protected<G> {
    Silent(Stream),
    Greeted(G),
}

impl<G> Protected<G> {
    /// TLS from the first byte, or by STARTTLS, which `greet` does as a part of the greeting.
    pub(super) async fn new<F: Future<Output = Result<G, Failed>>>(
        stream: Stream,
        endpoint: &Endpoint,
        greet: impl FnOnce(Stream) -> F,
    ) -> Finding<Protected<G>> {
        if endpoint.tls != Tls::StartTls {
            let Passed { value, detail, warning } = secure(stream, endpoint).await?;
            return Ok(Passed { value: Protected::Silent(value), detail, warning });
        }
        let greeted = greet(stream).await?;
        let detail = format!("STARTTLS; the certificate of {} is trusted", endpoint.host);
        Ok(Passed::new(Protected::Greeted(greeted), detail))
    }

    /// What the server said in its greeting, now if not before.
    pub(super) async fn greeted<F: Future<Output = Result<G, Failed>>>(
        self,
        greet: impl FnOnce(Stream) -> F,
    ) -> Result<G, Failed> {
        match self {
            Protected::Silent(stream) => greet(stream).await,
            Protected::Greeted(greeted) => Ok(greeted),
        }
    }
}

/// TLS from the first byte, or none at all within this machine; STARTTLS belongs to the protocol.
pub(super) async fn secure(stream: Stream, endpoint: &Endpoint) -> Finding<Stream> {
    if endpoint.tls == Tls::None {
        return Ok(Passed::new(stream, "none, and none is needed: the server is this machine"));
    }
    let stream = net::start_tls(stream, endpoint).await.map_err(|error| tls::failed(&error))?;
    Ok(Passed::new(stream, format!("the certificate of {} is trusted", endpoint.host)))
}

async fn resolve(endpoint: &Endpoint) -> Finding {
    let found = net::resolve(endpoint).await.map_err(|error| {
        let advice = format!("is `{}` spelled right, and is this machine on the network?", endpoint.host);
        Failed::new(crate::error::chain(&error), advice)
    })?;
    let addresses: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
    Ok(Passed::new((), format!("{} is {}", endpoint.host, addresses.join(", "))))
}

fn unreachable(endpoint: &Endpoint, error: &net::Error) -> Failed {
    let failed = Failed::of(error);
    match error {
        net::Error::Connect { .. } => Failed::new(
            failed.detail,
            format!(
                "nothing answers on port {}: check `port`, and whether a firewall or a VPN is in the way",
                endpoint.port
            ),
        ),
        _ => failed,
    }
}
