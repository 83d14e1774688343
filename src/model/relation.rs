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

/// One SQL identifier in double quotes, with quotes inside doubled.
pub fn quote_identifier(part: &str) -> String {
    format!("\"{}\"", part.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads one quoted identifier back, as PostgreSQL's lexer does.
    fn unquote(text: &str) -> (String, &str) {
        let mut name = String::new();
        let mut rest = text.strip_prefix('"').unwrap();
        loop {
            let end = rest.find('"').unwrap();
            name.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('"') {
                Some(more) => {
                    name.push('"');
                    rest = more;
                }
                None => return (name, rest),
            }
        }
    }

    proptest! {
        #[test]
        fn quoting_survives_every_name(schema in ".*", name in ".*") {
            let quoted = Relation::new(&schema, &name).quoted();
            let (read_schema, rest) = unquote(&quoted);
            let (read_name, end) = unquote(rest.strip_prefix('.').unwrap());
            prop_assert_eq!((read_schema, read_name, end), (schema, name, ""));
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
