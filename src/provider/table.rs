//! The rows together: the built-in ones, and those of the user above them.
//!
//! Invariant: what the built-in rows know of an issuer (`issuers`) is kept whatever a user's row says.

use super::issuers::{Issuers, Route, Stray};
use super::meant::{self, refuse};
use super::place::{is_below, neighbourhood};
use super::written::{Cloud, Row, Rows};
use super::{Error, Provider, Site};
use std::collections::BTreeMap;
use toml::Spanned;

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
            check(&issuers, &written, &provider, &name)?;
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

    /// The first provider with a server of this name, or with a neighbour of it (below the same domain).
    pub fn by_host(&self, host: &str) -> Option<&Provider> {
        let is_near = |known: &str| neighbourhood(known).is_some_and(|domain| is_below(host, domain));
        self.rows.iter().find(|row| row.sites().flat_map(Site::hosts).any(is_near))
    }

    /// What of a login would lead a code, a secret or a token to a stranger, by what the built-in rows know.
    pub fn stray(&self, route: &Route<'_>) -> Option<Stray> {
        self.issuers.stray(route)
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

/// Refuses a row of the user that would carry a known issuer's token elsewhere.
fn check(issuers: &Issuers, written: &Row, provider: &Provider, name: &Spanned<String>) -> Result<(), Error> {
    check_site(issuers, &written.site(), &provider.site, name)?;
    for (cloud, site) in &provider.clouds {
        let written = written.clouds.get(cloud).cloned().unwrap_or_default();
        check_site(issuers, &written, site, name)?;
    }
    Ok(())
}

fn check_site(issuers: &Issuers, written: &Cloud, site: &Site, name: &Spanned<String>) -> Result<(), Error> {
    if let Some(aliases) = written.oauth.as_ref().and_then(|oauth| oauth.aliases.as_ref()) {
        let message = "only a built-in row has aliases: what a user's row says of an issuer is not believed";
        return Err(refuse(aliases, message));
    }
    let Some(oauth) = &site.oauth else { return Ok(()) };
    match issuers.stray(&Route::of_site(site, oauth)) {
        Some(Stray { keys, message }) => Err(refuse(written.blamed(keys).unwrap_or(name), message)),
        None => Ok(()),
    }
}
