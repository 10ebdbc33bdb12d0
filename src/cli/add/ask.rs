//! Questions to the person at the terminal; where there is none, nobody is asked.
//!
//! A secret is typed unseen. Meanwhile the terminal sends no signals: Ctrl-C would leave it mute. It ends the line
//! instead, and then the program as it always does. A crate for this was rejected: those at hand have that fault, and throw
//! away what was typed before the question.

use crate::cli::error::{CommandError, Exit};
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use secrecy::{SecretString, zeroize::Zeroize};
use std::io::{self, BufRead, IsTerminal, Read, Write};

/// More is no answer.
const LONGEST: u64 = 4096;
/// What the key combination is as a character.
const CTRL_C: u8 = 3;

/// Whether somebody sees the question and can answer it.
pub(super) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// One line; `None` for an empty one, unless there is a usual answer.
pub(super) fn for_line(question: &str, usual: Option<&str>) -> Result<Option<String>, CommandError> {
    let usual_shown = usual.map(|usual| format!(" [{usual}]")).unwrap_or_default();
    let mut line = String::new();
    let mut err = io::stderr().lock();
    let asked = write!(err, "{question}{usual_shown}: ").and_then(|()| err.flush());
    let read = asked.and_then(|()| io::stdin().lock().take(LONGEST).read_line(&mut line));
    match read {
        Ok(0) => Err(no_answer()),
        Ok(_) if line.trim().is_empty() => Ok(usual.map(str::to_owned)),
        Ok(_) => Ok(Some(line.trim().to_owned())),
        Err(cause) => Err(unreadable(&cause)),
    }
}

/// One line that is not shown; `None` for an empty one.
pub(super) fn for_secret(question: &str) -> Result<Option<SecretString>, CommandError> {
    let mut typed = unseen(question).map_err(|cause| unreadable(&cause))?;
    if typed.last() == Some(&CTRL_C) {
        typed.zeroize();
        // Ends the program, as the key does everywhere else.
        let _ = kill_process(getpid(), Signal::INT);
        return Err(no_answer());
    }
    if typed.is_empty() {
        return Err(no_answer());
    }
    let secret = secret(typed)?;
    Ok(secret)
}

/// The first line of stdin, where that is no terminal: a password manager may write there.
pub(super) fn read_secret() -> Result<SecretString, CommandError> {
    let mut line = Vec::new();
    let read = io::stdin().lock().take(LONGEST).read_until(b'\n', &mut line);
    let _ = read.map_err(|cause| unreadable(&cause))?;
    secret(line)?.ok_or_else(no_answer)
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

/// What was typed, with its end; nothing at the end of the input.
fn unseen(question: &str) -> io::Result<Vec<u8>> {
    let mut err = io::stderr().lock();
    let mute = Mute::begin()?;
    write!(err, "{question}: ")?;
    err.flush()?;
    let mut input = io::stdin().lock();
    // A terminal hands over one line at a time.
    let typed = input.fill_buf()?.to_vec();
    input.consume(typed.len());
    drop(mute);
    writeln!(err)?;
    Ok(typed)
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
