//! All checks of one table, in order. If one fails, those that depend on it are skipped.

use super::{Catalog, Criteria, Evidence, Facts, freshness, hazards, mode, population, present, status};
use crate::model::{Deployed, Outcome, Relation, Stage, StreamTable, Verdict};

pub(super) struct TableOutcomes {
    present: Outcome,
    /// The table differs from its model. It still works, so its readers can be correct.
    is_drifted: bool,
    population: Outcome,
    status: Outcome,
    freshness: Outcome,
    /// Refresh mode and hazards, if the server reported the facts.
    more: Vec<Outcome>,
}

impl TableOutcomes {
    /// The outcome because of which downstream tables cannot be correct.
    pub(super) fn cause(&self) -> Option<&Outcome> {
        let present = (!self.is_drifted).then_some(&self.present);
        let mut stages = present.into_iter().chain([&self.population, &self.status, &self.freshness]);
        stages.find(|outcome| outcome.verdict.is_bad())
    }

    pub(super) fn add_to_cause(&mut self, line: String) {
        let present = (!self.is_drifted).then_some(&mut self.present);
        let stages = present.into_iter().chain([&mut self.population, &mut self.status, &mut self.freshness]);
        if let Some(cause) = stages.into_iter().find(|outcome| outcome.verdict.is_bad()) {
            cause.details.push(line);
        }
    }

    /// Skips failures that upstream tables explain, and names those. A missing table stays a failure.
    pub(super) fn blame_upstream(&mut self, roots: &str) {
        for outcome in [&mut self.population, &mut self.status, &mut self.freshness] {
            if outcome.verdict.is_bad() {
                outcome.verdict = Verdict::Skipped;
                outcome.message = format!("{}, because of {roots}", outcome.message);
                outcome.details.clear();
            }
        }
    }

    pub(super) fn into_outcomes(self) -> impl Iterator<Item = Outcome> {
        [self.present, self.population, self.status, self.freshness].into_iter().chain(self.more)
    }
}

pub(super) fn judge(
    table: &StreamTable,
    evidence: &Evidence,
    catalog: &Catalog,
    criteria: &Criteria,
) -> TableOutcomes {
    let present::Presence { outcome: present, is_drifted } = present::judge(table, catalog, criteria);
    let skipped = |stage, why| skipped(stage, table, why);
    let Some(deployed) = catalog.get(&table.relation).filter(|deployed| deployed.health.storage_exists)
    else {
        let why = "it does not exist";
        return TableOutcomes {
            present,
            is_drifted,
            population: skipped(Stage::Population, why),
            status: skipped(Stage::Status, why),
            freshness: skipped(Stage::Freshness, why),
            more: Vec::new(),
        };
    };
    let facts = evidence.facts.as_ref().ok().and_then(|facts| facts_of(&table.relation, facts));
    let population = population::judge(table, catalog);
    let (status, freshness) = if population.verdict.is_bad() {
        let why = "it was never populated";
        (skipped(Stage::Status, why), skipped(Stage::Freshness, why))
    } else {
        let now = evidence.engine.as_ref().ok().map(|engine| engine.now);
        let status = status::judge(table, deployed, facts, now);
        let freshness = if status.verdict.is_bad() {
            skipped(Stage::Freshness, "it is not refreshed")
        } else {
            freshness(table, deployed, evidence, catalog, criteria)
        };
        (status, freshness)
    };
    let more = facts.into_iter().flat_map(|facts| {
        [
            mode::judge(table, deployed, facts, criteria.fail_on_fallback),
            hazards::judge(table, deployed, facts, &evidence.version, &criteria.silences),
        ]
    });
    TableOutcomes { present, is_drifted, population, status, freshness, more: more.collect() }
}

/// The freshness of a table whose status passed.
fn freshness(
    table: &StreamTable,
    deployed: &Deployed,
    evidence: &Evidence,
    catalog: &Catalog,
    criteria: &Criteria,
) -> Outcome {
    if status::is_paused(&deployed.health) {
        return skipped(Stage::Freshness, table, "its model pauses it");
    }
    match &evidence.engine {
        Ok(engine) => freshness::judge(table, deployed, catalog, engine.now, criteria.age(&table.relation)),
        Err(unanswered) => Outcome::new(Stage::Freshness, &table.relation, Verdict::Errored, &unanswered.why)
            .about(table.origin.as_ref()),
    }
}

fn facts_of<'a>(relation: &Relation, facts: &'a [Facts]) -> Option<&'a Facts> {
    facts.iter().find(|facts| facts.schema == relation.schema && facts.name == relation.name)
}

fn skipped(stage: Stage, table: &StreamTable, why: &str) -> Outcome {
    Outcome::new(stage, &table.relation, Verdict::Skipped, format!("skipped: {why}"))
        .about(table.origin.as_ref())
}
