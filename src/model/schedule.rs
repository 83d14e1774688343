//! When a stream table is refreshed.

use std::fmt;

/// A schedule by its meaning, so that `60s` equals `1m` (docs/pg_trickle.md, "Schedules").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// As often as downstream stream tables need it. The catalog stores NULL.
    Calculated,
    /// At least this many seconds after the last refresh.
    Every(u64),
    /// A cron expression as it was written.
    Cron(String),
}

const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl Schedule {
    /// Parses a schedule as pg_trickle does.
    ///
    /// # Errors
    /// A sentence about a schedule that the engine refuses.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("a schedule cannot be empty".into());
        }
        if text.eq_ignore_ascii_case("calculated") {
            return Ok(Self::Calculated);
        }
        if text.starts_with('@') || text.contains(char::is_whitespace) {
            return parse_cron(text);
        }
        match parse_seconds(text) {
            Some(0) => Err(format!("schedule `{text}` is below the minimum of 1s")),
            Some(seconds) => Ok(Self::Every(seconds)),
            None => Err(format!(
                "`{text}` is not a schedule: write `30s`, `5m`, `1h30m`, a cron expression or `calculated`"
            )),
        }
    }

    /// The seconds between refreshes; `None` if the schedule is not an interval.
    pub fn seconds(&self) -> Option<u64> {
        match self {
            Self::Every(seconds) => Some(*seconds),
            Self::Calculated | Self::Cron(_) => None,
        }
    }
}

fn parse_cron(text: &str) -> Result<Schedule, String> {
    let fields = text.split_whitespace().count();
    if text.starts_with('@') || fields == 5 || fields == 6 {
        Ok(Schedule::Cron(text.split_whitespace().collect::<Vec<_>>().join(" ")))
    } else {
        Err(format!("`{text}` is not a schedule: a cron expression has 5 or 6 fields, this has {fields}"))
    }
}

/// `1h30m` → 5400; a bare number is seconds; `None` for anything else.
fn parse_seconds(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let count: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let factor = match rest.chars().next() {
            None if digits == text.len() => 1,
            None => return None,
            Some(unit) => UNITS.iter().find(|(letter, _)| *letter == unit)?.1,
        };
        rest = rest.get(1..).unwrap_or("");
        total = total.checked_add(count.checked_mul(factor)?)?;
    }
    Some(total)
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calculated => f.write_str("calculated"),
            Self::Cron(text) => f.write_str(text),
            Self::Every(seconds) => {
                let mut left = *seconds;
                for (letter, size) in UNITS {
                    if left >= size {
                        write!(f, "{}{letter}", left / size)?;
                        left %= size;
                    }
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_parsed_as_seconds() {
        for (text, seconds) in
            [("60s", 60), ("1m", 60), ("90", 90), ("1h30m", 5_400), (" 2d ", 172_800), ("1w", 604_800)]
        {
            assert_eq!(Schedule::parse(text), Ok(Schedule::Every(seconds)), "{text}");
        }
    }

    #[test]
    fn cron_expressions_and_calculated_are_parsed() {
        assert_eq!(Schedule::parse("CALCULATED"), Ok(Schedule::Calculated));
        assert_eq!(Schedule::parse("*/5 *  * * *"), Ok(Schedule::Cron("*/5 * * * *".into())));
        assert_eq!(Schedule::parse("@hourly"), Ok(Schedule::Cron("@hourly".into())));
    }

    #[test]
    fn schedules_that_the_engine_refuses_are_errors() {
        for text in ["", "banana", "5x", "-5", "0s", "5 minutes", "1m30", "99999999999999999999w", "1.5h"] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_displayed_schedule_parses_to_the_same_value(seconds in 1u64..10_000_000) {
            let shown = Schedule::Every(seconds).to_string();
            prop_assert_eq!(Schedule::parse(&shown), Ok(Schedule::Every(seconds)));
        }
    }
}
