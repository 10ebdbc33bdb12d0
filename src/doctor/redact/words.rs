//! Words, fields and tokens in a text, replaced. Pure.

/// A run this long may be a token.
const LONG: usize = 32;
/// Of a run, what is made of neither words nor numbers; the name of a mail server of Exchange has 13 such letters.
const OPAQUE: usize = 16;
/// No word is longer.
const WORD: usize = 24;
/// What ends a value in a line of the log, where the value may have blanks itself.
const FIELDS: [&str; 3] = [" reason=", " error=", "\n"];

/// Replaces a word, in whatever case, where it stands alone.
pub(super) fn without_word(text: &str, word: &str, other: &str) -> String {
    let (mut told, mut rest) = (String::new(), text);
    // Lower case may change lengths; such texts are compared as they are.
    let lower = |text: &str| {
        let lower = text.to_lowercase();
        if lower.len() == text.len() { lower } else { text.to_owned() }
    };
    while let Some(at) = lower(rest).find(word).filter(|at| rest.is_char_boundary(*at)) {
        let end = at + word.len();
        let (Some(before), Some(found), Some(after)) = (rest.get(..at), rest.get(at..end), rest.get(end..))
        else {
            break;
        };
        let last = before.chars().next_back().or_else(|| told.chars().next_back());
        let is_alone = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
        let stands_alone = is_alone(last) && is_alone(after.chars().next());
        told.push_str(before);
        told.push_str(if stands_alone { other } else { found });
        rest = after;
    }
    told + rest
}

/// Replaces what stands below a directory: names of files may have blanks and all else.
pub(super) fn without_names_below(text: &str, directory: &str) -> String {
    let directory = format!("{directory}/");
    let mut parts = text.split(&directory);
    let mut told = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = FIELDS.iter().filter_map(|field| part.find(field)).min().unwrap_or(part.len());
        told.push_str(&directory);
        told.push('…');
        told.push_str(part.get(end..).unwrap_or_default());
    }
    told
}

/// Replaces the value of a field that is written in quotes: `name="a \"b\".eml"`.
pub(super) fn without_field(text: &str, field: &str) -> String {
    let begin = format!(" {field}=\"");
    let Some((before, value)) = text.split_once(&begin) else { return text.to_owned() };
    let mut is_escaped = false;
    let end = value.find(|c| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    });
    let after = end.and_then(|end| value.get(end..)).unwrap_or_default();
    format!("{before}{begin}…{after}")
}

/// Replaces runs that may be tokens: long, and not made of words, numbers and UUIDs as a path, an address or a name is.
pub(super) fn without_opaque(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-./!~_+=*$%".contains(c);
    let mut told = String::new();
    for piece in text.split_inclusive(|c| !is_part(c)) {
        let run = piece.trim_end_matches(|c| !is_part(c));
        match is_opaque(run) {
            true => {
                told.push('…');
                told.push_str(piece.get(run.len()..).unwrap_or_default());
            }
            false => told.push_str(piece),
        }
    }
    told
}

fn is_opaque(run: &str) -> bool {
    let segments = run.split(['/', '.', '=']).filter(|segment| !is_uuid(segment));
    let pieces = segments.flat_map(|segment| segment.split(|c: char| !c.is_ascii_alphanumeric()));
    let odd: usize = pieces.filter(|piece| !is_word(piece)).map(str::len).sum();
    run.len() >= LONG && odd >= OPAQUE
}

/// Letters, with digits at the end alone (`oauth2`), or digits.
fn is_word(piece: &str) -> bool {
    let letters = piece.trim_end_matches(|c: char| c.is_ascii_digit());
    piece.len() <= WORD && letters.chars().all(|c| c.is_ascii_alphabetic())
}

/// Help desks ask for these: tenants, clients, correlation ids.
fn is_uuid(segment: &str) -> bool {
    let lengths = segment.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && segment.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    #[test]
    fn tokens_of_every_alphabet_go_as_a_whole() {
        let mut random = fastrand::Rng::with_seed(7);
        for length in (30..300).step_by(7) {
            let octets: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            let (one, other) = (URL_SAFE_NO_PAD.encode(&octets), STANDARD.encode(&octets));
            for token in [one.clone(), other, format!("1//0{one}"), format!("M.C5_BAY.0.U.-{one}!*$")] {
                let told = without_opaque(&format!("said \"{token}\", done"));
                assert_eq!(told, "said \"…\", done", "{token}");
            }
            let signed = format!("{one}.{one}.{one}");
            assert_eq!(without_opaque(&format!("Bearer {signed}")), "Bearer …");
        }
        // The pieces between the dashes are all shorter than a token.
        let dashed = "EwBAAl3BAAUFFpUA-o7J3Ve0bjLBWZWCc-lRC3EoAA";
        assert_eq!(without_opaque(dashed), "…");
    }

    #[test]
    fn what_a_help_desk_asks_for_stays() {
        for text in [
            "correlation 2c3caa80-51f9-4125-8974-1b0c5ad3d1a1",
            "https://login.microsoftonline.com/2c3caa80-51f9-4125-8974-1b0c5ad3d1a1/oauth2/v2.0/token",
            "scopes = [\"https://outlook.office365.com/IMAP.AccessAsUser.All\"]",
            "535 5.7.3 Authentication unsuccessful [SN2PR00CA0001.namprd00.prod.outlook.com]",
            "~/.local/state/posthaste/work/queue/2026-11-22T08:00:00Z ~/Mail/work/Archive/2026/cur",
            "urn:ietf:params:oauth:grant-type:device_code client_secret_command=(set)",
        ] {
            assert_eq!(without_opaque(text), text);
        }
    }

    #[test]
    fn names_of_files_go_to_their_end() {
        let below = |text| without_names_below(text, "/o/work");
        assert_eq!(
            below("refused path=/o/work/failed/Re: us.eml reason=no recipients"),
            "refused path=/o/work/… reason=no recipients"
        );
        assert_eq!(below("/o/work/a.eml: not ours\n/o/work/b x"), "/o/work/…\n/o/work/…");
        assert_eq!(below("outbox = \"/o/work\" /o/working/x"), "outbox = \"/o/work\" /o/working/x");
    }

    #[test]
    fn a_field_goes_with_the_quotes_in_it() {
        let text = r#"held name="a \"b\" c.eml" words=gone"#;
        assert_eq!(without_field(text, "name"), r#"held name="…" words=gone"#);
        assert_eq!(without_field("rename=\"x\"", "name"), "rename=\"x\"");
    }
}
