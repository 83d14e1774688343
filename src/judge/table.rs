//! Everything about one table, in the order in which one thing rests on the other.

use super::{Catalog, Evidence, Facts, Terms, freshness, hazards, mode, population, present, status};
use crate::model::{Outcome, Stage, StreamTable, Verdict};

/// Judges one table. What fails first is the reason; what rests on it is not looked at.
pub(super) fn judge(
    table: &StreamTable,
    evidence: &Evidence,
    catalog: &Catalog,
    terms: &Terms,
) -> Vec<Outcome> {
    let facts = evidence.facts.as_ref().ok().and_then(|facts| of(facts, table));
    let mut outcomes = vec![present::judge(table, catalog, terms)];
    let Some(deployed) = catalog.get(&table.relation).filter(|deployed| deployed.health.storage_exists)
    else {
        let rest = [Stage::Population, Stage::Status, Stage::Freshness];
        outcomes.extend(rest.map(|stage| not_looked_at(stage, table, "it is not there")));
        return outcomes;
    };
    outcomes.push(population::judge(table, catalog));
    let populated = !outcomes[1].verdict.is_bad();
    outcomes.push(if populated {
        let now = evidence.engine.as_ref().ok().map(|engine| engine.now);
        status::judge(table, deployed, facts, now)
    } else {
        not_looked_at(Stage::Status, table, "it was never filled")
    });
    let runs = !outcomes[2].verdict.is_bad();
    outcomes.push(match &evidence.engine {
        _ if !populated => not_looked_at(Stage::Freshness, table, "it was never filled"),
        _ if !runs => not_looked_at(Stage::Freshness, table, "it is not refreshed"),
        _ if status::rests(&deployed.health) => not_looked_at(Stage::Freshness, table, "its model pauses it"),
        Ok(engine) => freshness::judge(table, deployed, catalog, engine.now, terms.age(&table.relation)),
        Err(unanswered) => Outcome::new(Stage::Freshness, &table.relation, Verdict::Errored, &unanswered.why)
            .about(table.origin.as_ref()),
    });
    if let Some(facts) = facts {
        outcomes.push(mode::judge(table, deployed, facts, terms.fail_on_fallback));
        outcomes.push(hazards::judge(table, deployed, facts, &evidence.version, &terms.silences));
    }
    outcomes
}

fn of<'a>(facts: &'a [Facts], table: &StreamTable) -> Option<&'a Facts> {
    facts.iter().find(|facts| facts.schema == table.relation.schema && facts.name == table.relation.name)
}

fn not_looked_at(stage: Stage, table: &StreamTable, why: &str) -> Outcome {
    Outcome::new(stage, &table.relation, Verdict::Skipped, format!("not looked at: {why}"))
        .about(table.origin.as_ref())
}
