//! What helps an account against a failure: for the worker's status, the doctor and a login alike.
//!
//! The one place where the words of servers meet the table of known answers. The class of a failure is its driver's and
//! stays; an answer is believed to be the known one only where the table says the same class. Drivers do not know
//! providers, so they cannot do this themselves.

use crate::config::{Account, Auth, Incoming};
use crate::error::Class;
use crate::oauth::login_hint;
use crate::provider::answers::{By, Situation, Stage, consent_url, explain};
use std::mem::discriminant;

/// What a hint must know of an account.
#[derive(Clone, Debug)]
pub struct Adviser {
    situation: Situation,
    reading: Stage,
}

impl Adviser {
    /// For this account.
    pub fn new(account: &Account) -> Adviser {
        let oauth = match &account.auth {
            Auth::OAuth2(oauth) => Some(oauth),
            Auth::Password { .. } => None,
        };
        let by = match oauth {
            None => By::Password,
            Some(oauth) if oauth.app.is_some() => By::Program,
            Some(_) if account.user != account.login => By::Delegate,
            Some(_) => By::Person,
        };
        let client_id = oauth.and_then(|oauth| oauth.client_id.clone());
        let page = oauth.and_then(|oauth| oauth.consent_url.as_ref());
        let situation = Situation {
            account: account.name.clone(),
            by,
            person: account.login.clone(),
            mailbox: account.user.clone(),
            login: login_hint(oauth.map_or(&account.name, |oauth| &oauth.token_of)),
            consent: page.zip(client_id.as_deref()).map(|(page, client)| consent_url(page, client)),
            client_id,
        };
        let reading = match account.incoming {
            Incoming::Imap(_) => Stage::Imap,
            Incoming::Pop(_) => Stage::Pop,
        };
        Adviser { situation, reading }
    }

    /// Where this account reads mail.
    pub fn reading(&self) -> Stage {
        self.reading
    }

    /// What helps against a failure of this class, told in this text by the server there or by the token endpoint before
    /// it: the table's help, else the driver's own hint, else what mends a refused login.
    pub fn hint(&self, there: Stage, class: Class, text: &str, own: Option<String>) -> Option<String> {
        let known =
            |stage| explain(stage, text).filter(|advice| discriminant(&advice.class) == discriminant(&class));
        let known = known(Stage::OAuth).or_else(|| known(there)).map(|advice| advice.hint(&self.situation));
        let refused = || (class == Class::NeedsLogin).then(|| self.situation.refused());
        known.or(own).or_else(refused)
    }
}

#[cfg(test)]
mod tests;
