//! The reading half of an account that fetches by POP3: from the name of the server to the listing of the maildrop.
//!
//! Nothing is fetched and nothing deleted. The maildrop is locked meanwhile: a visit of the daemon at the same moment is
//! refused and comes again.

use super::account::Patient;
use super::chart::{Chart, Failed, Finding, Passed};
use super::servers::{self, Names, Protected};
use super::tls;
use crate::config::Pop;
use crate::error::{Class, Classified};
use crate::net::{Endpoint, Stream};
use crate::pop::{self, Session};
use crate::provider::answers::Stage;

const NAMES: Names = Names { dns: "pop.dns", tcp: "pop.tcp" };

/// Every check of the reading half.
pub(super) async fn examine(patient: &Patient<'_>, maildrop: &Pop, chart: &Chart) {
    if let Some(session) = connect(patient, &maildrop.server, chart).await {
        look(patient, chart, session).await;
    }
    chart.skip_rest("pop");
}

async fn connect(patient: &Patient<'_>, server: &Endpoint, chart: &Chart) -> Option<Session> {
    let stream = servers::reach(chart, &NAMES, server).await?;
    let greet = |stream: Stream| async move {
        pop::preview(stream, server).await.map_err(|error| failed(patient, &error))
    };
    let protected = chart.run("pop.tls", Protected::new(stream, server, greet)).await?;
    let greeting = async {
        let offers = protected.greeted(greet).await?;
        Ok(Passed::new((), format!("a POP3 server; logins by {}", offers.mechanisms().join(", "))))
    };
    chart.run("pop.greeting", greeting).await?;
    chart.run("pop.login", log_in(patient, server)).await
}

/// As the worker does it: a refused token costs one other, and then the login is refused.
async fn log_in(patient: &Patient<'_>, server: &Endpoint) -> Finding<Session> {
    let proof = patient.proof(server).await?;
    let session = match pop::connect(server, &patient.to_mailbox(&proof)?).await {
        Err(error) if error.class() == Class::NeedsLogin => match patient.another(&proof).await {
            Some(other) => pop::connect(server, &patient.to_mailbox(&other)?).await,
            None => Err(error),
        },
        outcome => outcome,
    };
    let session = session.map_err(|error| failed(patient, &error))?.without(&patient.account.disable);
    let by = session.mechanism();
    Ok(Passed::new(session, format!("{by} as {}", patient.account.user)))
}

async fn look(patient: &Patient<'_>, chart: &Chart, mut session: Session) {
    let maildrop = async {
        let messages = session.survey().await.map_err(|error| failed(patient, &error))?;
        let detail = format!("{} messages, each with a unique-id", messages.len());
        let delay = session.offers().login_delay().filter(|delay| *delay > patient.account.sweep);
        let warning = delay.map(|delay| {
            format!(
                "the server wants {} s between two visits, more than `sweep`: it gets them",
                delay.as_secs()
            )
        });
        Ok(Passed::new((), detail).with_warning(warning))
    };
    chart.run("pop.maildrop", maildrop).await;
    session.leave().await;
}

fn failed(patient: &Patient<'_>, error: &pop::Error) -> Failed {
    match error {
        pop::Error::Dial(error) => tls::failed(error),
        error => patient.refused(Stage::Pop, error),
    }
}
