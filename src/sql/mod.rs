//! SQL as text: names, quoting, tokens, and what a query reads.

pub mod query;
mod relation;
mod tokens;

pub use relation::{Relation, quote_identifier, quote_literal};
pub use tokens::tokens;
