//! What all accounts share: the daemon and its systemd unit.
//!
//! The unit is asked for through `systemctl --user show`; where there is no systemd, or none for this user, the check is
//! missing. The log is read for a report only.

use super::Surroundings;
use super::chart::{Chart, Failed, Finding, Passed};
use super::record::Step;
use crate::lock;
use crate::status::Status;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// The unit, as it is installed.
const UNIT: &str = "posthaste.service";
/// systemd answers at once or not at all.
const DEADLINE: Duration = Duration::from_secs(5);
/// Lines of the log in a report.
const LINES: &str = "200";

/// The checks that concern no account.
pub async fn examine(surroundings: &Surroundings) -> Vec<Step> {
    let chart = Chart::new(surroundings.patience);
    chart.run("daemon", async { daemon(surroundings) }).await;
    let properties = ["--user", "show", UNIT, "--property=LoadState,ActiveState,UnitFileState,Result"];
    if let Some(said) = ask("systemctl", &properties).await {
        chart.run("unit", async { unit(&said) }).await;
    }
    chart.into_steps()
}

/// The last lines that the daemon wrote to the journal; none where there is no journal.
pub async fn journal() -> Vec<String> {
    let lines = ["--user", "--unit", UNIT, "--lines", LINES, "--quiet", "--no-pager"];
    let form = ["--output", "short-iso", "--no-hostname"];
    ask("journalctl", &[&lines[..], &form].concat())
        .await
        .map(|said| said.lines().map(str::to_owned).collect())
        .unwrap_or_default()
}

fn daemon(surroundings: &Surroundings) -> Finding {
    if let Some(daemon) = &surroundings.daemon {
        return Ok(running(&daemon.status));
    }
    let start = "start it: systemctl --user enable --now posthaste, or posthaste run";
    match lock::holder(&surroundings.state_dir) {
        Some(pid) => Err(Failed::new(
            format!("process {pid} holds the state and does not answer here"),
            "it may run with another XDG_RUNTIME_DIR than this shell, or hang: restart it with `systemctl --user \
             restart posthaste`",
        )),
        None => Ok(Passed::new((), "no daemon is running").with_warning(Some(start.to_owned()))),
    }
}

fn running(status: &Status) -> Passed {
    let states: Vec<String> = status
        .accounts
        .iter()
        .map(|account| {
            let state = serde_json::to_value(account.state).ok();
            format!(
                "{} {}",
                account.name,
                state.as_ref().and_then(|state| state.as_str()).unwrap_or_default()
            )
        })
        .collect();
    let passed = Passed::new((), format!("running (pid {}): {}", status.pid, states.join(", ")));
    let other = status.version != env!("CARGO_PKG_VERSION");
    passed.with_warning(other.then(|| {
        format!(
            "the daemon is version {}: restart it with `systemctl --user restart posthaste`",
            status.version
        )
    }))
}

/// Reads `Name=value` lines.
fn unit(said: &str) -> Finding {
    let value =
        |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or("");
    let (active, enabled) = (value("ActiveState"), value("UnitFileState"));
    if value("LoadState") != "loaded" {
        let advice =
            "`make install` puts it in place; without it the daemon has to be started by other means";
        return Ok(Passed::new((), "not installed").with_warning(Some(advice.to_owned())));
    }
    if active == "failed" {
        let advice = "see why: journalctl --user -u posthaste; then systemctl --user restart posthaste";
        return Err(Failed::new(format!("failed ({})", value("Result")), advice));
    }
    let is_up = matches!(active, "active" | "activating" | "reloading");
    let advice = match (is_up, enabled.starts_with("enabled")) {
        (true, true) => None,
        (true, false) => Some("it will not start with your next login: systemctl --user enable posthaste"),
        (false, _) => Some("start it now and with every login: systemctl --user enable --now posthaste"),
    };
    Ok(Passed::new((), format!("{active}, {enabled}")).with_warning(advice.map(str::to_owned)))
}

/// What a command of systemd says; `None` where it is not there, fails or hangs.
pub(super) async fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(DEADLINE, command.output()).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_told_by_what_the_user_can_do() {
        let told = |said: &str| match unit(said) {
            Ok(passed) => (passed.detail, passed.warning.unwrap_or_default()),
            Err(failed) => (format!("fail: {}", failed.detail), failed.advice.unwrap_or_default()),
        };
        let good = "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nResult=success\n";
        assert_eq!(told(good), ("active, enabled".into(), String::new()));
        assert!(told(&good.replace("=enabled", "=disabled")).1.contains("next login"));
        assert!(told(&good.replace("=active", "=inactive")).1.contains("enable --now"));
        let failed = told(&good.replace("=active", "=failed").replace("success", "exit-code"));
        assert_eq!(failed.0, "fail: failed (exit-code)");
        assert_eq!(told("LoadState=not-found\nActiveState=inactive\n").0, "not installed");
    }
}
