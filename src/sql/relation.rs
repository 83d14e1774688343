//! The name of a relation in a database.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A schema and a name as PostgreSQL stores them: not quoted, not folded.
///
/// `Display` is for messages (`analytics.orders`); use [`Relation::quoted`] in SQL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Relation {
    pub schema: String,
    pub name: String,
}

impl Relation {
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }

    /// The relation as a quoted SQL identifier.
    pub fn quoted(&self) -> String {
        format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&self.name))
    }

    /// Parses a qualified SQL name such as `"db"."Schema".name` and keeps its last two parts. Unquoted parts are folded
    /// to lower case.
    pub fn parse(sql: &str) -> Option<Self> {
        let mut parts = parse_parts(sql)?;
        let name = parts.pop()?;
        Some(Self { schema: parts.pop()?, name })
    }

    /// Whether a qualified or single SQL name means this relation of the database.
    pub fn is_called(&self, sql: &str, database: &str) -> bool {
        let own = [database, &self.schema, &self.name];
        parse_parts(sql).is_some_and(|parts| {
            parts.len() <= own.len() && own[own.len() - parts.len()..].iter().eq(parts.iter())
        })
    }

    /// Whether `text` is `name` or `schema.name` of this relation.
    pub fn is_named(&self, text: &str) -> bool {
        self.name == text || self.to_string() == text
    }

    /// A sentence if pg_trickle does not support the name (docs/pg_trickle.md, "Names").
    pub fn unsupported_by_pg_trickle(&self) -> Option<String> {
        [("schema", &self.schema), ("name", &self.name)].into_iter().find_map(|(what, part)| {
            let is_plain = part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            let has_plain_start = part.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
            (!is_plain || !has_plain_start).then(|| {
                format!("{what} `{part}` is not a plain lower-case identifier, which pg_trickle requires")
            })
        })
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// The parts of a qualified SQL name.
fn parse_parts(sql: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = sql.trim();
    loop {
        let (part, tail) = parse_identifier(rest)?;
        parts.push(part);
        match tail.strip_prefix('.') {
            Some(more) => rest = more,
            None if tail.is_empty() => return Some(parts),
            None => return None,
        }
    }
}

/// The identifier at the start of a text, and the rest.
fn parse_identifier(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find('.').unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_lowercase(), &text[end..]));
    };
    let mut name = String::new();
    loop {
        let (part, tail) = rest.split_once('"')?;
        name.push_str(part);
        match tail.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, tail)),
        }
    }
}

/// One SQL identifier in double quotes, with quotes inside doubled.
pub fn quote_identifier(part: &str) -> String {
    format!("\"{}\"", part.replace('"', "\"\""))
}

/// A text as an SQL literal with the same value under every server setting.
pub fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    // The meaning of a backslash in '…' depends on standard_conforming_strings.
    if text.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_quoted_name_parses_to_itself(schema in ".*", name in ".*") {
            let relation = Relation::new(schema, name);
            prop_assert_eq!(Relation::parse(&relation.quoted()), Some(relation));
        }
    }

    #[test]
    fn a_name_may_be_quoted_and_have_its_database() {
        let relation = Relation::new("marts", "Paid");
        for name in
            ["\"Paid\"", "marts.\"Paid\"", "\"marts\".\"Paid\"", "shop.marts.\"Paid\"", "Marts.\"Paid\""]
        {
            assert!(relation.is_called(name, "shop"), "{name}");
        }
        for name in ["paid", "marts.Paid", "other.marts.\"Paid\"", "a.shop.marts.\"Paid\"", "marts.", ""] {
            assert!(!relation.is_called(name, "shop"), "{name}");
        }
    }

    #[test]
    fn an_unquoted_name_is_folded_and_a_broken_one_is_none() {
        let read = |text: &str| Relation::parse(text).map(|relation| relation.to_string());
        assert_eq!(read("\"db\".raw.Orders").as_deref(), Some("raw.orders"));
        assert_eq!(read("\"db\".\"raw\".\"Page \"\"Hits\"").as_deref(), Some("raw.Page \"Hits"));
        for broken in ["", "orders", "a.\"b", "a.\"b\"c", "a."] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }

    #[test]
    fn unsupported_names_are_reported() {
        assert_eq!(Relation::new("analytics", "order_totals_2").unsupported_by_pg_trickle(), None);
        for bad in ["MixedCase", "with space", "with.dot", "2nd", "", "naïve", "q\"uote"] {
            assert!(Relation::new("analytics", bad).unsupported_by_pg_trickle().is_some(), "{bad}");
            assert!(Relation::new(bad, "orders").unsupported_by_pg_trickle().is_some(), "{bad}");
        }
    }
}
