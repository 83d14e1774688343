//! What a transaction wrote before a refresh, and commits after it, may be lost. PostgreSQL tells when a transaction began, and what it
//! has locked to write, but not when it wrote.

use std::collections::BTreeSet;

use super::{Rule, ServerRule, some_of};
use crate::{
    judge::{Evidence, Facts, scheduler::OpenWriter},
    model::{Relation, Verdict},
};

pub(super) const RULE: ServerRule = Rule {
    name: "open-transactions",
    heading: "Open transactions",
    fixed: None,
    verdict: Verdict::Warned,
    finds,
    way_out: "commit more often, compare the tables when it has ended (`check --equality`), and use `refresh_mode: IMMEDIATE` where transactions stay open",
};

/// How many transactions the message names.
const NAMED: usize = 3;

fn finds(evidence: &Evidence, tables: &BTreeSet<Relation>) -> Option<String> {
    let engine = evidence.engine.as_ref().ok()?;
    let facts = evidence.facts.as_ref().ok()?;
    let reads = |facts: &&Facts, source: &Relation| {
        facts.sources.iter().any(|one| one.schema == source.schema && one.name == source.name)
    };
    let passed_by = |facts: &&Facts, writer: &OpenWriter| {
        let is_it = |relation: &Relation| relation.schema == facts.schema && relation.name == facts.name;
        let deployed = evidence.deployed.iter().find(|deployed| is_it(&deployed.table.relation));
        deployed.is_some_and(|deployed| {
            tables.contains(&deployed.table.relation)
                // The write itself maintains an IMMEDIATE table.
                && deployed.table.settings.refresh_mode() != Some("IMMEDIATE")
                && deployed.health.last_refresh_at.is_some_and(|at| at > writer.began)
        })
    };
    let at_risk = |writer: &OpenWriter| {
        let reader = facts
            .iter()
            .filter(|facts| reads(facts, &writer.source))
            .find(|facts| passed_by(facts, writer))?;
        Some(format!(
            "pid {} ({}) is in a transaction since before {}.{} was refreshed, and may have written to {} before",
            writer.id, writer.application, reader.schema, reader.name, writer.source
        ))
    };
    let all = some_of(engine.writers.iter().filter_map(at_risk).collect(), NAMED);
    (!all.is_empty()).then(|| {
        format!(
            "what a transaction wrote before a refresh, and commits after it, may be lost: {}",
            all.join("; ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::{SourceFacts, sample},
        model::{Setting, Value},
    };

    /// The finding about a table that was refreshed at 100, with transactions that began then.
    fn found(mode: &str, began: &[f64]) -> Option<String> {
        let mut table = sample::table("t", &[]);
        table.settings.set(Setting::RefreshMode, Value::Text(mode.into()));
        let tables = BTreeSet::from([table.relation.clone()]);
        let mut deployed = sample::deployed(table);
        deployed.health.last_refresh_at = Some(100.0);
        let mut evidence = sample::evidence(vec![deployed]);
        let source = SourceFacts { schema: "raw".into(), name: "orders".into(), ..SourceFacts::default() };
        evidence.facts.as_mut().unwrap()[0].sources.push(source);
        let writer = |(number, began): (i32, &f64)| OpenWriter {
            id: number.to_string(),
            application: "loader".into(),
            source: Relation::new("raw", "orders"),
            began: *began,
        };
        evidence.engine.as_mut().unwrap().writers = (1..).zip(began).map(writer).collect();
        assert_eq!(finds(&evidence, &BTreeSet::new()), None, "of another project");
        finds(&evidence, &tables)
    }

    #[test]
    fn a_transaction_that_is_open_since_before_a_refresh_is_named() {
        assert_eq!(
            found("DIFFERENTIAL", &[99.0]).unwrap(),
            "what a transaction wrote before a refresh, and commits after it, may be lost: pid 1 (loader) is in a transaction since before s.t was refreshed, and may have written to raw.orders before"
        );
        assert_eq!(found("DIFFERENTIAL", &[101.0]), None, "no refresh has passed it by");
        assert_eq!(found("DIFFERENTIAL", &[]), None);
        assert!(
            found("FULL", &[99.0]).is_some(),
            "the scheduler refreshes it only after changes that it sees"
        );
        assert_eq!(found("IMMEDIATE", &[99.0]), None, "the write itself maintains it");
    }

    #[test]
    fn many_transactions_are_counted() {
        let found = found("DIFFERENTIAL", &[95.0, 96.0, 97.0, 98.0, 99.0]).unwrap();
        assert!(found.contains("pid 3 (loader)") && !found.contains("pid 4"), "{found}");
        assert!(found.ends_with("; and 2 more"), "{found}");
    }
}
