//! A search for secrets in everything that others can see: logs, files, command lines, environments.
//!
//! Secrets are searched as they are and in the encodings in which they travel, alone or as a part of what was encoded. The
//! one place where a secret belongs, the account's token file, is not looked into.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;

use super::process::{Daemon, Home};

/// What was seen so far, by place.
#[derive(Default)]
pub struct Canary {
    seen: Vec<(String, Vec<u8>)>,
}

impl Canary {
    /// Notes what is in a place.
    pub fn look(&mut self, place: &str, content: impl Into<Vec<u8>>) {
        self.seen.push((place.to_owned(), content.into()));
    }

    /// Notes a running process's command line and environment.
    pub fn look_at_process(&mut self, pid: u32) {
        for name in ["cmdline", "environ"] {
            let path = format!("/proc/{pid}/{name}");
            let content = fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            self.look(&path, content);
        }
    }

    /// Notes the daemon's command line, environment and log, which must be a talkative one.
    pub fn look_at_daemon(&mut self, daemon: &Daemon) {
        self.look_at_process(daemon.pid());
        let log = daemon.stderr();
        assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log is on: {log}");
        self.look("the daemon's log", log);
    }

    /// Notes every file of a home.
    pub fn look_at_files(&mut self, home: &Home) {
        for directory in ["state", "config", "run", "mail", "outbox", "home"] {
            for path in files(&home.dir().join(directory)) {
                self.look(&path.display().to_string(), fs::read(&path).unwrap());
            }
        }
    }

    /// Whether something with these words was seen: a search in nothing proves nothing.
    pub fn saw(&self, words: &str) -> bool {
        self.seen.iter().any(|(_, content)| memchr::memmem::find(content, words.as_bytes()).is_some())
    }

    /// None of `secrets` was seen anywhere.
    pub fn assert_silent(&self, secrets: &[String]) {
        for secret in secrets {
            if let Some((place, form)) = self.find(secret) {
                panic!("{secret} (as {form}) in {place}");
            }
        }
    }

    /// Where a secret was seen, and as what.
    pub fn find(&self, secret: &str) -> Option<(&str, String)> {
        forms(secret).into_iter().find_map(|form| {
            let holds = |content: &[u8]| memchr::memmem::find(content, form.as_bytes()).is_some();
            let (place, _) = self.seen.iter().find(|(_, content)| holds(content))?;
            Some((place.as_str(), form))
        })
    }
}

/// A secret as it may be seen. Within something that was encoded in base64 as a whole it begins in one of three places; what
/// is searched are the characters that hold no bit of its neighbours.
fn forms(secret: &str) -> Vec<String> {
    let mut forms =
        vec![secret.to_owned(), url::form_urlencoded::byte_serialize(secret.as_bytes()).collect()];
    for before in 0..3 {
        let octets = [&[0; 3][..before], secret.as_bytes()].concat();
        let encoded = BASE64_STANDARD_NO_PAD.encode(&octets);
        let inside = &encoded[(before * 8).div_ceil(6)..octets.len() * 8 / 6];
        forms.extend([inside.to_owned(), inside.replace('+', "-").replace('/', "_")]);
    }
    forms
}

/// Every file below `directory`, but for the one place where a token belongs.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries
        .flatten()
        .flat_map(|entry| match entry.file_type().unwrap() {
            kind if kind.is_dir() => files(&entry.path()),
            kind if kind.is_file() && entry.file_name() != "token.json" => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}
