//! The mail exchangers of a domain (RFC 5321 §5.1): asked once, when an account is added, to see who hosts its mail.
//!
//! The answer only chooses a row in the table of providers; no credential depends on it, so it need not be signed. The
//! resolver of the system is asked, or the one that a test passes in. The C library's resolver was rejected: it knows
//! addresses only.

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::{Resolver, TokioResolver};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// All servers of the system together; a person waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// The names of the mail exchangers of `domain`, the preferred one first, without the final dot; none where the domain
/// has none or does not exist. `server` is asked in place of the system's resolvers.
///
/// # Errors
/// In words, why nobody answered.
pub async fn mail_exchangers(domain: &str, server: Option<SocketAddr>) -> Result<Vec<String>, String> {
    let resolver = resolver(server)?;
    // With a final dot no search domain is tried.
    let asked = resolver.mx_lookup(format!("{}.", domain.trim_end_matches('.')));
    let found = match timeout(PATIENCE, asked).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) if error.is_no_records_found() => return Ok(Vec::new()),
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("no resolver answered in time".to_owned()),
    };
    let mut exchangers: Vec<(u16, String)> = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::MX(mx) => Some((mx.preference, mx.exchange.to_utf8())),
            _ => None,
        })
        .collect();
    exchangers.sort();
    Ok(exchangers.into_iter().map(|(_, name)| name.trim_end_matches('.').to_owned()).collect())
}

fn resolver(server: Option<SocketAddr>) -> Result<TokioResolver, String> {
    let builder = match server {
        None => TokioResolver::builder_tokio().map_err(|error| error.to_string())?,
        Some(address) => {
            let on_port = |mut connection: ConnectionConfig| {
                connection.port = address.port();
                connection
            };
            let connections = vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())];
            let server = NameServerConfig::new(address.ip(), true, connections);
            let config = ResolverConfig::from_name_servers(vec![server]);
            Resolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    builder.build().map_err(|error| error.to_string())
}
