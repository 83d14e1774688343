//! The tables that a plan affects, as a graph.

use std::collections::BTreeSet;

use crate::{
    model::Relation,
    plan::{Change, Plan, Step},
};

/// The changed tables and everything downstream of them.
pub(super) struct AffectedTables<'a> {
    pub(super) steps: Vec<&'a Step>,
    /// How many tables are left out.
    pub(super) more: usize,
    /// From a table to its direct readers, as positions in `steps`.
    pub(super) edges: Vec<(usize, usize)>,
}

impl<'a> AffectedTables<'a> {
    /// At most so many tables, changed ones first. `None` if no two of them are connected.
    pub(super) fn of(plan: &'a Plan, most: usize) -> Option<Self> {
        let is_changed = |step: &Step| step.change != Change::Keep;
        let changed = plan.steps.iter().filter(|step| is_changed(step));
        let downstream: BTreeSet<&Relation> = changed.flat_map(|step| &step.downstream).collect();
        let is_affected = |step: &Step| is_changed(step) || downstream.contains(&step.relation);
        let mut nodes: Vec<(usize, &Step)> =
            plan.steps.iter().enumerate().filter(|(_, step)| is_affected(step)).collect();
        let more = nodes.len().saturating_sub(most);
        nodes.sort_by_key(|(_, step)| !is_changed(step));
        nodes.truncate(most);
        nodes.sort_by_key(|(at, _)| *at);
        let steps: Vec<&Step> = nodes.into_iter().map(|(_, step)| step).collect();
        let edges = edges(&steps);
        (!edges.is_empty()).then_some(Self { steps, more, edges })
    }
}

/// Edges between direct readers. `Step::downstream` is transitive: a pair with a step in between is not an edge.
fn edges(nodes: &[&Step]) -> Vec<(usize, usize)> {
    let reads = |from: usize, to: usize| nodes[from].downstream.contains(&nodes[to].relation);
    let all = || 0..nodes.len();
    let is_direct = |from: usize, to: usize| {
        reads(from, to) && !all().any(|between| reads(from, between) && reads(between, to))
    };
    all()
        .flat_map(|from| all().map(move |to| (from, to)))
        .filter(|(from, to)| is_direct(*from, *to))
        .collect()
}

/// The name of a kind of change, for colours.
pub(super) fn class(change: &Change) -> &'static str {
    match change {
        Change::Create { .. } => "create",
        Change::Alter(_) | Change::AlterQuery { .. } => "alter",
        Change::Recreate { .. } => "replace",
        Change::Drop => "drop",
        Change::Keep => "keep",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn only_direct_readers_are_connected() {
        let readers: [(&str, &[&str]); 4] =
            [("a", &["b", "c", "d"]), ("b", &["c", "d"]), ("c", &["d"]), ("d", &[])];
        let steps = readers.map(|(name, downstream)| sample::altered(name, downstream));
        let nodes: Vec<_> = steps.iter().collect();
        assert_eq!(edges(&nodes), [(0, 1), (1, 2), (2, 3)]);
    }
}
