//! Views that are dropped with the storage of a stream table, and how they come back.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Change, Plan, Step};
use crate::model::{Deployed, Relation};

/// A view on a stream table that is dropped and built again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostView {
    /// The view.
    pub relation: Relation,
    /// What it reads.
    pub reads: Vec<Relation>,
    /// Its owner.
    pub owner: String,
    /// The statements that create it again as it was.
    pub statements: Vec<String>,
}

impl Plan {
    /// The same plan with the views that are dropped on the way.
    #[must_use]
    pub fn with_lost_views(mut self, views: Vec<LostView>) -> Self {
        self.lost_views = views;
        self
    }

    /// The views that are dropped with the tables that are built again.
    pub fn views_to_restore(&self, deployed: &[Deployed]) -> Vec<Relation> {
        let is_rebuilt = |there: &&Deployed| {
            let is_it = |relation: &Relation| *relation == there.table.relation;
            self.steps
                .iter()
                .any(|step| is_it(&step.relation) && matches!(step.change, Change::Recreate { .. }))
        };
        let rebuilt = deployed.iter().filter(is_rebuilt);
        let views = rebuilt.flat_map(|there| there.storage.views.iter().map(|view| view.relation.clone()));
        let views: BTreeSet<Relation> = views.collect();
        views.into_iter().collect()
    }
}

impl Plan {
    /// Forgets the views that no step of the plan drops.
    pub(super) fn keep_lost_views(&mut self) {
        let is_rebuilt = |step: &&Step| matches!(step.change, Change::Recreate { .. });
        let mut gone: BTreeSet<Relation> =
            self.steps.iter().filter(is_rebuilt).map(|step| step.relation.clone()).collect();
        loop {
            let known = gone.len();
            let reads = |view: &&LostView| view.reads.iter().any(|read| gone.contains(read));
            let lost: Vec<Relation> =
                self.lost_views.iter().filter(reads).map(|view| view.relation.clone()).collect();
            gone.extend(lost);
            if gone.len() == known {
                break;
            }
        }
        self.lost_views.retain(|view| gone.contains(&view.relation));
    }
}

/// Views that wait for what they read.
pub(super) struct Waiting<'a> {
    views: Vec<&'a LostView>,
    /// What is dropped and not there again.
    missing: BTreeSet<&'a Relation>,
}

impl<'a> Waiting<'a> {
    pub(super) fn of(plan: &'a Plan) -> Self {
        let is_gone = |change: &Change| matches!(change, Change::Recreate { .. } | Change::Drop);
        let gone = plan.steps.iter().filter(|step| is_gone(&step.change)).map(|step| &step.relation);
        let views: Vec<&LostView> = plan.lost_views.iter().collect();
        let missing = gone.chain(views.iter().map(|view| &view.relation)).collect();
        Self { views, missing }
    }

    /// The statements for the views that can come back now that this table is there again.
    pub(super) fn after(&mut self, table: &Relation) -> Vec<String> {
        self.missing.remove(table);
        let mut statements = Vec::new();
        while let Some(at) =
            self.views.iter().position(|view| !view.reads.iter().any(|read| self.missing.contains(read)))
        {
            let view = self.views.remove(at);
            self.missing.remove(&view.relation);
            statements.extend(view.statements.iter().cloned());
        }
        statements
    }
}
