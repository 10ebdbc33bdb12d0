//! A session with the IMAP server: a proof, a connection, and one more attempt with a fresh token after a refusal.

use super::board::Complaint;
use super::{LoginError, Shared};
use crate::error::{Class, Classified};
use crate::imap;
use jiff::Timestamp;
use std::time::Duration;

/// How long before its token ends a connection is replaced at most: Exchange drops it within seconds of the end.
const BEFORE_EXPIRY: Duration = Duration::from_secs(60);
/// Of a shorter rest only this part is given away: a token of minutes must carry a connection for most of them.
const PART_BEFORE_EXPIRY: u32 = 5;
/// The shortest life of a connection. The end of a token comes closer with every connection while the token endpoint
/// is in trouble: without this the last of them would follow each other without a pause.
const SHORTEST_LIFE: Duration = Duration::from_secs(2);

/// A session that is logged in, and when to replace it.
pub(super) struct Connected {
    pub(super) session: imap::Session,
    pub(super) expires: Option<Timestamp>,
}

impl Connected {
    /// How long this session may live; a day where nothing ends it.
    pub(super) fn life(&self) -> Duration {
        let left = |expires: Timestamp| Duration::try_from(expires.duration_since(Timestamp::now())).ok();
        match self.expires {
            None => Duration::from_secs(24 * 3600),
            Some(expires) => life(left(expires).unwrap_or_default()),
        }
    }
}

/// The life of a connection whose token ends after `left`.
fn life(left: Duration) -> Duration {
    left.saturating_sub(BEFORE_EXPIRY.min(left / PART_BEFORE_EXPIRY)).max(SHORTEST_LIFE)
}

/// Connects to the IMAP server and logs in.
pub(super) async fn connect(shared: &Shared) -> Result<Connected, Complaint> {
    let account = &shared.account;
    let server = account.incoming.server();
    let options = imap::Options {
        endpoint: server.clone(),
        disable: account.disable.clone(),
        special_use: account.special_use.clone(),
    };
    let proof = shared.login.proof(server).await;
    let proof = proof.map_err(|error| tokenless(shared, &error))?;
    let (session, proof) = match imap::connect(&options, &shared.login.to_mailbox(&proof)).await {
        Err(error) if error.class() == Class::NeedsLogin => {
            let another = shared.login.another(&proof).await.map_err(|error| tokenless(shared, &error))?;
            let Some(proof) = another else { return Err(Complaint::new(&error)) };
            let session = imap::connect(&options, &shared.login.to_mailbox(&proof)).await;
            (session.map_err(|error| Complaint::new(&error))?, proof)
        }
        outcome => (outcome.map_err(|error| Complaint::new(&error))?, proof),
    };
    Ok(Connected { session, expires: proof.expires() })
}

/// There is no token. Where it is another account's, that one has told: one lost login is one line in the log.
pub(super) fn tokenless(shared: &Shared, error: &LoginError) -> Complaint {
    let complaint = Complaint::new(error);
    match complaint.class == Class::NeedsLogin && shared.login.is_guest() {
        true => complaint.told_elsewhere(),
        false => complaint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_ends_before_its_token_and_lives_for_most_of_it() {
        let life = |seconds| life(Duration::from_secs(seconds)).as_secs_f64();
        assert_eq!(life(3600), 3540.0);
        assert_eq!(life(300), 240.0);
        assert_eq!(life(60), 48.0);
        assert_eq!(life(5), 4.0);
        assert_eq!(life(0), 2.0);
    }
}
