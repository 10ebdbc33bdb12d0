//! `[hooks]`: commands that are run when something happens.

use super::show::quoted;
use super::typed;

/// The commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// When an account needs a login.
    pub needs_login: Option<String>,
}

impl Hooks {
    /// An empty command is none, so that a variable can switch it off.
    pub(super) fn meant(written: &typed::Hooks) -> Hooks {
        Hooks { needs_login: written.needs_login.clone().filter(|command| !command.trim().is_empty()) }
    }

    /// The table as TOML; nothing where there are no hooks.
    pub(super) fn to_toml(&self) -> String {
        let line = |command: &String| format!("[hooks]\nneeds_login = {}\n", quoted(command));
        self.needs_login.as_ref().map(line).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Error};
    use std::path::Path;

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, Error> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        std::fs::write(&file, text).unwrap();
        let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Config::load(&file, variables, Path::new("/home/a"))
    }

    #[test]
    fn a_hook_is_kept_as_written_and_shown_so_that_it_can_be_read_back() {
        let text = "[hooks]\nneeds_login = \"notify-send \\\"$POSTHASTE_ACCOUNT\\\"\"\n";
        let hooks = load(text, &[]).unwrap().hooks;
        assert_eq!(hooks.needs_login.as_deref(), Some("notify-send \"$POSTHASTE_ACCOUNT\""));
        assert_eq!(hooks.to_toml(), text);
        assert_eq!(load(&hooks.to_toml(), &[]).unwrap().hooks, hooks);
    }

    #[test]
    fn without_a_command_there_is_no_hook() {
        for (text, variables) in [
            ("", &[][..]),
            ("[hooks]", &[]),
            ("[hooks]\nneeds_login = \" \"", &[]),
            ("[hooks]\nneeds_login = \"true\"", &[("POSTHASTE_HOOKS__NEEDS_LOGIN", "")]),
        ] {
            let hooks = load(text, variables).unwrap().hooks;
            assert_eq!((hooks.needs_login.as_deref(), hooks.to_toml().as_str()), (None, ""), "{text}");
        }
    }

    #[test]
    fn a_hook_that_does_not_exist_is_refused() {
        let error = load("[hooks]\nneed_login = \"true\"", &[]).unwrap_err();
        assert!(error.to_string().contains("unknown key `need_login`"), "{error}");
        let variable = load("", &[("POSTHASTE_HOOKS__NEW_MAIL", "true")]).unwrap_err();
        assert!(variable.to_string().contains("POSTHASTE_HOOKS__NEW_MAIL"), "{variable}");
    }

    #[test]
    fn what_a_hook_is_told_is_not_taken_for_configuration() {
        let told = [("POSTHASTE_ACCOUNT", "lab"), ("POSTHASTE_COMMAND", "posthaste login lab")];
        assert!(load("", &told).unwrap().accounts.is_empty());
    }
}
