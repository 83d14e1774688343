//! What a drop takes along that nothing restores: functions, columns of a table's row type, policies and the like.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Change, Plan};
use crate::model::{Deployed, Relation};

/// Something that PostgreSQL drops together with a stream table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostObject {
    /// The stream table.
    pub table: Relation,
    /// What it is, in PostgreSQL's words, as `function public.newest()`.
    pub what: String,
    /// The view, if it is one.
    pub view: Option<Relation>,
}

/// A plan that would lose something.
#[derive(Debug, thiserror::Error)]
#[error("this plan rebuilds tables, which drops what cannot be restored, and nothing was changed:\n  {}", losses.join("\n  "))]
pub struct WouldLose {
    /// What would be lost, a line each.
    losses: Vec<String>,
}

impl WouldLose {
    /// The next thing to do.
    pub fn hint(&self) -> String {
        "save their definitions, drop them by hand, apply, and create them again; `dbt build` restores only what its own models and hooks create"
            .into()
    }
}

/// # Errors
/// With what would be lost, if there is anything.
pub fn check(objects: &[LostObject]) -> Result<(), WouldLose> {
    if objects.is_empty() {
        return Ok(());
    }
    Err(WouldLose { losses: objects.iter().map(|lost| format!("{}: {}", lost.table, lost.what)).collect() })
}

impl Plan {
    /// The stream tables that are dropped, for good or to be built again.
    pub fn dropped(&self) -> Vec<Relation> {
        let is_dropped = |change: &Change| matches!(change, Change::Recreate { .. } | Change::Drop);
        self.steps.iter().filter(|step| is_dropped(&step.change)).map(|step| step.relation.clone()).collect()
    }

    /// The same plan with what is dropped along with its tables. The views that `deployed` knows are spoken of already.
    #[must_use]
    pub fn with_lost_objects(mut self, objects: Vec<LostObject>, deployed: &[Deployed]) -> Self {
        let known: BTreeMap<&Relation, &Deployed> =
            deployed.iter().map(|there| (&there.table.relation, there)).collect();
        let is_known = |lost: &LostObject| {
            let views = known.get(&lost.table).into_iter().flat_map(|there| &there.storage.views);
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

    /// What would be lost with the tables that are built again. A drop is a decision of the project and its policy.
    pub fn lost_by_rebuilds(&self) -> Vec<LostObject> {
        let is_rebuilt = |relation: &Relation| {
            self.steps
                .iter()
                .any(|step| step.relation == *relation && matches!(step.change, Change::Recreate { .. }))
        };
        self.lost_objects.iter().filter(|lost| is_rebuilt(&lost.table)).cloned().collect()
    }
}
