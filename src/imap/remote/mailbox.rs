//! Creating a mailbox.

use super::Session;
use crate::imap::Error;
use crate::imap::names::quote;
use crate::imap::parse::Response;
use crate::mail::MailboxName;

/// Creates and subscribes a mailbox. Whether it is there afterwards is for LIST to say: servers refuse what exists
/// already with many words, and some say OK and create nothing (a full quota, a name that they change).
pub(super) async fn create(session: &mut Session, mailbox: &MailboxName) -> Result<(), Error> {
    let name = session.wire_name(mailbox).await?;
    match session.run("CREATE", format!("CREATE {name}"), |_| {}).await {
        Err(refusal @ Error::Refused { .. }) => {
            if !exists(session, &name).await? {
                return Err(refusal);
            }
        }
        other => {
            other?;
            subscribe(session, &name).await?;
            if !exists(session, &name).await? {
                return Err(Error::NotCreated(mailbox.to_string()));
            }
        }
    }
    Ok(())
}

async fn exists(session: &mut Session, name: &str) -> Result<bool, Error> {
    let mut exists = false;
    let on = |data| {
        if let Response::List(list) = data {
            // A name with `%` or `*` lists others too.
            let is_it = !name.contains(['%', '*']) || quote(&String::from_utf8_lossy(&list.name)) == name;
            exists |= is_it && !list.attributes.iter().any(|it| it.eq_ignore_ascii_case("\\NonExistent"));
        }
    };
    session.run("LIST", format!("LIST \"\" {name}"), on).await?;
    Ok(exists)
}

/// Other mail readers show only what is subscribed; a server that refuses is no reason to fail.
async fn subscribe(session: &mut Session, name: &str) -> Result<(), Error> {
    match session.run("SUBSCRIBE", format!("SUBSCRIBE {name}"), |_| {}).await {
        Err(Error::Refused { text, .. }) => {
            tracing::debug!(text, "not subscribed");
            Ok(())
        }
        other => other.map(|_| ()),
    }
}
