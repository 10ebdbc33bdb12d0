//! One account under examination: its login, and the order of its checks.
//!
//! Reading, sending, the disk and the clock are examined side by side, after the token that the first two need. A token
//! of the running daemon is taken over first, so that an examination costs no refresh.

use super::chart::{Chart, Failed, Finding, Passed};
use super::record::Examined;
use super::{Surroundings, advice, clock, disk, imap, smtp};
use crate::account::{Keepers, Login, Proof};
use crate::config::Account;
use crate::error::Classified;
use crate::mail::sasl::Credentials;
use crate::net::Endpoint;
use crate::provider::answers::Stage;
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
    let login = Login::new(account, &state_dir, &Keepers::default())
        .await
        .map_err(|error| advice::failed(account, Stage::OAuth, &error))?;
    let of_daemon = surroundings.daemon.as_ref().and_then(|daemon| daemon.tokens.get(&account.name));
    let is_lent = match (of_daemon, login.keeper()) {
        (Some(Err(complaint)), Some(_)) => {
            let detail = format!("the daemon says: {}", complaint.text);
            let advice = advice::known(account, Stage::OAuth, &complaint.text).or(complaint.hint.clone());
            return Err(Failed { detail, advice });
        }
        (Some(Ok(token)), Some(keeper)) => {
            keeper.lend(token.clone());
            true
        }
        _ => false,
    };
    let proof = login.proof(&account.imap, &account.name).await;
    let detail = match proof.map_err(|error| advice::failed(account, Stage::OAuth, &error))? {
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
        proof.map_err(|error| advice::failed(self.account, Stage::OAuth, &error))
    }

    /// Another proof after a refusal, where there is one.
    pub(super) async fn another(&self, refused: &Proof) -> Option<Proof> {
        self.login.as_ref()?.another(refused).await.ok().flatten()
    }

    pub(super) fn to_mailbox(&self, proof: &Proof) -> Result<Credentials, Failed> {
        Ok(self.login()?.to_mailbox(proof))
    }

    /// The same for submission, where another name may log in.
    pub(super) fn to_submission(&self, proof: &Proof) -> Result<Credentials, Failed> {
        Ok(self.login()?.to_submission(proof))
    }

    /// What a refusal at this stage means, and what helps.
    pub(super) fn refused(&self, stage: Stage, error: &impl Classified) -> Failed {
        advice::failed(self.account, stage, error)
    }

    fn login(&self) -> Result<&Login, Failed> {
        self.login.as_ref().ok_or_else(|| Failed { detail: "there is no login".to_owned(), advice: None })
    }
}
