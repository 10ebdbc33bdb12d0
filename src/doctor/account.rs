//! One account under examination: its login, and the order of its checks.
//!
//! Reading, sending and the disk are examined side by side, after the token that the first two need; then the clock. A token
//! of the running daemon is taken over first, so that an examination costs no refresh. A refresh that the patience of a
//! check did not last for is waited for at the end: cut off, it could cost the login a rotated token.

use super::chart::{Chart, Failed, Finding, Passed};
use super::record::Examined;
use super::{Surroundings, clock, disk, imap, pop, smtp};
use crate::account::{Adviser, Login, Proof};
use crate::config::{Account, Incoming};
use crate::error::{Class, Classified, chain};
use crate::mail::sasl::Credentials;
use crate::net::Endpoint;
use crate::oauth::Keeper;
use crate::provider::answers::Stage;
use jiff::Timestamp;
use std::sync::OnceLock;

/// An account, and its login once there is one.
pub(super) struct Patient<'a> {
    pub(super) account: &'a Account,
    adviser: Adviser,
    login: OnceLock<Login>,
}

/// Every check of one account.
pub async fn examine(account: &Account, surroundings: &Surroundings) -> Examined {
    let chart = Chart::new(surroundings.patience);
    let patient = Patient { account, adviser: Adviser::new(account), login: OnceLock::new() };
    chart.run("token", prove(&patient, surroundings)).await;
    let (mailboxes, (), (), told) = tokio::join!(
        read(&patient, &chart),
        smtp::examine(&patient, &chart),
        disk::examine(account, surroundings, &chart),
        clock::ask(account),
    );
    clock::examine(told, &chart).await;
    if let Some(keeper) = patient.login.get().and_then(Login::keeper) {
        keeper.settle().await;
    }
    Examined::new(&account.name, mailboxes, chart.into_steps())
}

/// The reading half, by the protocol of the account; the names of the mailboxes that were met.
async fn read(patient: &Patient<'_>, chart: &Chart) -> Vec<String> {
    match &patient.account.incoming {
        Incoming::Imap(server) => imap::examine(patient, server, chart).await,
        Incoming::Pop(maildrop) => {
            pop::examine(patient, maildrop, chart).await;
            Vec::new()
        }
    }
}

/// A token or password is to be had.
async fn prove(patient: &Patient<'_>, surroundings: &Surroundings) -> Finding {
    let account = patient.account;
    let state_dir = surroundings.state_dir.join(&account.name);
    let login = Login::new(account, &state_dir, &surroundings.keepers).await;
    let login = login.map_err(|error| patient.refused(Stage::OAuth, &error))?;
    let login = patient.login.get_or_init(|| login);
    let is_lent = borrow(patient, login, surroundings)?;
    let detail = match patient.proof(account.incoming.server()).await? {
        Proof::Password(_) => "the command gives a password".to_owned(),
        Proof::Token(token) => {
            let from = if is_lent { "lent by the running daemon" } else { "refreshed" };
            format!("an access token, {from}{}", rest(token.expires))
        }
    };
    let missing = login.keeper().map(Keeper::missing_scopes).unwrap_or_default();
    let warning = (!missing.is_empty()).then(|| {
        format!("not granted: {}; log in again and allow all that the page asks for", missing.join(" "))
    });
    Ok(Passed::new((), detail).with_warning(warning))
}

/// Takes over what the running daemon has: a token, or the trouble with it.
fn borrow(patient: &Patient<'_>, login: &Login, surroundings: &Surroundings) -> Result<bool, Failed> {
    let of_daemon = surroundings.daemon.as_ref().and_then(|daemon| daemon.tokens.get(&patient.account.name));
    match (of_daemon, login.keeper()) {
        (Some(Err(complaint)), Some(_)) => {
            let said = format!("the daemon says: {}", complaint.text);
            Err(patient.failed(Stage::OAuth, complaint.class, said, complaint.hint.clone()))
        }
        (Some(Ok(token)), Some(keeper)) => {
            keeper.lend(token.clone());
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// How long a token is still good.
fn rest(expires: Option<Timestamp>) -> String {
    let minutes = expires.map(|end| end.duration_since(Timestamp::now()).as_mins());
    minutes.map(|minutes| format!(", good for {minutes} min")).unwrap_or_default()
}

impl Patient<'_> {
    /// What the server at `endpoint` may be shown.
    pub(super) async fn proof(&self, endpoint: &Endpoint) -> Result<Proof, Failed> {
        let proof = self.login()?.proof(endpoint).await;
        proof.map_err(|error| self.refused(Stage::OAuth, &error))
    }

    /// Another proof after a refusal, where there is one.
    pub(super) async fn another(&self, refused: &Proof) -> Option<Proof> {
        self.login.get()?.another(refused).await.ok().flatten()
    }

    /// A proof as the server of the mailbox wants it.
    pub(super) fn to_mailbox(&self, proof: &Proof) -> Result<Credentials, Failed> {
        Ok(self.login()?.to_mailbox(proof))
    }

    /// A proof as the submission server wants it.
    pub(super) fn to_submission(&self, proof: &Proof) -> Result<Credentials, Failed> {
        Ok(self.login()?.to_submission(proof))
    }

    /// What a refusal at this stage means, and what helps.
    pub(super) fn refused(&self, stage: Stage, error: &impl Classified) -> Failed {
        self.failed(stage, error.class(), chain(error), error.hint())
    }

    /// The same of a failure in its parts; `own` is the driver's hint.
    pub(super) fn failed(&self, stage: Stage, class: Class, detail: String, own: Option<String>) -> Failed {
        let hint = self.adviser.hint(stage, class, &detail, own);
        Failed::hinted(class, detail, hint)
    }

    fn login(&self) -> Result<&Login, Failed> {
        self.login.get().ok_or_else(|| Failed { detail: "there is no login".to_owned(), advice: None })
    }
}
