//! The user's environment: the only reader of environment variables.
//!
//! XDG Base Directory Specification; a relative path in one of its variables is ignored, as it demands. Everything is
//! read once, so that the rest of the program takes plain values. Variables that are not UTF-8 are ignored.

use super::error::{CommandError, Exit};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the commands need to know of the environment.
#[derive(Clone, PartialEq, Eq)]
pub struct Environment {
    /// The home directory.
    pub home: PathBuf,
    /// The name of the user: `USER`, else `LOGNAME`.
    pub user: Option<String>,
    /// The configuration file, unless the command line names another.
    pub config_file: PathBuf,
    /// Where state is kept: one directory for each account below it.
    pub state_dir: PathBuf,
    /// Where the control socket is.
    pub runtime_dir: PathBuf,
    /// Whether colour is welcome where there is a terminal: no `NO_COLOR` (no-color.org), and not a dumb terminal.
    pub allows_colour: bool,
    /// Whether a browser can be opened here: a display, or a program named in `BROWSER`.
    pub has_browser: bool,
    /// The ends of the connection, where this is an ssh session: `SSH_CONNECTION`, ssh(1).
    pub ssh: Option<String>,
    /// What to log, in place of `-v` and `-q`: `POSTHASTE_LOG`.
    pub log: Option<String>,
    /// The stream that goes to the journal, as `device:inode`: `JOURNAL_STREAM`.
    pub journal_stream: Option<String>,
    /// What the configuration is read with: all variables that begin with `POSTHASTE_`, which override it, and
    /// `CREDENTIALS_DIRECTORY`.
    pub variables: Vec<(String, String)>,
}

/// Without the values of variables: they may hold secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Environment")
            .field("config_file", &self.config_file)
            .field("state_dir", &self.state_dir)
            .field("runtime_dir", &self.runtime_dir)
            .finish_non_exhaustive()
    }
}

impl Environment {
    /// Reads the environment of this process.
    pub fn of_process() -> Result<Environment, CommandError> {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let login_runtime = PathBuf::from(format!("/run/user/{}", rustix::process::getuid().as_raw()));
        let login_runtime = Some(login_runtime).filter(|directory| directory.is_dir());
        Environment::new(std::env::vars_os().filter_map(text).collect(), login_runtime.as_deref())
    }

    /// The environment of these variables. `login_runtime` is the runtime directory that the login manager made, for
    /// sessions that do not name it, like those of cron.
    fn new(
        variables: BTreeMap<String, String>,
        login_runtime: Option<&Path>,
    ) -> Result<Environment, CommandError> {
        let named = |name: &str| variables.get(name).filter(|value| !value.is_empty());
        let directory = |name: &str| named(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let Some(home) = directory("HOME") else {
            return Err(CommandError::new(Exit::Configuration, "HOME is not set to an absolute path"));
        };
        let config_home = directory("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
        let state_home = directory("XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state"));
        let runtime = directory("XDG_RUNTIME_DIR").or_else(|| login_runtime.map(Path::to_owned));
        Ok(Environment {
            config_file: named("POSTHASTE_CONFIG")
                .map_or_else(|| config_home.join("posthaste/config.toml"), PathBuf::from),
            runtime_dir: runtime.unwrap_or_else(|| state_home.clone()).join("posthaste"),
            state_dir: state_home.join("posthaste"),
            allows_colour: named("NO_COLOR").is_none() && named("TERM").is_some_and(|term| term != "dumb"),
            has_browser: ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"].iter().any(|name| named(name).is_some()),
            ssh: named("SSH_CONNECTION").cloned(),
            log: named("POSTHASTE_LOG").cloned(),
            journal_stream: named("JOURNAL_STREAM").cloned(),
            user: named("USER").or_else(|| named("LOGNAME")).cloned(),
            home,
            variables: variables.into_iter().filter(|(name, _)| is_for_configuration(name)).collect(),
        })
    }
}

fn is_for_configuration(name: &str) -> bool {
    name.starts_with("POSTHASTE_") || name == "CREDENTIALS_DIRECTORY"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let home = [("HOME", "/home/a")];
        let all = home.iter().chain(variables).map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Environment::new(all.collect(), None).unwrap()
    }

    #[test]
    fn defaults_are_those_of_the_specification() {
        let environment = environment(&[("XDG_CONFIG_HOME", "relative"), ("XDG_STATE_HOME", "")]);
        assert_eq!(environment.config_file, Path::new("/home/a/.config/posthaste/config.toml"));
        assert_eq!(environment.state_dir, Path::new("/home/a/.local/state/posthaste"));
        assert_eq!(environment.runtime_dir, Path::new("/home/a/.local/state/posthaste"));
    }

    #[test]
    fn variables_move_everything() {
        let environment = environment(&[
            ("XDG_CONFIG_HOME", "/c"),
            ("XDG_STATE_HOME", "/s"),
            ("XDG_RUNTIME_DIR", "/r"),
            ("POSTHASTE_ACCOUNTS__LAB__SWEEP", "5s"),
        ]);
        assert_eq!(environment.config_file, Path::new("/c/posthaste/config.toml"));
        assert_eq!(environment.state_dir, Path::new("/s/posthaste"));
        assert_eq!(environment.runtime_dir, Path::new("/r/posthaste"));
        assert_eq!(environment.variables, [("POSTHASTE_ACCOUNTS__LAB__SWEEP".into(), "5s".into())]);
    }

    #[test]
    fn the_runtime_directory_of_the_login_is_used_where_none_is_named() {
        let home = BTreeMap::from([("HOME".to_owned(), "/home/a".to_owned())]);
        let environment = Environment::new(home, Some(Path::new("/run/user/7"))).unwrap();
        assert_eq!(environment.runtime_dir, Path::new("/run/user/7/posthaste"));
    }

    #[test]
    fn colour_needs_a_real_terminal_and_no_veto() {
        assert!(environment(&[("TERM", "xterm")]).allows_colour);
        assert!(!environment(&[("TERM", "xterm"), ("NO_COLOR", "1")]).allows_colour);
        assert!(!environment(&[("TERM", "dumb")]).allows_colour);
        assert!(!environment(&[]).allows_colour);
    }

    #[test]
    fn a_browser_needs_a_display_or_a_program_that_does_without() {
        for name in ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"] {
            assert!(environment(&[(name, ":0")]).has_browser, "{name}");
            assert!(!environment(&[(name, "")]).has_browser, "{name}");
        }
        let remote = environment(&[("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")]);
        assert!(!remote.has_browser && remote.ssh.is_some());
    }

    #[test]
    fn without_a_home_nothing_works() {
        assert_eq!(Environment::new(BTreeMap::new(), None).unwrap_err().exit, Exit::Configuration);
    }
}
