//! Views that are dropped with a replaced stream table, and how `apply` restores them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Change, Plan, Step};
use crate::model::{Deployed, Relation};

/// A view on a stream table that is dropped and created again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostView {
    pub relation: Relation,
    pub reads: Vec<Relation>,
    pub owner: String,
    /// The statements that restore it with its owner, grants, comments and options.
    pub statements: Vec<String>,
}

impl Plan {
    #[must_use]
    pub fn with_lost_views(mut self, views: Vec<LostView>) -> Self {
        self.lost_views = views;
        self
    }

    /// The views that are dropped with the replaced tables.
    pub fn views_to_restore(&self, deployed: &[Deployed]) -> Vec<Relation> {
        let is_replaced = |step: &&Step| matches!(step.change, Change::Recreate { .. });
        let names: BTreeSet<&Relation> =
            self.steps.iter().filter(is_replaced).map(|step| &step.relation).collect();
        let replaced = deployed.iter().filter(|one| names.contains(&one.table.relation));
        let views = replaced.flat_map(|one| one.storage.views.iter().map(|view| view.relation.clone()));
        let views: BTreeSet<Relation> = views.collect();
        views.into_iter().collect()
    }
}

impl Plan {
    /// Removes the views that no step of the plan drops.
    pub(super) fn retain_lost_views(&mut self) {
        let is_replaced = |step: &&Step| matches!(step.change, Change::Recreate { .. });
        let mut dropped: BTreeSet<Relation> =
            self.steps.iter().filter(is_replaced).map(|step| step.relation.clone()).collect();
        loop {
            let known = dropped.len();
            let reads = |view: &&LostView| view.reads.iter().any(|read| dropped.contains(read));
            let lost: Vec<Relation> =
                self.lost_views.iter().filter(reads).map(|view| view.relation.clone()).collect();
            dropped.extend(lost);
            if dropped.len() == known {
                break;
            }
        }
        self.lost_views.retain(|view| dropped.contains(&view.relation));
    }
}

/// The lost views that are not restored yet, because something that they read is still dropped.
pub(super) struct PendingViews<'a> {
    views: Vec<&'a LostView>,
    /// Dropped and not created again yet.
    missing: BTreeSet<&'a Relation>,
}

impl<'a> PendingViews<'a> {
    pub(super) fn of(plan: &'a Plan) -> Self {
        let is_dropped = |change: &Change| matches!(change, Change::Recreate { .. } | Change::Drop);
        let dropped = plan.steps.iter().filter(|step| is_dropped(&step.change)).map(|step| &step.relation);
        let views: Vec<&LostView> = plan.lost_views.iter().collect();
        let missing = dropped.chain(views.iter().map(|view| &view.relation)).collect();
        Self { views, missing }
    }

    /// The statements for the views that can be restored once this table exists again.
    pub(super) fn restorable_after(&mut self, table: &Relation) -> Vec<String> {
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
