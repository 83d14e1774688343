//! The name of a relation in a database.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A schema and a name, exactly as PostgreSQL stores them: never quoted, never folded.
///
/// `Display` is for people (`analytics.orders`); SQL gets [`Relation::quoted`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Relation {
    /// The schema.
    pub schema: String,
    /// The name inside the schema.
    pub name: String,
}

impl Relation {
    /// A relation from its two parts.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }

    /// The relation as an SQL identifier, safe whatever the parts hold.
    pub fn quoted(&self) -> String {
        format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&self.name))
    }

    /// Reads a qualified name as it stands in SQL, `"db"."Schema".name`: its last two parts. What is not quoted is
    /// folded to lower case.
    pub fn parse(sql: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = sql.trim();
        loop {
            let (part, behind) = parse_identifier(rest)?;
            parts.push(part);
            match behind.strip_prefix('.') {
                Some(more) => rest = more,
                None if behind.is_empty() => break,
                None => return None,
            }
        }
        let name = parts.pop()?;
        Some(Self { schema: parts.pop()?, name })
    }

    /// Whether a person meant this relation by `text`: its name, or its schema and name.
    pub fn is_named(&self, text: &str) -> bool {
        self.name == text || self.to_string() == text
    }

    /// What pg_trickle cannot hold in this name, if anything (docs/pg_trickle.md, "Names").
    pub fn unfit_for_a_stream_table(&self) -> Option<String> {
        [("schema", &self.schema), ("name", &self.name)].into_iter().find_map(|(what, part)| {
            let lower = part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            let starts_well = part.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
            (!lower || !starts_well).then(|| {
                format!("{what} `{part}` is not a plain lower-case identifier, pg_trickle cannot hold it")
            })
        })
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// The identifier that a text begins with, and what follows it.
fn parse_identifier(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find('.').unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_lowercase(), &text[end..]));
    };
    let mut name = String::new();
    loop {
        let (part, behind) = rest.split_once('"')?;
        name.push_str(part);
        match behind.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, behind)),
        }
    }
}

/// One SQL identifier in double quotes, with quotes inside doubled.
pub fn quote_identifier(part: &str) -> String {
    format!("\"{}\"", part.replace('"', "\"\""))
}

/// A text as an SQL literal that every setting of the server reads the same.
pub fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    // With a backslash inside, what it means would depend on standard_conforming_strings.
    if text.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quoting_survives_every_name(schema in ".*", name in ".*") {
            let relation = Relation::new(schema, name);
            prop_assert_eq!(Relation::parse(&relation.quoted()), Some(relation));
        }
    }

    #[test]
    fn a_name_without_quotes_is_folded_and_a_broken_one_is_none() {
        let read = |text: &str| Relation::parse(text).map(|relation| relation.to_string());
        assert_eq!(read("\"db\".raw.Orders").as_deref(), Some("raw.orders"));
        assert_eq!(read("\"db\".\"raw\".\"Page \"\"Hits\"").as_deref(), Some("raw.Page \"Hits"));
        for broken in ["", "orders", "a.\"b", "a.\"b\"c", "a."] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }

    #[test]
    fn names_that_the_engine_cannot_hold_are_told() {
        assert_eq!(Relation::new("analytics", "order_totals_2").unfit_for_a_stream_table(), None);
        for bad in ["MixedCase", "with space", "with.dot", "2nd", "", "naïve", "q\"uote"] {
            assert!(Relation::new("analytics", bad).unfit_for_a_stream_table().is_some(), "{bad}");
            assert!(Relation::new(bad, "orders").unfit_for_a_stream_table().is_some(), "{bad}");
        }
    }
}
