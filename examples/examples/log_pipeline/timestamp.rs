//! The time at the start of a line: `2025-06-24 14:36:25`, or with a `T` between.

use std::fmt;

/// A calendar day, as written in the log: time zones are not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day {
    year: u16,
    month: u8,
    day: u8,
}

/// An hour of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hour {
    pub(crate) day: Day,
    hour: u8,
}

/// The hour of the timestamp that the line begins with, if it does.
pub(crate) fn leading(line: &[u8]) -> Option<Hour> {
    let (stamp, rest) = line.split_at_checked(19)?;
    let marks = [stamp[4], stamp[7], stamp[13], stamp[16]];
    let more_digits = rest.first().is_some_and(u8::is_ascii_digit);
    if marks != *b"--::" || !matches!(stamp[10], b' ' | b'T' | b't') || more_digits {
        return None;
    }
    let year = number(&stamp[..4])?;
    let [month, day, hour, minute, second] =
        [&stamp[5..7], &stamp[8..10], &stamp[11..13], &stamp[14..16], &stamp[17..]]
            .map(|digits| number(digits).map(|number| number as u8));
    let (month, day, hour) = (month?, day?, hour?);
    // Now and then a minute has a second 60.
    let is_time = hour < 24 && minute? < 60 && second? <= 60;
    let is_day = (1..=days_in(month, year)).contains(&day);
    (is_time && is_day).then_some(Hour { day: Day { year, month, day }, hour })
}

fn number(digits: &[u8]) -> Option<u16> {
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u16::from(digit - b'0')))
}

fn days_in(month: u8, year: u16) -> u8 {
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:02}h", self.day, self.hour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<String> {
        leading(line.as_bytes()).map(|hour| hour.to_string())
    }

    #[test]
    fn both_forms_are_read() {
        for line in [
            "2025-06-24 14:36:25 status installed",
            "2025-06-24T14:36:25",
            "2025-06-24T14:59:60.123Z leap second",
            "2025-06-24T14:36:25+02:00",
        ] {
            assert_eq!(read(line).as_deref(), Some("2025-06-24 14h"), "{line}");
        }
        assert_eq!(leading(b"2025-06-24 00:00:00 \xff\xfe").unwrap().to_string(), "2025-06-24 00h");
    }

    #[test]
    fn what_is_no_time_is_not_taken_for_one() {
        for line in [
            "",
            "2025-06-24",
            "2025-06-24 14:36",
            "2025-06-24 14:36:2",
            "2025-06-24 14:36:255",
            "2025-06-24_14:36:25",
            "2025-13-24 14:36:25",
            "2025-00-24 14:36:25",
            "2025-06-31 14:36:25",
            "2025-06-00 14:36:25",
            "2025-06-24 24:36:25",
            "2025-06-24 14:60:25",
            "2025-06-24 14:36:61",
            "2o25-06-24 14:36:25",
            "2025-06-24 +4:36:25",
            " 2025-06-24 14:36:25",
            "at 2025-06-24 14:36:25",
            "2025-06-24 14:36:\u{663}",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn february_has_29_days_now_and_then() {
        assert!(read("2024-02-29 00:00:00").is_some() && read("2000-02-29 00:00:00").is_some());
        assert!(read("2025-02-29 00:00:00").is_none() && read("1900-02-29 00:00:00").is_none());
    }

    #[test]
    fn hours_are_in_the_order_of_time() {
        assert!(leading(b"2024-12-31 23:00:00") < leading(b"2025-01-01 00:00:00"));
        assert!(leading(b"2025-01-01 09:00:00") < leading(b"2025-01-01 10:00:00"));
    }
}
