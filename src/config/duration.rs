//! Durations as people write them: a whole number and one unit, `60s`, `5m`, `1h`, `14d`.
//!
//! Without a unit a number means different things to different people, so it is refused.

use std::time::Duration;

/// Parses a duration; the error says what was expected.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let expected = || {
        format!(
            "`{text}` is no duration, expected a number and a unit like \"60s\", \"5m\", \"1h\" or \"14d\""
        )
    };
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let seconds_in_unit: u64 = match text.get(digits.len()..) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 3600,
        Some("d") => 24 * 3600,
        _ => return Err(expected()),
    };
    let number: u64 = digits.parse().map_err(|_| expected())?;
    number.checked_mul(seconds_in_unit).map(Duration::from_secs).ok_or_else(expected)
}

/// Writes a duration the way [`parse`] reads it, in the largest unit that is exact.
pub(super) fn write(duration: Duration) -> String {
    match duration.as_secs() {
        hours if hours > 0 && hours.is_multiple_of(3600) => format!("{}h", hours / 3600),
        minutes if minutes > 0 && minutes.is_multiple_of(60) => format!("{}m", minutes / 60),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_is_a_duration() {
        assert_eq!(parse("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(parse("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(parse("14d"), Ok(Duration::from_secs(14 * 24 * 3600)));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "5", "s", "-5s", "5 s", "1.5h", "5w", "5ms", "5S", "99999999999999999999h", "ä"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["1s", "90s", "5m", "24h", "0s"] {
            assert_eq!(write(parse(text).unwrap()), text);
        }
    }
}
