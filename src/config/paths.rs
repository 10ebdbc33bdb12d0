//! Directories of accounts: made absolute, and kept apart.
//!
//! Compared as written: symbolic links are not followed, because the directories need not exist yet. Two workers in one
//! directory would take each other's files for the user's, so overlaps are refused and not repaired.

use super::account::Account;
use super::meaning::Refusal;
use std::path::{Component, Path, PathBuf};

/// An absolute path from one that may begin with `~`; the error says what was expected.
pub(super) fn absolute(text: &str, home: &Path) -> Result<PathBuf, String> {
    let path = match text.strip_prefix('~') {
        Some("") => home.to_owned(),
        Some(rest) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(text),
    };
    if !path.is_absolute() || text.contains('\0') {
        return Err(format!("`{}` is no absolute path, expected `/…` or `~/…`", text.escape_debug()));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("`{text}` contains `..`, expected a path without it"));
    }
    Ok(path.components().collect())
}

/// Refuses two directories of accounts that are the same or inside one another.
pub(super) fn refuse_overlaps(accounts: &[Account]) -> Result<(), Refusal> {
    let directories: Vec<(&str, &str, &Path)> = accounts
        .iter()
        .flat_map(|account| {
            let of = |key, path| (account.name.as_str(), key, path);
            [of("maildir", account.maildir.as_path()), of("outbox", account.outbox.as_path())]
        })
        .collect();
    for (position, &(name, key, path)) in directories.iter().enumerate() {
        for &(other, other_key, other_path) in directories.iter().take(position) {
            if path.starts_with(other_path) || other_path.starts_with(path) {
                let message = format!(
                    "the {key} {} of `{name}` and the {other_key} {} of `{other}` overlap, expected separate directories",
                    path.display(),
                    other_path.display()
                );
                let keys = ["accounts", name, key].map(str::to_owned);
                return Err(Refusal { path: keys.to_vec(), message });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_the_home_directory() {
        let home = Path::new("/home/a");
        assert_eq!(absolute("~", home), Ok(PathBuf::from("/home/a")));
        assert_eq!(absolute("~/Mail/", home), Ok(PathBuf::from("/home/a/Mail")));
        assert_eq!(absolute("~//etc", home), Ok(PathBuf::from("/home/a/etc")));
        assert_eq!(absolute("/srv/./mail", home), Ok(PathBuf::from("/srv/mail")));
    }

    #[test]
    fn relative_paths_are_refused() {
        for text in ["", "Mail", "./Mail", "~alice/Mail", "~/../b", "/a/../b", "/a\0b"] {
            assert!(absolute(text, Path::new("/home/a")).is_err(), "{text:?}");
        }
    }
}
