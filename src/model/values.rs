//! Removes values of rows from the messages of servers.
//!
//! `invalid input syntax for type integer: "secret"` quotes a value, `column "nope" does not exist` a name. A message that
//! is not known to quote only names is hidden completely: a user's function may raise any text.

/// Classes of SQLSTATEs whose messages quote names and never values (PostgreSQL 18's manual, appendix A).
const NAMES: [&str; 15] =
    ["08", "0A", "23", "25", "28", "2B", "3D", "3F", "40", "42", "53", "54", "55", "57", "58"];

/// Data exceptions. Their messages end with the quoted value.
const DATA: &str = "22";

/// The start and a later part of messages that quote only names. They decide if the SQLSTATE is unknown: dbt and the
/// engine do not pass it on.
const OF_NAMES: [(&str, &str); 26] = [
    ("column \"", "does not exist"),
    ("column reference \"", "is ambiguous"),
    ("relation \"", "does not exist"),
    ("relation \"", "already exists"),
    ("schema \"", "does not exist"),
    ("type \"", "does not exist"),
    ("role \"", "does not exist"),
    ("database \"", "does not exist"),
    ("function ", "does not exist"),
    ("operator does not exist", ""),
    ("permission denied", ""),
    ("must be owner of", ""),
    ("syntax error at", ""),
    ("missing FROM-clause entry", ""),
    ("invalid reference to FROM-clause entry", ""),
    ("cannot drop", "because other objects depend on it"),
    ("duplicate key value violates unique constraint \"", ""),
    ("null value in column \"", "violates not-null constraint"),
    ("new row for relation \"", "violates"),
    ("insert or update on table \"", "violates foreign key constraint"),
    ("update or delete on table \"", "violates"),
    ("canceling statement due to", ""),
    ("deadlock detected", ""),
    ("division by zero", ""),
    // Messages of dbt.
    ("Got ", "configured to"),
    ("actual differs from expected", ""),
];

/// The start of messages that quote a value.
const OF_VALUES: [&str; 7] = [
    "invalid input syntax for type",
    "invalid input value for enum",
    "date/time field value out of range",
    "malformed array literal",
    "malformed range literal",
    "malformed record literal",
    "value too long for type",
];

/// Replaces a message that may contain any text.
pub const LEFT_OUT: &str = "what the server says is left out, it may hold values of rows";

/// The message without text that may be a value of a row. `code` is its SQLSTATE, if it is known.
#[must_use]
pub fn without_values(message: &str, code: Option<&str>) -> String {
    let line = message.lines().next().unwrap_or_default();
    let code = code.filter(|code| code.len() == 5);
    let matches =
        |(start, then): &(&str, &str)| line.strip_prefix(start).is_some_and(|rest| rest.contains(then));
    match code.and_then(|code| code.get(..2)) {
        Some(class) if NAMES.contains(&class) => line.to_owned(),
        Some(DATA) => cut(line),
        None if OF_VALUES.iter().any(|start| line.starts_with(start)) => cut(line),
        None if OF_NAMES.iter().any(matches) => line.to_owned(),
        _ => LEFT_OUT.to_owned(),
    }
}

/// The line up to its first quoted part.
fn cut(line: &str) -> String {
    line.split_once('"').map_or_else(|| line.to_owned(), |(before, _)| format!("{before}\"***\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_and_values_removed() {
        for (message, code, want) in [
            (
                "invalid input syntax for type integer: \"secret\"",
                Some("22P02"),
                "invalid input syntax for type integer: \"***\"",
            ),
            (
                "invalid input syntax for type integer: \"sec\"ret\"",
                None,
                "invalid input syntax for type integer: \"***\"",
            ),
            ("value \"99999999999\" is out of range for type integer", Some("22003"), "value \"***\""),
            (
                "invalid byte sequence for encoding \"UTF8\": 0xe2",
                Some("22021"),
                "invalid byte sequence for encoding \"***\"",
            ),
            ("division by zero", Some("22012"), "division by zero"),
            ("column \"nope\" does not exist", Some("42703"), "column \"nope\" does not exist"),
            ("column \"nope\" does not exist", None, "column \"nope\" does not exist"),
            (
                "duplicate key value violates unique constraint \"k\"\nDETAIL: Key (id)=(5) already exists.",
                Some("23505"),
                "duplicate key value violates unique constraint \"k\"",
            ),
            ("Got 3 results, configured to fail if != 0", None, "Got 3 results, configured to fail if != 0"),
            ("the customer secret has no address", Some("P0001"), LEFT_OUT),
            ("the customer secret has no address", None, LEFT_OUT),
            ("refresh failed: secret", Some("XX000"), LEFT_OUT),
            ("secret", Some(""), LEFT_OUT),
        ] {
            assert_eq!(without_values(message, code), want, "{message}");
        }
    }
}
