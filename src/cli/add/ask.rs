//! Questions to the person at the terminal; where there is none, nobody is asked.

use crate::cli::error::{CommandError, Exit};
use std::io::{self, BufRead, IsTerminal, Read, Write};

/// More is no answer.
const LONGEST: u64 = 4096;

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
        Ok(0) => Err(CommandError::new(Exit::Usage, "no answer was given")),
        Ok(_) if line.trim().is_empty() => Ok(usual.map(str::to_owned)),
        Ok(_) => Ok(Some(line.trim().to_owned())),
        Err(cause) => Err(CommandError::io("cannot read the answer", &cause)),
    }
}
