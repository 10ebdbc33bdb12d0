//! Questions to the person at the terminal; where there is none, nobody is asked.
//!
//! A command that waits for an answer can be interrupted. A secret is typed unseen. Meanwhile the terminal sends no signals:
//! Ctrl-C would leave it mute. It ends the line instead, and then the program as it always does. A crate for this was rejected: those at hand have that fault, and throw
//! away what was typed before the question.

use super::error::{CommandError, Exit};
use super::output;
use crate::task::off_reactor;
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use secrecy::{SecretString, zeroize::Zeroize};
use std::io::{self, BufRead, IsTerminal, Write};

/// More is no answer.
const LONGEST: usize = 4096;
/// What the key combination is as a character.
const CTRL_C: u8 = 3;

/// Whether somebody sees the question and can answer it.
pub(super) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// One line; `None` for an empty one, unless there is a usual answer.
pub(super) async fn for_line(question: &str, usual: Option<&str>) -> Result<Option<String>, CommandError> {
    let usual_shown = usual.map(|usual| format!(" [{usual}]")).unwrap_or_default();
    show(&format!("{question}{usual_shown}: ")).map_err(|cause| unreadable(&cause))?;
    let line = line().await?;
    match String::from_utf8_lossy(&line).trim() {
        _ if line.is_empty() => Err(no_answer()),
        "" => Ok(usual.map(str::to_owned)),
        answer => Ok(Some(answer.to_owned())),
    }
}

/// One line that is not shown; `None` for an empty one.
pub(super) async fn for_secret(question: &str) -> Result<Option<SecretString>, CommandError> {
    let mute = Mute::begin().and_then(|mute| show(&format!("{question}: ")).map(|()| mute));
    let mute = mute.map_err(|cause| unreadable(&cause))?;
    let mut typed = line().await?;
    drop(mute);
    output::complain("");
    if typed.last() == Some(&CTRL_C) {
        typed.zeroize();
        // What the key does everywhere else; the signal ends the command.
        let _ = kill_process(getpid(), Signal::INT);
        return std::future::pending().await;
    }
    match typed.is_empty() {
        true => Err(no_answer()),
        false => secret(typed),
    }
}

/// The first line of stdin, where that is no terminal: a password manager may write there.
pub(super) async fn read_secret() -> Result<SecretString, CommandError> {
    secret(line().await?)?.ok_or_else(no_answer)
}

fn secret(mut line: Vec<u8>) -> Result<Option<SecretString>, CommandError> {
    let text = std::str::from_utf8(&line).map(|text| text.trim_matches(['\r', '\n', ' ']).to_owned());
    line.zeroize();
    match text {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) if !text.contains(char::is_control) => Ok(Some(text.into())),
        _ => Err(CommandError::new(Exit::Usage, "a secret is a line of plain text")),
    }
}

fn show(question: &str) -> io::Result<()> {
    let mut err = io::stderr().lock();
    write!(err, "{question}").and_then(|()| err.flush())
}

/// A line of stdin with its end, nothing where there are no more; off the reactor, so that the command can be interrupted.
async fn line() -> Result<Vec<u8>, CommandError> {
    let read = off_reactor(|| {
        let mut line = Vec::new();
        let mut input = io::stdin().lock();
        loop {
            let there = input.fill_buf()?;
            let end = there.iter().position(|&byte| byte == b'\n' || byte == CTRL_C);
            let taken = end.map_or(there.len(), |end| end + 1);
            line.extend(there.iter().take(taken));
            input.consume(taken);
            if end.is_some() || taken == 0 || line.len() > LONGEST {
                return Ok(line);
            }
        }
    });
    let read = read.await;
    read.map_err(|cause| unreadable(&cause))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Mute {
    before: Termios,
}

impl Mute {
    fn begin() -> io::Result<Mute> {
        let before = tcgetattr(io::stdin())?;
        let mut mute = before.clone();
        mute.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        mute.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        tcsetattr(io::stdin(), OptionalActions::Drain, &mute)?;
        Ok(Mute { before })
    }
}

impl Drop for Mute {
    fn drop(&mut self) {
        // A terminal that is gone needs no repair.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

fn no_answer() -> CommandError {
    CommandError::new(Exit::Usage, "no answer was given")
}

fn unreadable(cause: &io::Error) -> CommandError {
    CommandError::io("cannot read the answer", cause)
}
