//! What it costs to fill a table again.

use std::collections::BTreeMap;

use super::Plan;
use crate::model::{Relation, Storage};

/// What is known of a table that is filled again. `None` where there is no evidence.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Cost {
    /// How many rows there are, by PostgreSQL's estimate.
    pub rows: Option<i64>,
    /// The size of the table with its indexes, in bytes.
    pub bytes: Option<i64>,
    /// How long its last full refreshes took, in milliseconds; the mean of them.
    pub full_ms: Option<f64>,
}

impl Cost {
    pub(super) fn of(storage: &Storage) -> Self {
        Self { rows: storage.rows, ..Self::default() }
    }
}

impl Plan {
    /// The tables whose rows are written again.
    pub fn refilled(&self) -> Vec<Relation> {
        let refilled = self.steps.iter().filter(|step| step.cost.is_some());
        refilled.map(|step| step.relation.clone()).collect()
    }

    /// The same plan with what a server says of sizes and durations.
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
