//! New values for a column: the edges of its domain, and numbered ones.

use super::{ColumnKind, SourceColumn, random::Random};

/// A value from the edges of the column's domain.
pub(super) fn edge(column: &SourceColumn, random: &mut Random) -> Option<String> {
    if !column.values.is_empty() {
        return random.one(&column.values).cloned();
    }
    let pick = |values: &[&str], random: &mut Random| random.one(values).map(|value| (*value).to_owned());
    let value = match column.kind {
        ColumnKind::Integer => pick(&["0", "1", "-1", "2", "7", "32767"], random)?,
        ColumnKind::Numeric => match column.scale {
            Some(0) => pick(&["0", "1", "-1", "9"], random)?,
            _ => pick(&["0", "1", "-1", "0.01", "0.5", "9.99"], random)?,
        },
        // No large negative number: its sum with a large positive one depends on the order of the rows.
        ColumnKind::Float => pick(&["0", "1", "-1", "0.1", "1e-9", "1e17"], random)?,
        ColumnKind::Text => pick(
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
        ColumnKind::Boolean => pick(&["t", "f"], random)?,
        ColumnKind::Date => pick(&["1970-01-01", "2000-02-29", "1995-03-15", "9999-12-31"], random)?,
        ColumnKind::Timestamp => {
            pick(&["1970-01-01 00:00:00", "2000-02-29 23:59:59.999999", "1995-03-15 12:00:00"], random)?
        }
        ColumnKind::Uuid => fresh(column, 0)?,
        ColumnKind::Json => pick(&["{}", "[]", "null", "{\"a\": 1}", "{\"a\": null}"], random)?,
        ColumnKind::Enum => random.one(&column.labels)?.clone(),
        ColumnKind::Bytes => pick(&["\\x", "\\x00ff"], random)?,
        ColumnKind::Array => "{}".to_owned(),
        ColumnKind::Other => return None,
    };
    Some(fitting(column, value))
}

/// A value for this number.
pub(super) fn fresh(column: &SourceColumn, number: u64) -> Option<String> {
    let value = match column.kind {
        ColumnKind::Integer | ColumnKind::Numeric => number.to_string(),
        ColumnKind::Float => format!("{number}.5"),
        ColumnKind::Text => format!("v{number}"),
        ColumnKind::Date => {
            format!("2{:03}-{:02}-{:02}", number / 336 % 1000, number / 28 % 12 + 1, number % 28 + 1)
        }
        ColumnKind::Timestamp => format!(
            "2001-01-{:02} {:02}:{:02}:{:02}",
            number / 86_400 % 28 + 1,
            number / 3600 % 24,
            number / 60 % 60,
            number % 60
        ),
        ColumnKind::Uuid => format!("00000000-0000-4000-8000-{number:012x}"),
        ColumnKind::Json => format!("{{\"n\": {number}}}"),
        ColumnKind::Bytes => format!("\\x{number:016x}"),
        ColumnKind::Boolean | ColumnKind::Enum | ColumnKind::Array | ColumnKind::Other => return None,
    };
    Some(fitting(column, value))
}

/// Cuts the value to the length of the column.
fn fitting(column: &SourceColumn, value: String) -> String {
    match (column.kind, column.size) {
        (ColumnKind::Text, Some(size)) => {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            let skipped = if value.starts_with('v') { value.chars().count().saturating_sub(size) } else { 0 };
            value.chars().skip(skipped).take(size).collect()
        }
        _ => value,
    }
}
