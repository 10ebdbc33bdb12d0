//! A search for secrets in everything that others can see: logs, files, command lines, environments.
//!
//! Secrets are searched as they are and in the encodings in which they travel. The one place where a secret belongs, the
//! account's token file, is not looked into.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

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
            let forms = [
                secret.clone(),
                BASE64_STANDARD.encode(secret),
                BASE64_URL_SAFE_NO_PAD.encode(secret),
                url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
            ];
            for (place, content) in &self.seen {
                for form in &forms {
                    let found = memchr::memmem::find(content, form.as_bytes());
                    assert!(found.is_none(), "{secret} (as {form}) in {place}");
                }
            }
        }
    }
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
