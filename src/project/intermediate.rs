//! What lies between the sources and the stream tables: relations that dbt makes and that stream tables read.

use std::collections::BTreeMap;

use crate::model::{Origin, Relation};

/// A view, table, seed or snapshot of the project that stream tables read, directly or through views and ephemeral
/// models. Ephemeral models are not among them: dbt inlines them into the queries that read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intermediate {
    /// Where dbt puts it.
    pub relation: Relation,
    /// dbt's word for how it is made: a materialization, `seed` or `snapshot`.
    pub kind: String,
    /// The compiled SQL of a view; `None` for everything else.
    pub query: Option<String>,
    /// The stream tables that read it, directly or through views.
    pub readers: Vec<Relation>,
    /// The model.
    pub origin: Origin,
}

impl Intermediate {
    /// Whether it has no rows of its own, so that its query is a part of what reads it.
    pub fn is_view(&self) -> bool {
        is_view(&self.kind)
    }

    /// Whether every run of dbt replaces the relation by a new one, which the engine has to find again
    /// (docs/pg_trickle.md, "Source DDL").
    pub fn is_replaced_by_every_run(&self) -> bool {
        self.kind == "view" || self.kind == "table"
    }
}

/// Whether a materialization is a plain view. `stable_view` is the package's own: dbt leaves it alone while its query is
/// the same.
pub(super) fn is_view(kind: &str) -> bool {
    kind == "view" || kind == "stable_view"
}

/// What each stream table reads that every run of dbt replaces.
pub fn remade(between: &[Intermediate]) -> BTreeMap<Relation, Vec<Relation>> {
    let mut remade: BTreeMap<Relation, Vec<Relation>> = BTreeMap::new();
    for intermediate in between.iter().filter(|intermediate| intermediate.is_replaced_by_every_run()) {
        for reader in &intermediate.readers {
            remade.entry(reader.clone()).or_default().push(intermediate.relation.clone());
        }
    }
    remade
}
