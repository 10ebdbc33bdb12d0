//! Printing. `println!` panics when the reader of a pipe is gone; here that is the end of a command and no error.

use super::error::CommandError;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;

/// Prints on stdout; `Break` where nobody reads it any more.
pub fn print(text: &str) -> Result<ControlFlow<()>, CommandError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(cause) => Err(CommandError::io("cannot write to stdout", &cause)),
    }
}

/// Prints a line on stderr. Where that fails there is nobody left to tell.
pub fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether a person reads stdout.
pub fn is_read_by_a_person() -> bool {
    io::stdout().is_terminal()
}

/// Whether a person sees what [`complain`] says.
pub fn is_seen_by_a_person() -> bool {
    io::stderr().is_terminal()
}

/// Whether a picture this wide fits on the terminal of a person.
pub fn has_room_for(columns: usize) -> bool {
    is_seen_by_a_person() && columns <= textwrap::termwidth()
}

/// The columns of the terminal that stdout is, if it is one.
pub fn width() -> Option<usize> {
    is_read_by_a_person().then(textwrap::termwidth)
}

/// Text from a server or a file name, fit for a terminal: control characters could move the cursor or rename windows.
pub fn harmless(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_become_harmless() {
        assert_eq!(harmless("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(harmless("Entwürfe"), "Entwürfe");
    }
}
