//! What the changes of a round reach beyond the rows that they name, and whether all of it is unchanged afterwards.

use serde::Deserialize;

use super::{Client, Error, settings::Purpose};
use crate::model::Relation;

/// What changes of the sources reach.
#[derive(Debug, Default, Deserialize)]
pub struct Reach {
    /// What of it a rollback would not take back.
    pub escapes: Vec<Escape>,
    /// Every table that holds rows: sources, their partitions and children, tables whose foreign keys act, stream tables.
    /// Small ones come first.
    pub tables: Vec<Relation>,
}

/// An effect of a changed row that no rollback reverts.
#[derive(Debug, Deserialize)]
pub struct Escape {
    /// The source.
    pub source: Relation,
    /// What it is, as a sentence.
    pub why: String,
}

/// The rows of a table, as a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    sum: String,
    /// Over the rows as text, because a type in them has no binary form.
    pub as_text: bool,
}

impl Client {
    /// What changes of the sources reach.
    pub async fn reach(&self) -> Result<Reach, Error> {
        self.ask("looking what the sources reach", include_str!("sql/reach.sql")).await
    }

    /// A number that differs when any row of this table differs in any bit; rows of its children do not count.
    ///
    /// # Errors
    /// The role cannot read all of it.
    pub async fn contents(&self, table: &Relation) -> Result<Contents, Error> {
        match self
            .sum_of_rows(table, "pg_catalog.encode(pg_catalog.record_send(pgtrickle_ci_row.*), 'hex')")
            .await
        {
            Ok(sum) => Ok(Contents { sum, as_text: false }),
            Err(Error::Server { message, .. }) if message.code == NO_BINARY_FORM => {
                let sum = self.sum_of_rows(table, "pgtrickle_ci_row.*::text").await?;
                Ok(Contents { sum, as_text: true })
            }
            Err(error) => Err(error),
        }
    }

    /// `alias.*` is the row whatever the columns are called; the alias by itself could be one of them.
    async fn sum_of_rows(&self, table: &Relation, row: &str) -> Result<String, Error> {
        let sql = format!(
            "select pg_catalog.to_jsonb(pg_catalog.concat(pg_catalog.count(*), ':',
               pg_catalog.sum(pg_catalog.hashtextextended({row} collate \"C\", 0)::numeric)))::text
             from only {} as pgtrickle_ci_row",
            table.quoted()
        );
        self.ask_for(Purpose::Values, "adding up the rows", &sql).await
    }
}

/// undefined_function: what `record_send` says of a type without a send function.
const NO_BINARY_FORM: &str = "42883";
