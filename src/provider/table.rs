//! The rows together: the built-in ones, and those of the user above them.
//!
//! Invariant: a token of an issuer that the built-in table knows goes to the hosts that the table knows for it, or to
//! neighbours of theirs (below the same domain), whatever a user's row says. A slip in that file must not carry a token
//! to a stranger. For the same reason a refresh token is revoked only where the table says or where it was issued.

use super::meant::{self, refuse};
use super::place::{is_below, is_loopback};
use super::written::{Cloud, Row, Rows};
use super::{Error, Provider, Site};
use std::collections::BTreeMap;
use toml::Spanned;
use url::Url;

/// The embedded table.
const BUILT_IN: &str = include_str!("provider.toml");

/// All providers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The user's first: they win where two rows claim a domain.
    rows: Vec<Provider>,
    issuers: Issuers,
}

/// A provider that serves a hosted domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hosted<'a> {
    /// Whose servers they are.
    pub provider: &'a Provider,
    /// Its installation; `None` for the provider's own.
    pub cloud: Option<&'a str>,
}

impl Table {
    /// The built-in rows.
    ///
    /// # Errors
    /// [`Error::BuiltIn`].
    pub fn built_in() -> Result<Table, Error> {
        Table::with_user_rows("")
    }

    /// The built-in rows below those of a user's file with this text.
    ///
    /// # Errors
    /// [`Error::Written`] for what is wrong with the text.
    pub fn with_user_rows(text: &str) -> Result<Table, Error> {
        let mut built_in = plain(parse(BUILT_IN).map_err(broken)?);
        let known = built_in.iter().map(|(name, row)| meant::provider(name, row, 0..0));
        let issuers = Issuers::new(&known.collect::<Result<Vec<_>, _>>().map_err(broken)?);
        let mut rows = Vec::new();
        for (name, written) in parse(text)? {
            let base = built_in.remove(name.get_ref()).unwrap_or_default();
            let merged = written.clone().over(base);
            let provider = meant::provider(name.get_ref(), &merged, name.span())?;
            issuers.check(&written, &provider, &name)?;
            rows.push(provider);
        }
        let untouched = built_in.iter().map(|(name, row)| meant::provider(name, row, 0..0));
        rows.extend(untouched.collect::<Result<Vec<_>, _>>().map_err(broken)?);
        Ok(Table { rows, issuers })
    }

    /// The provider of that name.
    pub fn by_name(&self, name: &str) -> Option<&Provider> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// The provider whose own domain this is (any case).
    pub fn by_domain(&self, domain: &str) -> Option<&Provider> {
        let is_own = |known: &String| known.eq_ignore_ascii_case(domain);
        self.rows.iter().find(|row| row.domains.iter().any(is_own))
    }

    /// The provider that serves a domain with these mail exchangers, the preferred one first. The first that any row
    /// knows decides, and of several rows the one that knows it most precisely.
    pub fn by_mx<S: AsRef<str>>(&self, exchangers: &[S]) -> Option<Hosted<'_>> {
        exchangers.iter().find_map(|exchanger| self.exchanged_by(exchanger.as_ref()))
    }

    /// The names of all providers, in order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.rows.iter().map(|row| row.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// Every provider, those of the user first.
    pub fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.rows.iter()
    }

    /// Whether a token from this token endpoint may go to a host: not if the table knows the issuer and the host is none
    /// of its hosts and not this machine. Of an issuer that the table does not know nothing is known, so this does not
    /// refuse.
    pub fn may_receive(&self, token_url: &Url, host: &str) -> bool {
        self.issuers.may_receive(token_url.host_str().unwrap_or_default(), host)
    }

    fn exchanged_by(&self, exchanger: &str) -> Option<Hosted<'_>> {
        let mut best: Option<(usize, Hosted<'_>)> = None;
        for provider in &self.rows {
            let clouds = provider.clouds.iter().map(|(name, site)| (Some(name.as_str()), site));
            for (cloud, site) in std::iter::once((None, &provider.site)).chain(clouds) {
                let known = site.mx.iter().filter(|known| is_below(exchanger, known));
                let Some(length) = known.map(String::len).max() else { continue };
                if best.is_none_or(|(longest, _)| length > longest) {
                    best = Some((length, Hosted { provider, cloud }));
                }
            }
        }
        best.map(|(_, hosted)| hosted)
    }
}

fn parse(text: &str) -> Result<Rows, Error> {
    toml::from_str(text).map_err(|error| Error::Written {
        span: error.span().unwrap_or(0..0),
        message: error.message().lines().map(str::trim).collect::<Vec<_>>().join(", "),
    })
}

fn plain(rows: Rows) -> BTreeMap<String, Row> {
    rows.into_iter().map(|(name, row)| (name.into_inner(), row)).collect()
}

fn broken(error: Error) -> Error {
    Error::BuiltIn(error.to_string())
}

/// What the built-in table knows of an issuer, by the host of its token endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Issuers(BTreeMap<String, Known>);

/// The hosts of an issuer that its tokens may go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    mail: Vec<String>,
    revoke: Vec<String>,
}

impl Issuers {
    fn new(providers: &[Provider]) -> Issuers {
        let mut issuers = Issuers::default();
        for site in providers.iter().flat_map(Provider::sites) {
            let Some(oauth) = &site.oauth else { continue };
            let known = issuers.0.entry(host_of(&oauth.token_url)).or_default();
            known.mail.extend(site.token_hosts());
            known.revoke.extend(oauth.revoke_url.as_deref().map(host_of));
        }
        issuers
    }

    fn may_receive(&self, issuer: &str, host: &str) -> bool {
        is_loopback(host)
            || self.0.get(&issuer.to_ascii_lowercase()).is_none_or(|known| {
                let neighbours =
                    known.mail.iter().filter_map(|mail| mail.split_once('.')).map(|(_, domain)| domain);
                neighbours.filter(|domain| domain.contains('.')).any(|domain| is_below(host, domain))
            })
    }

    /// Refuses a row of the user that would carry a known issuer's token elsewhere.
    fn check(&self, written: &Row, provider: &Provider, name: &Spanned<String>) -> Result<(), Error> {
        self.check_site(&written.site(), &provider.site, name)?;
        for (cloud, site) in &provider.clouds {
            let written = written.clouds.get(cloud).cloned().unwrap_or_default();
            self.check_site(&written, site, name)?;
        }
        Ok(())
    }

    fn check_site(&self, written: &Cloud, site: &Site, name: &Spanned<String>) -> Result<(), Error> {
        let Some(oauth) = &site.oauth else { return Ok(()) };
        let issuer = host_of(&oauth.token_url);
        let own = written.oauth.as_ref();
        if let Some(foreign) = site.token_hosts().iter().find(|host| !self.may_receive(&issuer, host)) {
            let message = format!("tokens of {issuer} are not for {foreign}: it is no host of that provider");
            let server = written.servers().map(|server| &server.host).find(|host| host.get_ref() == foreign);
            let blamed = server.or_else(|| own.and_then(|oauth| oauth.token_url.as_ref()));
            return Err(refuse(blamed.unwrap_or(name), message));
        }
        let Some(revoke) = own.and_then(|oauth| oauth.revoke_url.as_ref()) else { return Ok(()) };
        let host = host_of(revoke.get_ref());
        let is_known = self.0.get(&issuer).is_some_and(|known| known.revoke.contains(&host));
        match is_known || host == issuer {
            true => Ok(()),
            false => Err(refuse(revoke, format!("tokens of {issuer} are not for {host}"))),
        }
    }
}

/// The host of a URL that was checked before, in lower case.
fn host_of(url: &str) -> String {
    Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_ascii_lowercase)).unwrap_or_default()
}
