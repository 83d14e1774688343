//! Draws changes deterministically: from a seed and the rows of the tables to statements.
//!
//! Values come from the rows of a column and from the edges of its domain, so that constraints accept most statements.
//! The caller undoes and counts the rejected ones.

mod alteration;
mod case;
mod case_table;
mod change;
mod delicate;
mod drawing;
mod kind;
mod lessons;
mod literals;
mod mutator;
mod needed;
mod pace;
mod partitions;
mod random;
mod reduce;
mod round;
mod rows;
#[cfg(test)]
mod sample;
mod script;
mod source;
mod supply;
mod texts;
mod types;
mod updates;
mod value;

pub use case::{Case, Part, Statement};
pub use case_table::{CaseTable, CaseView};
pub use change::{Alteration, Change, Effect, PartitionChange, before};
pub use delicate::delicacy;
pub use kind::KINDS;
pub use mutator::Mutator;
pub use needed::Needed;
pub use pace::Pace;
pub use round::Draft;
pub use script::{Reproducibility, ScriptHeader, needs_second_session, was_reproduced, without_database};
pub use source::{ColumnKind, ConnectedColumns, Constraint, Partition, Reference, Row, Source, SourceColumn};
pub use types::{TypePart, Types, candidates};

#[cfg(test)]
use sample::row;
#[cfg(test)]
pub(crate) use sample::sample;
