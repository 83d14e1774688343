//! Literals of queries as values: only rows that are paid verify `where status = 'paid'`.

use std::borrow::Cow;

use super::{ColumnKind, Source, SourceColumn, types};
use crate::sql;

/// How many tokens before and after a column's name belong to its condition.
const BEFORE: usize = 3;
const AFTER: usize = 12;
/// The most literals of a column.
const MOST: usize = 24;

impl Source {
    /// Takes the literals of these queries as values of its columns: those beside a column's name, or else all of its type.
    pub fn take_literals<'a>(&mut self, queries: impl Iterator<Item = &'a str>) {
        let queries: Vec<Vec<Cow<'_, str>>> = queries.map(|query| sql::tokens(query).collect()).collect();
        let all: Vec<String> = queries.iter().flat_map(|tokens| types::constants_of(tokens)).collect();
        for column in &mut self.columns {
            let near = queries.iter().flat_map(|tokens| beside(tokens, &column.name));
            let near = fitting(column, near);
            column.literals = if near.is_empty() { fitting(column, all.iter().cloned()) } else { near };
        }
    }
}

/// The literals beside a name in a query.
fn beside(tokens: &[Cow<'_, str>], name: &str) -> Vec<String> {
    let quoted = sql::quote_identifier(name);
    let is_name = |at: &usize| tokens[*at] == name || tokens[*at] == quoted;
    let named = (0..tokens.len()).filter(is_name);
    named
        .flat_map(|at| {
            let window = &tokens[at.saturating_sub(BEFORE)..tokens.len().min(at + AFTER)];
            types::constants_of(window)
        })
        .collect()
}

/// Those that the column can hold.
fn fitting(column: &SourceColumn, literals: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for literal in literals {
        if found.len() < MOST && can_hold(column, &literal) && !found.contains(&literal) {
            found.push(literal);
        }
    }
    found
}

fn can_hold(column: &SourceColumn, literal: &str) -> bool {
    let size = column.size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
    match column.kind {
        ColumnKind::Integer => match column.type_name.as_str() {
            "smallint" => literal.parse::<i16>().is_ok(),
            "integer" => literal.parse::<i32>().is_ok(),
            _ => literal.parse::<i64>().is_ok(),
        },
        ColumnKind::Numeric | ColumnKind::Float => literal.parse::<f64>().is_ok_and(f64::is_finite),
        ColumnKind::Text => literal.chars().count() <= size,
        ColumnKind::Date | ColumnKind::Timestamp => is_dated(literal),
        ColumnKind::Enum => column.labels.iter().any(|label| label == literal),
        // The server tests them first.
        ColumnKind::Other | ColumnKind::Array => true,
        ColumnKind::Boolean | ColumnKind::Uuid | ColumnKind::Json | ColumnKind::Bytes => false,
    }
}

/// Whether a text begins as `2024-05-17`.
fn is_dated(text: &str) -> bool {
    let shape = text.chars().take(10).map(|c| if c.is_ascii_digit() { '0' } else { c });
    shape.collect::<String>() == "0000-00-00"
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    fn literals(kind: ColumnKind, type_name: &str, query: &str) -> Vec<String> {
        let mut source = sample()[0].clone();
        source.columns.truncate(1);
        let column = &mut source.columns[0];
        (column.name, column.kind, column.type_name) = ("status".into(), kind, type_name.into());
        source.take_literals([query].into_iter());
        source.columns.remove(0).literals
    }

    #[test]
    fn literals_beside_the_name_of_a_column_come_before_all_others() {
        let query = "select 'all' as label from o where o.status in ('paid', 'it''s') group by label";
        assert_eq!(literals(ColumnKind::Text, "text", query), ["paid", "it's"]);
        let renamed = "select s from (select state as s from o) as o where s = 'paid'";
        assert_eq!(literals(ColumnKind::Text, "text", renamed), ["paid"]);
        let far = "select 'x' as a, 'y' as b, c, d, e, f, g from o where \"status\" = 'paid'";
        assert_eq!(literals(ColumnKind::Text, "text", far), ["paid"]);
    }

    #[test]
    fn a_column_takes_what_it_can_hold() {
        let query =
            "select 1 from o where status between 0.05 and 70000 or status = 'x' or status >= '2024-05-17'";
        assert_eq!(literals(ColumnKind::Integer, "smallint", query), ["0", "2", "1"]);
        let numbers = literals(ColumnKind::Numeric, "numeric", query);
        assert!(numbers.contains(&"0.05".to_owned()) && numbers.contains(&"70001".to_owned()), "{numbers:?}");
        assert_eq!(literals(ColumnKind::Date, "date", query), ["2024-05-17"]);
        assert!(literals(ColumnKind::Boolean, "boolean", query).is_empty());
    }
}
