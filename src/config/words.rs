//! What the parsers refuse, in the words of who writes a configuration: which key takes what, with an example. Pure.
//!
//! The one place that knows how serde and TOML word a refusal. What was found is left out: the place shows it, and it may be
//! a secret. Examples are those of the commented example.

use super::EXAMPLE;

/// A refusal of a parser; `key` is the one at whose value it was met.
pub(super) fn plain(refusal: &str, key: Option<&str>) -> String {
    let line = refusal.lines().map(str::trim).collect::<Vec<_>>().join(", ");
    if let Some(rest) = line.strip_prefix("unknown field ") {
        return format!("unknown key {rest}");
    }
    match (key, line.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(','))) {
        (Some(key), Some((word, expected))) => return format!("unknown value {word} of `{key}`,{expected}"),
        (Some(key), None) => wanted(&line).map(|wanted| format!("`{key}` takes {wanted}{}", example(key))),
        (None, _) => None,
    }
    .unwrap_or(line)
}

/// What the parser would have taken, where it refuses a type or a size.
fn wanted(line: &str) -> Option<&'static str> {
    let expected = match line.strip_prefix("invalid ") {
        Some(refused) => refused.rsplit_once(", expected ")?.1,
        None => line.strip_prefix("wanted ")?,
    };
    Some(match expected {
        "a string" => "text in quotes",
        "string or table" => "one word in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list in brackets",
        "u16" => "a whole number up to 65535",
        "u8" | "u32" => "a whole number",
        table if table == "a map" || table.starts_with("struct ") => "a table of keys",
        _ => return None,
    })
}

/// `, like VALUE`, as the commented example has it.
fn example(key: &str) -> String {
    let assigned = |line: &'static str| {
        let (name, value) = line.trim_start_matches("# ").split_once('=')?;
        let value = value.split(" #").next().unwrap_or(value).trim();
        (name.trim() == key).then_some(value)
    };
    EXAMPLE.lines().find_map(assigned).map(|value| format!(", like {value}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_writes_a_wrong_type_is_told_what_the_key_takes() {
        for (key, refusal, told) in [
            ("port", "invalid type: string \"x\", expected u16", "a whole number up to 65535, like 995"),
            ("port", "invalid value: integer `70000`, expected u16", "a whole number up to 65535, like 995"),
            ("sweep", "invalid type: integer `5`, expected a string", "text in quotes, like \"5m\""),
            ("poll_only", "invalid type: string \"yes\", expected a boolean", "true or false, like false"),
            (
                "idle",
                "invalid type: string \"a\", expected a sequence",
                "a list in brackets, like [\"INBOX\"]",
            ),
            ("layout", "wanted string or table", "one word in quotes, like \"nested\""),
            ("percent", "invalid value: integer `300`, expected u8", "a whole number"),
            (
                "deletion_limit",
                "invalid type: integer `3`, expected struct DeletionLimit",
                "a table of keys, like { messages = 20, percent = 25 }",
            ),
            ("imap", "invalid type: string \"x\", expected struct Server", "a table of keys"),
        ] {
            assert_eq!(plain(refusal, Some(key)), format!("`{key}` takes {told}"));
        }
    }

    #[test]
    fn unknown_words_are_keys_and_values() {
        let field = "unknown field `swep`, expected one of `sent`, `sweep`";
        assert_eq!(plain(field, None), "unknown key `swep`, expected one of `sent`, `sweep`");
        let variant = "unknown variant `k`, expected `oauth2` or `password`";
        assert_eq!(
            plain(variant, Some("auth")),
            "unknown value `k` of `auth`, expected `oauth2` or `password`"
        );
        assert_eq!(plain("duplicate key", Some("user")), "duplicate key");
        assert_eq!(
            plain("invalid basic string\nexpected `\"`", Some("user")),
            "invalid basic string, expected `\"`"
        );
    }
}
