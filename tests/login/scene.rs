//! What the tests of this directory share: a person's home beside a mail host, and logins under way.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::support::process::{Account, Home};
use super::support::wait::{PATIENCE, until, until_some};
use super::support::{Host, message};

/// A stand-in for the desktop's opener: it notes the address instead.
const OPENER: &str =
    "#!/bin/sh\nprintf '%s' \"$1\" > \"$HOME/opened.new\" && mv \"$HOME/opened.new\" \"$HOME/opened\"\n";

/// A mail host, and a home with accounts on it that are not logged in.
pub(crate) struct Scene {
    pub(crate) host: Host,
    pub(crate) home: Home,
}

impl Scene {
    /// Accounts for these users, called as they are.
    pub(crate) fn of(users: &[&str]) -> Scene {
        let host = Host::start();
        let accounts: Vec<_> = users.iter().map(|user| Account::of(&host, user)).collect();
        Scene::with(host, &accounts)
    }

    /// Accounts as a test describes them.
    pub(crate) fn with(host: Host, accounts: &[Account]) -> Scene {
        let home = Home::new(env!("CARGO_BIN_EXE_posthaste"));
        home.configure(accounts);
        accounts.iter().for_each(|account| host.furnish(&account.user));
        let opener = home.dir().join("bin/xdg-open");
        fs::create_dir(home.dir().join("bin")).unwrap();
        fs::write(&opener, OPENER).unwrap();
        fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
        Scene { host, home }
    }

    /// `posthaste login …`, waiting for its person.
    pub(crate) fn login(&self, arguments: &[&str]) -> Login {
        self.login_with(arguments, &[])
    }

    /// The same with more variables in its environment.
    pub(crate) fn login_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Login {
        let mut command = self.home.command(&[&["login"], arguments].concat());
        let mut child = self.at_the_desk(&mut command).envs(variables.iter().copied()).spawn().unwrap();
        let heard = child.stderr.take().unwrap();
        Login::of(child, heard)
    }

    /// The same in a terminal.
    pub(crate) fn login_in_terminal(&self, arguments: &[&str]) -> Login {
        let words = format!(
            "stty cols 100 rows 60; exec {} login {}",
            env!("CARGO_BIN_EXE_posthaste"),
            arguments.join(" ")
        );
        let mut command = Command::new("script");
        command.args(["-qefc", &words, "/dev/null"]).env_clear().envs(self.home.environment());
        command.env("TERM", "xterm").stdout(Stdio::piped());
        let mut child = self.at_the_desk(&mut command).spawn().unwrap();
        let heard = child.stdout.take().unwrap();
        Login::of(child, heard)
    }

    /// A desktop with a browser, of which we only want to know what it is asked to open.
    fn at_the_desk<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let _ = fs::remove_file(self.opened());
        let path = format!("{}:{}", self.home.dir().join("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("BROWSER", "anything").stdin(Stdio::piped())
    }

    /// The address that the desktop was asked to open.
    pub(crate) fn opened_address(&self) -> String {
        until_some(PATIENCE, "a browser to be opened", || fs::read_to_string(self.opened()).ok())
    }

    /// Where the stand-in for the desktop's opener notes the address.
    pub(crate) fn opened(&self) -> PathBuf {
        self.home.dir().join("home/opened")
    }

    /// Where the account's login is kept.
    pub(crate) fn token_file(&self, account: &str) -> PathBuf {
        self.home.state(account).join("token.json")
    }

    /// Mail goes in at the server and comes out in the Maildir.
    pub(crate) fn assert_mail_comes(&self, user: &str, subject: &str) {
        self.host.deliver(user, &message(subject));
        until(PATIENCE, &format!("{subject} of {user}"), || {
            self.home.maildir(user).find("INBOX", subject).is_some()
        });
    }
}

/// A login that waits for its person.
pub(crate) struct Login {
    child: Child,
    input: Option<ChildStdin>,
    said: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Login {
    fn of(mut child: Child, heard: impl Read + Send + 'static) -> Login {
        let said = Arc::new(Mutex::new(String::new()));
        let (mut pipe, notes) = (BufReader::new(heard), said.clone());
        let reader = std::thread::spawn(move || {
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                notes.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        let input = child.stdin.take();
        Login { child, input, said, reader: Some(reader) }
    }

    /// The code that a device shows: eight consonants with a dash between.
    pub(crate) fn user_code(&self) -> String {
        let is_code = |word: &&str| {
            word.len() == 9
                && word
                    .split('-')
                    .all(|half| half.len() == 4 && half.bytes().all(|byte| byte.is_ascii_uppercase()))
        };
        until_some(PATIENCE, "a code", || self.said().split_whitespace().find(is_code).map(str::to_owned))
    }

    /// Waits until the program has said something with these words; all that it said.
    pub(crate) fn wait_words(&self, words: &str) -> String {
        until_some(PATIENCE, words, || Some(self.said()).filter(|said| said.contains(words)))
    }

    /// The address that is shown to the person.
    pub(crate) fn address(&self) -> String {
        let shown = |said: &str| {
            let line = said.lines().map(str::trim).find(|line| line.starts_with("http://"))?;
            Some(line.to_owned())
        };
        until_some(PATIENCE, "an address", || shown(&self.said()))
    }

    /// All that it said so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its end: exit code and all that it said.
    pub(crate) fn end(mut self) -> (i32, String) {
        drop(self.input.take());
        let status = until_some(PATIENCE, "the login to end", || self.child.try_wait().unwrap());
        let _ = self.reader.take().unwrap().join();
        (status.code().unwrap_or(-1), self.said())
    }

    /// It succeeds; what it said.
    pub(crate) fn succeeds(self) -> String {
        let (code, said) = self.end();
        assert_eq!(code, 0, "{said}");
        said
    }

    /// It fails with this exit code and these words; nothing was saved.
    pub(crate) fn fails(self, token_file: &Path, code: i32, words: &[&str]) {
        let (ended, said) = self.end();
        assert_eq!(ended, code, "{said}");
        words.iter().for_each(|words| assert!(said.contains(words), "no {words:?} in: {said}"));
        assert!(!token_file.exists(), "{said}");
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A parameter of an address.
pub(crate) fn parameter(address: &str, name: &str) -> String {
    let url = url::Url::parse(address).unwrap();
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}
