//! What helps against a failure: what is known of the provider's answer, else the driver's own hint, else a login.

use super::chart::Failed;
use crate::config::{Account, Auth};
use crate::error::{Class, Classified, chain};
use crate::oauth::login_hint;
use crate::provider::answers::{Situation, Stage, consent_url, explain};

/// A driver's error at this stage of this account.
pub(super) fn failed(account: &Account, stage: Stage, error: &impl Classified) -> Failed {
    let detail = chain(error);
    match known(account, stage, &detail) {
        Some(advice) => Failed { detail, advice: Some(advice) },
        None => {
            let Failed { detail, advice } = Failed::of(error);
            let advice = advice.or_else(|| (error.class() == Class::NeedsLogin).then(|| login(account)));
            Failed { detail, advice }
        }
    }
}

/// What this answer is known to mean for the account, and what helps.
pub(super) fn known(account: &Account, stage: Stage, text: &str) -> Option<String> {
    Some(explain(stage, text)?.hint(&situation(account)))
}

fn situation(account: &Account) -> Situation {
    let oauth = match &account.auth {
        Auth::OAuth2(oauth) => Some(oauth),
        Auth::Password { .. } => None,
    };
    let client_id = oauth.and_then(|oauth| oauth.client_id.clone());
    let page = oauth.and_then(|oauth| oauth.consent_url.as_ref());
    Situation {
        account: account.name.clone(),
        login: login(account),
        has_password: oauth.is_none(),
        consent: page.zip(client_id.as_ref()).map(|(page, client)| consent_url(page, client)),
        client_id,
    }
}

fn login(account: &Account) -> String {
    match account.auth {
        Auth::OAuth2(_) => login_hint(&account.name),
        Auth::Password { .. } => format!("check `user` and `password_command` of account {}", account.name),
    }
}
