//! Watching one mailbox with IDLE (RFC 2177).
//!
//! The mailbox is opened once, read-only, and every change is told the moment its line is complete. IDLE is issued
//! again on our own clock: server lines ("Still here") must not put that off, and many NATs and Exchange forget quiet
//! connections. A connection that ends is an error, never the end of watching.

use super::error::Error;
use super::parse::Response;
use super::session::{Event, Session, Tag};
use crate::mail::MailboxName;
use crate::net::patience::SILENCE;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Below the 10 min that Exchange is known to bear, and far below the 29 min of the RFC.
const RENEW: Duration = Duration::from_secs(9 * 60);

/// Why watching ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleEnd {
    /// The caller stopped it; the session can be used for other things.
    Stopped,
    /// The server has no IDLE: poll instead.
    NotOffered,
}

impl Session {
    /// Watches `mailbox` until `stop`. `on_change` is called once when watching has begun (what changed before that is
    /// not told), then at each EXISTS, EXPUNGE, FETCH and VANISHED.
    ///
    /// # Errors
    /// Every end that is not the caller's: a refusal, a lost connection, BYE.
    pub async fn idle(
        &mut self,
        mailbox: &MailboxName,
        stop: &CancellationToken,
        on_change: impl FnMut(),
    ) -> Result<IdleEnd, Error> {
        self.idle_renewing(mailbox, stop, on_change, || RENEW).await
    }

    /// Waits for the end of a connection of which nothing is asked; why it ended. What the server tells meanwhile goes
    /// into the state of the open mailbox.
    pub async fn ended(&mut self) -> Error {
        loop {
            match self.event_until(Instant::now() + RENEW).await {
                Ok(Event::Done(..) | Event::Continue) => {
                    return self.lost(Error::Protocol("an answer to no command"));
                }
                Ok(_) | Err(Error::TimedOut) => {}
                Err(error) => return error,
            }
        }
    }

    /// [`Session::idle`], with IDLE issued again after `renew`.
    async fn idle_renewing(
        &mut self,
        mailbox: &MailboxName,
        stop: &CancellationToken,
        mut on_change: impl FnMut(),
        mut renew: impl FnMut() -> Duration,
    ) -> Result<IdleEnd, Error> {
        if !self.capabilities().has("IDLE") {
            return Ok(IdleEnd::NotOffered);
        }
        self.select(mailbox, "EXAMINE").await?;
        self.claim()?;
        let mut is_first = true;
        while !stop.is_cancelled() {
            let tag = self.send("IDLE")?;
            self.begin_idle(tag, &mut on_change).await?;
            if std::mem::take(&mut is_first) {
                on_change();
            }
            self.watch(stop, Instant::now() + renew(), &mut on_change).await?;
            self.push(b"DONE\r\n");
            self.end_idle(tag, &mut on_change).await?;
        }
        self.release();
        // Opened read-only: whoever wants to change something opens it anew.
        self.selected = None;
        Ok(IdleEnd::Stopped)
    }

    /// Waits for the `+`.
    async fn begin_idle(&mut self, tag: Tag, on_change: &mut impl FnMut()) -> Result<(), Error> {
        loop {
            match self.event().await? {
                Event::Continue => return Ok(()),
                Event::Done(done, completion) if done == tag => {
                    completion.ok("IDLE")?;
                    return Err(self.lost(Error::Protocol("IDLE ended before it began")));
                }
                event => tell(&event, on_change),
            }
        }
    }

    /// Tells changes until it is time to stop or to renew.
    async fn watch(
        &mut self,
        stop: &CancellationToken,
        renew: Instant,
        on_change: &mut impl FnMut(),
    ) -> Result<(), Error> {
        loop {
            let event = tokio::select! {
                event = self.event_until(renew) => event,
                () = stop.cancelled() => return Ok(()),
            };
            match event {
                Ok(Event::Done(_, completion)) => {
                    completion.ok("IDLE")?;
                    return Err(self.lost(Error::Protocol("IDLE ended by itself")));
                }
                Ok(event) => tell(&event, on_change),
                Err(Error::TimedOut) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for the tagged answer after DONE; a server that goes on talking gets no more time for it.
    async fn end_idle(&mut self, tag: Tag, on_change: &mut impl FnMut()) -> Result<(), Error> {
        let deadline = Instant::now() + SILENCE;
        loop {
            match self.event_until(deadline).await {
                Ok(Event::Done(done, completion)) if done == tag => {
                    return completion.ok("IDLE").map(|_| ());
                }
                Ok(event) => tell(&event, on_change),
                Err(error) => return Err(self.lost(error)),
            }
        }
    }
}

fn tell(event: &Event, on_change: &mut impl FnMut()) {
    let Event::Data(response) = event else { return };
    if let Response::Exists(_) | Response::Expunge | Response::Vanished { .. } | Response::Fetch(_) = response
    {
        on_change();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::script::session;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    const EXAMINED: &str = "C: P2 EXAMINE INBOX\nS: * 3 EXISTS\nS: * OK [UIDVALIDITY 7] x\nS: P2 OK done\n";

    /// Watches; stops at the change number `enough`.
    async fn watch(
        capability: &str,
        transcript: &str,
        enough: u32,
        renewals: u32,
    ) -> Result<(IdleEnd, u32), Error> {
        let (mut session, server) = session(capability, &format!("{EXAMINED}{transcript}")).await;
        let (stop, changes) = (CancellationToken::new(), Arc::new(AtomicU32::new(0)));
        let on_change = || {
            if changes.fetch_add(1, Ordering::Relaxed) + 1 == enough {
                stop.cancel();
            }
        };
        let mut renewals = renewals;
        let renew = || {
            renewals = renewals.wrapping_sub(1);
            if renewals == u32::MAX { RENEW } else { Duration::ZERO }
        };
        let end = session.idle_renewing(&MailboxName::inbox(), &stop, on_change, renew).await?;
        server.finished().await;
        Ok((end, changes.load(Ordering::Relaxed)))
    }

    #[tokio::test]
    async fn every_change_is_told_and_nothing_else() {
        let transcript = "C: P3 IDLE\nS: + idling\nS: * OK Still here\nS: * 4 EXISTS\nS: * 1 EXPUNGE\n\
                          S: * 2 FETCH (FLAGS (\\Seen))\nC: DONE\nS: P3 OK done";
        assert_eq!(watch("IDLE", transcript, 4, 0).await.unwrap(), (IdleEnd::Stopped, 4));
    }

    #[tokio::test]
    async fn idle_is_renewed_on_our_clock() {
        let transcript = "C: P3 IDLE\nS: + idling\nC: DONE\nS: * 4 EXISTS\nS: P3 OK done\nC: P4 IDLE\nS: + idling\n\
                          S: * 5 EXISTS\nC: DONE\nS: P4 OK done";
        assert_eq!(watch("IDLE", transcript, 3, 1).await.unwrap(), (IdleEnd::Stopped, 3));
    }

    #[tokio::test]
    async fn every_other_end_is_an_error() {
        for transcript in [
            "C: P3 IDLE\nS: P3 NO cannot",
            "C: P3 IDLE\nS: P3 BAD what",
            "C: P3 IDLE\nS: + idling",
            "C: P3 IDLE\nS: + idling\nS: P3 OK enough of that",
            "C: P3 IDLE\nS: + idling\nS: * BYE Session invalidated - AccessTokenExpired",
        ] {
            assert!(watch("IDLE", transcript, 9, 0).await.is_err(), "{transcript}");
        }
    }

    #[tokio::test]
    async fn an_end_that_is_refused_costs_the_session() {
        for answer in ["NO still watching", "BAD what"] {
            let transcript =
                format!("{EXAMINED}C: P3 IDLE\nS: + idling\nS: * 4 EXISTS\nC: DONE\nS: P3 {answer}");
            let (mut session, server) = session("IDLE", &transcript).await;
            let stop = CancellationToken::new();
            let on_change = || stop.cancel();
            assert!(matches!(
                session.idle(&MailboxName::inbox(), &stop, on_change).await,
                Err(Error::Refused { .. })
            ));
            server.finished().await;
            assert!(matches!(session.select(&MailboxName::inbox(), "SELECT").await, Err(Error::Unusable)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_does_not_come_is_not_waited_for() {
        let chatter = "W: 25\nS: * 4 EXISTS\n".repeat(4);
        let transcript = format!("C: P3 IDLE\nS: + idling\nS: * 4 EXISTS\nC: DONE\n{chatter}S: P3 OK done");
        let begun = Instant::now();
        assert!(matches!(watch("IDLE", &transcript, 1, 0).await, Err(Error::TimedOut)));
        assert_eq!(begun.elapsed(), SILENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn quiet_is_no_trouble_while_watching() {
        let transcript = "C: P3 IDLE\nS: + idling\nW: 539\nS: * 4 EXISTS\nC: DONE\nS: P3 OK done";
        assert_eq!(watch("IDLE", transcript, 2, 0).await.unwrap(), (IdleEnd::Stopped, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_connection_that_nobody_uses_is_noticed_and_quiet_is_none() {
        for (end, is_expected) in [
            ("S: * BYE Idle for too long", (|error| matches!(error, Error::Bye(_))) as fn(&Error) -> bool),
            ("S: P1 OK once more", |error| matches!(error, Error::Protocol(_))),
            ("", |error| matches!(error, Error::Closed)),
        ] {
            let (mut session, server) = session("", &format!("S: * 3 EXISTS\nW: 1200\n{end}")).await;
            let error = session.ended().await;
            assert!(is_expected(&error), "{end}: {error}");
            server.finished().await;
        }
    }

    #[tokio::test]
    async fn a_server_without_idle_is_told_apart() {
        let (mut session, _server) = session("", "").await;
        let end = session.idle(&MailboxName::inbox(), &CancellationToken::new(), || {}).await;
        assert_eq!(end.unwrap(), IdleEnd::NotOffered);
    }
}
