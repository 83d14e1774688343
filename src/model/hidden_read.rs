//! A table that a query reads without pg_trickle's knowledge.

use super::Relation;

/// pg_trickle does not capture the changes of such a table (docs/pg_trickle.md, "Functions that read" and "Views in
/// subqueries").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HiddenRead {
    /// The function or the view that reads it.
    pub by: Relation,
    pub is_view: bool,
    pub table: Relation,
}

impl HiddenRead {
    /// Each function or view with its tables: `shop.rate() reads shop.rates`.
    pub fn sentence(reads: &[Self]) -> String {
        let mut readers: Vec<(&Relation, bool)> = reads.iter().map(|read| (&read.by, read.is_view)).collect();
        readers.dedup();
        let part = |(by, is_view): (&Relation, bool)| {
            let tables = reads.iter().filter(|read| (&read.by, read.is_view) == (by, is_view));
            let tables: Vec<String> = tables.map(|read| read.table.to_string()).collect();
            let call = if is_view { "" } else { "()" };
            format!("{by}{call} reads {}", tables.join(", "))
        };
        readers.into_iter().map(part).collect::<Vec<_>>().join("; ")
    }
}
