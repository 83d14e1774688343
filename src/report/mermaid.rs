//! The graph of the tables that a plan affects, in Mermaid, which GitHub renders.

use std::{collections::BTreeSet, fmt::Write as _};

use super::text;
use crate::{
    model::Relation,
    plan::{Change, Plan, Step},
};

/// A graph with more nodes is unreadable.
const MOST_NODES: usize = 40;
const LONGEST_NAME: usize = 60;

/// The changed tables and everything downstream of them, up to `MOST_NODES` tables. `None` if no two tables are
/// connected.
pub(super) fn graph(plan: &Plan) -> Option<String> {
    let is_changed = |step: &Step| step.change != Change::Keep;
    let changed = plan.steps.iter().filter(|step| is_changed(step));
    let downstream: BTreeSet<&Relation> = changed.flat_map(|step| &step.downstream).collect();
    let is_affected = |step: &Step| is_changed(step) || downstream.contains(&step.relation);
    let mut nodes: Vec<(usize, &Step)> =
        plan.steps.iter().enumerate().filter(|(_, step)| is_affected(step)).collect();
    let more = nodes.len().saturating_sub(MOST_NODES);
    nodes.sort_by_key(|(_, step)| !is_changed(step));
    nodes.truncate(MOST_NODES);
    nodes.sort_by_key(|(at, _)| *at);
    let nodes: Vec<&Step> = nodes.into_iter().map(|(_, step)| step).collect();
    let edges = edges(&nodes);
    if edges.is_empty() {
        return None;
    }
    let mut out = String::from("graph LR\n");
    for (number, step) in nodes.iter().enumerate() {
        let label = escaped(&text::clip(&step.relation.to_string(), LONGEST_NAME));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  n{number}[\"{label}\"]:::{}", class(&step.change));
    }
    if more > 0 {
        let _ = writeln!(out, "  more[\"and {more} more\"]:::keep");
    }
    for (from, to) in edges {
        let _ = writeln!(out, "  n{from} --> n{to}");
    }
    for (class, fill, line) in CLASSES {
        let _ = writeln!(out, "  classDef {class} fill:{fill},stroke:{line},color:#1f2328");
    }
    Some(out)
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

/// The colours of a diff, readable on light and dark pages.
const CLASSES: [(&str, &str, &str); 5] = [
    ("create", "#aceebb", "#1a7f37"),
    ("alter", "#fae17d", "#9a6700"),
    ("replace", "#ffb77c", "#bc4c00"),
    ("drop", "#ffcecb", "#cf222e"),
    ("keep", "#eaeef2", "#818b98"),
];

fn class(change: &Change) -> &'static str {
    match change {
        Change::Create { .. } => "create",
        Change::Alter(_) | Change::AlterQuery { .. } => "alter",
        Change::Recreate { .. } => "replace",
        Change::Drop => "drop",
        Change::Keep => "keep",
    }
}

/// Mermaid shows `#58;` as a character without interpreting it.
fn escaped(label: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ' ' | '…');
    text::line(label)
        .chars()
        .map(|c| if plain(c) { c.to_string() } else { format!("#{};", u32::from(c)) })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::sample;

    fn step(name: &str, downstream: &[&str]) -> Step {
        let relation = |name: &&str| Relation::new("a", *name);
        Step {
            relation: relation(&name),
            change: Change::Alter(Vec::new()),
            downstream: downstream.iter().map(relation).collect(),
            ..sample::report().plan.unwrap().steps.remove(0)
        }
    }

    #[test]
    fn only_direct_readers_are_connected() {
        let steps = [step("a", &["b", "c", "d"]), step("b", &["c", "d"]), step("c", &["d"]), step("d", &[])];
        let nodes: Vec<_> = steps.iter().collect();
        assert_eq!(edges(&nodes), [(0, 1), (1, 2), (2, 3)]);
    }

    #[test]
    fn affected_tables_are_drawn_in_the_colour_of_their_change() {
        let graph = graph(&sample::report().plan.unwrap()).unwrap();
        let lines: Vec<_> = graph.lines().map(str::trim).collect();
        assert_eq!(lines[0], "graph LR");
        assert!(lines.contains(&"n2[\"analytics.order_totals\"]:::alter"), "{graph}");
        assert!(lines.contains(&"n4[\"analytics.weekly_revenue\"]:::keep"), "{graph}");
        assert!(lines.contains(&"n3 --> n4"), "{graph}");
        assert!(!graph.contains("stg_orders"), "unaffected tables are not drawn");
    }

    #[test]
    fn a_large_graph_draws_changes_and_counts_the_rest() {
        let names: Vec<String> = (0..60).map(|number| format!("t{number}")).collect();
        let mut steps: Vec<Step> = names.iter().map(|name| step(name, &["t59"])).collect();
        steps[0].change = Change::Keep;
        steps[59].downstream.clear();
        steps.swap(1, 59);
        let graph = graph(&Plan { steps, ..Plan::default() }).unwrap();
        assert_eq!(graph.matches(":::alter").count(), MOST_NODES, "{graph}");
        assert_eq!(graph.matches(" --> n0").count(), MOST_NODES - 1, "{graph}");
        assert!(graph.contains("more[\"and 19 more\"]:::keep"), "{graph}");
    }

    proptest! {
        #[test]
        fn a_label_stays_in_its_quotes(name in ".*|[\"`\\]#;<>\\-%{}]{0,9}") {
            let label = escaped(&name);
            let rest = label.replace(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ' ' | '…'), "");
            prop_assert!(rest.chars().all(|c| matches!(c, '#' | ';')), "{}", label);
        }
    }
}
