//! The numbers of a plan, and its words.

use std::collections::BTreeSet;

use super::{Change, Plan, Step};
use crate::model::Relation;

/// The number of tables by kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    pub create: usize,
    /// Settings or query altered in place.
    pub alter: usize,
    pub replace: usize,
    pub drop: usize,
    pub keep: usize,
    /// Those of the above whose query fails.
    pub fail: usize,
    /// Changed views that stream tables read.
    pub views: usize,
    /// Tables that get different rows although their own definition stays.
    pub other_rows: usize,
}

impl Plan {
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for step in &self.steps {
            match step.change {
                Change::Create { .. } => counts.create += 1,
                Change::Alter(_) | Change::AlterQuery { .. } => counts.alter += 1,
                Change::Recreate { .. } => counts.replace += 1,
                Change::Drop => counts.drop += 1,
                Change::Keep => counts.keep += 1,
            }
            counts.fail += usize::from(step.failure.is_some());
        }
        counts.views = self.views.len();
        counts.other_rows = self.other_rows().count();
        counts
    }

    /// The tables that get different rows although their own definition stays, because a view changes that they read,
    /// directly or through other tables.
    pub fn other_rows(&self) -> impl Iterator<Item = &Step> {
        let refilled = self.views.iter().filter(|view| view.refills());
        let affected: BTreeSet<&Relation> = refilled.flat_map(super::ViewStep::affected).collect();
        self.steps.iter().filter(move |step| {
            let stays = matches!(step.change, Change::Keep | Change::Alter(_)) && !step.change.refills();
            stays && affected.contains(&step.relation)
        })
    }

    /// Whether no stream table changes, and no view that one reads.
    pub fn is_empty(&self) -> bool {
        let is_unchanged = |step: &Step| step.change == Change::Keep && step.failure.is_none();
        self.steps.iter().all(is_unchanged) && self.views.is_empty()
    }

    /// Terraform's closing sentence.
    pub fn summary(&self) -> String {
        let counts = self.counts();
        if self.is_empty() {
            let (plural, verb) = if counts.keep == 1 { ("", "is") } else { ("s", "are") };
            return format!("No changes: {} stream table{plural} {verb} up to date.", counts.keep);
        }
        let Counts { create, alter, replace, drop, fail, other_rows, .. } = counts;
        let definitions = if create + alter + replace + drop == 0 {
            "Plan: 0 definitions changed".to_owned()
        } else {
            format!("Plan: {create} to add, {alter} to change, {replace} to replace, {drop} to destroy")
        };
        let rows = match other_rows {
            0 => String::new(),
            1 => ", 1 table gets different rows".into(),
            more => format!(", {more} tables get different rows"),
        };
        let failing = if fail > 0 { format!(", {fail} cannot be built") } else { String::new() };
        format!("{definitions}{rows}{failing}.")
    }
}

impl Step {
    /// The change in a few words.
    pub fn words(&self) -> &'static str {
        let is_undecided = self.unknown.is_some() && matches!(self.change, Change::AlterQuery { .. });
        match (&self.failure, is_undecided) {
            (Some(_), _) => "cannot be built",
            (None, true) => "alter query, refilled in place or replaced",
            (None, false) => self.change.words(),
        }
    }

    /// Terraform's symbol, or `✗` if the query fails.
    pub fn symbol(&self) -> &'static str {
        if self.failure.is_some() { "✗" } else { self.change.symbol() }
    }

    /// Whether reports show the step.
    pub fn is_shown(&self) -> bool {
        self.change != Change::Keep || self.failure.is_some()
    }
}
