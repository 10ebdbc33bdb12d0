//! All mailboxes in one round trip where the server can (RFC 5258, 5819, 6154), else by plain LIST.
//!
//! An empty list is an error, never "no mailboxes". Names listed twice count once; the first spelling wins.

use super::Session;
use crate::imap::Error;
use crate::imap::names::{Names, decode};
use crate::imap::parse::{List, Response, StatusItems};
use crate::mail::{MailboxName, ModSeq, SpecialUse, Uid, UidValidity};
use crate::sync::{Marks, RemoteMailbox};
use std::collections::{BTreeMap, BTreeSet};

/// More names than any person has.
const NAMES: usize = 20_000;
/// What all of it may take in memory.
const OCTETS: usize = 8 * 1024 * 1024;

/// What LIST said.
#[derive(Debug, Default)]
struct Listed {
    lists: Vec<List>,
    /// What the names and attributes take.
    octets: usize,
    statuses: Vec<StatusItems>,
}

pub(super) async fn list(session: &mut Session) -> Result<Vec<RemoteMailbox>, Error> {
    let listed = match extended_command(session) {
        Some(command) => match ask(session, command).await {
            Err(Error::Refused { .. }) => {
                // Offered and then refused: from now on without.
                session.withdraw("LIST-EXTENDED");
                session.withdraw("LIST-STATUS");
                ask(session, plain_command()).await?
            }
            other => other?,
        },
        None => ask(session, plain_command()).await?,
    };
    let mailboxes = mailboxes(session, listed);
    match mailboxes.is_empty() {
        true => Err(Error::Protocol("it lists no mailbox at all")),
        false => Ok(mailboxes),
    }
}

fn plain_command() -> String {
    "LIST \"\" \"*\"".to_owned()
}

/// LIST with all that the server can return in one answer.
fn extended_command(session: &Session) -> Option<String> {
    let capabilities = session.capabilities();
    let has_status = capabilities.has("LIST-STATUS");
    if !has_status && !capabilities.has("LIST-EXTENDED") {
        return None;
    }
    let mod_seq = if capabilities.has("CONDSTORE") { " HIGHESTMODSEQ" } else { "" };
    let special_use = capabilities.has("SPECIAL-USE").then(|| "SPECIAL-USE".to_owned());
    let status = has_status.then(|| format!("STATUS (UIDVALIDITY UIDNEXT MESSAGES{mod_seq})"));
    let options: Vec<String> = special_use.into_iter().chain(status).collect();
    (!options.is_empty()).then(|| format!("{} RETURN ({})", plain_command(), options.join(" ")))
}

impl Listed {
    fn is_full(&self) -> bool {
        self.lists.len() >= NAMES || self.statuses.len() >= NAMES || self.octets >= OCTETS
    }

    fn take(&mut self, response: Response) {
        match response {
            _ if self.is_full() => {}
            Response::List(list) => {
                self.octets += list.name.len() + list.attributes.iter().map(String::len).sum::<usize>();
                self.lists.push(list);
            }
            Response::Status(items) => {
                self.octets += items.name.len();
                self.statuses.push(items);
            }
            _ => {}
        }
    }
}

async fn ask(session: &mut Session, command: String) -> Result<Listed, Error> {
    let mut listed = Listed::default();
    let on = |response| listed.take(response);
    let leave = leave(session).await?;
    session.run_all("LIST", leave.into_iter().chain([command]), on).await?;
    if listed.is_full() {
        return Err(Error::Protocol("it lists too many mailboxes"));
    }
    Ok(listed)
}

/// STATUS of the mailbox that is open tells what this session has seen of it, not what there is (RFC 9051 §6.3.11). So it is
/// left first, in the same round trip; where that cannot be, NOOP makes the session look, in one of its own, because
/// Dovecot puts off the look of a NOOP that has a command on its heels.
async fn leave(session: &mut Session) -> Result<Option<String>, Error> {
    if session.selected.is_none() || !session.capabilities().has("LIST-STATUS") {
        return Ok(None);
    }
    if session.capabilities().has("UNSELECT") {
        session.selected = None;
        return Ok(Some("UNSELECT".to_owned()));
    }
    session.run("NOOP", "NOOP".to_owned(), |_| {}).await.map(|_| None)
}

fn mailboxes(session: &mut Session, listed: Listed) -> Vec<RemoteMailbox> {
    session.names.clear();
    let statuses: BTreeMap<&[u8], &StatusItems> =
        listed.statuses.iter().map(|items| (items.name.as_slice(), items)).collect();
    let mut seen: BTreeSet<MailboxName> = BTreeSet::new();
    let mut mailboxes = Vec::new();
    for list in &listed.lists {
        session.names.learn_delimiter(list.delimiter);
        match session.names.learn(&list.name, list.delimiter) {
            Some(name) if seen.insert(name.clone()) => {
                let items = statuses.get(list.name.as_slice()).copied();
                // Some servers spell INBOX differently in STATUS.
                let items =
                    items.or_else(|| listed.statuses.iter().find(|it| name.is_inbox() && is_inbox(it)));
                mailboxes.push(mailbox(name, list, items));
            }
            Some(_) => {}
            None => {
                tracing::debug!(name = %String::from_utf8_lossy(&list.name).escape_debug(), "mailbox name passed over")
            }
        }
    }
    name_uses(&session.names, &mut mailboxes);
    mailboxes
}

fn is_inbox(items: &StatusItems) -> bool {
    decode(&items.name, None).is_some_and(|name| name.is_inbox())
}

fn mailbox(name: MailboxName, list: &List, items: Option<&StatusItems>) -> RemoteMailbox {
    let has = |attribute: &str| list.attributes.iter().any(|it| it.eq_ignore_ascii_case(attribute));
    let selectable = !has("\\Noselect") && !has("\\NonExistent");
    let special_use = list.attributes.iter().find_map(|attribute| SpecialUse::from_attribute(attribute));
    let marks = items.filter(|_| selectable).and_then(marks);
    RemoteMailbox { name, special_use, selectable, marks }
}

fn marks(items: &StatusItems) -> Option<Marks> {
    Some(Marks {
        uid_validity: UidValidity::new(items.uid_validity?)?,
        uid_next: items.uid_next.and_then(Uid::new),
        messages: items.messages?,
        modseq: items.highest_mod_seq.and_then(ModSeq::new),
    })
}

/// Uses by their names, for those that no attribute names; one mailbox for each.
fn name_uses(names: &Names, mailboxes: &mut [RemoteMailbox]) {
    let mut taken: BTreeSet<SpecialUse> = mailboxes.iter().filter_map(|it| it.special_use).collect();
    for mailbox in mailboxes.iter_mut().filter(|it| it.selectable && it.special_use.is_none()) {
        let guess = names.suggested_use(&mailbox.name);
        mailbox.special_use = guess.filter(|&special_use| taken.insert(special_use));
    }
}
