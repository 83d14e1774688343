//! A table behind a function, or behind a view in a subquery, is no source: its changes do not reach the stream table.

use super::{Rule, TableRule};
use crate::{
    judge::Facts,
    model::{Deployed, HiddenRead, Verdict},
};

pub(super) const FUNCTIONS: TableRule = Rule {
    name: "function-reads",
    heading: "Functions that read",
    fixed: None,
    verdict: Verdict::Warned,
    finds: |deployed, facts| finds(deployed, facts, false),
    way_out: "join that table in the query instead",
};

pub(super) const VIEWS: TableRule = Rule {
    name: "view-reads",
    heading: "Views in subqueries",
    fixed: None,
    verdict: Verdict::Failed,
    finds: |deployed, facts| finds(deployed, facts, true),
    way_out: "write the view's query there instead, or read the view in FROM",
};

/// A table in the mode FULL is right after a change of any of its sources.
fn finds(deployed: &Deployed, facts: &Facts, by_view: bool) -> Option<String> {
    let is_full = deployed.table.settings.refresh_mode() == Some("FULL");
    let is_source = |read: &HiddenRead| {
        facts
            .sources
            .iter()
            .any(|source| source.schema == read.table.schema && source.name == read.table.name)
    };
    let hidden = facts.hidden_reads.iter().filter(|read| read.is_view == by_view);
    let hidden: Vec<HiddenRead> = hidden.filter(|read| !is_full || !is_source(read)).cloned().collect();
    (!hidden.is_empty())
        .then(|| format!("{}: changes there do not reach the stream table", HiddenRead::sentence(&hidden)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::{SourceFacts, sample},
        model::{Relation, Setting, Value},
    };

    #[test]
    fn a_table_behind_a_function_is_reported_and_in_full_mode_only_if_it_is_no_source() {
        let mut there = sample::deployed(sample::table("t", &[]));
        let read = |by: &str, is_view: bool, table: &str| HiddenRead {
            by: Relation::new("shop", by),
            is_view,
            table: Relation::new("shop", table),
        };
        let source = SourceFacts { schema: "shop".into(), name: "items".into(), ..SourceFacts::default() };
        let facts = Facts {
            hidden_reads: vec![
                read("rate", false, "items"),
                read("rate", false, "rates"),
                read("open", true, "orders"),
            ],
            sources: vec![source],
            ..Facts::default()
        };
        let found = |rule: &TableRule, there: &Deployed| (rule.finds)(there, &facts).unwrap();
        assert!(found(&FUNCTIONS, &there).starts_with("shop.rate() reads shop.items, shop.rates: "));
        assert!(found(&VIEWS, &there).starts_with("shop.open reads shop.orders: "));
        there.table.settings.set(Setting::RefreshMode, Value::Text("FULL".into()));
        assert!(found(&FUNCTIONS, &there).starts_with("shop.rate() reads shop.rates: "));
        assert!(found(&VIEWS, &there).starts_with("shop.open reads shop.orders: "));
        assert_eq!((FUNCTIONS.finds)(&there, &Facts::default()), None);
    }
}
