//! Values that no row holds yet: the edges of a column's domain, and keys that are new.

use super::{Column, Kind, random::Random};

/// A value from the edges of what the column may hold.
pub(super) fn edge(column: &Column, random: &mut Random) -> Option<String> {
    if !column.values.is_empty() {
        return random.one(&column.values).cloned();
    }
    let pick = |values: &[&str], random: &mut Random| random.one(values).map(|value| (*value).to_owned());
    let value = match column.kind {
        Kind::Integer => pick(&["0", "1", "-1", "2", "7", "32767"], random)?,
        Kind::Numeric => match column.scale {
            Some(0) => pick(&["0", "1", "-1", "9"], random)?,
            _ => pick(&["0", "1", "-1", "0.01", "0.5", "9.99"], random)?,
        },
        // No great negative number: the sum of it and a great positive one depends on the order of the rows.
        Kind::Float => pick(&["0", "1", "-1", "0.1", "1e-9", "1e17"], random)?,
        Kind::Text => pick(
            &[
                "",
                " ",
                "a",
                "A",
                "ä",
                "it's",
                "0",
                "null",
                "x\\y",
                "a long text, longer than most that a column holds",
            ],
            random,
        )?,
        Kind::Boolean => pick(&["t", "f"], random)?,
        Kind::Date => pick(&["1970-01-01", "2000-02-29", "1995-03-15", "9999-12-31"], random)?,
        Kind::Timestamp => {
            pick(&["1970-01-01 00:00:00", "2000-02-29 23:59:59.999999", "1995-03-15 12:00:00"], random)?
        }
        Kind::Uuid => fresh(column, 0)?,
        Kind::Json => pick(&["{}", "[]", "null", "{\"a\": 1}", "{\"a\": null}"], random)?,
        Kind::Enum => random.one(&column.labels)?.clone(),
        Kind::Bytes => pick(&["\\x", "\\x00ff"], random)?,
        Kind::Array => "{}".to_owned(),
        Kind::Other => return None,
    };
    Some(fitting(column, value))
}

/// A value that differs with the number.
pub(super) fn fresh(column: &Column, number: u64) -> Option<String> {
    let value = match column.kind {
        Kind::Integer | Kind::Numeric => number.to_string(),
        Kind::Float => format!("{number}.5"),
        Kind::Text => format!("v{number}"),
        Kind::Date => {
            format!("2{:03}-{:02}-{:02}", number / 336 % 1000, number / 28 % 12 + 1, number % 28 + 1)
        }
        Kind::Timestamp => format!(
            "2001-01-{:02} {:02}:{:02}:{:02}",
            number / 86_400 % 28 + 1,
            number / 3600 % 24,
            number / 60 % 60,
            number % 60
        ),
        Kind::Uuid => format!("00000000-0000-4000-8000-{number:012x}"),
        Kind::Json => format!("{{\"n\": {number}}}"),
        Kind::Bytes => format!("\\x{number:016x}"),
        Kind::Boolean | Kind::Enum | Kind::Array | Kind::Other => return None,
    };
    Some(fitting(column, value))
}

/// Cut to what the column takes.
fn fitting(column: &Column, value: String) -> String {
    match (column.kind, column.size) {
        (Kind::Text, Some(size)) => {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            let skipped = if value.starts_with('v') { value.chars().count().saturating_sub(size) } else { 0 };
            value.chars().skip(skipped).take(size).collect()
        }
        _ => value,
    }
}
