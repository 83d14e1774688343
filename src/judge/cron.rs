//! When a cron expression was last due: five fields, or six with seconds in front, in UTC.

use time::{Duration, OffsetDateTime, Weekday};

const SEARCHED_YEARS: i64 = 5;

/// The last two times before `now` at which the expression was due, the latest first. `None` if the expression is
/// invalid or never due.
pub(super) fn last_two(expression: &str, now: OffsetDateTime) -> Option<[OffsetDateTime; 2]> {
    let times = CronFields::read(expression)?;
    let mut time = now.replace_second(0).ok()?.replace_nanosecond(0).ok()?;
    let oldest = time - Duration::days(SEARCHED_YEARS * 366);
    let mut found = Vec::new();
    while time > oldest {
        if !times.has_day(time) {
            time = time.replace_time(time::Time::MIDNIGHT) - Duration::MINUTE;
        } else if !times.hours[usize::from(time.hour())] {
            time = time.replace_minute(0).ok()? - Duration::MINUTE;
        } else {
            if times.minutes[usize::from(time.minute())] {
                found.push(time);
            }
            time -= Duration::MINUTE;
        }
        if let [last, before] = found[..] {
            return Some([last, before]);
        }
    }
    None
}

/// The values of each field. Seconds are ignored: the grace of a cron schedule is longer than a minute.
struct CronFields {
    minutes: Vec<bool>,
    hours: Vec<bool>,
    days: Vec<bool>,
    months: Vec<bool>,
    weekdays: Vec<bool>,
    /// As in cron: if both the day and the weekday are restricted, either may match; otherwise both must.
    either_day: bool,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl CronFields {
    fn read(expression: &str) -> Option<Self> {
        let expression = match expression {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let fields: Vec<String> = expression.split_whitespace().map(str::to_ascii_lowercase).collect();
        let ([minutes, hours, days, months, weekdays] | [_, minutes, hours, days, months, weekdays]) =
            &fields[..]
        else {
            return None;
        };
        let mut on = values(weekdays, 0, 7, &WEEKDAYS, 0)?;
        on[0] |= on[7];
        Some(Self {
            minutes: values(minutes, 0, 59, &[], 0)?,
            hours: values(hours, 0, 23, &[], 0)?,
            days: values(days, 1, 31, &[], 0)?,
            months: values(months, 1, 12, &MONTHS, 1)?,
            weekdays: on,
            either_day: !days.starts_with(['*', '?']) && !weekdays.starts_with(['*', '?']),
        })
    }

    fn has_day(&self, time: OffsetDateTime) -> bool {
        let day = self.days[usize::from(time.day())];
        let weekday = self.weekdays[usize::from(Weekday::number_days_from_sunday(time.weekday()))];
        let is_day = if self.either_day { day || weekday } else { day && weekday };
        is_day && self.months[usize::from(u8::from(time.month()))]
    }
}

/// Parses `*`, `1,2`, `1-5`, `*/10`, `1-20/5` and names into one flag per value.
fn values(field: &str, least: usize, most: usize, names: &[&str], first: usize) -> Option<Vec<bool>> {
    let number = |text: &str| {
        let by_name = names.iter().position(|name| *name == text).map(|at| at + first);
        by_name.or_else(|| text.parse().ok()).filter(|value| (least..=most).contains(value))
    };
    let mut meant = vec![false; most + 1];
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => (least, most),
            Some((from, to)) => (number(from)?, number(to)?),
            None if part.contains('/') => (number(range)?, most),
            None => (number(range)?, number(range)?),
        };
        (from..=to).step_by(step).for_each(|value| meant[value] = true);
    }
    Some(meant)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn finds_the_last_two_due_times() {
        // A Saturday.
        let now = datetime!(2026-11-21 05:13:41 UTC);
        for (expression, last, before) in [
            ("*/5 * * * *", datetime!(2026-11-21 05:10 UTC), datetime!(2026-11-21 05:05 UTC)),
            ("0 */5 * * * *", datetime!(2026-11-21 05:10 UTC), datetime!(2026-11-21 05:05 UTC)),
            ("@hourly", datetime!(2026-11-21 05:00 UTC), datetime!(2026-11-21 04:00 UTC)),
            ("0 3 * * *", datetime!(2026-11-21 03:00 UTC), datetime!(2026-11-20 03:00 UTC)),
            ("30 6 * * mon-fri", datetime!(2026-11-20 06:30 UTC), datetime!(2026-11-19 06:30 UTC)),
            ("0 0 * * 7", datetime!(2026-11-15 00:00 UTC), datetime!(2026-11-08 00:00 UTC)),
            ("0 12 1 jan,jul *", datetime!(2026-07-01 12:00 UTC), datetime!(2026-01-01 12:00 UTC)),
            ("0 0 13 * 5", datetime!(2026-11-20 00:00 UTC), datetime!(2026-11-13 00:00 UTC)),
            ("0 0 29 2 *", datetime!(2024-02-29 00:00 UTC), datetime!(2020-02-29 00:00 UTC)),
        ] {
            let found = last_two(expression, now);
            if expression == "0 0 29 2 *" {
                assert_eq!(found, None, "the one before is out of the searched range");
                continue;
            }
            assert_eq!(found, Some([last, before]), "{expression}");
        }
    }

    #[test]
    fn an_invalid_expression_is_never_due() {
        for wrong in ["", "* * *", "61 * * * *", "*/0 * * * *", "a * * * *", "@reboot", "0 0 31 2 *"] {
            assert_eq!(last_two(wrong, datetime!(2026-11-21 05:13:41 UTC)), None, "{wrong}");
        }
    }
}
