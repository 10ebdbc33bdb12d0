//! The accounts as a [`Fleet`]: configuration to workers, requests to orders, answers back.

use super::bell::{self, Bell};
use super::{Fleet, Unit};
use crate::account::{self, Handle, HeldList, Keepers, Order, Tenure, Told, Wish};
use crate::config::{Account, Config, Mailboxes, suggestion};
use crate::control::server::Replies;
use crate::control::{Code, Deletions, HeldRequest, Lease, Quarantined, Refusal, Request, Response};
use crate::error::{Classified, chain};
use crate::mail::MailboxName;
use crate::oauth::AccessToken;
use crate::status::Stranded;
use crate::supervisor::Failure;
use crate::sync;
use futures_util::future::{BoxFuture, join_all};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tracing::info;

/// How the configuration is read.
pub type Load = dyn Fn() -> anyhow::Result<Config> + Send + Sync;

/// The configured accounts.
pub struct Accounts {
    load: Box<Load>,
    /// As last read without a mistake: what is in force.
    configured: Mutex<BTreeSet<String>>,
    running: Arc<Mutex<BTreeMap<String, Handle>>>,
    /// Why those that are down ended.
    failed: Arc<Mutex<BTreeMap<String, Failure>>>,
    keepers: Keepers,
    bell: Bell,
}

/// Takes an account off the list of running ones, however its run ends.
struct Registered {
    name: String,
    running: Arc<Mutex<BTreeMap<String, Handle>>>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

impl Accounts {
    /// The accounts of the configuration that `load` reads, at the start and at every reload.
    pub fn new(load: Box<Load>) -> Accounts {
        Accounts {
            load,
            configured: Mutex::default(),
            running: Arc::default(),
            failed: Arc::default(),
            keepers: Keepers::default(),
            bell: Bell::default(),
        }
    }

    fn register(&self, name: &str, handle: Handle) -> Registered {
        self.running().insert(name.to_owned(), handle);
        Registered { name: name.to_owned(), running: Arc::clone(&self.running) }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Handle>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn configured(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.configured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The accounts of these names, all for none; without a handle those that are down.
    fn chosen(&self, names: &[String]) -> Result<Vec<(String, Option<Handle>)>, Refusal> {
        let (configured, running) = (self.configured(), self.running());
        if let Some(unknown) = names.iter().find(|name| !configured.contains(*name)) {
            return Err(Refusal::new(Code::BadRequest, format!("no account is called {unknown}"))
                .with_hint(suggestion(unknown, configured.iter().map(String::as_str))));
        }
        let wanted: Vec<&String> =
            if names.is_empty() { configured.iter().collect() } else { names.iter().collect() };
        Ok(wanted.into_iter().map(|name| (name.clone(), running.get(name).cloned())).collect())
    }

    /// Gives every chosen account the same order and passes on what they tell.
    async fn order(&self, names: &[String], wish: Wish, replies: &Replies) -> Result<(), Refusal> {
        let one = |(name, handle): (String, Option<Handle>)| {
            let wish = wish.clone();
            async move {
                let handle = handle.ok_or_else(|| self.down(&name))?;
                let (to, mut told) = mpsc::unbounded_channel();
                if !handle.order(Order { wish, to }).await {
                    return Err(stopped(&name));
                }
                let mut is_answered = false;
                while let Some(told) = told.recv().await {
                    is_answered = !matches!(told, Told::Progress(_));
                    replies.send(response(&name, told)?).await;
                }
                is_answered.then_some(()).ok_or_else(|| stopped(&name))
            }
        };
        // All of them to their end: one account in trouble must not cut off the answers of the others.
        join_all(self.chosen(names)?.into_iter().map(one)).await.into_iter().collect()
    }

    async fn token(&self, account: String, replies: &Replies) -> Result<(), Refusal> {
        let Some((name, handle)) = self.chosen(&[account])?.pop() else { return Ok(()) };
        let token = handle.ok_or_else(|| no_token(&name))?.token().await.ok_or_else(|| no_token(&name))?;
        let AccessToken { secret, expires } = token.map_err(|error| Refusal {
            code: error.class().into(),
            message: format!("account {name}: {}", chain(&error)),
            hint: error.hint(),
        })?;
        replies.send(Response::Token(Lease { secret, expires })).await;
        Ok(())
    }

    /// The refusal of an order to an account whose unit is down, of the kind that ended it.
    fn down(&self, name: &str) -> Refusal {
        match self.failed.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            Some(Failure { class, text, hint }) => Refusal {
                code: (*class).into(),
                message: format!("account {name} is not running: {text}"),
                hint: hint.clone(),
            },
            None => Refusal::new(Code::Retry, format!("account {name} is not running"))
                .with_hint("posthaste status shows why, and what it needs from you"),
        }
    }

    /// What one account holds back.
    async fn held_of(
        &self,
        name: &str,
        handle: Option<Handle>,
    ) -> Result<(Vec<Deletions>, Vec<Quarantined>), Refusal> {
        let handle = handle.ok_or_else(|| self.down(name))?;
        let (to, mut told) = mpsc::unbounded_channel();
        handle.order(Order { wish: Wish::ListHeld, to }).await;
        while let Some(told) = told.recv().await {
            if let Response::Held { deletions, quarantined } = response(name, told)? {
                return Ok((deletions, quarantined));
            }
        }
        Err(stopped(name))
    }

    async fn held(&self, request: HeldRequest, replies: &Replies) -> Result<(), Refusal> {
        match request {
            HeldRequest::Approve { account, mailbox } => {
                self.order(&[account], Wish::Approve(MailboxName::new(mailbox)), replies).await
            }
            HeldRequest::Restore { account, mailbox } => {
                self.order(&[account], Wish::Restore(MailboxName::new(mailbox)), replies).await
            }
            HeldRequest::List => {
                let (mut deletions, mut quarantined) = (Vec::new(), Vec::new());
                let mut refusal = None;
                for (name, handle) in self.chosen(&[])? {
                    match self.held_of(&name, handle).await {
                        Ok((more, copies)) => {
                            deletions.extend(more);
                            quarantined.extend(copies);
                        }
                        // The others are listed all the same.
                        Err(why) => drop(refusal.get_or_insert(why)),
                    }
                }
                replies.send(Response::Held { deletions, quarantined }).await;
                refusal.map_or(Ok(()), Err)
            }
        }
    }
}

impl Fleet for Accounts {
    type Spec = Account;

    fn load(&self) -> anyhow::Result<BTreeMap<String, Account>> {
        let Config { accounts, hooks, .. } = (self.load)()?;
        self.bell.set(hooks.needs_login);
        *self.configured() = accounts.iter().map(|account| account.name.clone()).collect();
        Ok(accounts.into_iter().map(|account| (account.name.clone(), account)).collect())
    }

    fn stranded(&self, state_dir: &Path, accounts: &BTreeMap<String, Account>) -> Vec<Stranded> {
        let sends = |name: &str| accounts.get(name).is_some_and(|account| account.smtp.is_some());
        account::stranded(state_dir, sends)
    }

    fn run(&self, unit: Unit<Account>) -> BoxFuture<'static, Result<(), Failure>> {
        let (handle, inbox) = account::handle();
        let registered = self.register(&unit.name, handle);
        let keepers = self.keepers.clone();
        let failed = Arc::clone(&self.failed);
        let bell = self.bell.clone();
        let Unit { name, spec, state_dir, lock, status, bounds } = unit;
        let tenure = Tenure { stop: bounds.stop, uncut: bounds.uncut, hold: lock };
        let (remedy, words) = (bell::remedy(&spec), status.subscribe());
        Box::pin(async move {
            let _registered = registered;
            let end = tokio::select! {
                end = account::run(spec, state_dir, status, inbox, keepers, tenure) => end,
                never = bell.listen(&remedy, words.clone()) => match never {},
            };
            // Its last words, which nobody listened to.
            bell.hear(&remedy, &words.borrow());
            let end = end.map_err(|error| Failure::new(&error));
            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
            match &end {
                Ok(()) => failed.remove(&name),
                Err(failure) => failed.insert(name, failure.clone()),
            };
            end
        })
    }

    fn answer(&self, request: Request, replies: Replies) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            match request {
                Request::Sync { accounts, mailbox, dry_run } => {
                    let wish = wish_to_sync(mailbox, dry_run)?;
                    self.order(&accounts, wish, &replies).await
                }
                Request::Held(request) => self.held(request, &replies).await,
                Request::TokenChanged { account } => {
                    // An account may be logged in before the configuration that has it is loaded: then nobody runs yet
                    // who has to know.
                    if let Some(handle) = self.running().get(&account) {
                        handle.login_changed();
                    }
                    Ok(())
                }
                Request::Token { account } => self.token(account, &replies).await,
                Request::Status | Request::Reload => Ok(()),
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let waits = || info!("a login is being renewed: waiting for the answer; a second signal does not");
        Box::pin(self.keepers.close(waits))
    }
}

/// Whatever keeps the account down: who asks for a token finds out by itself.
fn no_token(name: &str) -> Refusal {
    Refusal::new(Code::Retry, format!("account {name} has no token at hand"))
}

/// An order that got no answer: the account ended before.
fn stopped(name: &str) -> Refusal {
    Refusal::new(Code::Retry, format!("account {name} stopped before it was done"))
}

/// The order that a request for a pass means.
///
/// # Errors
/// When the glob makes no sense.
pub fn wish_to_sync(mailbox: Option<String>, dry_run: bool) -> Result<Wish, Refusal> {
    let globs = mailbox.map(|glob| Mailboxes::new(&[glob])).transpose();
    let mailbox = globs.map_err(|problem| Refusal::new(Code::BadRequest, format!("--mailbox: {problem}")))?;
    Ok(Wish::Sync { mailbox, dry_run })
}

/// What an account told, in the words of the control protocol.
///
/// # Errors
/// What the account refused.
pub fn response(account: &str, told: Told) -> Result<Response, Refusal> {
    let account = account.to_owned();
    Ok(match told {
        Told::Progress(progress) => Response::Progress { account, progress },
        Told::Plan { text, summary } => Response::Plan { account, text, summary },
        Told::Summary(summary) => Response::Report { account, summary },
        Told::Held(list) => held(&account, list),
        Told::Refused { class, text, hint } => {
            return Err(Refusal { code: class.into(), message: format!("account {account}: {text}"), hint });
        }
    })
}

fn held(account: &str, list: HeldList) -> Response {
    let deletion = |(mailbox, held): (MailboxName, sync::Held)| Deletions {
        account: account.to_owned(),
        mailbox: mailbox.to_string(),
        side: held.side,
        count: held.count,
        of: held.of,
        approved: held.approved,
    };
    let copies = |(mailbox, count): (MailboxName, u64)| Quarantined {
        account: account.to_owned(),
        mailbox: mailbox.to_string(),
        count,
    };
    Response::Held {
        deletions: list.deletions.into_iter().map(deletion).collect(),
        quarantined: list.quarantined.into_iter().map(copies).collect(),
    }
}
