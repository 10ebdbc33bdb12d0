//! The list of checks as data, and the chart on which their outcomes are written.
//!
//! A check runs only if all that it needs has passed; otherwise it is written down as skipped, with the one that is to
//! blame. What it finds, or that it took too long, is written down in any case. Chains that need nothing of each other
//! may run side by side; the chart puts their steps in order.

use super::record::{Outcome, Step};
use crate::error::{Class, Classified, chain};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// One check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, as printed.
    pub name: &'static str,
    /// The checks that must have passed before.
    pub needs: &'static [&'static str],
}

const fn check(name: &'static str, needs: &'static [&'static str]) -> Check {
    Check { name, needs }
}

/// Every check of an account in the order of the answer, and then those of the machine.
pub const CHECKS: &[Check] = &[
    check("token", &[]),
    check("imap.dns", &[]),
    check("imap.tcp", &["imap.dns"]),
    check("imap.tls", &["imap.tcp"]),
    check("imap.greeting", &["imap.tls"]),
    check("imap.login", &["imap.greeting", "token"]),
    check("imap.inbox", &["imap.login"]),
    check("imap.capabilities", &["imap.login"]),
    check("imap.mailboxes", &["imap.inbox"]),
    check("pop.dns", &[]),
    check("pop.tcp", &["pop.dns"]),
    check("pop.tls", &["pop.tcp"]),
    check("pop.greeting", &["pop.tls"]),
    check("pop.login", &["pop.greeting", "token"]),
    check("pop.maildrop", &["pop.login"]),
    check("smtp.dns", &[]),
    check("smtp.tcp", &["smtp.dns"]),
    check("smtp.tls", &["smtp.tcp"]),
    check("smtp.greeting", &["smtp.tls"]),
    check("smtp.login", &["smtp.greeting", "token"]),
    check("smtp.sender", &["smtp.login"]),
    check("maildir", &[]),
    check("outbox", &[]),
    check("state", &[]),
    check("clock", &[]),
    check("daemon", &[]),
    check("unit", &[]),
];

/// A check that passed.
#[derive(Debug)]
pub(super) struct Passed<T = ()> {
    /// For the checks that come after it.
    pub(super) value: T,
    /// What was found.
    pub(super) detail: String,
    /// What may surprise, and what to do about it.
    pub(super) warning: Option<String>,
}

/// A check that did not pass.
#[derive(Debug)]
pub(super) struct Failed {
    /// What is wrong.
    pub(super) detail: String,
    /// What to do about it.
    pub(super) advice: Option<String>,
}

pub(super) type Finding<T = ()> = Result<Passed<T>, Failed>;

impl<T> Passed<T> {
    pub(super) fn new(value: T, detail: impl Into<String>) -> Passed<T> {
        Passed { value, detail: detail.into(), warning: None }
    }

    pub(super) fn with_warning(self, warning: Option<String>) -> Passed<T> {
        Passed { warning, ..self }
    }
}

impl Failed {
    pub(super) fn new(detail: impl Into<String>, advice: impl Into<String>) -> Failed {
        Failed { detail: detail.into(), advice: Some(advice.into()) }
    }

    /// A driver's error with its own hint.
    pub(super) fn of(error: &impl Classified) -> Failed {
        Failed::hinted(error.class(), chain(error), error.hint())
    }

    /// A failure of this class, with a hint where one is known.
    pub(super) fn hinted(class: Class, detail: String, hint: Option<String>) -> Failed {
        let advice = hint.or_else(|| match class {
            Class::Retry { .. } => Some("it may pass: try again in a while".to_owned()),
            _ => None,
        });
        Failed { detail, advice }
    }
}

/// The outcomes so far.
#[derive(Debug)]
pub(super) struct Chart {
    patience: Duration,
    steps: Mutex<BTreeMap<usize, Step>>,
}

impl Chart {
    pub(super) fn new(patience: Duration) -> Chart {
        Chart { patience, steps: Mutex::default() }
    }

    /// Runs a check of [`CHECKS`] and writes down how it ended; what it gives, if it passed.
    pub(super) async fn run<T>(
        &self,
        name: &'static str,
        check: impl Future<Output = Finding<T>>,
    ) -> Option<T> {
        let begun = Instant::now();
        if let Some(other) = self.blame(name) {
            self.skip(name, other);
            return None;
        }
        let finding = timeout(self.patience, check).await.unwrap_or_else(|_| Err(self.too_late(name)));
        let took = begun.elapsed();
        match finding {
            Ok(Passed { value, detail, warning }) => {
                let outcome = if warning.is_some() { Outcome::Warn } else { Outcome::Ok };
                self.write(name, outcome, took, detail, warning);
                Some(value)
            }
            Err(Failed { detail, advice }) => {
                self.write(name, Outcome::Fail, took, detail, advice);
                None
            }
        }
    }

    /// Writes down as skipped the checks of a chain (`imap`) that a failure keeps from being run.
    pub(super) fn skip_rest(&self, chain: &str) {
        let is_of_chain = |check: &&Check| chain_of(check.name) == chain;
        for Check { name, .. } in CHECKS.iter().filter(is_of_chain) {
            if let Some(other) = self.blame(name) {
                self.skip(name, other);
            }
        }
    }

    fn skip(&self, name: &'static str, other: &str) {
        self.write(name, Outcome::Skipped, Duration::ZERO, format!("because {other} failed"), None);
    }

    /// All steps, in the order of the list.
    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
    }

    /// The first failure in the way of a check.
    fn blame(&self, name: &str) -> Option<&'static str> {
        let needs = CHECKS.iter().find(|check| check.name == name).map_or(&[][..], |check| check.needs);
        needs.iter().find_map(|need| {
            let outcome = self.steps().values().find(|step| step.name == *need).map(|step| step.outcome);
            match outcome {
                Some(Outcome::Ok | Outcome::Warn) => None,
                Some(Outcome::Fail) => Some(*need),
                Some(Outcome::Skipped) | None => self.blame(need).or(Some(*need)),
            }
        })
    }

    fn write(
        &self,
        name: &'static str,
        outcome: Outcome,
        took: Duration,
        detail: String,
        advice: Option<String>,
    ) {
        let place = CHECKS.iter().position(|check| check.name == name).unwrap_or(CHECKS.len());
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.steps().insert(place, Step { name, outcome, milliseconds, detail, advice });
    }

    fn steps(&self) -> MutexGuard<'_, BTreeMap<usize, Step>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The check that failed with such a detail, if one did.
    pub(super) fn failure(&self, is_it: impl Fn(&str) -> bool) -> Option<&'static str> {
        let steps = self.steps();
        let mut failed = steps.values().filter(|step| step.outcome == Outcome::Fail);
        failed.find(|step| is_it(&step.detail)).map(|step| step.name)
    }

    fn too_late(&self, name: &str) -> Failed {
        let advice = match chain_of(name) {
            "imap" | "pop" | "smtp" => {
                "the other side is silent: look at the network between, and whether a firewall swallows packets"
            }
            "token" => {
                "the authorization server is silent, or a command that prints a secret waits for something: run it by hand"
            }
            "maildir" | "outbox" | "state" => {
                "the file system does not answer: is the disk or the server that it is on still there?"
            }
            _ => "try again, with a longer --timeout",
        };
        Failed::new(format!("no answer within {} s", self.patience.as_secs_f32()), advice)
    }
}

/// `imap.tls` is of the chain `imap`.
fn chain_of(name: &str) -> &str {
    name.split_once('.').map_or(name, |(chain, _)| chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pass(chart: &Chart, name: &'static str) {
        assert!(chart.run(name, async { Ok(Passed::new((), "fine")) }).await.is_some(), "{name}");
    }

    #[test]
    fn a_check_needs_only_what_comes_before_it() {
        for (place, check) in CHECKS.iter().enumerate() {
            for need in check.needs {
                assert!(CHECKS[..place].iter().any(|other| other.name == *need), "{} {need}", check.name);
            }
        }
    }

    #[tokio::test]
    async fn what_needs_a_failed_check_is_skipped_and_the_rest_is_not() {
        let chart = Chart::new(Duration::from_secs(9));
        pass(&chart, "token").await;
        let failed = async { Err::<Passed<()>, _>(Failed::new("refused", "look")) };
        assert!(chart.run("imap.dns", failed).await.is_none());
        chart.run("imap.tcp", async { Ok(Passed::new((), "never")) }).await;
        chart.skip_rest("imap");
        pass(&chart, "smtp.dns").await;
        pass(&chart, "maildir").await;
        let steps = chart.into_steps();
        let found: Vec<_> = steps.iter().map(|step| (step.name, step.outcome)).collect();
        assert_eq!(
            found,
            [
                ("token", Outcome::Ok),
                ("imap.dns", Outcome::Fail),
                ("imap.tcp", Outcome::Skipped),
                ("imap.tls", Outcome::Skipped),
                ("imap.greeting", Outcome::Skipped),
                ("imap.login", Outcome::Skipped),
                ("imap.inbox", Outcome::Skipped),
                ("imap.capabilities", Outcome::Skipped),
                ("imap.mailboxes", Outcome::Skipped),
                ("smtp.dns", Outcome::Ok),
                ("maildir", Outcome::Ok),
            ]
        );
        assert!(steps[2..9].iter().all(|step| step.detail == "because imap.dns failed"), "{steps:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_fails_at_its_deadline() {
        let chart = Chart::new(Duration::from_secs(9));
        assert!(chart.run("clock", std::future::pending::<Finding>()).await.is_none());
        let steps = chart.into_steps();
        assert_eq!((steps[0].outcome, steps[0].milliseconds), (Outcome::Fail, 9000));
        assert!(steps[0].detail.contains("9 s"), "{steps:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_blames_what_it_waits_for() {
        for (name, words) in [
            ("token", "by hand"),
            ("imap.dns", "network"),
            ("pop.dns", "network"),
            ("maildir", "file system"),
            ("unit", "--timeout"),
        ] {
            let chart = Chart::new(Duration::from_secs(9));
            chart.run(name, std::future::pending::<Finding>()).await;
            let steps = chart.into_steps();
            let advice = steps[0].advice.clone().unwrap_or_default();
            assert!(advice.contains(words), "{name}: {advice}");
        }
    }
}
