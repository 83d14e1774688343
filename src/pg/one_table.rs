//! Queries about one stream table.

use std::collections::BTreeMap;

use super::{Client, Error, about};
use crate::model::{History, Relation};

impl Client {
    /// The last refreshes of a stream table, at most `last` without those that changed nothing.
    pub async fn history(&self, table: &Relation, last: u32) -> Result<History, Error> {
        let sql = about(include_str!("sql/history.sql"), std::slice::from_ref(table));
        self.ask("reading the refresh history", &sql.replace("$last", &last.to_string())).await
    }

    /// The sizes of the relations that exist, with their indexes, in bytes.
    pub async fn sizes(&self, relations: &[Relation]) -> Result<BTreeMap<Relation, i64>, Error> {
        let sizes: Vec<(Relation, i64)> = self
            .ask("reading the sizes of relations", &about(include_str!("sql/sizes.sql"), relations))
            .await?;
        Ok(sizes.into_iter().collect())
    }
}
