//! INTERNALDATE (RFC 9051 §9, `date-time`): `"17-Jul-1996 02:44:25 -0700"`.
//!
//! Reading is tolerant about blanks and about zones given by name; a date that makes no sense is none. Pure.

use jiff::Timestamp;
use jiff::fmt::strtime;
use std::time::SystemTime;

/// The moment that a date on the wire means.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (date, time, zone) = match words.as_slice() {
        [date, time] => (date, time, "+0000"),
        [date, time, zone] => (date, time, if zone.starts_with(['+', '-']) { zone } else { "+0000" }),
        _ => return None,
    };
    let parsed = strtime::parse("%d-%b-%Y %H:%M:%S %z", format!("{date} {time} {zone}")).ok()?;
    parsed.to_timestamp().ok().map(SystemTime::from)
}

/// The date on the wire for a moment, in UTC; the epoch for moments that the format cannot write.
pub(super) fn format(moment: SystemTime) -> String {
    let moment = Timestamp::try_from(moment).unwrap_or(Timestamp::UNIX_EPOCH);
    let moment = if moment < Timestamp::UNIX_EPOCH { Timestamp::UNIX_EPOCH } else { moment };
    moment.strftime("%d-%b-%Y %H:%M:%S +0000").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn dates_in_any_zone() {
        assert_eq!(parse("17-Jul-1996 02:44:25 -0700"), Some(at(837_596_665)));
        assert_eq!(parse(" 1-Jan-1970 00:00:10 +0000"), Some(at(10)));
        assert_eq!(parse("01-jan-1970 00:00:10 GMT"), Some(at(10)));
        for wrong in ["", "31-Feb-2020 00:00:00 +0000", "1-Jan-1970", "x y z", "1-Jan-1970 25:00:00 +0000"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        assert_eq!(format(at(837_596_665)), "17-Jul-1996 09:44:25 +0000");
        assert_eq!(parse(&format(at(1_800_000_000))), Some(at(1_800_000_000)));
        assert_eq!(format(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), "01-Jan-1970 00:00:00 +0000");
    }
}
