//! The header of a message as a list of raw fields, read without losing a byte of those that stay.
//!
//! Pure. Line ends may be LF or CRLF and come out as CRLF. A line in the header that belongs to no field refuses the
//! message: taking it for the end of the header, as some programs do, would turn a Bcc below it into visible text.

/// One field: its name and all its lines, with CRLF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    name: String,
    raw: Vec<u8>,
}

impl Field {
    /// A new field of one line.
    pub(super) fn new(name: &str, value: &str) -> Field {
        Field { name: name.to_owned(), raw: format!("{name}: {value}\r\n").into_bytes() }
    }

    /// Whether it is called so, in any case.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Whether it belongs to a resent block.
    pub(super) fn is_resent(&self) -> bool {
        self.name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("Resent-"))
    }

    /// All its lines.
    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The value, unfolded (RFC 5322 §2.2.3) and trimmed.
    pub(super) fn value(&self) -> String {
        let start = self.raw.iter().position(|&byte| byte == b':').map_or(0, |colon| colon + 1);
        let text = String::from_utf8_lossy(self.raw.get(start..).unwrap_or_default());
        text.replace("\r\n", "").trim().to_owned()
    }
}

/// The fields of a header block without its closing empty line; the number of the line that is none as the error.
/// The `From ` line of an mbox in front is dropped.
pub(super) fn parse(header: &[u8]) -> Result<Vec<Field>, usize> {
    let mut fields: Vec<Field> = Vec::new();
    let lines = header.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    for (number, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
        if number == 0 && line.starts_with(b"From ") {
            continue;
        }
        if matches!(line, [b' ' | b'\t', ..]) {
            let field = fields.last_mut().ok_or(number + 1)?;
            field.raw.extend_from_slice(line);
            field.raw.extend_from_slice(b"\r\n");
        } else {
            let name = name_of(line).ok_or(number + 1)?;
            fields.push(Field { name, raw: [line, b"\r\n"].concat() });
        }
    }
    Ok(fields)
}

/// Printable ASCII before the colon; blanks before the colon are an obsolete form (RFC 5322 §4.5).
fn name_of(line: &[u8]) -> Option<String> {
    let (name, _) = line.split_at(line.iter().position(|&byte| byte == b':')?);
    let name = name.trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    is_name.then(|| String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_bytes_and_unfold_their_values() {
        let fields = parse(b"From me@x Thu Jan  1\nTo : a@x,\n\tb@x\r\nSubject:\xe9\n").unwrap();
        assert_eq!(fields.len(), 2);
        assert!(fields[0].is("to"));
        assert_eq!(fields[0].raw(), b"To : a@x,\r\n\tb@x\r\n");
        assert_eq!(fields[0].value(), "a@x,\tb@x");
        assert_eq!(fields[1].raw(), b"Subject:\xe9\r\n");
    }

    #[test]
    fn lines_of_no_field_are_named_by_number() {
        assert_eq!(parse(b"To: a@x\nHello\nBcc: b@x\n"), Err(2));
        assert_eq!(parse(b" folded\n"), Err(1));
        assert_eq!(parse(b"To: a\nFrom someone\n"), Err(2));
        assert_eq!(parse(b": x\n"), Err(1));
    }
}
