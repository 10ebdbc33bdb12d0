//! The configuration and its accounts printed as TOML.

use super::*;
use crate::provider::GLOBAL;

#[test]
fn what_is_shown_means_the_same() {
    let mut config = load(EXAMPLE);
    for account in &mut config.accounts {
        if let Auth::OAuth2(oauth) = &mut account.auth {
            oauth.client_secret = None;
        }
    }
    assert_eq!(load(&config.to_toml()), config);
    let dotted = load(&LAB.replace("accounts.lab", "accounts.\"my.lab\""));
    assert_eq!(load(&dotted.accounts[0].to_toml()), dotted);
}

#[test]
fn what_is_shown_means_the_same_for_every_installation_of_every_provider() {
    for provider in PROVIDERS.iter().filter(|provider| provider.site.oauth.is_some()) {
        for cloud in [GLOBAL].into_iter().chain(provider.clouds.keys().map(String::as_str)) {
            let tenant = provider.site.oauth.as_ref().and_then(|oauth| oauth.tenant.as_ref());
            let tenant = tenant.map(|_| "tenant = \"b.test\"\n").unwrap_or_default();
            let config = load(&format!(
                "[accounts.a]\naddress = \"a@b.test\"\nprovider = \"{}\"\n[accounts.a.oauth]\ncloud = \"{cloud}\"\n{tenant}",
                provider.name
            ));
            let shown = config.accounts[0].to_toml();
            assert_eq!(load(&shown), config, "{shown}");
        }
    }
}

#[test]
fn secrets_are_neither_shown_nor_in_debug_but_a_change_is_seen() {
    let one = load(EXAMPLE);
    let other = load(&EXAMPLE.replace("not-really", "something-else"));
    assert_ne!(one, other);
    let shown: String = one.accounts.iter().map(Account::to_toml).collect();
    assert!(!format!("{one:?}{shown}").contains("not-really"));
}
