//! The graph of the tables that a plan affects, in Mermaid, which GitHub renders.

use std::fmt::Write as _;

use super::{
    graph::{self, AffectedTables},
    text,
};
use crate::plan::Plan;

/// A graph with more nodes is unreadable.
const MOST_NODES: usize = 40;
const LONGEST_NAME: usize = 60;

/// The changed tables and everything downstream of them, up to `MOST_NODES` tables. `None` if no two tables are
/// connected.
pub(super) fn graph(plan: &Plan) -> Option<String> {
    let AffectedTables { steps, more, edges } = AffectedTables::of(plan, MOST_NODES)?;
    let mut out = String::from("graph LR\n");
    for (number, step) in steps.iter().enumerate() {
        let label = escaped(&text::clip(&step.relation.to_string(), LONGEST_NAME));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  n{number}[\"{label}\"]:::{}", graph::class(&step.change));
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

/// The colours of a diff, readable on light and dark pages.
const CLASSES: [(&str, &str, &str); 5] = [
    ("create", "#aceebb", "#1a7f37"),
    ("alter", "#fae17d", "#9a6700"),
    ("replace", "#ffb77c", "#bc4c00"),
    ("drop", "#ffcecb", "#cf222e"),
    ("keep", "#eaeef2", "#818b98"),
];

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
    use crate::{plan::Change, report::sample};

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
        let mut steps: Vec<_> = names.iter().map(|name| sample::altered(name, &["t59"])).collect();
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
