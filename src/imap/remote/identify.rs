//! What identifies messages, without their bodies.
//!
//! Invariant: a message that is there is never left out of the answer: it would pass for gone, and its other half would be
//! uploaded. What the server does not show of it is asked for in smaller portions, then by its Message-ID alone, because
//! a header that is too large is not kept; what is still not shown is told as such.

use super::fetch::{PORTIONS, is_hopeless, share};
use super::{Session, commands};
use crate::error::{Class, Classified};
use crate::imap::Error;
use crate::imap::parse::{Fetch, Response};
use crate::imap::suspects::{Sorted, Suspects};
use crate::mail::{IDENTITY_FIELDS, Identity, Uid, UidSet};
use crate::sync::{At, Likeness};
use std::collections::BTreeMap;

/// The Message-ID alone, and no more of it than any has.
const MESSAGE_ID: &str = "[HEADER.FIELDS (MESSAGE-ID)]<0.65536>";

/// An inquiry in one mailbox.
struct Inquiry<'a> {
    session: &'a mut Session,
    at: &'a At,
    suspects: &'a Suspects,
    found: BTreeMap<Uid, Likeness>,
}

pub(super) async fn identify(
    session: &mut Session,
    at: &At,
    uids: &UidSet,
    suspects: &Suspects,
) -> Result<BTreeMap<Uid, Option<Likeness>>, Error> {
    session.ensure(at).await?;
    let Sorted { plain, last, spared } = suspects.sort(at, uids.iter());
    let mut inquiry = Inquiry { session, at, suspects, found: BTreeMap::new() };
    let fields = format!("[HEADER.FIELDS ({})]", IDENTITY_FIELDS.join(" ").to_ascii_uppercase());
    inquiry.narrow(&plain, &PORTIONS, &fields).await?;
    inquiry.narrow(&last, &[1], &fields).await?;
    let present = inquiry.present(&inquiry.missing(uids)).await?;
    let asked = present.iter().filter(|&uid| !spared.contains(uid)).collect();
    inquiry.narrow(&asked, &[1], MESSAGE_ID).await?;
    let silent = inquiry.missing(&present);
    let found = inquiry.found.into_iter().map(|(uid, likeness)| (uid, Some(likeness)));
    Ok(found.chain(silent.iter().map(|uid| (uid, None))).collect())
}

impl Inquiry<'_> {
    fn missing(&self, of: &UidSet) -> UidSet {
        of.iter().filter(|uid| !self.found.contains_key(uid)).collect()
    }

    /// Asks for all of these, then for what was refused in smaller portions. An error where the refusal is not about
    /// messages.
    async fn narrow(&mut self, uids: &UidSet, portions: &[usize], section: &str) -> Result<(), Error> {
        let mut asked = uids.clone();
        for &portion in portions {
            let before = self.found.len();
            asked = share(portion, self.missing(&asked));
            let Some(refusal) = self.ask(&asked, portion, section).await? else { return Ok(()) };
            let (is_all_here, came) = (self.missing(&asked).is_empty(), self.found.len() > before);
            if is_all_here || refusal.class() != Class::RETRY || is_hopeless(portion, &asked, came) {
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// Asks once; a refusal is returned, and what came beside it is good.
    async fn ask(&mut self, asked: &UidSet, portion: usize, section: &str) -> Result<Option<Error>, Error> {
        let Inquiry { session, found, .. } = self;
        let lines = asked.chunks(portion);
        let lines = lines.iter().map(|set| format!("UID FETCH {set} (UID RFC822.SIZE BODY.PEEK{section})"));
        let on = |data| {
            let Response::Fetch(Fetch { uid: Some(uid), size: Some(size), header: Some(header), .. }) = data
            else {
                return;
            };
            if let Some(uid) = Uid::new(uid).filter(|&uid| asked.contains(uid)) {
                found.insert(uid, Likeness { identity: Identity::from_header(&header), size });
            }
        };
        match session.run_all("UID FETCH", lines, on).await {
            Ok(_) => Ok(None),
            Err(refusal @ Error::Refused { .. }) => Ok(Some(refusal)),
            Err(error) => {
                self.suspects.blame(self.at, self.missing(asked).iter().next());
                Err(error)
            }
        }
    }

    /// Which of these are in the mailbox.
    async fn present(&mut self, uids: &UidSet) -> Result<UidSet, Error> {
        let mut present = UidSet::new();
        let on = |data| {
            if let Response::Search(found) = data {
                present.extend(uids.iter().filter(|&uid| found.contains(uid)));
            }
        };
        let lines = commands(uids, |set| format!("UID SEARCH UID {set}"));
        self.session.run_all("UID SEARCH", lines, on).await?;
        Ok(present)
    }
}
