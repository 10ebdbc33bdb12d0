//! What is known of a provider's refusal of a login, beyond the flow's own hint.
//!
//! Only where the answer names a cause by number: then the table of known answers says who can do what, down to the page
//! on which an administrator lets the application in. The class of the failure stays the flow's.

use crate::config::{Account, OAuth2};
use crate::oauth::login_hint;
use crate::provider::answers::{Situation, Stage, consent_url, explain};

/// What the refusal means for this account and what helps; `message` holds the code and the server's words.
pub(super) fn hint(account: &Account, oauth: &OAuth2, message: &str) -> Option<String> {
    let advice = explain(Stage::OAuth, message).filter(|advice| advice.aadsts.is_some())?;
    let client_id = oauth.client_id.clone();
    let page = oauth.consent_url.as_ref();
    Some(advice.hint(&Situation {
        account: account.name.clone(),
        login: login_hint(&account.name),
        has_password: false,
        consent: page.zip(client_id.as_ref()).map(|(page, client)| consent_url(page, client)),
        client_id,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Auth, Config};
    use std::path::Path;

    fn told(message: &str) -> Option<String> {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config.toml");
        let text = "[accounts.work]\naddress = \"a@contoso.com\"\nprovider = \"microsoft\"\noauth = { client_id = \"app\" }\n";
        std::fs::write(&file, text).unwrap();
        let config = Config::load(&file, std::iter::empty(), Path::new("/home/a")).unwrap();
        let account = &config.accounts[0];
        let Auth::OAuth2(oauth) = &account.auth else { panic!() };
        hint(account, oauth, message)
    }

    #[test]
    fn an_administrator_is_sent_to_the_page_that_lets_the_application_in() {
        let said = "account work: the login was refused (access_denied): AADSTS90094: An administrator must grant consent.";
        let hint = told(said).unwrap();
        assert!(hint.contains("ask an administrator"), "{hint}");
        assert!(
            hint.contains("https://login.microsoftonline.com/common/adminconsent?client_id=app"),
            "{hint}"
        );
    }

    #[test]
    fn without_a_number_the_flow_knows_better() {
        assert_eq!(told("account work: the login was refused (access_denied): no"), None);
        assert_eq!(told("account work: the login was not finished within 10 minutes"), None);
    }
}
