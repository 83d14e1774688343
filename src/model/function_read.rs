//! A table that a query reads through a function.

use super::Relation;

/// pg_trickle does not capture the changes of such a table (docs/pg_trickle.md, "Functions that read").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FunctionRead {
    pub function: Relation,
    pub table: Relation,
}

impl FunctionRead {
    /// Each function with its tables: `shop.rate reads shop.rates`.
    pub fn sentence(reads: &[Self]) -> String {
        let mut functions: Vec<&Relation> = reads.iter().map(|read| &read.function).collect();
        functions.dedup();
        let part = |function: &Relation| {
            let tables = reads.iter().filter(|read| read.function == *function);
            let tables: Vec<String> = tables.map(|read| read.table.to_string()).collect();
            format!("{function}() reads {}", tables.join(", "))
        };
        functions.into_iter().map(part).collect::<Vec<_>>().join("; ")
    }
}
