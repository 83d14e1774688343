//! A table that a function reads is no source: its changes do not reach the stream table.

use super::{Rule, TableRule};
use crate::{
    judge::Facts,
    model::{Deployed, FunctionRead, Verdict},
};

pub(super) const RULE: TableRule = Rule {
    name: "function-reads",
    heading: "Functions that read",
    fixed: None,
    verdict: Verdict::Warned,
    finds,
    way_out: "join that table in the query instead",
};

/// A table in the mode FULL is right after a change of any of its sources.
fn finds(deployed: &Deployed, facts: &Facts) -> Option<String> {
    let is_full = deployed.table.settings.refresh_mode() == Some("FULL");
    let is_source = |read: &FunctionRead| {
        facts
            .sources
            .iter()
            .any(|source| source.schema == read.table.schema && source.name == read.table.name)
    };
    let hidden = facts.function_reads.iter().filter(|read| !is_full || !is_source(read));
    let hidden: Vec<FunctionRead> = hidden.cloned().collect();
    (!hidden.is_empty())
        .then(|| format!("{}: changes there do not reach the stream table", FunctionRead::sentence(&hidden)))
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
        let read = |table: &str| FunctionRead {
            function: Relation::new("shop", "rate"),
            table: Relation::new("shop", table),
        };
        let source = SourceFacts { schema: "shop".into(), name: "items".into(), ..SourceFacts::default() };
        let facts = Facts {
            function_reads: vec![read("items"), read("rates")],
            sources: vec![source],
            ..Facts::default()
        };
        let found = |there: &Deployed| finds(there, &facts).unwrap();
        assert!(found(&there).starts_with("shop.rate() reads shop.items, shop.rates: "));
        there.table.settings.set(Setting::RefreshMode, Value::Text("FULL".into()));
        assert!(found(&there).starts_with("shop.rate() reads shop.rates: "));
        assert_eq!(finds(&there, &Facts::default()), None);
    }
}
