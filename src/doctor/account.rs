//! One account under examination: its login, and the order of its checks.
//!
//! Reading, sending, the disk and the clock are examined side by side, after the token that the first two need. A token
//! of the running daemon is taken over first, so that an examination costs no refresh.

use super::chart::{Chart, Failed, Finding, Passed};
use super::record::Examined;
use super::{Surroundings, clock, disk, imap, smtp};
use crate::account::{Login, Proof};
use crate::config::{Account, Auth};
use crate::error::{Class, Classified};
use crate::mail::sasl::Credentials;
use crate::net::Endpoint;
use crate::oauth::login_hint;
use jiff::Timestamp;

/// An account, and its login once that is known to work.
pub(super) struct Patient<'a> {
    pub(super) account: &'a Account,
    login: Option<Login>,
}

/// Every check of one account.
pub async fn examine(account: &Account, surroundings: &Surroundings) -> Examined {
    let chart = Chart::new(surroundings.patience);
    let login = chart.run("token", prove(account, surroundings)).await;
    let patient = Patient { account, login };
    tokio::join!(
        imap::examine(&patient, &chart),
        smtp::examine(&patient, &chart),
        disk::examine(account, surroundings, &chart),
        clock::examine(account, &chart),
    );
    if let Some(keeper) = patient.login.as_ref().and_then(Login::keeper) {
        keeper.settle().await;
    }
    Examined::new(&account.name, chart.into_steps())
}

/// A token or password is to be had.
async fn prove(account: &Account, surroundings: &Surroundings) -> Finding<Login> {
    let state_dir = surroundings.state_dir.join(&account.name);
    let login = Login::new(account, &state_dir).await.map_err(|error| advised(account, &error))?;
    let of_daemon = surroundings.daemon.as_ref().and_then(|daemon| daemon.tokens.get(&account.name));
    let is_lent = match (of_daemon, login.keeper()) {
        (Some(Err(complaint)), Some(_)) => {
            let detail = format!("the daemon says: {}", complaint.text);
            return Err(Failed { advice: complaint.hint.clone(), detail });
        }
        (Some(Ok(token)), Some(keeper)) => {
            keeper.lend(token.clone());
            true
        }
        _ => false,
    };
    let proof = login.proof(&account.imap, &account.name).await;
    let detail = match proof.map_err(|error| advised(account, &error))? {
        Proof::Password(_) => "the command gives a password".to_owned(),
        Proof::Token(token) => {
            let from = if is_lent { "lent by the running daemon" } else { "refreshed" };
            format!("an access token, {from}{}", rest(token.expires))
        }
    };
    Ok(Passed::new(login, detail))
}

/// How long a token is still good.
fn rest(expires: Option<Timestamp>) -> String {
    let minutes = expires.map(|end| end.duration_since(Timestamp::now()).as_mins());
    minutes.map(|minutes| format!(", good for {minutes} min")).unwrap_or_default()
}

impl Patient<'_> {
    /// What the server at `endpoint` may be shown.
    pub(super) async fn proof(&self, endpoint: &Endpoint) -> Result<Proof, Failed> {
        let proof = self.login()?.proof(endpoint, &self.account.name).await;
        proof.map_err(|error| advised(self.account, &error))
    }

    /// Another proof after a refusal, where there is one.
    pub(super) async fn another(&self, refused: &Proof) -> Option<Proof> {
        self.login.as_ref()?.another(refused).await.ok().flatten()
    }

    pub(super) fn credentials(&self, proof: &Proof) -> Result<Credentials, Failed> {
        Ok(self.login()?.credentials(proof))
    }

    /// What a refusal of the server means, and what helps.
    pub(super) fn refused(&self, error: &impl Classified) -> Failed {
        advised(self.account, error)
    }

    fn login(&self) -> Result<&Login, Failed> {
        self.login.as_ref().ok_or_else(|| Failed { detail: "there is no login".to_owned(), advice: None })
    }
}

fn advised(account: &Account, error: &impl Classified) -> Failed {
    let failed = Failed::of(error);
    let advice = failed.advice.or_else(|| match error.class() {
        Class::NeedsLogin => Some(login_advice(account)),
        _ => None,
    });
    Failed { advice, ..failed }
}

fn login_advice(account: &Account) -> String {
    match account.auth {
        Auth::OAuth2(_) => login_hint(&account.name),
        Auth::Password { .. } => format!("check `user` and `password_command` of account {}", account.name),
    }
}
