//! Relations that dbt creates and that stream tables read.

use std::collections::BTreeMap;

use crate::model::{Origin, Relation};

/// A view, table, seed or snapshot of the project that stream tables read, directly or through views and ephemeral
/// models. Ephemeral models themselves do not count: dbt inlines them into the queries that read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intermediate {
    pub relation: Relation,
    /// A materialization, `seed` or `snapshot`.
    pub kind: String,
    /// The compiled SQL; `None` if it is not a view.
    pub query: Option<String>,
    /// The stream tables that read it, directly or through views.
    pub readers: Vec<Relation>,
    pub origin: Origin,
}

impl Intermediate {
    /// Whether it has no rows of its own, so that its query is part of its readers' queries.
    pub fn is_view(&self) -> bool {
        is_view(&self.kind)
    }

    /// Whether every run of dbt recreates the relation, so that the engine must look it up again (docs/pg_trickle.md,
    /// "Source DDL").
    pub fn is_recreated_by_dbt(&self) -> bool {
        self.kind == "view" || self.kind == "table"
    }
}

/// Whether a materialization creates a plain view. `stable_view` is the dbt package's own: dbt does not recreate the
/// view while its query is unchanged.
pub(super) fn is_view(kind: &str) -> bool {
    kind == "view" || kind == "stable_view"
}

/// For each stream table, the relations that it reads and that every run of dbt recreates.
pub fn recreated_by_dbt(between: &[Intermediate]) -> BTreeMap<Relation, Vec<Relation>> {
    let mut recreated: BTreeMap<Relation, Vec<Relation>> = BTreeMap::new();
    for intermediate in between.iter().filter(|intermediate| intermediate.is_recreated_by_dbt()) {
        for reader in &intermediate.readers {
            recreated.entry(reader.clone()).or_default().push(intermediate.relation.clone());
        }
    }
    recreated
}
