//! Which tables the changes of a round can affect, and whether those are unchanged afterwards.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Client, Error, function_reads::pairs, settings::Purpose};
use crate::model::{HiddenRead, Relation};

#[derive(Debug, Default, Deserialize)]
pub struct Reach {
    /// Effects that a rollback does not undo.
    pub escapes: Vec<Escape>,
    /// Every affected table with rows: sources, their partitions and children, tables with foreign key actions, and
    /// stream tables. Small ones come first.
    pub tables: Vec<Relation>,
}

/// An effect of a changed row that a rollback does not undo.
#[derive(Debug, Deserialize)]
pub struct Escape {
    pub source: Relation,
    /// A sentence.
    pub why: String,
}

/// A checksum of the rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    sum: String,
    /// Computed over the rows as text, because one of their types has no binary form.
    pub as_text: bool,
}

impl Client {
    /// What changes of the sources affect, and of these tables that queries read through functions.
    pub async fn reach(&self, reads: &BTreeMap<Relation, Vec<HiddenRead>>) -> Result<Reach, Error> {
        let sql = include_str!("sql/reach.sql").replace("$hidden", &pairs(reads));
        self.ask("reading what the sources affect", &sql).await
    }

    /// A checksum that differs if any bit of the table's rows differs; without the rows of its children.
    ///
    /// # Errors
    /// If the role cannot read all rows.
    pub async fn contents(&self, table: &Relation) -> Result<Contents, Error> {
        match self
            .sum_of_rows(table, "pg_catalog.encode(pg_catalog.record_send(pgtrickle_ci_row.*), 'hex')")
            .await
        {
            Ok(sum) => Ok(Contents { sum, as_text: false }),
            Err(Error::Server { message, .. }) if &*message.code == NO_BINARY_FORM => {
                let sum = self.sum_of_rows(table, "pgtrickle_ci_row.*::text").await?;
                Ok(Contents { sum, as_text: true })
            }
            Err(error) => Err(error),
        }
    }

    /// `alias.*` is always the row; the alias alone could also be a column.
    async fn sum_of_rows(&self, table: &Relation, row: &str) -> Result<String, Error> {
        let sql = format!(
            "select pg_catalog.to_jsonb(pg_catalog.concat(pg_catalog.count(*), ':',
               pg_catalog.sum(pg_catalog.hashtextextended({row} collate \"C\", 0)::numeric)))::text
             from only {} as pgtrickle_ci_row",
            table.quoted()
        );
        self.ask_for(Purpose::Values, "computing the checksum of the rows", &sql).await
    }
}

/// undefined_function, which `record_send` raises for a type without a send function.
const NO_BINARY_FORM: &str = "42883";
