//! The cost of a refill.

use std::collections::BTreeMap;

use super::Plan;
use crate::model::{Relation, Storage};

/// What a refill of a table costs; `None` where the server has no evidence.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Cost {
    /// PostgreSQL's estimate of the number of rows.
    pub rows: Option<i64>,
    /// The size of the table with its indexes, in bytes.
    pub bytes: Option<i64>,
    /// The mean duration of its last full refreshes, in milliseconds.
    pub full_ms: Option<f64>,
}

impl Cost {
    pub(super) fn of(storage: &Storage) -> Self {
        Self { rows: storage.rows, ..Self::default() }
    }
}

impl Plan {
    /// The existing tables that are refilled.
    pub fn refilled(&self) -> Vec<Relation> {
        let refilled = self.steps.iter().filter(|step| step.cost.is_some());
        refilled.map(|step| step.relation.clone()).collect()
    }

    /// Adds the sizes and durations that the server reports.
    #[must_use]
    pub fn with_costs(mut self, costs: &BTreeMap<Relation, Cost>) -> Self {
        for step in &mut self.steps {
            let Some((cost, known)) = step.cost.as_mut().zip(costs.get(&step.relation)) else { continue };
            cost.bytes = known.bytes;
            cost.full_ms = known.full_ms;
        }
        self
    }
}
