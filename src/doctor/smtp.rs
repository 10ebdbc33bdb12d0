//! The sending half: from the name of the submission server to MAIL FROM, which is taken back. Nothing is sent.

use super::account::Patient;
use super::chart::{Chart, Failed, Finding, Passed};
use super::servers::{self, Names, Protected};
use super::tls;
use crate::error::{Class, Classified};
use crate::mail::sasl::Mechanism;
use crate::net::{Endpoint, Stream};
use crate::provider::answers::Stage;
use crate::smtp::{self, Session};

const NAMES: Names = Names { dns: "smtp.dns", tcp: "smtp.tcp" };

/// Every check of the sending half; none for an account that only receives.
pub(super) async fn examine(patient: &Patient<'_>, chart: &Chart) {
    let Some(endpoint) = &patient.account.smtp else { return };
    if let Some(session) = connect(patient, endpoint, chart).await {
        session.quit().await;
    }
    chart.skip_rest("smtp");
}

async fn connect(patient: &Patient<'_>, endpoint: &Endpoint, chart: &Chart) -> Option<Session> {
    let stream = servers::reach(chart, &NAMES, endpoint).await?;
    let greet = |stream: Stream| async move {
        Session::open(stream, endpoint).await.map_err(|error| failed(patient, &error))
    };
    let protected = chart.run("smtp.tls", Protected::new(stream, endpoint, greet)).await?;
    let greeting = async { Ok(greeted(protected.greeted(greet).await?)) };
    let mut session = chart.run("smtp.greeting", greeting).await?;
    chart.run("smtp.login", log_in(patient, endpoint, &mut session)).await?;
    chart.run("smtp.sender", sender(patient, &mut session)).await;
    Some(session)
}

fn greeted(session: Session) -> Passed<Session> {
    let offers = session.offers();
    let size = offers.size.map(|octets| format!("; messages up to {} MB", octets / 1_000_000));
    let ways = offers.mechanisms.join(", ");
    Passed::new(session, format!("a submission server; logins by {ways}{}", size.unwrap_or_default()))
}

/// As the worker does it: a refused token costs one other, in a session of its own.
async fn log_in(patient: &Patient<'_>, endpoint: &Endpoint, session: &mut Session) -> Finding {
    let proof = patient.proof(endpoint).await?;
    let credentials = patient.to_submission(&proof)?;
    let outcome = match session.log_in(&credentials).await {
        Err(error) if error.class() == Class::NeedsLogin => match patient.another(&proof).await {
            Some(other) => {
                *session = Session::connect(endpoint).await.map_err(|error| failed(patient, &error))?;
                session.log_in(&patient.to_submission(&other)?).await
            }
            None => Err(error),
        },
        outcome => outcome,
    };
    outcome.map_err(|error| patient.refused(Stage::Smtp, &error))?;
    let mechanism = credentials.choose(|name| session.offers().offers_mechanism(name));
    let by = mechanism.map(Mechanism::name).unwrap_or_default();
    Ok(Passed::new((), format!("{by} as {}", patient.account.login)))
}

async fn sender(patient: &Patient<'_>, session: &mut Session) -> Finding {
    let address = &patient.account.address;
    session.try_sender(address).await.map_err(|error| patient.refused(Stage::Smtp, &error))?;
    Ok(Passed::new((), format!("may send as {address}")))
}

fn failed(patient: &Patient<'_>, error: &smtp::Error) -> Failed {
    match error {
        smtp::Error::Net(error) => tls::failed(error),
        error => patient.refused(Stage::Smtp, error),
    }
}
