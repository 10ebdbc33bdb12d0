//! Known answers of providers, told as help: the one place where the words of servers meet the table of answers.
//!
//! The class of a complaint is the driver's and stays; an answer is believed to be the known one only where the table
//! says the same class. Drivers do not know providers, so they cannot do this themselves.

use super::board::Complaint;
use crate::config::{self, Auth};
use crate::oauth::login_hint;
use crate::provider::answers::{Advice, Situation, Stage, consent_url, explain};
use std::mem::discriminant;

/// What a hint must know of an account.
#[derive(Clone, Debug)]
pub(super) struct Adviser(Situation);

impl Adviser {
    pub(super) fn new(account: &config::Account) -> Adviser {
        let oauth = match &account.auth {
            Auth::OAuth2(oauth) => Some(oauth),
            Auth::Password { .. } => None,
        };
        let client_id = oauth.and_then(|oauth| oauth.client_id.clone());
        let page = oauth.and_then(|oauth| oauth.consent_url.as_ref());
        Adviser(Situation {
            account: account.name.clone(),
            // The token of a shared mailbox may be another account's.
            login: login_hint(oauth.map_or(&account.name, |oauth| &oauth.token_of)),
            has_password: oauth.is_none(),
            consent: page.zip(client_id.as_deref()).map(|(page, client)| consent_url(page, client)),
            client_id,
        })
    }

    /// The complaint of reading or submitting mail, with the help for a known answer in place of the driver's hint.
    pub(super) fn advise(&self, complaint: &Complaint, servers: &[Stage]) -> Complaint {
        let stages = [Stage::OAuth].iter().chain(servers);
        let known = stages.copied().find_map(|stage| explain(stage, &complaint.text));
        let agrees = |advice: &Advice| discriminant(&advice.class) == discriminant(&complaint.class);
        match known.filter(agrees) {
            Some(advice) => Complaint { hint: Some(advice.hint(&self.0)), ..complaint.clone() },
            None => complaint.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
