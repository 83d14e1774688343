//! What evidence means: rows in, outcomes out. No clock and no server; a judgement without evidence fails.

pub mod cdc;
pub mod equality;
pub mod freshness;
pub mod health;
pub mod population;

use std::collections::BTreeMap;

use crate::model::{Deployed, Relation, StreamTable};

/// The deployed tables by their names.
pub type Catalog<'a> = BTreeMap<&'a Relation, &'a Deployed>;

/// The deployed tables by their names.
pub fn catalog(deployed: &[Deployed]) -> Catalog<'_> {
    deployed.iter().map(|d| (&d.table.relation, d)).collect()
}

/// The tables to judge: the project's, or without a project all that are there.
pub fn subjects<'a>(project: Option<&'a [StreamTable]>, deployed: &'a [Deployed]) -> Vec<&'a StreamTable> {
    match project {
        Some(tables) => tables.iter().collect(),
        None => deployed.iter().map(|d| &d.table).collect(),
    }
}

/// The sentence in the engine's error text, which can be kilobytes of a Rust value and its backtrace
/// (docs/pg_trickle.md, "Status").
pub fn engine_message(raw: &str) -> String {
    let message = raw.split_once("message: \"").map_or(raw, |(_, rest)| quoted(rest));
    let line = message.lines().next().unwrap_or_default().trim();
    if line.is_empty() { "the engine gives no reason".into() } else { line.chars().take(300).collect() }
}

/// Up to the closing quote of a Rust string literal.
fn quoted(text: &str) -> &str {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_dump_is_reduced_to_its_sentence() {
        let dump = "ErrorReportWithLevel { level: ERROR, inner: ErrorReport { sqlerrcode: ERRCODE_DIVISION_BY_ZERO, message: \"division by zero\", hint: None, detail: Some(\"0: std::backtrace\") } }";
        assert_eq!(engine_message(dump), "division by zero");
        assert_eq!(engine_message("message: \"column \\\"a\\\" is gone\", x"), "column \\\"a\\\" is gone");
        assert_eq!(engine_message("plain words\nand more"), "plain words");
        assert_eq!(engine_message(""), "the engine gives no reason");
    }
}
