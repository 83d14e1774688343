//! Objects that PostgreSQL drops with a stream table and that `apply` does not restore: functions, columns of the
//! table's row type, policies and others.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Change, Plan};
use crate::model::{Deployed, Relation};

/// An object that PostgreSQL drops together with a stream table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostObject {
    pub table: Relation,
    /// PostgreSQL's description, for example `function public.newest()`.
    pub what: String,
    /// Its name, if it is a view.
    pub view: Option<Relation>,
}

/// The objects that a plan knows to be dropped with its tables.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct KnownLosses {
    objects: Vec<LostObject>,
    /// The views on stream tables.
    views: BTreeSet<Relation>,
}

impl KnownLosses {
    /// The objects of a plan for these tables.
    pub fn of(objects: &[LostObject], deployed: &[Deployed]) -> Self {
        let views =
            deployed.iter().flat_map(|one| one.storage.views.iter().map(|view| view.relation.clone()));
        Self { objects: objects.to_vec(), views: views.collect() }
    }

    /// The others among these, a phrase each.
    pub fn unknown(&self, lost: &[LostObject]) -> Vec<String> {
        let is_known = |lost: &LostObject| {
            self.objects.contains(lost) || lost.view.as_ref().is_some_and(|view| self.views.contains(view))
        };
        let unknown = lost.iter().filter(|lost| !is_known(lost));
        unknown.map(|lost| format!("{} on {}", lost.what, lost.table)).collect()
    }
}

/// A plan that replaces tables and would lose objects with them.
#[derive(Debug, thiserror::Error)]
#[error("this plan replaces tables and would drop objects that cannot be restored; nothing was changed:\n  {}", losses.join("\n  "))]
pub struct LossError {
    losses: Vec<String>,
}

impl LossError {
    pub fn hint(&self) -> String {
        "save their definitions, drop them by hand, apply, and create them again; `dbt build` restores only what its own models and hooks create"
            .into()
    }
}

/// # Errors
/// If there are objects to lose.
pub fn check(objects: &[LostObject]) -> Result<(), LossError> {
    if objects.is_empty() {
        return Ok(());
    }
    Err(LossError { losses: objects.iter().map(|lost| format!("{}: {}", lost.table, lost.what)).collect() })
}

impl Plan {
    /// The stream tables that are dropped, or dropped and created again.
    pub fn dropped(&self) -> Vec<Relation> {
        let is_dropped = |change: &Change| matches!(change, Change::Recreate { .. } | Change::Drop);
        self.steps.iter().filter(|step| is_dropped(&step.change)).map(|step| step.relation.clone()).collect()
    }

    /// Adds the objects that are dropped with the plan's tables. The views in `deployed` are in the plan already.
    #[must_use]
    pub fn with_lost_objects(mut self, objects: Vec<LostObject>, deployed: &[Deployed]) -> Self {
        let known: BTreeMap<&Relation, &Deployed> =
            deployed.iter().map(|one| (&one.table.relation, one)).collect();
        let is_known = |lost: &LostObject| {
            let views = known.get(&lost.table).into_iter().flat_map(|one| &one.storage.views);
            views.into_iter().any(|view| Some(&view.relation) == lost.view.as_ref())
        };
        let objects: Vec<LostObject> = objects.into_iter().filter(|lost| !is_known(lost)).collect();
        for step in &mut self.steps {
            let own = objects.iter().filter(|lost| lost.table == step.relation);
            step.lost.extend(own.map(|lost| lost.what.clone()));
        }
        self.lost_objects = objects;
        self
    }

    /// The objects that would be lost with replaced tables. Objects of dropped tables do not count: the project and its
    /// policy decided to drop them.
    pub fn lost_by_rebuilds(&self) -> Vec<LostObject> {
        let is_replaced = |relation: &Relation| {
            self.steps
                .iter()
                .any(|step| step.relation == *relation && matches!(step.change, Change::Recreate { .. }))
        };
        self.lost_objects.iter().filter(|lost| is_replaced(&lost.table)).cloned().collect()
    }
}
