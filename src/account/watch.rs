//! The watching connection of one mailbox: IDLE, and a poke for each word of the server.
//!
//! It reads nothing but that something changed; the inbound loop looks what it was. A connection is replaced before its
//! token ends; what happens meanwhile is not missed, because every new IDLE begins with a poke. Trouble here is told to
//! the inbound loop as a sweep, which finds out whether the server is well. It knocks only while that loop is served and
//! rests like it: a refused login costs the knocks of one loop, however many mailboxes are watched.

use super::Shared;
use super::rest::{delay, rest};
use super::session::{Connected, connect};
use crate::error::{Class, Classified, chain};
use crate::imap::{self, IdleEnd, Session};
use crate::mail::MailboxName;
use std::time::Duration;
use tokio::time::sleep;

/// Watches `mailbox` until the account stops or the server turns out to have no IDLE.
pub(super) async fn run(mut shared: Shared, mailbox: MailboxName) {
    let mut failures = 0_u32;
    let mut connected: Option<Connected> = None;
    while !shared.stop.is_cancelled() {
        let outcome = match connected.take() {
            Some(connected) => hold(&mut shared, &mailbox, connected, &mut failures).await,
            None => {
                served(&shared).await;
                open(&shared).await.map(|fresh| Next::Replace(Box::new(fresh)))
            }
        };
        match outcome {
            Ok(Next::Replace(fresh)) => connected = Some(*fresh),
            Ok(Next::Reopen) => {}
            Ok(Next::Poll) => return shared.board.push(Some("poll")),
            Ok(Next::End) => return,
            Err(refusal) => {
                // Connections end as a matter of course; what happens again is worth a word.
                let is_passing = matches!(refusal.class, Class::Retry { .. });
                if failures > 0 || !is_passing {
                    shared.board.push(Some("poll"));
                }
                if let Some(words) = refusal.words.filter(|_| failures > 0) {
                    shared.board.unwatched(&mailbox, Some(&words));
                }
                shared.wake.poke(|looks| looks.sweep = true);
                let wait = delay(refusal.class, failures);
                failures = failures.saturating_add(1);
                rest(&mut shared, wait).await;
            }
        }
    }
}

enum Next {
    Replace(Box<Connected>),
    /// The login is another one now, or none.
    Reopen,
    Poll,
    End,
}

/// Why nobody watches.
struct Refusal {
    class: Class,
    /// What went wrong with watching itself; `None` for what the inbound loop meets and tells as well.
    words: Option<String>,
}

/// Waits until the inbound loop is logged in.
async fn served(shared: &Shared) {
    tokio::select! {
        () = shared.board.served(true) => {}
        () = shared.stop.cancelled() => {}
    }
}

async fn open(shared: &Shared) -> Result<Connected, Refusal> {
    tokio::select! {
        outcome = connect(shared) => outcome.map_err(|complaint| {
            tracing::debug!(account = %shared.account.name, error = %complaint.text, "cannot watch");
            Refusal { class: complaint.class, words: None }
        }),
        () = shared.stop.cancelled() => Err(Refusal { class: Class::RETRY, words: None }),
    }
}

/// Idles for the life of one connection, then opens the next before this one is given up. A connection of a login that
/// is over is given up first: nobody stays logged in who logged out.
async fn hold(
    shared: &mut Shared,
    mailbox: &MailboxName,
    connected: Connected,
    failures: &mut u32,
) -> Result<Next, Refusal> {
    let life = connected.life();
    let mut session = connected.session;
    match idle(shared, mailbox, &mut session, life, failures).await {
        Ok(End::NotOffered) => {
            session.logout().await;
            Ok(Next::Poll)
        }
        Ok(_) if shared.stop.is_cancelled() => {
            session.logout().await;
            Ok(Next::End)
        }
        Ok(End::Login) => {
            shared.board.push(None);
            session.logout().await;
            shared.login.look_again().await;
            Ok(Next::Reopen)
        }
        Ok(End::Life) => {
            let fresh = open(shared).await;
            session.logout().await;
            fresh.map(|fresh| Next::Replace(Box::new(fresh)))
        }
        Err(error) => {
            tracing::debug!(account = %shared.account.name, %mailbox, %error, "watching ended");
            Err(Refusal { class: error.class(), words: Some(chain(&error)) })
        }
    }
}

/// Why idling ended without an error.
enum End {
    /// The server has no IDLE.
    NotOffered,
    /// The account stops, or the time of the connection is over.
    Life,
    /// Somebody logged in or out.
    Login,
}

/// Idles for so long. Once watching has begun all failures before are forgotten: a login that works is not enough, the
/// server may refuse IDLE each time.
async fn idle(
    shared: &mut Shared,
    mailbox: &MailboxName,
    session: &mut Session,
    life: Duration,
    failures: &mut u32,
) -> Result<End, imap::Error> {
    let Shared { board, wake, stop, login_changed, .. } = shared;
    let ends = stop.child_token();
    let idle = session.idle(mailbox, &ends, || {
        *failures = 0;
        board.push(Some("idle"));
        board.unwatched(mailbox, None);
        board.heard();
        wake.poke(|looks| {
            looks.remote.insert(mailbox.clone());
        });
    });
    tokio::pin!(idle);
    let end = tokio::select! {
        end = &mut idle => return end.map(|end| match end {
            IdleEnd::NotOffered => End::NotOffered,
            IdleEnd::Stopped => End::Life,
        }),
        () = sleep(life) => End::Life,
        () = login_changed.changed() => End::Login,
    };
    ends.cancel();
    idle.await.map(|_| end)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::account::board::Board;
    use crate::account::wake::{LoginNews, Wake};
    use crate::account::{Keepers, Login};
    use crate::config::{Account, Config};
    use crate::status::{self, State};
    use std::path::Path;
    use std::sync::Arc;
    use tokio::time::{Instant, timeout_at};
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    /// An account as configured, then changed so.
    pub(in crate::account) fn account(home: &Path, change: impl FnOnce(&mut Account)) -> Account {
        let file = home.join("config.toml");
        let text = "[accounts.lab]\naddress = \"a@gmail.com\"\noauth.client_id = \"c\"";
        std::fs::write(&file, text).unwrap();
        let mut account = Config::load(&file, std::iter::empty(), home).unwrap().accounts.remove(0);
        change(&mut account);
        account
    }

    /// An account that nobody has logged in.
    pub(in crate::account) async fn shared(home: &Path) -> Shared {
        shared_of(home, |_| {}).await
    }

    /// The same, with its configuration changed so.
    pub(in crate::account) async fn shared_of(home: &Path, change: impl FnOnce(&mut Account)) -> Shared {
        let account = account(home, change);
        let state_dir = home.join("lab");
        std::fs::create_dir(&state_dir).unwrap();
        let login = Login::new(&account, &state_dir, &Keepers::default()).await.unwrap();
        let (status, _) = tokio::sync::watch::channel(status::Account::default());
        Shared {
            board: Board::new(&account, status),
            account: Arc::new(account),
            login,
            wake: Arc::new(Wake::default()),
            login_changed: LoginNews::channel().1,
            stop: CancellationToken::new(),
            uncut: TaskTracker::new(),
            state_dir,
        }
    }

    /// How often it is told within an hour that the mailbox cannot be watched.
    async fn knocks_in_an_hour(shared: &Shared) -> usize {
        let end = Instant::now() + Duration::from_secs(3600);
        let mut knocks = 0;
        while timeout_at(end, shared.wake.poked()).await.is_ok() {
            knocks += 1;
        }
        knocks
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_said_to_listen_while_the_connection_rests_after_a_refusal() {
        let home = tempfile::tempdir().unwrap();
        let mut shared = shared(home.path()).await;
        let (sender, status) = tokio::sync::watch::channel(status::Account::default());
        shared.board = Board::new(&shared.account, sender);
        shared.board.push(Some("idle"));
        shared.board.state(State::Watching, "");
        tokio::spawn(run(shared.clone(), MailboxName::inbox()));
        shared.wake.poked().await;
        assert_eq!(status.borrow().push.as_deref(), Some("poll"));
        shared.stop.cancel();
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_login_is_tried_no_more_often_than_the_account_itself() {
        let home = tempfile::tempdir().unwrap();
        let shared = shared(home.path()).await;
        tokio::spawn(run(shared.clone(), MailboxName::inbox()));
        assert_eq!(knocks_in_an_hour(&shared).await, 0, "nobody knocks before the account is logged in");
        shared.board.state(State::Watching, "");
        let knocks = knocks_in_an_hour(&shared).await;
        assert!((1..=4).contains(&knocks), "{knocks} knocks");
        shared.stop.cancel();
    }
}
