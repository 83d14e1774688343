//! The part of the document about a rehearsal.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{V1Model, V1Relation, milliseconds};
use crate::{
    judge::rehearsal::{Rehearsal, RehearsedTable, RowChange, RowChanges, RowComparison, TableEffect},
    model::{Column, Origin, Relation},
};

/// What the change did after the base revision was deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Rehearsal {
    /// The base revision and its commit.
    pub base: String,
    /// All tables of the plan, in the plan's order.
    pub tables: Vec<V1Rehearsed>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Rehearsed {
    pub relation: V1Relation,
    /// `created`, `kept`, `refilled` (in place), `rebuilt` or `dropped`.
    pub planned: String,
    /// As `planned`, or `absent`.
    pub observed: String,
    /// Why, if the plan's step does not say it.
    pub reasons: Vec<String>,
    /// All differences from the plan.
    pub surprises: Vec<String>,
    /// Warnings about what happened as planned.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// How long its rows could not be read.
    pub without_rows_ms: u64,
    pub columns_before: Vec<V1Typed>,
    pub columns_after: Vec<V1Typed>,
    /// Its rows before and after; null if they could not be compared.
    pub contents: Option<V1Contents>,
    pub model: Option<V1Model>,
}

/// A column and its type by PostgreSQL's internal name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Typed {
    pub name: String,
    pub r#type: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Contents {
    /// The number of rows before; null if the table did not exist.
    pub rows_before: Option<u64>,
    /// The number of rows after; null if the table does not exist.
    pub rows_after: Option<u64>,
    /// The difference; null if the table exists only before or only after.
    pub difference: Option<V1Difference>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Difference {
    /// The compared columns: those of both sides.
    pub compared: Vec<String>,
    /// How many of the first compared columns are the key; null without a key.
    pub key: Option<usize>,
    /// The number of added rows.
    pub added: u64,
    /// The number of removed rows.
    pub removed: u64,
    /// The number of rows with the same key and other values.
    pub changed: u64,
    /// A few rows of each kind; none if rows may not be shown.
    pub examples: Vec<V1Example>,
}

/// A row: its values as text, in the order of the compared columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Example {
    /// Null for an added row.
    pub before: Option<Vec<Option<String>>>,
    /// Null for a removed row.
    pub after: Option<Vec<Option<String>>>,
}

impl From<&Rehearsal> for V1Rehearsal {
    fn from(rehearsal: &Rehearsal) -> Self {
        Self {
            base: rehearsal.base.clone(),
            tables: rehearsal.tables.iter().map(V1Rehearsed::from).collect(),
        }
    }
}

impl From<&RehearsedTable> for V1Rehearsed {
    fn from(table: &RehearsedTable) -> Self {
        Self {
            relation: V1Relation::from(&table.relation),
            planned: table.planned.name().into(),
            observed: table.observed.name().into(),
            reasons: table.reasons.clone(),
            surprises: table.surprises.clone(),
            warnings: table.warnings.clone(),
            without_rows_ms: milliseconds(table.without_rows),
            columns_before: table.columns_before.iter().map(V1Typed::from).collect(),
            columns_after: table.columns_after.iter().map(V1Typed::from).collect(),
            contents: table.contents.as_ref().map(V1Contents::from),
            model: table.origin.as_ref().map(V1Model::from),
        }
    }
}

impl From<&Column> for V1Typed {
    fn from(column: &Column) -> Self {
        Self { name: column.name.clone(), r#type: column.r#type.clone() }
    }
}

impl From<&RowComparison> for V1Contents {
    fn from(contents: &RowComparison) -> Self {
        let difference = contents.difference.as_ref().map(|difference| V1Difference {
            compared: difference.columns.clone(),
            key: difference.key,
            added: difference.added,
            removed: difference.removed,
            changed: difference.changed,
            examples: difference.examples.iter().cloned().map(V1Example::from).collect(),
        });
        Self { rows_before: contents.before, rows_after: contents.after, difference }
    }
}

impl From<RowChange> for V1Example {
    fn from(example: RowChange) -> Self {
        Self { before: example.before, after: example.after }
    }
}

impl V1Rehearsal {
    /// # Errors
    /// The unknown word.
    pub fn read(self) -> Result<Rehearsal, String> {
        let tables = self.tables.into_iter().map(V1Rehearsed::read).collect::<Result<_, _>>()?;
        Ok(Rehearsal { base: self.base, tables })
    }
}

impl V1Rehearsed {
    fn read(self) -> Result<RehearsedTable, String> {
        let happening = |word: String| {
            TableEffect::ALL.into_iter().find(|happening| happening.name() == word).ok_or(word)
        };
        let columns = |columns: Vec<V1Typed>| {
            columns.into_iter().map(|column| Column { name: column.name, r#type: column.r#type }).collect()
        };
        Ok(RehearsedTable {
            relation: Relation::new(self.relation.schema, self.relation.name),
            origin: self.model.map(|model| Origin { unique_id: model.unique_id, file: model.file }),
            planned: happening(self.planned)?,
            observed: happening(self.observed)?,
            reasons: self.reasons,
            surprises: self.surprises,
            warnings: self.warnings,
            without_rows: Duration::from_millis(self.without_rows_ms),
            columns_before: columns(self.columns_before),
            columns_after: columns(self.columns_after),
            contents: self.contents.map(V1Contents::read),
        })
    }
}

impl V1Contents {
    fn read(self) -> RowComparison {
        let example = |example: V1Example| RowChange { before: example.before, after: example.after };
        let difference = self.difference.map(|difference| RowChanges {
            columns: difference.compared,
            key: difference.key,
            added: difference.added,
            removed: difference.removed,
            changed: difference.changed,
            examples: difference.examples.into_iter().map(example).collect(),
        });
        RowComparison { before: self.rows_before, after: self.rows_after, difference }
    }
}
