//! The reading half: from the name of the IMAP server to the list of mailboxes. INBOX is opened read-only.

use super::account::Patient;
use super::chart::{Chart, Failed, Finding, Passed};
use super::servers::{self, Names, Protected};
use super::tls;
use crate::config::Sent;
use crate::error::{Class, Classified, chain};
use crate::imap::{self, Remote, Session, Suspects};
use crate::keeping::OnDelete;
use crate::mail::{MailboxName, SpecialUse};
use crate::net::{Endpoint, Stream};
use crate::provider::answers::Stage;
use crate::sync::{Remote as _, RemoteMailbox};
use std::collections::BTreeSet;

const NAMES: Names = Names { dns: "imap.dns", tcp: "imap.tcp" };

/// What a server may offer, what it gives, and what it means that it is missing.
const OFFERS: &[(&str, &str, &str)] = &[
    ("IDLE", "new mail is told at once", "new mail is found by looking every `sweep`"),
    ("CONDSTORE", "only changed flags are read", "every pass reads the flags of all messages"),
    ("ESEARCH", "UIDs in ranges", "UIDs one by one"),
    (
        "UIDPLUS",
        "uploads are recognised at once",
        "an upload is recognised by the next pass, and a deletion waits while other messages are marked deleted",
    ),
    ("MOVE", "moves in one step", "a move is a copy and a deletion"),
    ("LIST-STATUS", "one question for all mailboxes", "one question for each mailbox"),
    ("SPECIAL-USE", "Sent and Trash are marked", "Sent and Trash are known by their names"),
];

/// Every check of the reading half; the names of the server's mailboxes, as far as it tells them.
pub(super) async fn examine(patient: &Patient<'_>, endpoint: &Endpoint, chart: &Chart) -> Vec<String> {
    let mailboxes = match connect(patient, endpoint, chart).await {
        Some(session) => look(patient, chart, session).await,
        None => Vec::new(),
    };
    chart.skip_rest("imap");
    mailboxes
}

async fn connect(patient: &Patient<'_>, endpoint: &Endpoint, chart: &Chart) -> Option<Session> {
    let stream = servers::reach(chart, &NAMES, endpoint).await?;
    let greet = |stream: Stream| async move {
        imap::preview(stream, endpoint).await.map_err(|error| failed(patient, &error))
    };
    let protected = chart.run("imap.tls", Protected::new(stream, endpoint, greet)).await?;
    let greeting = async {
        let offers = protected.greeted(greet).await?;
        let ways: Vec<&str> = offers.iter().filter_map(|offer| offer.strip_prefix("AUTH=")).collect();
        Ok(Passed::new((), format!("an IMAP server; logins by {}", ways.join(", "))))
    };
    chart.run("imap.greeting", greeting).await?;
    chart.run("imap.login", log_in(patient, endpoint)).await
}

/// As the worker does it: a refused token costs one other, and then the login is refused.
async fn log_in(patient: &Patient<'_>, endpoint: &Endpoint) -> Finding<Session> {
    let options = imap::Options {
        endpoint: endpoint.clone(),
        disable: patient.account.disable.clone(),
        special_use: patient.account.special_use.clone(),
    };
    let proof = patient.proof(endpoint).await?;
    let session = match imap::connect(&options, &patient.to_mailbox(&proof)?).await {
        Err(error) if error.class() == Class::NeedsLogin => match patient.another(&proof).await {
            Some(other) => imap::connect(&options, &patient.to_mailbox(&other)?).await,
            None => Err(error),
        },
        outcome => outcome,
    };
    let session = session.map_err(|error| patient.refused(Stage::Imap, &error))?;
    let by = session.mechanism();
    Ok(Passed::new(session, format!("{by} as {}", patient.account.user)))
}

async fn look(patient: &Patient<'_>, chart: &Chart, mut session: Session) -> Vec<String> {
    let inbox = async {
        let messages = session.examine(&MailboxName::inbox()).await;
        let messages = messages.map_err(|error| patient.refused(Stage::Imap, &error))?;
        Ok(Passed::new((), format!("INBOX has {messages} messages")))
    };
    let opened = chart.run("imap.inbox", inbox).await;
    let offered: BTreeSet<String> = session.capabilities().iter().map(str::to_owned).collect();
    chart.run("imap.capabilities", async { Ok(capabilities(&offered)) }).await;
    if opened.is_none() {
        return Vec::new();
    }
    let mut remote = Remote::new(session, Suspects::default());
    let mailboxes = async {
        let list = remote.list().await;
        let list = list.map_err(|trouble| {
            patient.failed(Stage::Imap, trouble.class, chain(&trouble), trouble.hint.clone())
        })?;
        Ok(mailboxes(patient, list))
    };
    let list = chart.run("imap.mailboxes", mailboxes).await.unwrap_or_default();
    remote.into_session().logout().await;
    list.into_iter().map(|one| one.name.to_string()).collect()
}

fn failed(patient: &Patient<'_>, error: &imap::Error) -> Failed {
    match error {
        imap::Error::Dial(error) => tls::failed(error),
        error => patient.refused(Stage::Imap, error),
    }
}

/// Which fast ways there are, and what the missing ones cost.
fn capabilities(offered: &BTreeSet<String>) -> Passed {
    let has = |name: &str| offered.contains(name);
    let (there, missing): (Vec<_>, Vec<_>) = OFFERS.iter().partition(|(name, ..)| has(name));
    let there: Vec<String> = there.iter().map(|(name, gives, _)| format!("{name} ({gives})")).collect();
    let missing: Vec<String> =
        missing.iter().map(|(name, _, costs)| format!("without {name} {costs}")).collect();
    let detail = if there.is_empty() { "none that helps".to_owned() } else { there.join(", ") };
    let is_slow = !has("IDLE");
    let joined = (!missing.is_empty()).then(|| missing.join("; "));
    match (is_slow, joined) {
        (true, warning) => Passed::new((), detail).with_warning(warning),
        (false, Some(missing)) => Passed::new((), format!("{detail}; {missing}")),
        (false, None) => Passed::new((), detail),
    }
}

/// Which mailboxes stand for Sent and Trash, and whether those that the account names are there.
fn mailboxes(patient: &Patient<'_>, list: Vec<RemoteMailbox>) -> Passed<Vec<RemoteMailbox>> {
    let account = patient.account;
    let of_use = |wanted: SpecialUse| {
        list.iter()
            .find(|one| one.special_use == Some(wanted) && one.selectable)
            .map(|one| one.name.to_string())
    };
    let mut told = vec![format!("{} mailboxes", list.len())];
    let mut warnings = Vec::new();
    let uses = [
        (SpecialUse::Sent, "Sent", account.sent == Sent::Append),
        (SpecialUse::Trash, "Trash", account.on_delete == OnDelete::Trash),
        (SpecialUse::Drafts, "Drafts", false),
        (SpecialUse::Junk, "Junk", false),
    ];
    for (wanted, name, is_needed) in uses {
        match of_use(wanted) {
            Some(found) if found == name => told.push(name.to_owned()),
            Some(found) => told.push(format!("{name} is {found}")),
            None if is_needed => {
                warnings.push(format!(
                    "no mailbox stands for {name}: one of that name will be made when it is needed"
                ));
            }
            None => {}
        }
    }
    let wanted = list.iter().filter(|one| one.selectable && account.mailboxes.wants(&one.name)).count();
    if wanted == 0 {
        warnings.push("no mailbox of the server matches `mailboxes`: nothing will be kept".to_owned());
    }
    let missing = account.idle.iter().filter(|name| !list.iter().any(|one| one.name == **name));
    warnings.extend(missing.map(|name| format!("`idle` names {name}, which the server does not have")));
    let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
    Passed::new(list, told.join(", ")).with_warning(warning)
}
