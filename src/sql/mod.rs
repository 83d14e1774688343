//! SQL as text: names, quoting, tokens, and the relations that a query reads.

pub mod query;
mod relation;
mod tokens;

pub use relation::{Relation, quote_identifier, quote_literal};
pub use tokens::{statements, tokens};
