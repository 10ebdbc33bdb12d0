//! The worker of one account: the only place where drivers meet.
//!
//! Three loops, each with its own connection: `inbound` owns the Maildir and the ledger and makes every pass,
//! `watch` holds IDLE and pokes it, `outbound` sends what is dropped into the outbox. Trouble in one does not stop
//! the others: mail arrives while submission is refused. They meet in a `wake::Wake` and a `board::Board` only.
//! This module knows no supervisor and no socket: whoever runs it gives it a channel of `Order`s.

mod advice;
mod board;
mod desk;
mod held;
mod inbound;
mod keepers;
mod login;
mod maildrop;
mod observe;
mod orders;
mod outbound;
mod poll;
mod refused;
mod rest;
mod sent;
mod session;
mod standing;
mod stores;
mod stranded;
mod submit;
#[cfg(test)]
mod tests;
mod unsent;
mod wake;
mod watch;

pub use advice::Adviser;
pub use keepers::Keepers;
pub use login::{Error as LoginError, Login, Proof};
pub use stores::Error as StoreError;
pub use stranded::stranded;

use crate::config::{Account, Mailboxes};
use crate::error::Class;
use crate::mail::MailboxName;
use crate::oauth::AccessToken;
use crate::status::{self, Progress, Summary};
use board::{Board, Complaint};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use inbound::Inbound;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use stores::Stores;
use tokio::sync::{Notify, mpsc, watch as status_watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wake::{LoginNews, Wake};

/// Orders that may wait while a pass runs.
const ORDERS: usize = 16;

/// What keeps others off the account's state, held until the last job on the disk that it protects has ended.
pub type Hold = Arc<dyn Any + Send + Sync>;

/// How long a run has its account to itself.
pub struct Tenure {
    /// Cancelled when the run has to end.
    pub stop: CancellationToken,
    /// The run is not to be aborted while it holds a token of this.
    pub uncut: TaskTracker,
    /// Let go when nothing of the run writes to the queue any more, which may be after it was aborted.
    pub hold: Hold,
}

/// What a running account can be told.
#[derive(Clone, Debug)]
pub struct Order {
    /// What to do.
    pub wish: Wish,
    /// Where to tell of it; the end of the channel is the end of the answer.
    pub to: mpsc::UnboundedSender<Told>,
}

impl Order {
    /// Whether nothing may be changed.
    fn is_dry_run(&self) -> bool {
        matches!(self.wish, Wish::Sync { dry_run: true, .. })
    }
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Wish {
    /// A complete pass, over the mailboxes that match.
    Sync {
        /// Only these; `None` for all that the account wants.
        mailbox: Option<Mailboxes>,
        /// Only show the plan.
        dry_run: bool,
    },
    /// What the guard holds back and what lies in quarantine.
    ListHeld,
    /// Carry out the deletions held back in a mailbox.
    Approve(MailboxName),
    /// Bring messages of a mailbox back: those whose deletion is held, and those in quarantine.
    Restore(MailboxName),
}

/// What an account tells about an order.
#[derive(Clone, Debug)]
pub enum Told {
    /// How far the pass is.
    Progress(Progress),
    /// What a dry run would do.
    Plan {
        /// A line for each step.
        text: String,
        /// What they come to, and what the pass could not look at.
        summary: Summary,
    },
    /// What the pass did.
    Summary(Summary),
    /// What is held back and what lies in quarantine.
    Held(HeldList),
    /// It could not be done.
    Refused {
        /// What kind of trouble.
        class: Class,
        /// What failed.
        text: String,
        /// What the user can do.
        hint: Option<String>,
    },
}

/// Deletions held back, and copies in quarantine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldList {
    /// Deletions held back, with their mailbox.
    pub deletions: Vec<(MailboxName, crate::sync::Held)>,
    /// How many copies lie in quarantine, by mailbox.
    pub quarantined: Vec<(MailboxName, u64)>,
}

/// The way to a running account.
#[derive(Clone, Debug)]
pub struct Handle {
    orders: mpsc::Sender<Order>,
    send_now: Arc<Notify>,
    login_changed: Arc<status_watch::Sender<()>>,
    login: Arc<OnceLock<Login>>,
}

/// The account's end of a [`Handle`].
#[derive(Debug)]
pub struct Inbox {
    orders: mpsc::Receiver<Order>,
    send_now: Arc<Notify>,
    login_changed: LoginNews,
    login: Arc<OnceLock<Login>>,
}

/// A new way to an account.
pub fn handle() -> (Handle, Inbox) {
    let (sender, orders) = mpsc::channel(ORDERS);
    let (news, login_changed) = LoginNews::channel();
    let (login, send_now) = (Arc::<OnceLock<Login>>::default(), Arc::<Notify>::default());
    let inbox = Inbox { orders, send_now: Arc::clone(&send_now), login_changed, login: Arc::clone(&login) };
    (Handle { orders: sender, send_now, login_changed: Arc::new(news), login }, inbox)
}

impl Handle {
    /// Gives an order; `false` when the account is not running. A pass goes both ways: what waits is sent as well.
    pub async fn order(&self, order: Order) -> bool {
        if matches!(order.wish, Wish::Sync { dry_run: false, .. }) {
            self.send_now.notify_one();
        }
        self.orders.send(order).await.is_ok()
    }

    /// The token on disk changed: an account that needs a login tries again at once.
    pub fn login_changed(&self) {
        self.login_changed.send_replace(());
    }

    /// The access token at hand, or a new one; `None` where the account has no token, or none yet.
    pub async fn token(&self) -> Option<Result<AccessToken, LoginError>> {
        self.login.get()?.token().await
    }
}

/// Why an account cannot run at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Maildir or the ledger.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The login.
    #[error(transparent)]
    Login(#[from] LoginError),
}

impl crate::error::Classified for Error {
    fn class(&self) -> Class {
        match self {
            Error::Store(error) => error.class(),
            Error::Login(error) => error.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Store(error) => error.hint(),
            Error::Login(error) => error.hint(),
        }
    }
}

/// What all loops of an account share.
#[derive(Clone, Debug)]
struct Shared {
    account: Arc<Account>,
    login: Login,
    board: Board,
    wake: Arc<Wake>,
    login_changed: LoginNews,
    stop: CancellationToken,
    /// Keeps the account from being cut off where it holds a token of this.
    uncut: TaskTracker,
    state_dir: PathBuf,
}

/// Runs an account for its tenure; the accounts of one process share `keepers`, which whoever ends it has to close.
///
/// # Errors
/// Only what makes running impossible; trouble on the way is in the status, and a panic of any loop is passed on.
pub async fn run(
    account: Account,
    state_dir: PathBuf,
    status: status_watch::Sender<status::Account>,
    inbox: Inbox,
    keepers: Keepers,
    Tenure { stop, uncut, hold }: Tenure,
) -> Result<(), Error> {
    let board = Board::new(&account, status);
    let started = start(account, state_dir, board.clone(), inbox.login_changed, &keepers, stop, uncut).await;
    let (shared, stores) = started.inspect_err(|error| board.trouble(&Complaint::new(error), None))?;
    // An inbox serves one run.
    let _first = inbox.login.set(shared.login.clone());
    let loops = loops(&shared, stores, inbox.orders, inbox.send_now, hold);
    let end = AssertUnwindSafe(loops.collect::<()>()).catch_unwind().await;
    // The next run may have another keeper, which would wait for the lock of this one.
    if let Some(keeper) = shared.login.keeper() {
        keeper.save().await;
    }
    end.or_else(|panic| std::panic::resume_unwind(panic))
}

/// The loops, in the task of whoever runs the account: what blocks one of them blocks that task, where it is noticed.
fn loops(
    shared: &Shared,
    stores: Stores,
    orders: mpsc::Receiver<Order>,
    send_now: Arc<Notify>,
    hold: Hold,
) -> FuturesUnordered<BoxFuture<'static, ()>> {
    let (sent_mailbox, sent) = status_watch::channel(None);
    let mut loops = FuturesUnordered::new();
    loops.push(Inbound::new(shared.clone(), stores, sent_mailbox).run(orders).boxed());
    if shared.account.poll_only {
        shared.board.push(Some("poll"));
    } else {
        let watches = shared.account.idle.iter().map(|mailbox| watch::run(shared.clone(), mailbox.clone()));
        loops.extend(watches.map(FutureExt::boxed));
    }
    loops.push(match shared.account.smtp {
        Some(_) => outbound::run(shared.clone(), sent, send_now, hold).boxed(),
        None => unsent::run(shared.clone()).boxed(),
    });
    loops
}

async fn start(
    account: Account,
    state_dir: PathBuf,
    board: Board,
    login_changed: LoginNews,
    keepers: &Keepers,
    stop: CancellationToken,
    uncut: TaskTracker,
) -> Result<(Shared, Stores), Error> {
    let stores = Stores::open(&account, &state_dir).await?;
    let login = Login::new(&account, &state_dir, keepers).await?;
    let account = Arc::new(account);
    let wake = Arc::new(Wake::default());
    Ok((Shared { account, login, board, wake, login_changed, stop, uncut, state_dir }, stores))
}

/// One order without a daemon: connects, carries it out, ends.
///
/// # Errors
/// What makes running impossible; trouble with the server is told through the order.
pub async fn carry_out(
    account: Account,
    state_dir: PathBuf,
    order: Order,
    keepers: &Keepers,
) -> Result<(), Error> {
    let (status, _) = status_watch::channel(status::Account::default());
    let board = Board::new(&account, status);
    let (stop, uncut) = (CancellationToken::new(), TaskTracker::new());
    let login_changed = LoginNews::channel().1;
    let (shared, stores) = start(account, state_dir, board, login_changed, keepers, stop, uncut).await?;
    let (sent_mailbox, _) = status_watch::channel(None);
    Inbound::new(shared, stores, sent_mailbox).once(order).await;
    Ok(())
}
