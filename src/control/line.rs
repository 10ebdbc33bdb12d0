//! One line with a hard bound, read from an untrusted peer.
//!
//! Never buffers more than the bound. `AsyncBufReadExt::lines` was rejected: it has none.

use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// What came before the next line end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A whole line, without its line end.
    Text(String),
    /// The line is longer than the bound, or not UTF-8; the rest of the stream is of no use.
    Unusable(&'static str),
    /// The stream ended, perhaps inside a line.
    End,
}

/// Reads up to the next line end, at most `limit` octets.
pub(super) async fn read(reader: &mut (impl AsyncBufRead + Unpin), limit: u64) -> io::Result<Line> {
    let mut line = Vec::new();
    reader.take(limit.saturating_add(1)).read_until(b'\n', &mut line).await?;
    let size = line.len() as u64;
    if line.pop_if(|last| *last == b'\n').is_some() {
        return Ok(String::from_utf8(line).map_or(Line::Unusable("the line is not UTF-8"), Line::Text));
    }
    Ok(if size > limit { Line::Unusable("the line is too long") } else { Line::End })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(mut input: &[u8], limit: u64) -> Vec<Line> {
        let mut all = Vec::new();
        loop {
            let line = read(&mut input, limit).await.unwrap();
            let is_last = !matches!(line, Line::Text(_));
            all.push(line);
            if is_last {
                return all;
            }
        }
    }

    #[tokio::test]
    async fn a_line_may_fill_the_bound_but_not_pass_it() {
        let text = |text: &str| Line::Text(text.to_owned());
        assert_eq!(lines(b"ab\ncd\n", 2).await, [text("ab"), text("cd"), Line::End]);
        assert_eq!(lines(b"abc\n", 2).await, [Line::Unusable("the line is too long")]);
    }

    #[tokio::test]
    async fn a_torn_line_is_no_line() {
        assert_eq!(lines(b"ab", 9).await, [Line::End]);
        assert_eq!(lines(b"", 9).await, [Line::End]);
        assert_eq!(lines(b"\xff\n", 9).await, [Line::Unusable("the line is not UTF-8")]);
    }
}
