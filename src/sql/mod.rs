//! SQL as text: names, quoting, tokens, and the relations that a query reads.

mod names;
pub mod query;
mod relation;
mod tokens;

pub use names::{ReadName, names_read};
pub use relation::{Relation, quote_identifier, quote_literal};
pub use tokens::{statements, tokens};
